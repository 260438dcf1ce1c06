//! The state machine: the state in memory, a snapshot of it on disk.

use std::io;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot, StorageIOError};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::super::types::{Entry, LogId, SnapshotMeta, StorageError, StoredMembership, TypeConfig};
use super::disk::{Change, Disk, Kept, key};
use crate::heartbeat::{Moment, Support};
use crate::model::{Outcome, State};

/// The state as it is known here, with how far it is.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The state.
    pub state: Arc<State>,
    /// The index of the last entry in it.
    pub index: u64,
}

#[derive(Default)]
struct Machine {
    state: Arc<State>,
    last: Option<LogId>,
    membership: StoredMembership,
    snapshot: Option<(SnapshotMeta, Vec<u8>)>,
    snapshots: u64,
}

/// The replicated state of this node.
#[derive(Clone)]
pub struct StateMachine {
    machine: Arc<Mutex<Machine>>,
    published: watch::Sender<Applied>,
    disk: Disk,
    support: Arc<Mutex<Support>>,
}

impl StateMachine {
    pub(super) fn new(disk: Disk, snapshot: Option<Kept>, support: Arc<Mutex<Support>>) -> Self {
        let mut machine = Machine::default();
        if let Some(kept) = snapshot {
            machine.restore(kept.meta, kept.bytes, kept.state);
        }
        let published = watch::Sender::new(machine.applied());
        Self { machine: Arc::new(Mutex::new(machine)), published, disk, support }
    }

    /// The state and its changes.
    pub fn watch(&self) -> watch::Receiver<Applied> {
        self.published.subscribe()
    }
}

impl Machine {
    fn applied(&self) -> Applied {
        let index = self.last.map_or(0, |last| last.index);
        Applied { state: Arc::clone(&self.state), index }
    }

    fn restore(&mut self, meta: SnapshotMeta, bytes: Vec<u8>, state: State) {
        self.state = Arc::new(state);
        self.last = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        self.snapshot = Some((meta, bytes));
    }

    fn apply(&mut self, entry: Entry) -> Outcome {
        self.last = Some(entry.log_id);
        match entry.payload {
            EntryPayload::Blank => Outcome::Done,
            EntryPayload::Normal(stamped) => Arc::make_mut(&mut self.state).apply(&stamped),
            EntryPayload::Membership(membership) => {
                self.membership = StoredMembership::new(Some(entry.log_id), membership);
                Outcome::Done
            }
        }
    }
}

fn snapshot_error(error: &io::Error) -> StorageError {
    StorageIOError::write_snapshot(None, error).into()
}

impl StateMachine {
    async fn keep(&self, meta: &SnapshotMeta, bytes: &[u8]) -> Result<(), StorageError> {
        let encoded = serde_json::to_vec(meta).map_err(|error| snapshot_error(&error.into()))?;
        let changes = vec![
            Change::Put(key::SNAPSHOT_META, encoded),
            Change::Put(key::SNAPSHOT, bytes.to_vec()),
        ];
        self.disk.write(changes).await.map_err(|error| snapshot_error(&error))
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot<TypeConfig>, StorageError> {
        let (state, meta) = {
            let mut machine = self.machine.lock();
            machine.snapshots += 1;
            let at = machine.last.map_or(0, |last| last.index);
            let meta = SnapshotMeta {
                last_log_id: machine.last,
                last_membership: machine.membership.clone(),
                snapshot_id: format!("{at}-{}", machine.snapshots),
            };
            (Arc::clone(&machine.state), meta)
        };
        let bytes = serde_json::to_vec(&*state).map_err(|error| snapshot_error(&error.into()))?;
        self.keep(&meta, &bytes).await?;
        self.machine.lock().snapshot = Some((meta.clone(), bytes.clone()));
        Ok(Snapshot { meta, snapshot: Box::new(bytes) })
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), StorageError> {
        let machine = self.machine.lock();
        Ok((machine.last, machine.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Outcome>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let (outcomes, applied) = {
            let mut machine = self.machine.lock();
            let outcomes = entries.into_iter().map(|entry| machine.apply(entry)).collect();
            (outcomes, machine.applied())
        };
        self.published.send_replace(applied);
        Ok(outcomes)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<u8>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Vec<u8>>,
    ) -> Result<(), StorageError> {
        let state: State = serde_json::from_slice(&snapshot)
            .map_err(|error| StorageIOError::read_snapshot(Some(meta.signature()), &error))?;
        self.keep(meta, &snapshot).await?;
        // The entries that it stands for may have changed the members.
        self.support.lock().members_changed(Moment::now());
        let applied = {
            let mut machine = self.machine.lock();
            machine.restore(meta.clone(), *snapshot, state);
            machine.applied()
        };
        self.published.send_replace(applied);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot<TypeConfig>>, StorageError> {
        let machine = self.machine.lock();
        Ok(machine
            .snapshot
            .clone()
            .map(|(meta, bytes)| Snapshot { meta, snapshot: Box::new(bytes) }))
    }
}
