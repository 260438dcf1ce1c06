//! The driver of the lock manager: it owns the state, puts hosts on record before they get locks,
//! and tells clients of locks that they waited for.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_rpc::xdr::{self, Opaque};
use standfast_rpc::{Call, Program};
use tokio::sync::watch;

use super::files::Files;
use super::grace::Grace;
use super::grants::{Grant, Wish};
use super::host::{Host, LockOwner};
use super::lanes::Lanes;
use super::locker::{Books, LockTerms, Locker};
use super::program::NlmProgram;
use super::protocol::{
    Lock, LockResult, Netobj, Offset, PROGRAM, Procedure, Status, TestArgs, VERSION_4,
};
use super::record::LockChange;
use super::report::{HostReport, LockReport};
use super::restored::RestoredLocks;
use super::settings::LockSettings;
use crate::handles::HandleCodec;
use crate::holder::ServiceHolder;
use crate::locks::{Change, Conflict, FileKey, Mode, Range, Request, Share};
use crate::nsm::caller::{Answer, Caller, OutcallError};
use crate::nsm::record::{ClientHost, Record};
use crate::nsm::{Notifier, NsmProgram, RebootListener, Run, StatusMonitor, StoreError, client_of};
use crate::v4::keeper::{Keeper, LockListener, Pending};

/// How often hosts without locks are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What the lock service goes on from.
pub struct Base {
    /// The locks of all protocols, and the journal behind them.
    pub keeper: Arc<Keeper>,
    /// What the journal gave back: then clients have what they had, and nobody is told of the
    /// start. Without it nothing is known, because the journal is new or was lost: then everybody
    /// whom this node has on record is told, and may reclaim.
    pub restored: Option<RestoredLocks>,
    /// Makes the handles by which clients know the files of requests that wait.
    pub handles: HandleCodec,
}

/// The lock manager and the status monitor.
pub struct LockService {
    me: Weak<Self>,
    keeper: Arc<Keeper>,
    locker: Mutex<Locker>,
    files: Arc<dyn Files>,
    monitor: Arc<StatusMonitor>,
    notifier: Arc<Notifier>,
    caller: Arc<dyn Caller>,
    settings: LockSettings,
    lanes: Lanes,
    /// Clients that were told of our start: on record until the grace period is over, so that
    /// they are told again if we do not live to see that.
    told: Mutex<Vec<Record>>,
    /// Ends what runs in the background.
    stop: watch::Sender<bool>,
}

/// What a client says of a grant.
enum Verdict {
    /// It has the lock, or may have it.
    Keep,
    /// It does not want it.
    Refused,
    /// Nothing yet.
    Silent,
}

impl LockService {
    /// Opens the records and begins: whoever had locks in the last run is told of this one, and
    /// may reclaim them. Must be called in a runtime.
    ///
    /// # Errors
    /// When the records cannot be used.
    pub fn start(
        settings: LockSettings,
        files: Arc<dyn Files>,
        caller: Arc<dyn Caller>,
        base: Base,
    ) -> Result<Arc<Self>, StoreError> {
        let Base { keeper, restored, handles } = base;
        let run = if restored.is_some() { Run::Continued } else { Run::New };
        let opened = StatusMonitor::open(&settings.directory, settings.hosts, run);
        let (monitor, on_record) = opened?;
        let notifier =
            Notifier::new(Arc::clone(&monitor), Arc::clone(&caller), settings.notify.clone());
        let now = Instant::now();
        let (locker, to_grant, to_tell, to_forget) = match restored {
            Some(restored) => {
                let (grants, to_grant, hosts) =
                    keeper.look(|state| restored.into_parts(state.locks(), &handles, now));
                let locker = Locker::restored(settings.hosts, grants, hosts, now);
                // Programs of this machine are told of the machine's restart all the same.
                let (clients, others) =
                    on_record.into_iter().partition(|record| client_of(record).is_some());
                (locker, to_grant, others, clients)
            }
            None => {
                let former = on_record.iter().filter_map(client_of);
                let former = former.map(|host| (host.name, host.address));
                let grace = Grace::begin(settings.grace, former, now);
                (Locker::new(settings.hosts, grace), Vec::new(), on_record, Vec::new())
            }
        };
        let service = Arc::new_cyclic(|me| Self {
            me: me.clone(),
            keeper,
            locker: Mutex::new(locker),
            files,
            monitor,
            notifier,
            caller,
            lanes: Lanes::new(settings.calls, settings.calls_per_address),
            settings,
            told: Mutex::default(),
            stop: watch::Sender::new(false),
        });
        let listener: Weak<dyn LockListener> = service.me.clone();
        service.keeper.set_lock_listener(listener);
        service.tell_of_start(to_tell);
        to_grant.into_iter().for_each(|grant| service.tell(grant, true));
        service.run(Arc::clone(&service).set_record_straight(to_forget));
        service.run(sweep_regularly(service.me.clone()));
        Ok(service)
    }

