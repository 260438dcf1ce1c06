//! The journal as the log of the protocol state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use standfast_journal::{Entry, Journal, JournalError, Room, Scope, Snapshot};
use standfast_nfs::v4::keeper::{Covers, Log, LogStopped, Order, RecordKind, Ticket};

/// The journal of a service as the log of its state.
pub struct JournalLog {
    journal: Journal,
    /// A snapshot is to take the place of many short files.
    has_many_files: AtomicBool,
}

/// From so many files on, a log is compacted however short it is: a takeover reads each, and each
/// has room for more.
const MANY_FILES: usize = 3;

impl JournalLog {
    /// `files` is how many there were when it was opened.
    pub(crate) fn new(journal: Journal, files: usize) -> Arc<Self> {
        let has_many_files = AtomicBool::new(files >= MANY_FILES);
        Arc::new(Self { journal, has_many_files })
    }

    /// The epoch of this holder.
    pub fn epoch(&self) -> u64 {
        self.journal.epoch()
    }

    /// Bytes of the log behind the snapshot.
    pub fn bytes(&self) -> u64 {
        self.journal.log_bytes()
    }

    /// Calls `listener` once when the journal has stopped: nothing can be promised any more.
    pub(crate) fn on_failure(&self, listener: impl Fn(JournalError) + Send + Sync + 'static) {
        self.journal.watch(move |progress| {
            if let Err(error) = progress {
                listener(error);
            }
        });
    }

    /// The room that it has.
    pub fn room(&self) -> Room {
        self.journal.room()
    }

    /// What is the matter with the room that it has, and what to do.
    pub(crate) fn problem(&self) -> Option<String> {
        let room = self.room();
        if let Some(waiting) = room.waiting {
            return Some(format!(
                "the disk of the journal is full, and changes wait: {waiting}; remove files, grow \
                 the disk, or raise the quota"
            ));
        }
        room.shortage.map(|shortage| {
            format!(
                "the disk of the journal is full: {} of {} KiB are left that are kept for that \
                 ({shortage}); remove files, grow the disk, or raise the quota",
                room.reserve_bytes >> 10,
                room.wanted_bytes >> 10
            )
        })
    }

    /// Makes the reserve whole, as far as there is room. Blocks.
    pub(crate) fn renew_reserve(&self) -> Result<(), JournalError> {
        self.journal.renew_reserve()
    }

    pub(crate) fn is_compaction_due(&self) -> bool {
        self.journal.is_compaction_due() || self.has_many_files.load(Ordering::Relaxed)
    }

    pub(crate) fn start_snapshot(&self) -> Result<Snapshot, JournalError> {
        let snapshot = self.journal.start_snapshot()?;
        // If it fails, the next holder finds the files and tries again.
        self.has_many_files.store(false, Ordering::Relaxed);
        Ok(snapshot)
    }
}

impl Log for JournalLog {
    fn append(&self, kind: RecordKind, record: &[u8], covers: Covers) -> Ticket {
        let scope = match covers {
            Covers::Record => Scope::Record,
            Covers::Names => Scope::Namespace,
        };
        match self.journal.append(Entry { tag: kind as u16, payload: record, scope }) {
            Ok(ticket) => waiting(ticket),
            Err(error) => Ticket::waiting(async move { Err(stopped(&error)) }),
        }
    }

    fn barrier(&self) -> Ticket {
        let ticket = self.journal.barrier();
        if ticket.sequence() <= self.journal.durable_sequence() {
            return Ticket::done();
        }
        waiting(ticket)
    }

    /// Never [`Order::Kept`]: the bytes of a file, which is what a record is, are not ordered with
    /// changes of names by any filesystem. An operation may become stable by itself, and its
    /// intent that waits in memory or in the page cache not.
    fn order(&self, _export: u64) -> Order {
        Order::Loose
    }
}

fn waiting(ticket: standfast_journal::Ticket) -> Ticket {
    Ticket::waiting(async move { ticket.await.map(drop).map_err(|error| stopped(&error)) })
}

fn stopped(error: &JournalError) -> LogStopped {
    LogStopped(error.to_string().into())
}
