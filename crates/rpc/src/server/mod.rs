//! The server: it carries calls to programs, over TCP and UDP, within limits.

mod activity;
mod connection;
mod datagram;
mod dispatch;
mod drain;
mod limits;
mod listener;
mod reactors;
mod running;
mod silence;

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use activity::{Activity, ActivityReport, Registry};
pub use datagram::listen_udp;
pub use limits::{BatchScope, Counters, ServerLimits};
pub use listener::{Binding, listen_tcp};
pub use reactors::Reactors;

use crate::budget::Budget;
use crate::gate::ReplyGate;
use crate::program::{Peer, Program};
use crate::reply_cache::{ReplyCache, ReplyLog};

/// How long calls that still run are kept when the service goes on elsewhere: some wait for what
/// will not come, such as a journal that somebody else has taken over.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Carries calls between the network and its programs.
pub struct Server {
    programs: HashMap<u32, Vec<Arc<dyn Program>>>,
    limits: ArcSwap<ServerLimits>,
    /// For calls that run, and their replies.
    budget: Arc<Budget>,
    /// For records that arrive. Apart from the above, so that a call which has arrived never
    /// waits for memory that only another such call could give back.
    receiving: Arc<Budget>,
    /// For the receive buffers of busy connections.
    read_buffers: Arc<Budget>,
    reply_cache: Arc<ReplyCache>,
    registry: Arc<Registry>,
    counters: Counters,
    batch_scope: BatchScope,
    reactors: Arc<Reactors>,
    gate: Arc<ReplyGate>,
    silenced: watch::Sender<bool>,
    /// No call begins.
    draining: watch::Sender<bool>,
    reply_log: OnceLock<Arc<dyn ReplyLog>>,
    sockets: OnceLock<Arc<dyn SocketWatch>>,
}

/// Who is told of the sockets of a server, as they come and go. No call may wait.
pub trait SocketWatch: Send + Sync {
    /// Clients may connect.
    fn listening(&self, _socket: BorrowedFd<'_>) {}

    /// A client has connected.
    fn accepted(&self, _socket: BorrowedFd<'_>, _peer: &Peer) {}

    /// The connection is over; not told of connections that are left without a word.
    fn ended(&self, _peer: &Peer) {}
}

impl Server {
    /// A server of `programs` (several may share a number, with other versions each).
    ///
    /// `batch_scope` is entered on a thread before it runs calls and left after them. Connections
    /// run on `reactors`, which several servers may share.
    pub fn new(
        programs: Vec<Arc<dyn Program>>,
        limits: ServerLimits,
        batch_scope: BatchScope,
        reactors: impl Into<Arc<Reactors>>,
    ) -> Arc<Self> {
        Self::with_gate(programs, limits, batch_scope, reactors, Arc::default())
    }

    /// As [`Server::new`]; replies leave, and calls begin, only while `gate` is open.
    pub fn with_gate(
        programs: Vec<Arc<dyn Program>>,
        limits: ServerLimits,
        batch_scope: BatchScope,
        reactors: impl Into<Arc<Reactors>>,
        gate: Arc<ReplyGate>,
    ) -> Arc<Self> {
        let mut by_number = HashMap::<u32, Vec<_>>::new();
        for program in programs {
            by_number.entry(program.number()).or_default().push(program);
        }
        Arc::new(Self {
            programs: by_number,
            budget: Budget::new(limits.bytes_in_flight / 2),
            receiving: Budget::new(limits.bytes_in_flight / 4),
            read_buffers: Budget::new(limits.bytes_in_flight / 4),
            reply_cache: Arc::new(ReplyCache::new(limits.reply_cache)),
            registry: Arc::default(),
            counters: Counters::default(),
            limits: ArcSwap::from_pointee(limits),
            batch_scope,
            reactors: reactors.into(),
            gate,
            silenced: watch::Sender::new(false),
            draining: watch::Sender::new(false),
            reply_log: OnceLock::new(),
            sockets: OnceLock::new(),
        })
    }

    /// The limits in force.
    pub fn limits(&self) -> ServerLimits {
        **self.limits.load()
    }

    /// Puts other limits in force. Those of the reply cache, and the longest record of a
    /// connection that is there already, stay.
    pub fn set_limits(&self, limits: ServerLimits) {
        let shares = [(&self.budget, 2), (&self.receiving, 4), (&self.read_buffers, 4)];
        for (budget, part) in shares {
            budget.set_limit(limits.bytes_in_flight / part);
        }
        self.limits.store(Arc::new(limits));
    }

    /// Whether replies may leave.
    pub fn gate(&self) -> &Arc<ReplyGate> {
        &self.gate
    }

    /// From now on nothing leaves any more, for ever, and connections that end do so without a
    /// word: no client gets a FIN or a RST. To be called before the listeners and connections are
    /// told to stop, when the service goes on elsewhere.
    pub fn silence(&self) {
        self.gate.shut();
        self.silenced.send_replace(true);
    }

    fn is_silenced(&self) -> bool {
        *self.silenced.borrow()
    }

    /// Waits until nobody is interested any more in what comes of calls that still run.
    async fn forgets_calls(&self) {
        let mut silenced = self.silenced.subscribe();
        // The sender is as old as we are.
        drop(silenced.wait_for(|silenced| *silenced).await);
        tokio::time::sleep(LAST_CALLS).await;
    }

    /// Who is connected and what they do.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says where replies are kept that must outlive this server, once.
    pub fn set_reply_log(&self, log: Arc<dyn ReplyLog>) {
        let _ = self.reply_log.set(log);
    }

    /// Says who is told of sockets, once.
    pub fn watch_sockets(&self, watch: Arc<dyn SocketWatch>) {
        let _ = self.sockets.set(watch);
    }

    /// The reply cache.
    pub fn reply_cache(&self) -> &Arc<ReplyCache> {
        &self.reply_cache
    }

    /// Bytes of requests and replies in flight.
    pub fn bytes_in_flight(&self) -> usize {
        self.budget.used() + self.receiving.used()
    }
}
