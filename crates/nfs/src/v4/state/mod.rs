//! The state of NFS version 4: clients, sessions, owners, opens, locks, delegations. No I/O and no
//! clock: requests and the time go in, results and [`Effects`] come out.
//!
//! # Changes
//! Whatever must outlive the server is changed by a [`Change`] alone: a request is checked against
//! the state, becomes changes, and these are applied, here as in a replay. So a replay of the
//! changes gives the same state ([`State::apply`]), and a snapshot is a list of changes as well
//! ([`State::snapshot`]). What is not in the changes is what a successor must not or need not
//! know: when leases were renewed (a replay renews all), which connections there are, which slots
//! are busy, recalls under way, the last sequence of slots whose requests changed nothing.
//!
//! # How COMPOUND uses it
//! 1. SEQUENCE: [`State::sequence`] says what the request is: new, a retransmission with its
//!    reply, or one whose intent is known and whose result is not (the server died in between).
//!    In minor version 0, [`State::owner_request`] does the same for the seqids of owners, and
//!    the reply cache of RPC for the rest.
//! 2. Before an operation that must not run twice (CREATE, REMOVE, RENAME, LINK, OPEN with
//!    creation, SETXATTR …) touches the filesystem: [`State::intend`] with what tells later
//!    whether it happened (directory, name, change attribute, inode number).
//! 3. Operations call the state for stateids ([`State::check_access`], [`State::open`],
//!    [`State::lock`] …) and the filesystem for the rest, never with the state locked.
//! 4. At the end [`State::finish`] (or [`State::owner_replied`]) takes the encoded reply.
//!
//! After each call, still under the lock, the caller takes the effects
//! ([`State::take_effects`]) and appends its changes to the journal as one record
//! ([`Change::encode_all`]), so that the journal has them in the order in which they happened.
//! Nothing waits there. The intent's ticket is awaited before the filesystem is touched unless
//! journal and data share a filesystem that orders the two; the last ticket of the request is
//! awaited before its reply leaves (state before reply), and so is, for replies that depend on
//! what others did, a barrier: what a reply shows is then durable. Actions go to the callback
//! sender after the same wait.
//!
//! After a start, [`State::apply`] takes the snapshot and the records, [`State::resume`] what was
//! not in them ([`State::begin_grace`] if they were lost), and [`State::unfinished`] lists the intents to look at.

mod apply;
mod change;
mod client;
mod clients;
mod clients_v40;
mod delegations;
mod effects;
mod grace;
mod holder;
mod ids;
mod leases;
mod lock_states;
mod opens;
mod owners;
mod sessions;
mod settings;
mod slots;
mod snapshot;
mod stateids;
mod waiters;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use bytes::Bytes;

use super::protocol::SessionId;
use crate::locks::{FileKey, LockLimits, LockTable};

pub use change::{
    Base, CallbackTarget, Change, ClientRecord, CreateSessionReply, DelegationRecord, FileRecord,
    Format, IntentRecord, Kept, KeptOpen, LockStateRecord, LockedRecord, OpenRecord, OwnerKind,
    OwnerRecord, OwnerReply, PendingCallback, Principal, ReplyRecord, Revocation, RevokedRecord,
    SessionRecord, Together, UnlockedRecord,
};
pub use clients::{ExchangeId, Exchanged};
pub use delegations::Delegated;
pub use effects::{Action, Effects};
pub use holder::{Holder, LockHolder};
pub use lock_states::{LockBy, LockRefusal, LockRequest};
pub use opens::{OpenRequest, Opened};
pub use owners::OwnerRequest;
pub use sessions::Connection;
pub use settings::Settings;
pub use slots::{RequestId, Sequenced, SlotName};
pub use stateids::Access;

use client::{Client, ClientName, Names};
use grace::Grace;
use owners::OwnerEntry;
use sessions::Session;
use stateids::Entry;
use waiters::LockWaiter;

/// The state of one service.
#[derive(Debug)]
pub struct State<H: Holder = LockHolder> {
    settings: Settings,
    instance: u32,
    next: u64,
    next_client: u32,
    clients: BTreeMap<u64, Client>,
    client_names: HashMap<ClientName, Names>,
    sessions: BTreeMap<SessionId, Session>,
    owners: BTreeMap<u64, OwnerEntry>,
    owner_names: HashMap<(u64, OwnerKind, Bytes), u64>,
    states: BTreeMap<u64, Entry>,
    files: HashMap<FileKey, BTreeSet<u64>>,
    locks: LockTable<FileKey, H>,
    lock_waiters: HashMap<FileKey, Vec<LockWaiter>>,
    /// Delegations for reading, and for writing.
    given: [usize; 2],
    /// Files whose delegations were in somebody's way, and when.
    contended: HashMap<FileKey, Instant>,
    effects: Effects<H>,
    /// Set where the journal was lost.
    grace: Option<Grace>,
}

impl<H: Holder> State<H> {
    /// An empty state. `instance` must differ from that of any state that was lost: the epoch
    /// in which this one began, say. A replay brings the instance of what it replays.
    pub fn new(instance: u32, settings: Settings, limits: LockLimits) -> Self {
        Self {
            settings,
            instance,
            next: 1,
            next_client: 1,
            clients: BTreeMap::new(),
            client_names: HashMap::new(),
            sessions: BTreeMap::new(),
            owners: BTreeMap::new(),
            owner_names: HashMap::new(),
            states: BTreeMap::new(),
            files: HashMap::new(),
            locks: LockTable::new(limits),
            lock_waiters: HashMap::new(),
            given: [0; 2],
            contended: HashMap::new(),
            effects: Effects::default(),
            grace: None,
        }
    }

    /// How much it may hold, and for how long.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Changes the settings; what is held beyond the new limits stays.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The lock table, for the other protocols that use it.
    pub fn locks(&self) -> &LockTable<FileKey, H> {
        &self.locks
    }

    /// The lock table. What other protocols change in it is theirs to record.
    pub fn locks_mut(&mut self) -> &mut LockTable<FileKey, H> {
        &mut self.locks
    }

    /// What the last requests changed and want done, once.
    pub fn take_effects(&mut self) -> Effects<H> {
        std::mem::take(&mut self.effects)
    }

    /// Applies a change and notes it.
    fn commit(&mut self, change: Change, now: Instant) {
        self.apply(&change, now);
        self.effects.changes.push(change);
    }
}