    /// From now on no client is told of anything, and nothing runs in the background any more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Runs something in the background until the service stops.
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// The programs that the service consists of.
    pub fn programs(self: &Arc<Self>) -> Vec<Arc<dyn Program>> {
        let listener: Arc<dyn RebootListener> = Arc::clone(self) as _;
        let nsm = NsmProgram::new(Arc::clone(&self.monitor), Arc::clone(&self.caller), listener);
        vec![Arc::new(NlmProgram::new(Arc::clone(self))), Arc::new(nsm)]
    }

    /// Looks at the locks while nobody changes them: `look` gets what is known beside the table,
    /// for a snapshot. The keeper is to be asked inside only.
    pub fn freeze<R>(&self, look: impl FnOnce(Vec<LockChange>) -> R) -> R {
        let locker = self.locker.lock();
        look(locker.beside_table())
    }

    /// What the service does, for people to see.
    pub fn report(&self) -> LockReport {
        let mut locker = self.locker.lock();
        let (total, hosts) = self.keeper.look(|state| Locker::usage(state.locks()));
        let report = |(host, usage): (Arc<Host>, _)| HostReport {
            name: host.name.clone(),
            address: host.address,
            usage,
        };
        let mut hosts: Vec<_> = hosts.into_iter().map(report).collect();
        hosts.sort_by(|one, other| (&one.name, one.address).cmp(&(&other.name, other.address)));
        let grace_left = locker.grace_left(Instant::now());
        drop(locker);
        LockReport { total, hosts, grace_left, monitored: self.monitor.len() }
    }

