//! A service that runs here, from the opening of its storage to its end.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use standfast_nfs::callers::Callers;
use standfast_nfs::handles::HandleCodec;
use standfast_nfs::intents::{LastRun, settle};
use standfast_nfs::mount::Mount;
use standfast_nfs::nlm::{Base, ExportedFiles, LockService, LockSettings, RestoredLocks};
use standfast_nfs::nsm::caller::NetworkCaller;
use standfast_nfs::service::{Parts, Service};
use standfast_nfs::v3::Nfs3;
use standfast_nfs::v4::Nfs4;
use standfast_nfs::v4::callbacks::{Sender, SenderSettings, Settings as CallbackSettings};
use standfast_nfs::v4::keeper::Keeper;
use standfast_nfs::v4::kept_files::keep_files;
use standfast_rpc::gate::ReplyGate;
use standfast_rpc::reply_cache::RequestKey;
use standfast_rpc::server::Binding;
use standfast_rpc::server::SocketWatch;
use standfast_rpc::{Program, Server};
use standfast_settings::Settings;
use standfast_vfs::IdentityScope;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::connections::{Connections, Ends, Sockets};
use crate::journal::{Epoch, KeptNote, OpenJournal, open_journal, tell_of_start};
use crate::limits::{lock_limits, payload_limits, server_limits, state_settings};
use crate::listen::Listening;
use crate::log::JournalLog;
use crate::node::Node;
use crate::place::{self, Place, PlaceError};
use crate::replay::{Restored, parts};
use crate::replies::{self, JournaledReplies, RestoredReply};
use crate::steps::StepFile;
use crate::storage::Storages;
use crate::timings::{Step, Timings};
use crate::{StartError, identity, snapshots};

/// How often unused descriptors are looked for, and what time brings is done to the state.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long calls that run may take to finish at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client's lock service may take to answer a call of ours.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// How a service stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// What runs is answered, and connections are closed.
    Drained,
    /// Nothing leaves any more, no FIN and no RST: the service goes on elsewhere. Its address
    /// goes first.
    Silent,
}

/// A service whose storage is open.
pub struct Opening {
    node: Arc<Node>,
    name: String,
    settings: Settings,
    expects_journal: bool,
    storages: Storages,
    problems: Vec<String>,
    timings: Timings,
}

impl Opening {
    /// Opens the storage of the exports. What cannot be opened is in [`Opening::problems`] and is
    /// not served. Blocks.
    pub fn storage(node: &Arc<Node>, name: &str, settings: Settings) -> Self {
        let mut timings = Timings::default();
        let mut storages = Storages::new(&settings.limits, Arc::clone(&node.pool));
        let problems = timings.time(Step::Storage, || storages.open_ahead(&settings.exports));
        let (node, name, expects_journal) = (Arc::clone(node), name.into(), false);
        Self { node, name, settings, expects_journal, storages, problems, timings }
    }

    /// Says whether the service has been served before, here or elsewhere: then a journal that is
    /// not there is *lost*, and the start has a grace period. For [`Epoch::Lease`], where no node
    /// can know by itself.
    #[must_use]
    pub fn expects_journal(mut self, expected: bool) -> Self {
        self.expects_journal = expected;
        self
    }

    /// Reads what [`Opening::take_over`] will read, so that it finds it in memory. Changes
    /// nothing, and may be done again and again while another node holds the service. Blocks.
    pub fn warm(&self) {
        place::warm(self.settings.journal.directory.as_deref(), &self.storages.candidates());
    }

