//! The daemon: everything wired together, from the settings to the sockets.

mod listen;
mod reload;

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use miette::{IntoDiagnostic, WrapErr, miette};
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use sd_notify::NotifyState;
use standfast_api::{Control, bind_control_socket, serve_control, serve_metrics};
use standfast_nfs::callers::Callers;
use standfast_nfs::exports::{Names, SystemNames};
use standfast_nfs::handles::{HandleCodec, HandleKey};
use standfast_nfs::locks::LockLimits;
use standfast_nfs::metrics::Metrics;
use standfast_nfs::mount::Mount;
use standfast_nfs::nlm::{ExportedFiles, LockService, LockSettings};
use standfast_nfs::nsm::caller::NetworkCaller;
use standfast_nfs::pool::Pool;
use standfast_nfs::service::{Parts, PayloadLimits, Service};
use standfast_nfs::v3::Nfs3;
use standfast_nfs::v4::Nfs4;
use standfast_nfs::v4::keeper::{Keeper, MemoryLog};
use standfast_nfs::v4::state::{Settings as StateSettings, State};
use standfast_rpc::Server;
use standfast_rpc::reply_cache::CacheLimits;
use standfast_rpc::server::{Reactors, ServerLimits};
use standfast_settings::{Limits, Settings};
use standfast_vfs::IdentityScope;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::collector::ServerCollector;
use crate::commands::CONTROL_SOCKET;
use crate::logging::{self, LogControl};
use crate::privileges;
use crate::storage::Storages;
use listen::Listening;

/// How often unused descriptors are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long calls that run may take to finish when the daemon stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a client's lock service may take to answer a call of ours.
const CALLBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Threads for names, groups, settings and records.
const BLOCKING_THREADS: usize = 16;

/// Threads for the control socket, the lock service and the like.
const WORKER_THREADS: usize = 2;

/// Where the settings came from, and so where a reload finds new ones.
#[derive(Clone, Debug)]
pub(crate) enum SettingsSource {
    /// A file.
    File(PathBuf),
    /// The arguments of `serve`.
    CommandLine,
}

/// Whether a person is told how to mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Announce {
    /// The `mount` command is printed.
    MountCommand,
    /// The log says what happens.
    Quiet,
}

