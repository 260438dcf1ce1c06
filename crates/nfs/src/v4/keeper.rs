//! The state behind a lock, and what it says behind the log: each change is appended to the log in
//! the order in which it happened, and no reply leaves before its changes are durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_rpc::{Call, CallChannel};

use super::kept_files::Closings;
use super::protocol::Status;
use super::state::{Action, Change, Connection, Effects, State};
use crate::holder::ServiceHolder;
use crate::locks::{Change as LockTableChange, FileKey};
use crate::nlm::Table;
use crate::nlm::record::{self, LockChange};

/// The state of a service: of NFSv4, and the locks of all protocols.
pub type ServiceState = State<ServiceHolder>;

/// What kind of record it is; the numbers are in the journal for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordKind {
    /// Changes of the state ([`Change::encode_all`]).
    State = 1,
    /// Changes of NLM's locks, with those of the state that they follow from
    /// ([`crate::nlm::record`]).
    Locks = 2,
    /// The reply to a call that must not run twice, of programs that have no sessions.
    Reply = 3,
}

impl RecordKind {
    /// The kind of a record that was read; `None`: a later version wrote it.
    pub fn from_tag(tag: u16) -> Option<Self> {
        [Self::State, Self::Locks, Self::Reply].into_iter().find(|kind| *kind as u16 == tag)
    }
}

/// What must be stable when a record is durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Covers {
    /// The record.
    #[default]
    Record,
    /// The record, and all changes of names and attributes on the log's filesystem that were done
    /// when it was appended. Only where [`Log::order`] says so.
    Names,
}

/// How records and changes of the filesystem become durable with respect to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order in which they were made: what is durable is always a beginning of what
    /// happened. An intent needs no flush of its own, and one flush ([`Covers::Names`]) makes
    /// an operation and its result stable.
    Kept,
    /// One flush covers both, but each may become durable without the other before: an intent is
    /// awaited before the filesystem is touched, and what the operation did is flushed before
    /// its result is appended.
    Loose,
}

/// The log took no record, or cannot tell that a record is durable. No reply may leave that rests
/// on it: to a client, the server is silent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the journal has stopped: {0}")]
pub struct LogStopped(pub Arc<str>);

/// Where changes are kept. Appending never waits.
pub trait Log: Send + Sync + 'static {
    /// Appends a record; the ticket tells when it is durable, with all records before it.
    fn append(&self, kind: RecordKind, record: &[u8], covers: Covers) -> Ticket;

    /// A ticket for all that was appended so far.
    fn barrier(&self) -> Ticket;

    /// How records and changes of the names in an export become durable.
    fn order(&self, export: u64) -> Order;
}

/// The right to learn when a record is durable.
#[must_use = "a record is not durable until its ticket says so"]
pub struct Ticket(Option<Waiting>);

type Waiting = Pin<Box<dyn Future<Output = Result<(), LogStopped>> + Send + Sync>>;

impl Ticket {
    /// Nothing to wait for.
    pub fn done() -> Self {
        Self(None)
    }

    /// Waits for this.
    pub fn waiting(
        on: impl Future<Output = Result<(), LogStopped>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Box::pin(on)))
    }

    /// Whether there is nothing to wait for.
    pub fn is_done(&self) -> bool {
        self.0.is_none()
    }
}

impl Future for Ticket {
    type Output = Result<(), LogStopped>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Some(waiting) => waiting.as_mut().poll(context),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// Whoever sends callbacks.
pub trait Callbacks: Send + Sync + 'static {
    /// Sends these, in their order, once what they follow from is durable. Does not wait.
    fn send(&self, actions: Vec<Action>, durable: Ticket);

    /// A session is used over this connection from now on: the state must learn when it ends.
    fn attach(&self, channel: &CallChannel);

    /// How a client is called back may have changed: by SETCLIENTID_CONFIRM, CREATE_SESSION,
    /// BIND_CONN_TO_SESSION, BACKCHANNEL_CTL, or the end of a session or a client.
    fn changed(&self, client: u64);

    /// Whether a callback would reach a client, as far as is known. Without that, it is given
    /// nothing that may have to be recalled. Not to be asked with the state locked.
    fn reaches(&self, client: u64) -> bool;
}

/// What a request must wait for before its reply leaves. A later one covers earlier ones.
#[must_use = "the reply must not leave before its changes are durable"]
pub struct Pending(Ticket);