    /// `TEST`: what would stand in the way.
    pub(super) async fn test<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
        exclusive: bool,
    ) -> Result<Option<Conflict<ServiceHolder>>, Status> {
        self.locker.lock().admits(false, Instant::now())?;
        let wish = self.wish(call, lock, exclusive).await?;
        Ok(self.keeper.look(|state| Locker::test(state.locks(), &wish.request)))
    }

    /// `LOCK`, and `NM_LOCK` if the host is not to be `monitored`.
    pub(super) async fn lock<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
        exclusive: bool,
        terms: LockTerms,
        monitored: bool,
    ) -> Result<Status, Status> {
        self.locker.lock().admits(terms.reclaim, Instant::now())?;
        let mut wish = self.wish(call, lock, exclusive).await?;
        let owner = &mut wish.request.owner;
        owner.host = self.known_host(&owner.host, monitored).await?;
        let host = Arc::clone(&owner.host);
        let locked = self.act(|locker, books| locker.lock(books, wish, terms, Instant::now()));
        let status = settled(locked).await;
        if monitored {
            self.monitor_host(&host).await?;
        }
        Ok(status)
    }

    /// `CANCEL`.
    pub(super) async fn cancel<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
        exclusive: bool,
    ) -> Result<Status, Status> {
        let request = self.release(call, lock, exclusive).await?;
        Ok(settled(self.act(|locker, books| locker.cancel(books, &request))).await)
    }

    /// `UNLOCK`.
    pub(super) async fn unlock<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
    ) -> Result<Status, Status> {
        let Request { file, owner, range, .. } = self.release(call, lock, false).await?;
        Ok(settled(self.act(|locker, books| locker.unlock(books, file, &owner, range))).await)
    }

    /// `SHARE`.
    pub(super) async fn share(
        &self,
        call: &Call,
        wish: ShareRequest<'_>,
        share: Share,
        reclaim: bool,
    ) -> Result<Status, Status> {
        let (file, mut owner) =
            self.share_owner(call, wish, Some(mode(share.access.write))).await?;
        owner.host = self.known_host(&owner.host, true).await?;
        let now = Instant::now();
        let shared = self.act(|locker, books| {
            (locker.share(books, file, &owner, share, reclaim, now), Vec::new())
        });
        let status = settled(shared).await;
        self.monitor_host(&owner.host).await?;
        Ok(status)
    }

    /// `UNSHARE`.
    pub(super) async fn unshare(
        &self,
        call: &Call,
        wish: ShareRequest<'_>,
    ) -> Result<Status, Status> {
        let (file, owner) = self.share_owner(call, wish, None).await?;
        let unshared = self.act(|locker, books| {
            locker.unshare(books, file, &owner);
            ((), Vec::new())
        });
        settled(unshared).await;
        Ok(Status::Granted)
    }

    /// `FREE_ALL`.
    pub(super) async fn free_all(&self, name: &[u8], from: IpAddr) {
        settled(self.act(|locker, books| ((), locker.free_all(books, name, from)))).await;
    }

    /// Calls a client with the result of a `_MSG` procedure. There is no second try: the client
    /// asks again. Nor does it wait for a place: then, too, the client asks again.
    pub(super) fn send_result(&self, call: &Call, procedure: u32, result: Bytes) {
        let to = Host::of_call(b"", &call.peer, call.version).destination();
        let Some(pass) = self.lanes.try_enter(to.address) else { return };
        let (caller, procedure) = (Arc::clone(&self.caller), (PROGRAM, call.version, procedure));
        tokio::spawn(async move {
            let _pass = pass;
            if let Err(error) = caller.call(to, procedure, result).await {
                tracing::debug!(client = %to.address, %error, "result of a lock message not sent");
            }
        });
    }

    /// A lock that is wanted, in the table's words.
    async fn wish<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
        exclusive: bool,
    ) -> Result<Wish, Status> {
        let mode = mode(exclusive);
        let file = self.files.file(&lock.handle, call, Some(mode)).await?;
        Ok(Wish {
            request: request(call, lock, mode, file)?,
            handle: copy(&lock.handle),
            version: call.version,
        })
    }

    /// A lock that is to be released.
    async fn release<O: Offset>(
        &self,
        call: &Call,
        lock: &Lock<O>,
        exclusive: bool,
    ) -> Result<Request<FileKey, LockOwner>, Status> {
        let file = self.files.file(&lock.handle, call, None).await?;
        request(call, lock, mode(exclusive), file)
    }

    async fn share_owner(
        &self,
        call: &Call,
        wish: ShareRequest<'_>,
        wanted: Option<Mode>,
    ) -> Result<(FileKey, LockOwner), Status> {
        let file = self.files.file(wish.handle, call, wanted).await?;
        let host = Arc::new(Host::of_call(wish.caller_name, &call.peer, call.version));
        Ok((file, LockOwner { host, svid: 0, name: Bytes::copy_from_slice(wish.owner) }))
    }

    /// The host as the locker knows it, on record before anything is granted to it.
    async fn known_host(&self, host: &Host, monitored: bool) -> Result<Arc<Host>, Status> {
        let host = self.locker.lock().host(host.clone(), Instant::now())?;
        if monitored {
            self.monitor_host(&host).await?;
        }
        Ok(host)
    }

    /// Makes sure that a host is on record. This is asked before a lock is granted and again
    /// before the client hears of it, since hosts without locks are taken off the record.
    async fn monitor_host(&self, host: &Host) -> Result<(), Status> {
        let record = Record::client(&host.monitored());
        if self.monitor.is_monitored(&record) {
            return Ok(());
        }
        self.monitor.monitor(record).await.map_err(|error| {
            tracing::warn!(client = %host.address, name = %host.name.escape_ascii(), %error,
                "lock refused: the client could not be told if this server restarted");
            Status::DeniedNoLocks
        })
    }

    /// Does something to the state, and tells clients of what follows. The result holds when what
    /// comes with it is durable: see [`settled`].
    fn act<T>(
        &self,
        event: impl FnOnce(&mut Locker, &mut Books<'_>) -> (T, Vec<Grant>),
    ) -> (T, Pending) {
        let mut locker = self.locker.lock();
        let ((result, grants), pending) = self.keeper.with_locks(|table| {
            let mut books = Books { table, changes: Vec::new() };
            let done = event(&mut locker, &mut books);
            (done, books.changes)
        });
        drop(locker);
        grants.into_iter().for_each(|grant| self.tell(grant, false));
        (result, pending)
    }

    /// Tells a client of a lock, in the background. `heard`: it may have been told before.
    fn tell(&self, grant: Grant, heard: bool) {
        if let Some(service) = self.me.upgrade() {
            self.run(service.tell_of_grant(grant, heard));
        }
    }

    /// Has those on record that have locks, and takes those off it that have none any more.
    async fn set_record_straight(self: Arc<Self>, on_record: Vec<Record>) {
        let known = self.locker.lock().known();
        for host in known {
            // It is tried again with the host's next lock.
            let _refused = self.monitor_host(&host).await;
        }
        for record in on_record {
            self.monitor.told(&record).await;
        }
    }

    /// Tells a client of a lock that it waited for, until it answers.
    /// `heard`: it may have heard of it already, and then may deny what it has.
    fn tell_of_grant(
        self: Arc<Self>,
        grant: Grant,
        mut heard: bool,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            durable(self.keeper.barrier()).await;
            let host = Arc::clone(&grant.wish.request.owner.host);
            let mut pauses = self.settings.grant_retry.pauses();
            while self.locker.lock().must_tell(&grant) {
                match self.tell_once(&grant, &mut heard).await {
                    Verdict::Silent => {}
                    verdict => {
                        let wanted = matches!(verdict, Verdict::Keep);
                        let answered = |locker: &mut Locker, books: &mut Books<'_>| {
                            ((), locker.answered(books, &grant, wanted))
                        };
                        return settled(self.act(answered)).await;
                    }
                }
                let Some(pause) = pauses.next() else {
                    tracing::warn!(client = %host.address, name = %host.name.escape_ascii(),
                        "does not answer; it may not know of a lock that it waited for");
                    return;
                };
                tokio::time::sleep(pause).await;
            }
        })
    }

    async fn tell_once(&self, grant: &Grant, heard: &mut bool) -> Verdict {
        let host = &grant.wish.request.owner.host;
        let Some(_pass) = self.lanes.enter(host.address).await else { return Verdict::Silent };
        let (version, arguments) = (grant.wish.version, granted_arguments(grant));
        let procedure = (PROGRAM, version, Procedure::Granted as u32);
        match self.caller.call(host.destination(), procedure, arguments).await {
            Ok(Answer { results, resent }) => {
                let heard_before = std::mem::replace(heard, true) || resent;
                match xdr::from_bytes::<LockResult>(&results).map(|result| result.status) {
                    Ok(Status::Granted) => Verdict::Keep,
                    Ok(Status::DeniedGracePeriod) => Verdict::Silent,
                    Ok(_) if heard_before => Verdict::Keep,
                    Ok(_) => Verdict::Refused,
                    Err(error) => {
                        tracing::warn!(client = %host.address, %error,
                            "the answer to a granted lock cannot be read");
                        Verdict::Silent
                    }
                }
            }
            Err(error) => {
                tracing::debug!(client = %host.address, %error, "not told of its lock yet");
                *heard |= matches!(error, OutcallError::Call(_));
                Verdict::Silent
            }
        }
    }

    fn tell_of_start(&self, hosts: Vec<Record>) {
        let me = self.me.clone();
        self.notifier.tell(hosts, move |record| {
            let Some(service) = me.upgrade() else { return };
            if let Some(host) = client_of(&record) {
                service.locker.lock().knows_of_restart(&host, Instant::now());
            }
            service.told.lock().push(record);
        });
    }

    /// Takes off the record who has no locks any more, and who was told of our start.
    async fn sweep(&self) {
        let now = Instant::now();
        let (forgotten, grace) = {
            let mut locker = self.locker.lock();
            let idle = self.settings.forget_hosts_after;
            let forgotten = self.keeper.look(|state| locker.sweep(state.locks(), idle, now));
            (forgotten, locker.grace_left(now))
        };
        for host in forgotten {
            let host: ClientHost = host.monitored();
            let keep = |_: &Record| self.locker.lock().knows(&host);
            self.monitor.unmonitor(&Record::client(&host), keep).await;
        }
        if grace.is_none() {
            let told = std::mem::take(&mut *self.told.lock());
            for record in told {
                self.monitor.told(&record).await;
            }
        }
    }
}

