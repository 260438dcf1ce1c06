//! The daemon: everything wired together, from the settings to the sockets.

mod publish;
mod reload;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use miette::{IntoDiagnostic, WrapErr, miette};
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use sd_notify::NotifyState;
use standfast_api::{Control, bind_control_socket, serve_control, serve_metrics};
use standfast_nfs::service::Service;
use standfast_serving::{Instance, Manner, Node, Opening};
use standfast_settings::Settings;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cluster::{self, ClusterHost};
use crate::collector::{JournalCollector, ServerCollector};
use crate::commands::CONTROL_SOCKET;
use crate::logging::{self, LogControl};
use crate::privileges::{self, Role};

/// How long the ends of things may take when the daemon stops.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// Threads for names, groups, settings and records.
const BLOCKING_THREADS: usize = 16;

/// Threads for the control socket, the lock service and the like.
const WORKER_THREADS: usize = 2;

/// Where a member of a cluster without exports of its own listens: the port belongs to the services
/// on all other addresses.
const LOOPBACK: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];

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
    instance: Arc<Instance>,
    settings: Mutex<Settings>,
    source: SettingsSource,
    problem: Mutex<Option<String>>,
    log: LogControl,
    metrics: Registry,
    started: Instant,
    cluster: Option<Arc<ClusterHost>>,
}

/// Runs the daemon until it is told to stop.
pub(crate) fn run(
    settings: Settings,
    source: SettingsSource,
    announce: Announce,
) -> miette::Result<()> {
    let log = logging::begin(&settings.log.filter, settings.log.format)?;
    // A try of one directory has nothing to do with a cluster.
    let role = match source {
        SettingsSource::File(_) => Role::Node,
        SettingsSource::CommandLine => Role::Alone,
    };
    privileges::reduce(role)
        .into_diagnostic()
        .wrap_err("cannot give up rights that are not needed")?;
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
    let daemon = Arc::new(build(settings, source, announce, log).await?);
    let stopped = daemon.instance.stopped();
    daemon.clone().start_control(&stopped).await?;
    if let Some(cluster) = &daemon.cluster {
        cluster.member().await.into_diagnostic().wrap_err("cannot take part in the cluster")?;
    }
    let publication = publish::publish(&daemon).await?;
    let publication = publication.map(|known| tokio::spawn(known.run(stopped.clone())));
    if announce == Announce::MountCommand {
        daemon.print_mount_command();
    }
    tracing::info!(exports = daemon.service().exports().len(), addresses = ?daemon.listening(),
        start = %daemon.instance.timings(), "serving");
    tell_systemd(&[NotifyState::Ready]);
    let end = daemon.obey_signals().await;
    tracing::info!("stopping");
    tell_systemd(&[NotifyState::Stopping]);
    daemon.instance.stop(Manner::Drained).await;
    if let Some(cluster) = &daemon.cluster {
        cluster.stop().await;
    }
    if let Some(publication) = publication {
        let _withdrawn = tokio::time::timeout(STOP_PATIENCE, publication).await;
    }
    end
}

async fn build(
    settings: Settings,
    source: SettingsSource,
    announce: Announce,
    log: LogControl,
) -> miette::Result<Daemon> {
    let node = Node::start(&settings.limits).into_diagnostic()?;
    // A try of one directory has nothing to do with a cluster.
    let cluster = matches!(source, SettingsSource::File(_))
        .then(|| cluster::files(&settings.server.state_dir))
        .map(|files| ClusterHost::new(files, Arc::clone(&node), settings.clone()));
    let mut registry = Registry::default();
    node.metrics().register(&mut registry);
    let leaves_addresses = cluster.as_ref().is_some_and(|cluster| cluster.leaves_addresses());
    let mut alone = settings.clone();
    if leaves_addresses {
        alone.server.listen = LOOPBACK.to_vec();
    }
    let opening = Opening::storage(&node, Instance::ALONE, alone);
    for problem in opening.problems() {
        if announce == Announce::MountCommand {
            return Err(miette!("{problem}"));
        }
        tracing::error!("{problem}");
    }
    let instance = Instance::start_alone(opening).into_diagnostic()?;
    registry.register_collector(Box::new(ServerCollector::new(Arc::clone(instance.server()))));
    registry.register_collector(Box::new(JournalCollector::new(&instance)));
    Ok(Daemon {
        problem: Mutex::new(instance.problem()),
        instance,
        source,
        log,
        metrics: registry,
        started: Instant::now(),
        cluster,
        settings: Mutex::new(settings),
    })
}

impl Daemon {
    pub(crate) fn service(&self) -> &Arc<Service> {
        self.instance.service()
    }

    /// What is served: by this node for itself, then the services of the cluster that are here.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        let services = self.cluster.as_ref().map(|cluster| cluster.instances());
        std::iter::once(Arc::clone(&self.instance)).chain(services.into_iter().flatten()).collect()
    }

    pub(crate) fn cluster_host(&self) -> Option<Arc<ClusterHost>> {
        self.cluster.clone()
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn listening(&self) -> &[SocketAddr] {
        self.instance.listening()
    }

    /// What clients are told by rpcbind: the addresses that NFS is at, or will be while services of
    /// the cluster are here.
    pub(crate) fn published(&self) -> Vec<SocketAddr> {
        let listening = self.listening().iter();
        let any = |address: &SocketAddr| {
            let ip: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
            };
            SocketAddr::new(ip, address.port())
        };
        let leaves = self.cluster.as_ref().is_some_and(|cluster| cluster.leaves_addresses());
        if leaves { listening.map(any).collect() } else { listening.copied().collect() }
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

    pub(crate) fn journal_problem(&self) -> Option<String> {
        self.instance.journal_problem()
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
        for export in self.service().exports() {
            let path = &export.settings().export_path;
            let Some(address) = self.listening().first() else { return };
            let mount = publish::mount_command(*address, path);
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
        let mut failed = self.instance.failed();
        loop {
            tokio::select! {
                _ = hangup.recv() => {
                    tell_systemd(&[NotifyState::Reloading]);
                    self.reload().await;
                    tell_systemd(&[NotifyState::Ready]);
                }
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
                Ok(failure) = failed.wait_for(Option::is_some) => {
                    let failure = failure.clone().unwrap_or_default();
                    return Err(miette!("the service cannot go on: {failure}"));
                }
                _ = alive.tick() => tell_systemd(&[NotifyState::Watchdog]),
            }
        }
    }
}

fn make_directory(path: &Path, mode: u32) -> miette::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot make the directory {}", path.display()))
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
