//! The thread in which a node thinks: its sockets, its clock, and nothing that could hold it up.
//!
//! It is a thread of its own, with real-time priority if the settings want it, so that a busy
//! runtime, a slow disk or a long step never delays a heartbeat. It waits in `poll(2)` and makes no
//! other system call that can wait. What takes long comes out as an [`Output`] and its end goes in as
//! an [`Input`].

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::mpsc::UnboundedSender;

use super::{Node, NodeStart, Output};
use crate::agent::Step;
use crate::heartbeat::{Covering, Datagram, DatagramError, LinkId, MOST_OCTETS, Moment, Seal};
use crate::lease::{Gates, LeaseTable, NodeId, ServiceId, Term, Voters};
use crate::placement::Placement;

/// Datagrams read before the clock is looked at again.
const MOST_AT_ONCE: usize = 256;
/// The longest wait; also where the clock makes no sense.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// Between two warnings about datagrams that were not taken.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// A link: where this node listens, and where the others do.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its own address and port.
    pub local: SocketAddr,
    /// The others'.
    pub peers: BTreeMap<NodeId, SocketAddr>,
}

/// Something that the thinking has to know.
#[derive(Debug)]
pub enum Input {
    /// More of the log was applied.
    Committed(LeaseTable),
    /// Members, policies or times are others, and the others' addresses, by link.
    Configured {
        /// The times.
        timing: Covering,
        /// Members and policies.
        placement: Placement,
        /// Who votes.
        voters: Voters,
        /// The addresses of each link's peers.
        peers: Vec<BTreeMap<NodeId, SocketAddr>>,
    },
    /// Consensus knows who leads; see [`Node::led`].
    Led {
        /// The term.
        term: Term,
        /// Who leads it.
        leader: Option<NodeId>,
        /// It is this node, and it has applied the first entry of the term.
        ready: bool,
    },
    /// A step ended.
    Done {
        /// Of which service.
        service: ServiceId,
        /// The step.
        step: Step,
        /// Why it failed, if it did.
        result: Result<(), String>,
    },
    /// Another key authenticates from now on.
    Sealed(Seal),
    /// A question about the state, answered in the thread; it must not wait.
    Ask(Question),
    /// The end.
    Stop,
}

/// What looks at the state.
type Look = Box<dyn FnOnce(&Node, Moment) + Send>;

/// A look at the state.
pub struct Question(pub Look);

impl std::fmt::Debug for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Question")
    }
}

/// Why the thread could not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action}: {source}")]
pub struct DriverError {
    action: String,
    source: io::Error,
}

fn failed(action: impl Into<String>) -> impl FnOnce(io::Error) -> DriverError {
    let action = action.into();
    |source| DriverError { action, source }
}

/// The running thread. Dropped, it ends and closes all gates.
#[derive(Debug)]
pub struct Driver {
    inputs: Sender<Input>,
    waker: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

/// What sends inputs; as many as are wanted.
#[derive(Clone, Debug)]
pub struct Inputs {
    inputs: Sender<Input>,
    waker: Arc<OwnedFd>,
}

impl Inputs {
    /// Sends one; it is lost if the thread has ended.
    pub fn send(&self, input: Input) {
        if self.inputs.send(input).is_ok() {
            // It fails only if the thread is woken already.
            let _ = rustix::io::write(&*self.waker, &1_u64.to_ne_bytes());
        }
    }
}

impl Driver {
    /// Starts the thread. `outputs` gets everything that is to be done, except what is sent and what
    /// goes to the gates. `priority` is one of `SCHED_RR`.
    ///
    /// # Errors
    /// If a socket cannot be bound, or there can be no thread.
    pub fn start(
        start: NodeStart,
        links: &[Link],
        seal: Seal,
        gates: Gates,
        priority: Option<u8>,
        outputs: UnboundedSender<Output>,
    ) -> Result<Self, DriverError> {
        let sockets = links.iter().map(|link| open(link.local));
        let sockets = sockets.collect::<Result<Vec<UdpSocket>, DriverError>>()?;
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let waker = eventfd(0, flags).map_err(|error| failed("make an eventfd")(error.into()))?;
        let waker = Arc::new(waker);
        let (inputs, inbox) = channel();
        let peers = links.iter().map(|link| link.peers.clone()).collect();
        let wake = Arc::clone(&waker);
        let run = move || {
            prepare_thread(priority);
            let node = Node::new(start, Moment::now());
            let warned = Moment::BOOT;
            let thread =
                Thread { node, sockets, peers, seal, gates, inbox, waker: wake, outputs, warned };
            thread.run();
        };
        let thread = thread::Builder::new()
            .name("heartbeat".into())
            .spawn(run)
            .map_err(failed("start the heartbeat thread"))?;
        Ok(Self { inputs, waker, thread: Some(thread) })
    }