impl RebootListener for LockService {
    fn rebooted<'a>(
        &'a self,
        name: &'a [u8],
        from: IpAddr,
        state: i32,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(settled(self.act(|locker, books| ((), locker.rebooted(books, name, from, state)))))
    }

    fn crash(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            match self.monitor.crash().await {
                Ok(hosts) => {
                    tracing::warn!("all locks dropped, as after a crash: a local program asked");
                    let former: Vec<_> = hosts.iter().filter_map(client_of).collect();
                    let (grace, now) = (self.settings.grace, Instant::now());
                    let crash = |locker: &mut Locker, books: &mut Books<'_>| {
                        locker.crash(books, grace, former, now);
                        ((), Vec::new())
                    };
                    settled(self.act(crash)).await;
                    self.tell_of_start(hosts);
                }
                Err(error) => tracing::error!(%error, "cannot do as after a crash"),
            }
        })
    }
}

impl LockListener for LockService {
    fn changed(&self, changes: &[Change<FileKey, ServiceHolder>]) {
        let grants = self.locker.lock().follow(changes);
        grants.into_iter().for_each(|grant| self.tell(grant, false));
    }
}

/// Waits until something is durable. If it never will be, nothing that rests on it is ever said:
/// this does not end.
async fn durable(pending: Pending) {
    if pending.durable().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// A result, when what it rests on is durable.
async fn settled<T>((result, pending): (T, Pending)) -> T {
    durable(pending).await;
    result
}

/// Which file a share reservation is for, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct ShareRequest<'a> {
    pub(super) caller_name: &'a [u8],
    pub(super) handle: &'a [u8],
    pub(super) owner: &'a [u8],
}