    /// Why some exports are not served.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Opens the journal with a new epoch, which shuts out who held it before, and replays it.
    /// Replies leave only through `gate`. Blocks; must be called in a runtime.
    ///
    /// # Errors
    /// See [`StartError`]. A journal that is lost or damaged is none: it is put aside, and the
    /// service starts with a grace period.
    pub fn take_over(mut self, epoch: Epoch, gate: Arc<ReplyGate>) -> Result<Taken, StartError> {
        let state_dir = self.settings.server.state_dir.join("services").join(&self.name);
        make_private(&state_dir)?;
        let opened = self.timings.time(Step::Journal, || {
            let known = (state_dir.as_path(), self.expects_journal);
            open_journal(&self.settings, &self.storages, known, epoch)
        })?;
        let OpenJournal { place, opened, is_lost, note } = opened;
        let earlier = (self.name == DEFAULT).then(|| self.settings.server.state_dir.clone());
        let key = identity::handle_key(&place.path(), &state_dir, earlier.as_deref())?;
        let report = opened.report.clone();
        let (journal, snapshot, records) = parts(opened);
        let (limits, now) = (lock_limits(&self.settings), Instant::now());
        let mut restored =
            Restored::new(instance_of(report.id), state_settings(&self.settings), limits);
        let replayed = self.timings.time(Step::Replay, || restored.replay(snapshot, records, now));
        replayed.map_err(|error| StartError::Replay {
            place: place.shown.display().to_string(),
            error,
        })?;
        restored.state.resume(now);
        if is_lost {
            // Who had something is lost with it.
            let unknown = None::<[(bool, bytes::Bytes); 0]>;
            restored.state.begin_grace(self.settings.nfs4.lease_time, unknown, now);
        }
        tell_of_start(&place, journal.epoch(), &report, &restored, is_lost);
        let verifier = identity::write_verifier(&key, report.id, journal.epoch());
        self.storages.set_write_verifier(verifier);
        // A new journal, be it the first or one in place of a lost one, knows of no lock.
        let is_new = report.previous_epoch.is_none();
        let locks = (!is_lost && !is_new).then_some(restored.locks);
        let log = JournalLog::new(journal);
        let keeper = Keeper::new(restored.state, Arc::clone(&log) as _);
        self.start_programs(
            (place, note),
            HandleCodec::new(&key),
            keeper,
            log,
            (locks, restored.replies),
            gate,
        )
    }

    fn start_programs(
        mut self,
        (place, note): (Place, KeptNote),
        handles: HandleCodec,
        keeper: Arc<Keeper>,
        log: Arc<JournalLog>,
        (locks, replies): (Option<RestoredLocks>, Vec<RestoredReply>),
        gate: Arc<ReplyGate>,
    ) -> Result<Taken, StartError> {
        let settings = &self.settings;
        let service = Service::new(Parts {
            handles: handles.clone(),
            callers: Callers::new(settings.groups.lookup, settings.groups.cache_time),
            names: Arc::clone(&self.node.names),
            limits: payload_limits(&settings.limits),
            metrics: self.node.metrics.clone(),
        });
        service.owners().set_domain(settings.nfs4.domain.clone());
        let opened = self.storages.open(&settings.exports);
        self.problems = opened.problems;
        note_shared_log(&place, &opened.exports);
        service.set_exports(opened.exports);
        let answered = replies.iter().map(|reply| reply.key).collect();
        finish_last_run(&service, &keeper, &place, (log.epoch(), answered))?;
        let base = Base { keeper: Arc::clone(&keeper), restored: locks, handles };
        let locks = start_locks(settings, &self.name, &service, &gate, base)?;
        let programs = programs(&service, &keeper, &locks);
        let callbacks = SenderSettings {
            machine: CallbackSettings {
                patience: settings.nfs4.lease_time,
                ..CallbackSettings::default()
            },
            privileged: rustix::process::geteuid().is_root(),
            ..SenderSettings::default()
        };
        Sender::start(&keeper, service.handles().clone(), Arc::clone(&gate), callbacks);
        let server = Server::with_gate(
            programs,
            server_limits(&settings.limits),
            Arc::new(|| Box::new(IdentityScope::enter())),
            Arc::clone(&self.node.reactors),
            gate,
        );
        server.set_reply_log(Arc::new(JournaledReplies {
            log: Arc::clone(&log),
            calls: Arc::clone(service.calls()),
        }));
        replies::restore(server.reply_cache(), replies, Instant::now());
        let (sockets, before) = begin_connections(&place, log.epoch());
        server.watch_sockets(Arc::clone(&sockets) as _);
        let Self { name, settings, storages, problems, timings, .. } = self;
        Ok(Taken {
            name,
            settings,
            storages,
            problems,
            timings,
            place,
            note,
            service,
            locks,
            server,
            keeper,
            log,
            sockets,
            before,
        })
    }
}

