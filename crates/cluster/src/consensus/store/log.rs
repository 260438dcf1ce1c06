//! The log and the vote.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{EntryPayload, LogState, OptionalSend, RaftLogReader, StorageIOError};
use parking_lot::Mutex;
use serde::Serialize;

use super::super::types::{Entry, LogId, StorageError, TypeConfig, Vote};
use super::disk::{Change, Disk, LogContents, key};
use crate::heartbeat::{Moment, Support};
use crate::lease::Term;
use crate::model::NodeId;

#[derive(Default)]
struct Log {
    entries: BTreeMap<u64, Entry>,
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
}

/// The log and the vote of this node.
#[derive(Clone)]
pub struct LogStore {
    log: Arc<Mutex<Log>>,
    disk: Disk,
    support: Arc<Mutex<Support>>,
}

/// The number of a vote's term, as leases count.
fn term(vote: &Vote) -> Term {
    let leader = vote.leader_id();
    Term::of_vote(leader.term, NodeId(leader.node_id))
}

impl LogStore {
    pub(super) fn new(disk: Disk, contents: LogContents) -> Self {
        let stored = contents.vote.as_ref().map(term).unwrap_or_default();
        let support = Arc::new(Mutex::new(Support::new(stored, Moment::now())));
        let entries = contents.entries.into_iter().map(|entry| (entry.log_id.index, entry));
        let log = Log {
            entries: entries.collect(),
            vote: contents.vote,
            committed: contents.committed,
            purged: contents.purged,
        };
        Self { log: Arc::new(Mutex::new(log)), disk, support }
    }

    /// Which leader this node stands by: what its heartbeats say, and what its votes change before
    /// anybody hears of them.
    pub fn support(&self) -> Arc<Mutex<Support>> {
        Arc::clone(&self.support)
    }

    fn members_changed(&self) {
        self.support.lock().members_changed(Moment::now());
    }

    /// Closes the file; another process can open it then. Nothing can be written any more.
    pub async fn close(&self) {
        self.disk.close().await;
    }

    /// Where the log ends.
    pub(crate) fn last(&self) -> Option<LogId> {
        let log = self.log.lock();
        let last = log.entries.last_key_value().map(|(_, entry)| entry.log_id);
        last.or(log.purged)
    }
}

fn json<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(io::Error::from)
}

fn changes_members(entry: &Entry) -> bool {
    matches!(entry.payload, EntryPayload::Membership(_))
}

fn log_error(error: &io::Error) -> StorageError {
    StorageIOError::write_logs(error).into()
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        let log = self.log.lock();
        Ok(log.entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, StorageError> {
        let last_log_id = self.last();
        Ok(LogState { last_purged_log_id: self.log.lock().purged, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let fail = |error: &io::Error| StorageError::from(StorageIOError::write_vote(error));
        let bytes = json(vote).map_err(|error| fail(&error))?;
        self.disk.write(vec![Change::Put(key::VOTE, bytes)]).await.map_err(|error| fail(&error))?;
        self.log.lock().vote = Some(*vote);
        // Before anybody is answered: from here on no leader of an earlier term is acknowledged.
        self.support.lock().observe(term(vote));
        Ok(())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.log.lock().vote)
    }

    /// Not waited for: it only spares a restarted node that has no quorum the older state, and it
    /// goes into the next flush or into one of its own.
    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), StorageError> {
        let bytes = json(&committed).map_err(|error| log_error(&error))?;
        self.log.lock().committed = committed;
        self.disk.submit(vec![Change::Put(key::COMMITTED, bytes)], None);
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, StorageError> {
        Ok(self.log.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<TypeConfig>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        if entries.iter().any(changes_members) {
            self.members_changed();
        }
        let encoded = entries.iter().map(|entry| Ok((entry.log_id.index, json(entry)?)));
        let encoded = encoded.collect::<io::Result<Vec<_>>>().map_err(|error| log_error(&error))?;
        let by_index = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        self.log.lock().entries.extend(by_index);
        let done = Box::new(move |result| callback.log_io_completed(result));
        self.disk.submit(vec![Change::Append(encoded)], Some(done));
        Ok(())
    }

    async fn truncate(&mut self, from: LogId) -> Result<(), StorageError> {
        let dropped = self.log.lock().entries.split_off(&from.index);
        if dropped.values().any(changes_members) {
            // The members before count again.
            self.members_changed();
        }
        let change = Change::RemoveFrom(from.index);
        self.disk.write(vec![change]).await.map_err(|error| log_error(&error))
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), StorageError> {
        let bytes = json(&Some(upto)).map_err(|error| log_error(&error))?;
        {
            let mut log = self.log.lock();
            log.entries = log.entries.split_off(&(upto.index + 1));
            log.purged = Some(upto);
        }
        let changes = vec![Change::Put(key::PURGED, bytes), Change::RemoveUpTo(upto.index)];
        self.disk.write(changes).await.map_err(|error| log_error(&error))
    }
}
