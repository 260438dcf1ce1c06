//! From the records of the journal to the state.

use std::time::Instant;

use bytes::Bytes;
use standfast_journal::{Opened, Records, StateRecords};
use standfast_nfs::locks::LockLimits;
use standfast_nfs::nlm::{RestoredLocks, record};
use standfast_nfs::v4::keeper::{RecordKind, ServiceState};
use standfast_nfs::v4::state::{Change, Settings, State};

use crate::replies::{self, RestoredReply};

/// Why the journal cannot be replayed. It is whole: this is no loss.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A kind of record that this version does not know.
    #[error(
        "record {sequence} is of kind {tag}, which a later version of Standfast wrote; run that"
    )]
    UnknownKind {
        /// Its place in the log.
        sequence: u64,
        /// Its kind.
        tag: u16,
    },
    /// A record that this version cannot read.
    #[error("record {sequence} cannot be read ({error}); a later version of Standfast may")]
    Unreadable {
        /// Its place in the log.
        sequence: u64,
        /// What is wrong with it.
        error: standfast_rpc::xdr::DecodeError,
    },
}

/// What a journal held.
pub struct Restored {
    /// The state of NFSv4, and the locks of all protocols.
    pub state: ServiceState,
    /// What the lock manager knows beside the lock table.
    pub locks: RestoredLocks,
    /// Replies of calls that must not run twice.
    pub(crate) replies: Vec<RestoredReply>,
    /// Records that were applied.
    pub records: u64,
}

impl Restored {
    /// Nothing yet: what a journal that has just been made holds. `instance` tells the names that
    /// this state gives out from those of any before.
    pub(crate) fn new(instance: u32, settings: Settings, limits: LockLimits) -> Self {
        let state = State::new(instance, settings, limits);
        Self { state, locks: RestoredLocks::default(), replies: Vec::new(), records: 0 }
    }

    pub(crate) fn replay(
        &mut self,
        snapshot: Option<StateRecords>,
        records: Records,
        now: Instant,
    ) -> Result<(), ReplayError> {
        for record in snapshot.into_iter().flatten() {
            self.apply(0, record.tag, &record.payload, now)?;
        }
        for record in records {
            self.apply(record.sequence, record.tag, &record.payload, now)?;
        }
        Ok(())
    }

    fn apply(
        &mut self,
        sequence: u64,
        tag: u16,
        payload: &Bytes,
        now: Instant,
    ) -> Result<(), ReplayError> {
        let unreadable = |error| ReplayError::Unreadable { sequence, error };
        match RecordKind::from_tag(tag) {
            Some(RecordKind::State) => {
                for change in Change::decode_all(payload).map_err(unreadable)? {
                    self.state.apply(&change, now);
                }
            }
            Some(RecordKind::Locks) => {
                let (changes, locks) = record::decode(payload).map_err(unreadable)?;
                for change in changes {
                    self.state.apply(&change, now);
                }
                for change in locks {
                    self.locks.apply(self.state.locks_mut(), &change);
                }
            }
            Some(RecordKind::Reply) => {
                self.replies.extend(replies::decode(payload).map_err(unreadable)?);
            }
            None => return Err(ReplayError::UnknownKind { sequence, tag }),
        }
        self.records += 1;
        Ok(())
    }
}

/// The parts of an opened journal that a replay takes.
pub(crate) fn parts(opened: Opened) -> (standfast_journal::Journal, Option<StateRecords>, Records) {
    (opened.journal, opened.snapshot, opened.records)
}