impl Pending {
    /// Nothing to wait for.
    pub fn none() -> Self {
        Self(Ticket::done())
    }

    /// Takes the later of two, `other` being later than this one if it waits for anything.
    pub fn join(&mut self, other: Self) {
        if !other.0.is_done() {
            *self = other;
        }
    }

    /// Whether there is nothing to wait for.
    pub fn is_none(&self) -> bool {
        self.0.is_done()
    }

    /// Waits until all is durable.
    ///
    /// # Errors
    /// [`LogStopped`]: no reply may leave.
    pub async fn durable(self) -> Result<(), LogStopped> {
        self.0.await
    }
}

/// The state of a service and its log.
pub struct Keeper {
    state: Mutex<ServiceState>,
    log: Arc<dyn Log>,
    callbacks: OnceLock<Arc<dyn Callbacks>>,
    closings: OnceLock<Closings>,
    /// Delegations for reading, and for writing.
    given: [AtomicUsize; 2],
    lock_listener: OnceLock<Weak<dyn LockListener>>,
}

/// Whoever has locks of other protocols in the table.
pub trait LockListener: Send + Sync + 'static {
    /// Requests of NFSv4 changed these, such as a request that waited and has its lock now. They
    /// are in the log already.
    fn changed(&self, changes: &[LockTableChange<FileKey, ServiceHolder>]);
}

impl Keeper {
    /// Keeps `state`, whose changes so far are in `log`.
    pub fn new(state: ServiceState, log: Arc<dyn Log>) -> Arc<Self> {
        let (callbacks, closings) = Default::default();
        let given = state.delegations_given().map(AtomicUsize::new);
        let (state, lock_listener) = (Mutex::new(state), OnceLock::new());
        Arc::new(Self { state, log, callbacks, closings, given, lock_listener })
    }

    /// Says who has locks of other protocols, once.
    pub fn set_lock_listener(&self, listener: Weak<dyn LockListener>) {
        let _ = self.lock_listener.set(listener);
    }

    /// Runs a request of another protocol on the lock table; it gives what it changed, which is
    /// appended as one record. What the result rests on, be it of others, is to be waited for.
    pub fn with_locks<R>(
        &self,
        request: impl FnOnce(&mut Table) -> (R, Vec<LockChange>),
    ) -> (R, Pending) {
        let mut state = self.state.lock();
        let (result, changes) = request(state.locks_mut());
        if changes.is_empty() {
            return (result, Pending(self.log.barrier()));
        }
        let record = record::encode(Vec::new(), changes);
        (result, Pending(self.log.append(RecordKind::Locks, &record, Covers::Record)))
    }

    /// Says whose files are let go when nobody has them open any more, once.
    pub(super) fn set_closings(&self, closings: Closings) {
        let _ = self.closings.set(closings);
    }

