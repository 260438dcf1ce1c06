//! One round of a drill: a load, a fault in the middle of it, and what came of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::Serialize;
use standfast_lab::Host;
use tokio::runtime::{Builder, Runtime};

use crate::check::{Violation, check};
use crate::client::{NewSocket, here};
use crate::error::Error;
use crate::fault::Fault;
use crate::history::{Finding, Found, Recorder};
use crate::load::{Load, LoadSettings, NamesOverNfs3};
use crate::pause::{Pause, longest};

/// How long clients may take to start, to go on after a fault, and to finish.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long the load runs before the fault, so that it is in the middle of its work.
const WARM_UP: Duration = Duration::from_millis(300);
/// How long it runs between the end of the pause, the end of the fault, and its own end: what a
/// node that comes back does wrong is seen.
const AFTERWARDS: Duration = Duration::from_millis(700);
/// How often who watches is told.
const TICK: Duration = Duration::from_millis(40);

/// A set-up that serves at one address, whatever happens to its machines.
pub trait Subject {
    /// Its name.
    fn name(&self) -> &str;

    /// Where clients mount, and what.
    fn service(&self) -> (SocketAddr, String);

    /// Whether it answers MOUNT on the port of NFS, so that NFSv3 clients can be had.
    fn serves_nfs3(&self) -> bool {
        true
    }

    /// Does something to the node that serves now; says which it was.
    ///
    /// # Errors
    /// If it cannot be done.
    fn inject(&mut self, fault: Fault) -> Result<String, Error>;

    /// Ends what [`Subject::inject`] began.
    ///
    /// # Errors
    /// If it cannot be done.
    fn end(&mut self, fault: Fault) -> Result<(), Error>;

    /// Waits until all nodes are there and one serves.
    ///
    /// # Errors
    /// If that does not come.
    fn wait_healthy(&mut self) -> Result<(), Error>;

    /// The steps of the last change of holder as the set-up itself tells them, each with the time
    /// since the change began; empty if it does not tell.
    fn timeline(&mut self) -> Vec<Step> {
        Vec::new()
    }
}

/// A step of a change of holder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// When it was over, in milliseconds since the change began.
    pub at_ms: u64,
}

/// Who watches a round.
pub trait Watch {
    /// Something happens now.
    fn event(&mut self, _text: &str) {}

    /// So many operations were answered until now; the worker that has waited longest does so for
    /// this long.
    fn tick(&mut self, _answered: usize, _waiting: Duration) {}

    /// Whether to go on.
    fn goes_on(&mut self) -> bool {
        true
    }
}

/// Nobody watches.
impl Watch for () {}

/// What the load is.
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// Clients that speak NFSv3, where the subject serves them.
    pub nfs3: usize,
    /// Clients that speak NFSv4.1.
    pub nfs41: usize,
    /// The least time from one operation of a worker to its next.
    pub pace: Duration,
}

/// What came of a round.
#[derive(Clone, Debug, Serialize)]
pub struct Round {
    /// What was done.
    pub fault: Fault,
    /// To which node.
    pub node: String,
    /// Operations that were answered.
    pub operations: usize,
    /// The longest pause of a worker.
    pub pause_ms: f64,
    /// Whose it was.
    pub pause_of: String,
    /// New connections that clients had to make.
    pub reconnections: usize,
    /// The steps, as the set-up tells them.
    pub steps: Vec<Step>,
    /// What must never happen.
    pub violations: Vec<Violation>,
    /// What a client should not see.
    pub findings: Vec<Found>,
}

impl Round {
    /// Whether the clients saw a pause and nothing else. A refused connection is told, but is no
    /// failure: it costs time, which the pause says.
    pub fn is_clean(&self) -> bool {
        self.violations.is_empty()
            && self.findings.iter().all(|found| found.what == Finding::Refused)
    }
}

/// Rounds, with the clients on a machine of the lab.
#[derive(Debug)]
pub struct Drill {
    runtime: Runtime,
    client: Arc<Host>,
    clients: Clients,
    seed: u64,
    rounds: u64,
}