/// Begins the table of connections; a service without one serves all the same.
fn begin_connections(place: &Place, epoch: u64) -> (Arc<Sockets>, Vec<Ends>) {
    let (connections, before) = match Connections::begin(&place.path(), epoch) {
        Ok((connections, before)) => (Some(connections), before),
        Err(error) => {
            tracing::warn!(%error, place = %place.shown.display(),
                "connections are not on record: after a change of holder clients wait for timers");
            (None, Vec::new())
        }
    };
    (Arc::new(Sockets { connections, also: OnceLock::new() }), before)
}

/// Finds out what became of operations that the last run of the service did not end, and lets
/// removed files go that nobody has open any more. What was found is durable before anything is
/// served: afterwards the filesystem may tell otherwise.
fn finish_last_run(
    service: &Arc<Service>,
    keeper: &Arc<Keeper>,
    place: &Place,
    (epoch, answered): (u64, HashSet<RequestKey>),
) -> Result<(), StartError> {
    service.exports().iter().for_each(|export| keep_files(keeper, export));
    let failed = |action| PlaceError::on(action, &place.shown);
    let (store, earlier) =
        StepFile::open(&place.path(), epoch).map_err(failed("note steps of requests in"))?;
    let last = LastRun { store: Arc::new(store), epoch, steps: earlier.steps(), answered };
    let found = settle(service, keeper, last).map_err(failed("note steps of requests in"))?;
    if !found.is_none() {
        let runtime = tokio::runtime::Handle::current();
        let wait = move || runtime.block_on(found.durable());
        // A thread of its own may block wherever this is called.
        let durable = std::thread::scope(|scope| scope.spawn(wait).join());
        let durable = durable.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        durable.map_err(StartError::Stopped)?;
    }
    // Only now: should this start have died before, the next one had to find them.
    earlier.remove();
    Ok(())
}

/// The service of a node by itself.
pub(crate) const DEFAULT: &str = "default";

/// Tells each storage whether it lies in the same ordered log of one filesystem as the journal:
/// then one flush makes a change there and its record stable.
fn note_shared_log(
    place: &Place,
    exports: &[(standfast_settings::ExportSettings, Arc<standfast_nfs::service::Storage>)],
) {
    use std::os::unix::fs::MetadataExt;
    let shares = |path: &PathBuf| std::fs::metadata(path).is_ok_and(|data| place.is_on(data.dev()));
    for (settings, storage) in exports {
        let with = !settings.cross_mounts && storage.flushes_together() && shares(&settings.path);
        storage.set_with_journal(with);
    }
}

/// The lock manager and the status monitor. Clients know us by the name of this machine, if not
/// by the address that they mounted from; a service that moves has no machine, but addresses.
fn start_locks(
    settings: &Settings,
    name: &str,
    service: &Arc<Service>,
    gate: &Arc<ReplyGate>,
    base: Base,
) -> Result<Arc<LockService>, StartError> {
    let mut directory = settings.server.state_dir.clone();
    if name != DEFAULT {
        directory.extend(["services", name]);
    }
    let mut locks = LockSettings::new(directory.join("nsm"));
    locks.grace.length = settings.nlm.grace_period;
    locks.notify.retry.give_up_after = settings.nsm.notify_for;
    let machine = (name == DEFAULT).then(hostname);
    locks.notify.names = settings.nsm.name.clone().into_iter().chain(machine).collect();
    let files = Arc::new(ExportedFiles::new(Arc::clone(service)));
    let is_root = rustix::process::geteuid().is_root();
    let caller = NetworkCaller::new(CALLBACK_TIMEOUT, is_root).behind(Arc::clone(gate));
    Ok(LockService::start(locks, files, Arc::new(caller), base)?)
}

/// A service that has its state again and does not listen yet.
pub struct Taken {
    name: String,
    settings: Settings,
    storages: Storages,
    problems: Vec<String>,
    timings: Timings,
    place: Place,
    note: KeptNote,
    service: Arc<Service>,
    locks: Arc<LockService>,
    server: Arc<Server>,
    keeper: Arc<Keeper>,
    log: Arc<JournalLog>,
    sockets: Arc<Sockets>,
    before: Vec<Ends>,
}