/// Everything that runs.
pub(crate) struct Daemon {
    server: Arc<Server>,
    service: Arc<Service>,
    locks: Arc<LockService>,
    storages: Mutex<Storages>,
    settings: Mutex<Settings>,
    source: SettingsSource,
    problem: Mutex<Option<String>>,
    log: LogControl,
    metrics: Registry,
    listening: Vec<SocketAddr>,
    started: Instant,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(
    settings: Settings,
    source: SettingsSource,
    announce: Announce,
) -> miette::Result<()> {
    let log = logging::begin(&settings.log.filter, settings.log.format)?;
    privileges::reduce().into_diagnostic().wrap_err("cannot give up rights that are not needed")?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("standfast")
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(BLOCKING_THREADS)
        .build()
        .into_diagnostic()?;
    let result = runtime.block_on(serve(settings, source, announce, log));
    // A thread that hangs in the storage must not keep the process.
    runtime.shutdown_timeout(STOP_PATIENCE);
    result
}

async fn serve(
    settings: Settings,
    source: SettingsSource,
    announce: Announce,
    log: LogControl,
) -> miette::Result<()> {
    make_directory(&settings.server.state_dir, 0o700)?;
    make_directory(&settings.server.run_dir, 0o755)?;
    let (stop, stopped) = watch::channel(false);
    let (daemon, listening) = build(settings, source, announce, log).await?;
    let daemon = Arc::new(daemon);
    daemon.clone().start_control(&stopped).await?;
    let publication = listening.publish(&daemon).await?;
    listening.start(&daemon, &stopped);
    let publication = publication.map(|known| tokio::spawn(known.run(stopped.clone())));
    tokio::spawn(sweep(Arc::clone(&daemon)));
    if announce == Announce::MountCommand {
        daemon.print_mount_command();
    }
    tracing::info!(exports = daemon.service.exports().len(), addresses = ?daemon.listening,
        "serving");
    tell_systemd(&[NotifyState::Ready]);
    daemon.obey_signals().await?;
    tracing::info!("stopping");
    tell_systemd(&[NotifyState::Stopping]);
    let _nobody_listens = stop.send(true);
    daemon.wait_until_quiet().await;
    if let Some(publication) = publication {
        let _withdrawn = tokio::time::timeout(STOP_PATIENCE, publication).await;
    }
    Ok(())
}

async fn build(
    settings: Settings,
    source: SettingsSource,
    announce: Announce,
    log: LogControl,
) -> miette::Result<(Daemon, Listening)> {
    let key = HandleKey::load_or_create(&settings.server.state_dir.join("handle.key"));
    let mut registry = Registry::default();
    let metrics = Metrics::default();
    metrics.register(&mut registry);
    let service = Service::new(Parts {
        handles: HandleCodec::new(&key.into_diagnostic()?),
        callers: Callers::new(settings.groups.lookup, settings.groups.cache_time),
        names: Arc::new(Names::new(Arc::new(SystemNames))),
        limits: payload_limits(&settings.limits),
        metrics,
    });
    let mut storages =
        Storages::new(&settings.limits, fresh_verifier()?, Pool::new(settings.limits.io_threads));
    let opened = storages.open(&settings.exports);
    for problem in &opened.problems {
        if announce == Announce::MountCommand {
            return Err(miette!("{problem}"));
        }
        tracing::error!("{problem}");
    }
    service.set_exports(opened.exports);
    let locks = start_locks(&settings, &service)?;
    let mut programs = locks.programs();
    programs.push(Arc::new(Nfs3::new(Arc::clone(&service))));
    programs.push(Arc::new(Nfs4::new(Arc::clone(&service), forgetful_keeper())));
    programs.push(Arc::new(Mount::new(Arc::clone(&service))));
    let server = Server::new(
        programs,
        server_limits(&settings.limits),
        Arc::new(|| Box::new(IdentityScope::enter())),
        Reactors::start(cores()).into_diagnostic()?,
    );
    registry.register_collector(Box::new(ServerCollector::new(Arc::clone(&server))));
    let listening = Listening::bind(&settings.server)?;
    let daemon = Daemon {
        server,
        service,
        locks,
        storages: Mutex::new(storages),
        source,
        problem: Mutex::new((!opened.problems.is_empty()).then(|| opened.problems.join("; "))),
        log,
        metrics: registry,
        listening: listening.addresses(),
        started: Instant::now(),
        settings: Mutex::new(settings),
    };
    Ok((daemon, listening))
}

/// The state of NFSv4, which a restart loses as yet.
fn forgetful_keeper() -> Arc<Keeper> {
    let instance = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let state = State::new(instance as u32, StateSettings::default(), LockLimits::default());
    let keeper = Keeper::new(state, Arc::new(MemoryLog::default()));
    let ticking = Arc::downgrade(&keeper);
    tokio::spawn(async move {
        let mut interval = tokio::time::interval(SWEEP_INTERVAL);
        while let Some(keeper) = ticking.upgrade() {
            keeper.tick();
            drop(keeper);
            interval.tick().await;
        }
    });
    keeper
}

/// The lock manager and the status monitor. Clients know us by the name of this machine, if not
/// by the address that they mounted from.
fn start_locks(settings: &Settings, service: &Arc<Service>) -> miette::Result<Arc<LockService>> {
    let mut locks = LockSettings::new(settings.server.state_dir.join("nsm"));
    locks.grace.length = settings.nlm.grace_period;
    locks.notify.retry.give_up_after = settings.nsm.notify_for;
    locks.notify.names =
        settings.nsm.name.clone().into_iter().chain([listen::hostname()]).collect();
    let files = Arc::new(ExportedFiles::new(Arc::clone(service)));
    let caller =
        Arc::new(NetworkCaller::new(CALLBACK_TIMEOUT, rustix::process::geteuid().is_root()));
    LockService::start(locks, files, caller).into_diagnostic()
}

impl Daemon {
    pub(crate) fn server(&self) -> &Arc<Server> {
        &self.server
    }

    pub(crate) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    pub(crate) fn locks(&self) -> &LockService {
        &self.locks
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    pub(crate) fn rpcbind(&self) -> &'static str {
        use standfast_settings::Rpcbind;
        match self.settings.lock().server.rpcbind {
            Rpcbind::Auto => "auto",
            Rpcbind::Serve => "serve",
            Rpcbind::Register => "register",
            Rpcbind::Off => "off",
        }
    }