    /// What sends inputs to it.
    pub fn inputs(&self) -> Inputs {
        Inputs { inputs: self.inputs.clone(), waker: Arc::clone(&self.waker) }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.inputs().send(Input::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn open(local: SocketAddr) -> Result<UdpSocket, DriverError> {
    let open = || {
        let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&local.into())?;
        Ok(UdpSocket::from(socket))
    };
    open().map_err(failed(format!("listen for heartbeats on {local}")))
}

/// Gives this thread a real-time priority, if it is wanted and allowed.
fn prepare_thread(priority: Option<u8>) {
    let Some(priority) = priority else { return };
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: zero means this thread, and the parameters live through the call.
    let result = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_RR | libc::SCHED_RESET_ON_FORK,
            &raw const parameters,
        )
    };
    if result != 0 {
        let error = io::Error::last_os_error();
        tracing::warn!(priority, %error, "heartbeats run without real-time priority");
    }
}

struct Thread {
    node: Node,
    sockets: Vec<UdpSocket>,
    peers: Vec<BTreeMap<NodeId, SocketAddr>>,
    seal: Seal,
    gates: Gates,
    inbox: Receiver<Input>,
    waker: Arc<OwnedFd>,
    outputs: UnboundedSender<Output>,
    warned: Moment,
}

impl Thread {
    fn run(mut self) {
        loop {
            self.wait();
            // What came is read before the clock is looked at for silence.
            self.read_datagrams();
            if !self.read_inputs() {
                break;
            }
            let now = Moment::now();
            if now >= self.node.deadline(now) {
                let outputs = self.node.tick(now);
                self.follow(outputs);
            }
        }
        self.gates.close_all();
    }

    /// Waits for a datagram, an input, or the time.
    fn wait(&self) {
        let now = Moment::now();
        let wait = self.node.deadline(now).since(now).min(LONGEST_WAIT);
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut sources: Vec<PollFd<'_>> =
            self.sockets.iter().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        sources.push(PollFd::new(&*self.waker, PollFlags::IN));
        // Interrupted or not, everything is looked at.
        let _ = poll(&mut sources, Some(&timeout));
    }

    fn read_datagrams(&mut self) {
        let mut buffer = [0; MOST_OCTETS];
        for at in 0..self.sockets.len() {
            for _ in 0..MOST_AT_ONCE {
                let Some(socket) = self.sockets.get(at) else { break };
                let (length, from) = match socket.recv_from(&mut buffer) {
                    Ok(received) => received,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // What an earlier datagram met, such as that nobody listens there.
                    Err(_) => continue,
                };
                let now = Moment::now();
                match self.seal.read(buffer.get(..length).unwrap_or_default()) {
                    Ok(datagram) => {
                        let outputs = self.node.receive(&datagram, now);
                        self.follow(outputs);
                    }
                    Err(error) => self.warn(from, error, now),
                }
            }
        }
    }

    fn warn(&mut self, from: SocketAddr, error: DatagramError, now: Moment) {
        if now.since(self.warned) >= WARN_EVERY {
            self.warned = now;
            tracing::warn!(%from, %error, "a datagram on the heartbeat port was not taken");
        }
    }

    /// Takes all inputs; says whether to go on.
    fn read_inputs(&mut self) -> bool {
        let mut count = [0; 8];
        let _ = rustix::io::read(&*self.waker, &mut count);
        loop {
            let input = match self.inbox.try_recv() {
                Ok(Input::Stop) | Err(TryRecvError::Disconnected) => return false,
                Ok(input) => input,
                Err(TryRecvError::Empty) => return true,
            };
            let now = Moment::now();
            let outputs = match input {
                Input::Committed(table) => self.node.committed(table, now),
                Input::Configured { timing, placement, voters, peers } => {
                    self.peers = peers;
                    self.node.configure(timing, placement, voters, now)
                }
                Input::Led { term, leader, ready } => {
                    self.node.led_if_changed(term, leader, ready, now)
                }
                Input::Done { service, step, result } => self.node.done(service, step, result, now),
                Input::Sealed(seal) => {
                    self.seal = seal;
                    Vec::new()
                }
                Input::Ask(question) => {
                    (question.0)(&self.node, now);
                    Vec::new()
                }
                Input::Stop => return false,
            };
            self.follow(outputs);
        }
    }

    fn follow(&self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Send(datagram) => self.send(&datagram),
                Output::Right(service, right) => self.gates.set(service, right),
                // Nobody listens any more only when everything ends.
                other => drop(self.outputs.send(other)),
            }
        }
    }

    /// What cannot be sent is lost, as it could be on its way.
    fn send(&self, datagram: &Datagram) {
        let LinkId(link) = datagram.link;
        let socket = self.sockets.get(usize::from(link));
        let peer = self.peers.get(usize::from(link)).and_then(|peers| peers.get(&datagram.to));
        if let (Some(socket), Some(peer)) = (socket, peer)
            && let Err(error) = socket.send_to(&self.seal.write(datagram), peer)
        {
            tracing::debug!(%peer, %error, "cannot send a heartbeat");
        }
    }
}

#[cfg(test)]
mod tests;