async fn sweep_regularly(service: Weak<LockService>) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(service) = service.upgrade() else { return };
        service.sweep().await;
    }
}

fn mode(exclusive: bool) -> Mode {
    if exclusive { Mode::Exclusive } else { Mode::Shared }
}

/// A lock in the table's words.
fn request<O: Offset>(
    call: &Call,
    lock: &Lock<O>,
    mode: Mode,
    file: FileKey,
) -> Result<Request<FileKey, LockOwner>, Status> {
    let range = Range::new(lock.offset.widen(), lock.length.widen()).ok_or(Status::TooBig)?;
    let host = Arc::new(Host::of_call(&lock.caller_name, &call.peer, call.version));
    let owner = LockOwner { host, svid: lock.svid, name: copy(&lock.owner) };
    Ok(Request { file, owner, range, mode })
}

/// A copy that does not keep the message in memory that it came with.
fn copy(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// The arguments of `GRANTED`: the client's own words, with a cookie of ours.
fn granted_arguments(grant: &Grant) -> Bytes {
    match grant.wish.version {
        VERSION_4.. => xdr::to_bytes(&granted::<u64>(grant)),
        _ => xdr::to_bytes(&granted::<u32>(grant)),
    }
}

fn granted<O: Offset>(grant: &Grant) -> TestArgs<O> {
    let Wish { request: Request { owner, range, mode, .. }, handle, .. } = &grant.wish;
    TestArgs {
        cookie: Netobj::copy_from_slice(&grant.waiter.0.to_be_bytes()),
        exclusive: *mode == Mode::Exclusive,
        lock: Lock {
            caller_name: Opaque(owner.host.name.clone()),
            handle: Opaque(handle.clone()),
            owner: Opaque(owner.name.clone()),
            svid: owner.svid,
            offset: O::narrow(range.first()),
            length: O::narrow(range.length()),
        },
    }
}