    /// Says who sends callbacks, once. Those before that are not sent.
    pub fn set_callbacks(&self, callbacks: Arc<dyn Callbacks>) {
        let _ = self.callbacks.set(callbacks);
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// Runs a request on the state. What it changed is appended as one record. The state is
    /// locked meanwhile: nothing that waits may be done.
    pub fn with<R>(&self, request: impl FnOnce(&mut ServiceState, Instant) -> R) -> (R, Pending) {
        self.with_covering(Covers::Record, request)
    }

    /// Like [`Keeper::with`], for the end of a request that changed names or attributes: see
    /// [`Covers::Names`].
    pub fn with_covering<R>(
        &self,
        covers: Covers,
        request: impl FnOnce(&mut ServiceState, Instant) -> R,
    ) -> (R, Pending) {
        let now = Instant::now();
        let mut state = self.state.lock();
        let result = request(&mut state, now);
        let effects = state.take_effects();
        if effects.is_empty() {
            return (result, Pending::none());
        }
        let Effects { changes, actions, mut closed, others, .. } = effects;
        closed.retain(|file| !state.is_open(file));
        let locks: Vec<_> = others.iter().filter_map(LockChange::of_table).collect();
        let ticket = match (changes.is_empty(), locks.is_empty()) {
            (true, true) => Ticket::done(),
            (_, true) => self.log.append(RecordKind::State, &Change::encode_all(changes), covers),
            (_, false) => {
                self.log.append(RecordKind::Locks, &record::encode(changes, locks), covers)
            }
        };
        for (given, count) in self.given.iter().zip(state.delegations_given()) {
            given.store(count, Ordering::Relaxed);
        }
        drop(state);
        let listener = || self.lock_listener.get().and_then(Weak::upgrade);
        if let Some(listener) = (!others.is_empty()).then(listener).flatten() {
            listener.changed(&others);
        }
        if let Some(callbacks) = self.callbacks.get().filter(|_| !actions.is_empty()) {
            callbacks.send(actions, self.log.barrier());
        }
        if let Some(closings) = self.closings.get().filter(|_| !closed.is_empty()) {
            closings.closed(closed, || self.log.barrier());
        }
        (result, Pending(ticket))
    }

    /// Whoever sends callbacks, if anybody does.
    pub fn callbacks(&self) -> Option<&Arc<dyn Callbacks>> {
        self.callbacks.get()
    }

    /// What the state calls the connection that a call came on. Its end will be told to the
    /// state.
    pub fn connection(&self, call: &Call) -> Connection {
        let Some(channel) = call.activity.channel() else { return Connection(0) };
        if let Some(callbacks) = self.callbacks.get().filter(|_| channel.attach()) {
            callbacks.attach(channel);
        }
        Connection(channel.id())
    }

    /// A connection ended; gives the clients whose callbacks used it.
    pub fn connection_closed(&self, connection: Connection) -> Vec<u64> {
        let (clients, pending) = self.with(|state, _| state.connection_closed(connection));
        debug_assert!(pending.is_none());
        clients
    }

    /// How a client is called back may have changed: see [`Callbacks::changed`].
    pub fn callbacks_changed(&self, client: u64) {
        if let Some(callbacks) = self.callbacks.get() {
            callbacks.changed(client);
        }
    }

    /// Whether a callback would reach a client: see [`Callbacks::reaches`].
    pub fn reaches(&self, client: u64) -> bool {
        self.callbacks.get().is_some_and(|callbacks| callbacks.reaches(client))
    }

    /// Whether any delegation stands in the way of reading or, with `write`, of changing anything.
    pub fn has_delegations(&self, write: bool) -> bool {
        let [reading, writing] = &self.given;
        writing.load(Ordering::Relaxed) > 0 || write && reading.load(Ordering::Relaxed) > 0
    }

    /// Recalls what stands in the way of reading or, with `write`, of changing a file: for
    /// requests without a stateid. `client` may keep what it has. The error is `DELAY` while
    /// anything stands in the way.
    pub fn make_way(
        &self,
        file: &FileKey,
        client: Option<u64>,
        write: bool,
    ) -> (Result<(), Status>, Pending) {
        if !self.has_delegations(write) {
            return (Ok(()), Pending::none());
        }
        self.with(|state, now| state.recall_for(file, client, write, now))
    }

    /// Looks at the state without changing it. What is seen need not be durable.
    pub fn look<R>(&self, look: impl FnOnce(&ServiceState) -> R) -> R {
        look(&self.state.lock())
    }

    /// What everything that was seen so far waits for: for replies that show what another
    /// request changed, such as that of a retransmission.
    pub fn barrier(&self) -> Pending {
        Pending(self.log.barrier())
    }

    /// What time brings: to be called every few seconds.
    pub fn tick(&self) {
        let ((), pending) = self.with(|state, now| state.tick(now));
        // Nobody was told anything that rests on it.
        drop(pending);
    }
}

/// A log in memory, for tests and for services that remember nothing.
#[derive(Debug, Default)]
pub struct MemoryLog {
    records: Mutex<Vec<(RecordKind, Bytes)>>,
    keeps: bool,
}

impl MemoryLog {
    /// One that keeps its records, for a later [`MemoryLog::records`].
    pub fn keeping() -> Self {
        Self { records: Mutex::default(), keeps: true }
    }

    /// What was appended.
    pub fn records(&self) -> Vec<(RecordKind, Bytes)> {
        self.records.lock().clone()
    }
}

impl Log for MemoryLog {
    fn append(&self, kind: RecordKind, record: &[u8], _: Covers) -> Ticket {
        if self.keeps {
            self.records.lock().push((kind, Bytes::copy_from_slice(record)));
        }
        Ticket::done()
    }

    fn barrier(&self) -> Ticket {
        Ticket::done()
    }

    fn order(&self, _: u64) -> Order {
        Order::Kept
    }
}