impl Taken {
    /// Says who else is told of sockets, once.
    pub fn watch_sockets(&self, watch: Arc<dyn SocketWatch>) {
        let _first = self.sockets.also.set(watch);
    }

    /// Why some exports are not served.
    pub fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Binds the floating addresses, which need not be there yet, and serves. Must be called in a
    /// runtime.
    ///
    /// # Errors
    /// [`StartError::Listen`] and [`StartError::NoAddress`].
    pub fn listen(self, addresses: &[IpAddr]) -> Result<Arc<Instance>, StartError> {
        self.listen_as(addresses, Binding::Ahead)
    }

    fn listen_as(
        mut self,
        addresses: &[IpAddr],
        binding: Binding,
    ) -> Result<Arc<Instance>, StartError> {
        let bind = || Listening::bind(addresses, &self.settings.server, binding);
        let listening = self.timings.time(Step::Listen, bind)?;
        let (stop, stopped) = watch::channel(false);
        let (failed, _) = watch::channel(None);
        let gate = Arc::clone(self.server.gate());
        let failure = failed.clone();
        self.log.on_failure(move |error| {
            // What cannot be promised is not said.
            gate.shut();
            tracing::error!(%error, "the journal has stopped, and so has the service");
            failure.send_replace(Some(error.to_string()));
        });
        let listening_on = listening.addresses();
        let sockets = Mutex::new(listening.serve(&self.server, &stopped));
        let Self { name, storages, problems, timings, .. } = self;
        let Self { place, note, service, locks, server, keeper, log, before, .. } = self;
        let instance = Arc::new(Instance {
            name,
            listening: listening_on,
            shared: Mutex::new(Shared { storages, problems, note }),
            timings,
            place,
            service,
            locks,
            server,
            keeper,
            log,
            sockets,
            before,
            stop,
            failed,
        });
        tokio::spawn(sweep(Arc::downgrade(&instance)));
        let (keeper, log) = (Arc::downgrade(&instance.keeper), Arc::downgrade(&instance.log));
        let locks = Arc::downgrade(&instance.locks);
        let cache = Arc::downgrade(instance.server.reply_cache());
        tokio::spawn(snapshots::compact_regularly(keeper, locks, cache, log));
        Ok(instance)
    }
}

struct Shared {
    storages: Storages,
    problems: Vec<String>,
    note: KeptNote,
}

/// A service that runs here.
pub struct Instance {
    name: String,
    listening: Vec<SocketAddr>,
    shared: Mutex<Shared>,
    timings: Timings,
    place: Place,
    service: Arc<Service>,
    locks: Arc<LockService>,
    server: Arc<Server>,
    keeper: Arc<Keeper>,
    log: Arc<JournalLog>,
    /// What serves the sockets.
    sockets: Mutex<Vec<JoinHandle<()>>>,
    before: Vec<Ends>,
    stop: watch::Sender<bool>,
    failed: watch::Sender<Option<String>>,
}