impl Drill {
    /// Clients on `client`.
    ///
    /// # Errors
    /// If no threads can be had.
    pub fn new(client: Arc<Host>, clients: Clients, seed: u64) -> Result<Self, Error> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("clients")
            .enable_all()
            .build()
            .map_err(Error::system("start the clients' threads"))?;
        Ok(Self { runtime, client, clients, seed, rounds: 0 })
    }

    /// A load on a service, in a directory that no other load used.
    fn settings(&mut self, subject: &dyn Subject) -> LoadSettings {
        self.rounds += 1;
        let (server, export) = subject.service();
        LoadSettings {
            server,
            socket: sockets(&self.client),
            export,
            directory: format!("round-{:x}-{}", self.seed, self.rounds),
            nfs3: if subject.serves_nfs3() { self.clients.nfs3 } else { 0 },
            names_over_nfs3: NamesOverNfs3::Repeatable,
            nfs41: self.clients.nfs41,
            pace: self.clients.pace,
            seed: self.seed.wrapping_add(self.rounds),
        }
    }

    /// One fault under load.
    ///
    /// # Errors
    /// If the round could not be run; what the clients saw is no error.
    pub fn round(
        &mut self,
        subject: &mut dyn Subject,
        fault: Fault,
        watch: &mut dyn Watch,
    ) -> Result<Round, Error> {
        subject.wait_healthy()?;
        let settings = self.settings(subject);
        watch.event("clients mount and begin");
        let load = self.begin(&settings)?;
        // The fault falls into the work at another point in each round.
        let offset = settings.seed.wrapping_mul(0x9e37_79b9) % 97;
        run_for(&load, WARM_UP + Duration::from_millis(offset), watch)?;
        watch.event(fault.description());
        let from = load.recorder().now();
        let node = subject.inject(fault)?;
        let injected = load.recorder().now();
        self.wait_for_answers(&load, injected, watch)?;
        let resumed = load.recorder().now();
        watch.event("all clients go on");
        run_for(&load, AFTERWARDS, watch)?;
        subject.end(fault)?;
        run_for(&load, AFTERWARDS, watch)?;
        let until = load.recorder().now();
        let history = self.runtime.block_on(load.stop(PATIENCE));
        watch.event("what was acknowledged is read back");
        let remains = self.runtime.block_on(settings.read_back(&history, PATIENCE))?;
        let pause = longest(&history, from..until).unwrap_or_else(|| nobody(from, resumed));
        let answered = |operation: &&_| answered(operation);
        Ok(Round {
            fault,
            node,
            operations: history.operations.iter().filter(answered).count(),
            pause_ms: pause.length().as_secs_f64() * 1e3,
            pause_of: pause.worker,
            reconnections: history.connections.iter().filter(|at| **at > from).count(),
            steps: subject.timeline(),
            violations: check(&history, &remains),
            findings: history.findings,
        })
    }

    fn begin(&self, settings: &LoadSettings) -> Result<Load, Error> {
        let late = |_| late("clients that mount", "");
        self.runtime.block_on(async {
            let load =
                tokio::time::timeout(PATIENCE, Load::start(settings)).await.map_err(late)??;
            let begun = load.recorder().now();
            match load.answered_since(begun, PATIENCE).await {
                true => Ok(load),
                false => Err(hanging(load.recorder())),
            }
        })
    }

    fn wait_for_answers(
        &self,
        load: &Load,
        since: Duration,
        watch: &mut dyn Watch,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        while !self.runtime.block_on(load.answered_since(since, TICK)) {
            tell(load, watch)?;
            if Instant::now() > deadline {
                return Err(hanging(load.recorder()));
            }
        }
        Ok(())
    }
}

/// Sockets in the network of a machine of the lab.
fn sockets(host: &Arc<Host>) -> NewSocket {
    let host = Arc::clone(host);
    Arc::new(move |domain| {
        let make = here();
        host.enter(move || make(domain)).map_err(std::io::Error::other)?
    })
}

fn answered(operation: &crate::history::Operation) -> bool {
    operation.answered.is_some()
}

fn nobody(from: Duration, until: Duration) -> Pause {
    Pause { worker: String::new(), from, until }
}

fn late(what: &str, last: &str) -> Error {
    Error::Late { what: what.into(), limit: PATIENCE, last: last.into() }
}

/// Some clients got no answer any more.
fn hanging(recorder: &Recorder) -> Error {
    let history = recorder.history();
    let open = history.operations.iter().filter(|operation| !answered(operation));
    let open: Vec<String> = open
        .map(|operation| format!("{} {:?}", history.workers[operation.worker], operation.action))
        .collect();
    let findings = history.findings.iter().rev().take(5);
    let findings: Vec<String> = findings.map(|found| found.what.to_string()).collect();
    let last =
        format!("; without an answer: {}; seen last: {}", open.join(", "), findings.join(", "));
    late("an answer to every client", &last)
}

fn tell(load: &Load, watch: &mut dyn Watch) -> Result<(), Error> {
    let (answered, _) = load.recorder().answered();
    let oldest = load.recorder().last_answers().into_iter().min().unwrap_or_default();
    watch.tick(answered, load.recorder().now().saturating_sub(oldest));
    if watch.goes_on() { Ok(()) } else { Err(Error::Interrupted) }
}

fn run_for(load: &Load, duration: Duration, watch: &mut dyn Watch) -> Result<(), Error> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        sleep(TICK.min(end.saturating_duration_since(Instant::now())));
        tell(load, watch)?;
    }
    Ok(())
}