    pub(crate) fn settings_problem(&self) -> Option<String> {
        self.problem.lock().clone()
    }

    /// All metrics, in the text format of Prometheus.
    pub(crate) fn encode_metrics(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _written = encode(&mut text, &self.metrics);
        text
    }

    async fn start_control(self: Arc<Self>, stopped: &watch::Receiver<bool>) -> miette::Result<()> {
        let (run_dir, metrics) = {
            let settings = self.settings.lock();
            (settings.server.run_dir.clone(), settings.metrics.listen)
        };
        let path = run_dir.join(CONTROL_SOCKET);
        let socket = bind_control_socket(&path)
            .await
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot open the control socket {}", path.display()))?;
        let control: Arc<dyn Control> = self;
        if let Some(address) = metrics {
            let listener = tokio::net::TcpListener::bind(address)
                .await
                .into_diagnostic()
                .wrap_err_with(|| format!("cannot give metrics on {address}"))?;
            tokio::spawn(serve_metrics(listener, Arc::clone(&control)));
        }
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = serve_control(socket, control) => {}
                _ = stopped.wait_for(|stop| *stop) => {}
            }
            let _gone = std::fs::remove_file(path);
        });
        Ok(())
    }

    /// Tells a person how to mount, with addresses of this machine that work from elsewhere.
    fn print_mount_command(&self) {
        for export in self.service.exports() {
            let path = &export.settings().export_path;
            let Some(address) = self.listening.first() else { return };
            let mount = listen::mount_command(*address, path);
            #[expect(clippy::print_stdout, reason = "this is what a person started it for")]
            {
                println!("{mount}");
            }
        }
    }

    async fn obey_signals(self: &Arc<Self>) -> miette::Result<()> {
        let mut hangup = signal(SignalKind::hangup()).into_diagnostic()?;
        let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
        let mut interrupt = signal(SignalKind::interrupt()).into_diagnostic()?;
        let mut alive = tokio::time::interval(watchdog_interval());
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tell_systemd(&[NotifyState::Reloading]);
                    self.reload().await;
                    tell_systemd(&[NotifyState::Ready]);
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                _ = alive.tick() => tell_systemd(&[NotifyState::Watchdog]),
            }
        }
    }

    /// Waits, within limits, until the calls that run have been answered.
    async fn wait_until_quiet(&self) {
        let quiet = async {
            while !self.server.registry().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, quiet).await.is_err() {
            tracing::warn!("some calls did not finish in time");
        }
    }
}

async fn sweep(daemon: Arc<Daemon>) {
    let mut interval = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        interval.tick().await;
        let service = Arc::clone(&daemon.service);
        // Closing a descriptor may write to the storage.
        let _done = tokio::task::spawn_blocking(move || service.sweep(Instant::now())).await;
    }
}

/// Processors that this process may use.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn server_limits(limits: &Limits) -> ServerLimits {
    ServerLimits {
        connections: limits.connections,
        requests_per_connection: limits.requests_per_connection,
        callbacks_per_connection: limits.callbacks_per_connection,
        bytes_per_connection: limits.bytes_per_connection.as_usize(),
        bytes_in_flight: limits.bytes_in_flight.as_usize(),
        record_size: payload_limits(limits).payload() + (64 << 10),
        idle_timeout: limits.idle_timeout,
        record_timeout: limits.record_timeout,
        send_timeout: limits.reply_timeout,
        reply_cache: CacheLimits {
            entries: limits.reply_cache_entries,
            bytes: limits.reply_cache.as_usize(),
            ..ServerLimits::default().reply_cache
        },
    }
}

fn payload_limits(limits: &Limits) -> PayloadLimits {
    PayloadLimits { max_read: limits.max_read.as_usize(), max_write: limits.max_write.as_usize() }
}

fn make_directory(path: &Path, mode: u32) -> miette::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make the directory {}", path.display()))
}

/// A write verifier that no earlier start had.
fn fresh_verifier() -> miette::Result<u64> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).into_diagnostic()?;
    Ok(u64::from_be_bytes(bytes))
}

/// Says something to the service manager, if it started us.
fn tell_systemd(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager cannot be told");
    }
}

/// How often the service manager wants to hear from us; rarely if it does not.
fn watchdog_interval() -> Duration {
    sd_notify::watchdog_enabled().map_or(Duration::from_secs(3600), |limit| limit / 3)
}
