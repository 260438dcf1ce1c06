//! Starting and stopping it all.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::control::Control;
use super::engine::Engine;
use super::notifier::Notifier;
use super::order::{Order, Orders};
use super::plan::Plan;
use super::scout::Scout;
use super::status::Report;
use super::{Error, track};
use crate::instance::Command;
use crate::routers::TrackId;
use crate::settings::{Settings, TrackKind};
use crate::tracking::Status;

/// Changes of state that may wait to be told.
const MOST_NOTICES: usize = 1024;

/// The running virtual routers.
#[derive(Debug)]
pub struct Daemon {
    handle: Handle,
    thread: JoinHandle<()>,
    ended: oneshot::Receiver<()>,
    tasks: JoinSet<()>,
    scout: Scout,
    notifier: tokio::task::JoinHandle<()>,
}

/// A way to talk to the running virtual routers.
#[derive(Clone, Debug)]
pub struct Handle {
    orders: Orders,
    names: Arc<Names>,
}

#[derive(Debug)]
struct Names {
    instances: Vec<String>,
    /// Services of our own that are tracked.
    services: Vec<(String, TrackId)>,
}

/// Why a request to the running virtual routers failed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// There is no such instance.
    #[error("there is no vrrp instance `{0}`")]
    Unknown(String),
    /// They have stopped.
    #[error("the virtual routers have stopped")]
    Stopped,
}

impl Daemon {
    /// Starts the virtual routers of `settings`; needs `CAP_NET_ADMIN` and `CAP_NET_RAW`.
    ///
    /// # Errors
    /// If the settings make no sense, a socket cannot be opened or a script's user does not exist.
    pub fn start(settings: &Settings) -> Result<Self, Error> {
        let plan = Plan::new(settings)?;
        let (orders, (inbox, wake)) = Orders::new()?;
        let (notices, changes) = mpsc::channel(MOST_NOTICES);
        let notifier = Notifier::new(&plan)?;
        let handle = Handle::new(&plan, orders.clone());
        let control = plan.control_socket.as_deref().map(Control::new).transpose()?;
        let engine = Engine::new(plan.clone(), inbox, wake, notices)?;
        let mut tasks = track::start(&plan, &orders)?;
        if let Some(control) = control {
            tasks.spawn(control.run(handle.clone()));
        }
        let notifier = tokio::spawn(notifier.run(changes));
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("vrrp".into())
            .spawn(move || {
                engine.run();
                // Nobody may be waiting any more.
                let _ = end.send(());
            })
            .map_err(Error::system("start the thread of the virtual routers"))?;
        let scout = Scout::start(orders)?;
        Ok(Self { handle, thread, ended, tasks, scout, notifier })
    }

    /// A way to talk to them.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Waits until they end by themselves, which they should not.
    async fn wait(&mut self) {
        // Either way it has ended.
        let _ = (&mut self.ended).await;
    }

    /// Stops them: the masters say farewell, the addresses go, the notify scripts are told.
    ///
    /// # Errors
    /// If the thread had ended by itself.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.tasks.shutdown().await;
        drop(self.scout);
        self.handle.orders.stop();
        let clean = self.ended.await.is_ok();
        let joined = tokio::task::spawn_blocking(|| self.thread.join()).await;
        // The thread held the other end, so this comes to its end too.
        let told = self.notifier.await;
        if clean && joined.is_ok_and(|joined| joined.is_ok()) && told.is_ok() {
            Ok(())
        } else {
            Err(Error::Ended)
        }
    }
}

impl Handle {
    fn new(plan: &Plan, orders: Orders) -> Self {
        let services = plan
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, track)| track.kind == TrackKind::Service)
            .map(|(index, track)| (track.name.clone(), TrackId(index)));
        let names = Names {
            instances: plan.routers.iter().map(|router| router.name.clone()).collect(),
            services: services.collect(),
        };
        Self { orders, names: Arc::new(names) }
    }

    /// Commands the instance of this name and all of its group, or with `None` ends the command.
    ///
    /// # Errors
    /// If there is no such instance, or the virtual routers have stopped.
    pub async fn command(&self, name: &str, command: Option<Command>) -> Result<(), HandleError> {
        let instance = self
            .names
            .instances
            .iter()
            .position(|known| known == name)
            .ok_or_else(|| HandleError::Unknown(name.into()))?;
        let (answer, done) = oneshot::channel();
        self.orders.give(Order::Command { instance, command, answer });
        done.await.map_err(|_| HandleError::Stopped)
    }

    /// Reports the health of a service of our own to whoever tracks it.
    pub fn report_health(&self, service: &str, healthy: bool) {
        let status = if healthy { Status::Up } else { Status::Down };
        for (_, track) in self.names.services.iter().filter(|(name, _)| name == service) {
            self.orders.give(Order::Track(*track, status));
        }
    }

    /// The state of everything.
    ///
    /// # Errors
    /// If the virtual routers have stopped.
    pub async fn report(&self) -> Result<Report, HandleError> {
        let (answer, report) = oneshot::channel();
        self.orders.give(Order::Report(answer));
        report.await.map_err(|_| HandleError::Stopped)
    }
}

/// Runs the virtual routers of `settings` until `stop` resolves: the body of `standfast vrrp run`.
///
/// # Errors
/// As [`Daemon::start`], or if the thread of the virtual routers ends by itself.
pub async fn run(settings: &Settings, stop: impl Future<Output = ()>) -> Result<(), Error> {
    let mut daemon = Daemon::start(settings)?;
    tokio::select! {
        () = stop => daemon.stop().await,
        () = daemon.wait() => Err(Error::Ended),
    }
}