impl Instance {
    /// Starts the service of a node by itself, in one go, on the addresses of its settings.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start_alone(opening: Opening) -> Result<Arc<Self>, StartError> {
        let addresses = opening.settings.server.listen.clone();
        opening.take_over(Epoch::Next, Arc::default())?.listen_as(&addresses, Binding::Present)
    }

    /// The name of the service of a node by itself.
    pub const ALONE: &'static str = DEFAULT;

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The epoch that it runs in.
    pub fn epoch(&self) -> u64 {
        self.log.epoch()
    }

    /// The directory of the journal.
    pub fn journal(&self) -> PathBuf {
        self.place.shown.join(place::JOURNAL)
    }

    /// Where NFS is served.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// How long each step of the start took.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// The connections that holders before this one had, to be woken.
    pub fn connections_before(&self) -> &[Ends] {
        &self.before
    }

    /// The right of its replies to leave.
    pub fn gate(&self) -> &Arc<ReplyGate> {
        self.server.gate()
    }

    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// The exports.
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The lock manager and status monitor.
    pub fn locks(&self) -> &Arc<LockService> {
        &self.locks
    }

    /// The protocol state.
    pub fn keeper(&self) -> &Arc<Keeper> {
        &self.keeper
    }

    /// Why some exports are not served, or nothing.
    pub fn problem(&self) -> Option<String> {
        let shared = self.shared.lock();
        (!shared.problems.is_empty()).then(|| shared.problems.join("; "))
    }

    /// Becomes something when the service cannot go on: why. It is silent from then on, and has to
    /// be stopped and started again.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.failed.subscribe()
    }

    /// Turns true when it stops.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Puts new settings in force, as far as that goes without a restart; gives why some exports
    /// are not served. Blocks.
    pub fn reload(&self, new: &Settings) -> Vec<String> {
        let mut shared = self.shared.lock();
        let opened = shared.storages.open(&new.exports);
        note_shared_log(&self.place, &opened.exports);
        self.service.set_exports(opened.exports);
        self.service.exports().iter().for_each(|export| keep_files(&self.keeper, export));
        self.server.set_limits(server_limits(&new.limits));
        self.service.set_limits(payload_limits(&new.limits));
        self.service.callers().set(new.groups.lookup, new.groups.cache_time);
        self.service.owners().set_domain(new.nfs4.domain.clone());
        let (state, limits) = (state_settings(new), lock_limits(new));
        let ((), pending) = self.keeper.with(|held, _| {
            held.set_settings(state);
            held.locks_mut().set_limits(limits);
        });
        // A change of settings is no change of the state.
        drop(pending);
        shared.problems.clone_from(&opened.problems);
        opened.problems
    }

    /// Does what time brings. Blocks.
    fn sweep(&self, now: Instant) {
        self.service.sweep(now);
        let mut shared = self.shared.lock();
        if shared.note.note.recovering && !self.keeper.look(|state| state.is_in_grace(now)) {
            shared.note.recovered();
        }
    }

    /// From now on no call begins: what clients send stays unanswered, and they send it again to
    /// whoever holds the service next. Nothing is closed. Waits until the calls that run have
    /// ended and their replies are with the kernel; gives whether they have, within `limit`.
    ///
    /// For a planned move: drain, take the address away, [`Manner::Silent`].
    pub async fn drain(&self, limit: Duration) -> bool {
        self.server.drain(limit).await
    }

    /// Takes a [`Instance::drain`] back: calls begin again, those first that came meanwhile.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Stops it. Drained: waits, within limits, until the calls that run are answered. Silent:
    /// without a word, at once; calls that run come to their end, and their replies to nothing.
    pub async fn stop(&self, manner: Manner) {
        if manner == Manner::Silent {
            self.server.silence();
        } else {
            self.server.resume();
        }
        self.locks.stop();
        self.stop.send_replace(true);
        let sockets = std::mem::take(&mut *self.sockets.lock());
        let quiet = async {
            // No socket listens any more when this returns.
            for socket in sockets {
                let _panicked = socket.await;
            }
            while !self.server.registry().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, quiet).await.is_err() {
            tracing::warn!(service = %self.name, "some calls did not finish in time");
        }
    }
}

async fn sweep(instance: std::sync::Weak<Instance>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let Some(instance) = instance.upgrade() else { return };
        if *instance.stop.borrow() {
            return;
        }
        instance.keeper.tick();
        // Closing a descriptor may write to the storage.
        let swept = tokio::task::spawn_blocking(move || instance.sweep(Instant::now()));
        let _done = swept.await;
    }
}

/// The name of this machine.
fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn make_private(path: &Path) -> Result<(), PlaceError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| PlaceError::Io { action: "make", path: path.into(), error })
}

/// What tells the names that a state gives out from those of any state before it: a journal is
/// made with random bytes.
fn instance_of(journal: [u8; 16]) -> u32 {
    let [a, b, c, d, ..] = journal;
    u32::from_be_bytes([a, b, c, d]).max(1)
}

/// The programs that a service consists of.
fn programs(
    service: &Arc<Service>,
    keeper: &Arc<Keeper>,
    locks: &Arc<LockService>,
) -> Vec<Arc<dyn Program>> {
    let mut programs = locks.programs();
    programs.push(Arc::new(Nfs3::new(Arc::clone(service))));
    programs.push(Arc::new(Nfs4::new(Arc::clone(service), Arc::clone(keeper))));
    programs.push(Arc::new(Mount::new(Arc::clone(service))));
    programs
}
