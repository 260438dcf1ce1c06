//! The open journal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::OpenError;
use crate::error::JournalError;
use crate::flush::Scope;
use crate::open::{self, Opened, Report};
use crate::options::Options;
use crate::room::Room;
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::storage::Storage;
use crate::ticket::Ticket;
use crate::writer::Writer;

/// The append-only log of a service's protocol state, held by one epoch.
///
/// All methods can be called from any thread. None but [`Ticket::wait`] and those that say so
/// block for the disk.
pub struct Journal {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What to append.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What the caller calls this kind of record.
    pub tag: u16,
    /// What it says; at most [`crate::MAX_PAYLOAD_BYTES`].
    pub payload: &'a [u8],
    /// What must be stable when the record is reported durable.
    pub scope: Scope,
}

impl Journal {
    /// Takes over the journal in `storage` with a new `epoch`, or makes one there. Blocks.
    ///
    /// From here on the holder of any earlier epoch gets [`JournalError::Superseded`] instead of a
    /// durable record: what it was told to be durable before is in what is returned, and nothing
    /// can join it. That holds as far as the storage shows all nodes the same; fencing is the
    /// engine's.
    ///
    /// # Errors
    /// See [`OpenError`]. One that [`OpenError::is_loss`] leaves all files as they are; they are
    /// sealed, so that an earlier holder has stopped all the same.
    pub fn open(
        storage: Arc<dyn Storage>,
        epoch: u64,
        options: Options,
    ) -> Result<Opened, OpenError> {
        open::open(storage, epoch, options)
    }

    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        options: Options,
        writer: Writer,
        report: &Report,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(storage, options, writer, report.snapshot_bytes));
        let served = Arc::clone(&shared);
        let builder = std::thread::Builder::new().name("journal".to_owned());
        let thread = builder.spawn(move || served.serve())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Appends a record. It becomes durable together with others when one of their tickets is
    /// waited for.
    ///
    /// # Errors
    /// See [`JournalError`]; nothing was appended.
    pub fn append(&self, entry: Entry<'_>) -> Result<Ticket, JournalError> {
        let (sequence, group) = self.shared.append(entry.tag, entry.payload, entry.scope)?;
        Ok(Ticket::new(Arc::clone(&self.shared), group, sequence))
    }

    /// A ticket for everything that was appended so far.
    pub fn barrier(&self) -> Ticket {
        let (sequence, group) = self.shared.barrier();
        Ticket::new(Arc::clone(&self.shared), group, sequence)
    }

    /// The epoch of this holder.
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// The sequence of the last record that was appended.
    pub fn appended_sequence(&self) -> u64 {
        self.shared.appended()
    }

    /// The sequence up to which all records are durable.
    pub fn durable_sequence(&self) -> u64 {
        self.shared.durable()
    }

    /// Calls `listener` with the durable sequence whenever it has grown, and once with the error
    /// that stops the journal. The calls come one at a time, from a thread that others wait for:
    /// they must not block.
    pub fn watch(&self, listener: impl Fn(Result<u64, JournalError>) + Send + Sync + 'static) {
        self.shared.listen(Box::new(listener));
    }

    /// Bytes of the log that a replay would read, without the snapshot.
    pub fn log_bytes(&self) -> u64 {
        self.shared.room.log_bytes()
    }

    /// Whether a snapshot should take the place of the log: the log is long enough by
    /// [`Options::compaction`], or part of the reserve was used, which gives it back.
    pub fn is_compaction_due(&self) -> bool {
        let snapshot = self.shared.snapshot_bytes.load(Ordering::Relaxed);
        let is_long = self.shared.options.compaction.is_due(self.log_bytes(), snapshot);
        is_long || self.shared.room.is_reclaimable(self.shared.target())
    }

    /// How much room there is for the log.
    pub fn room(&self) -> Room {
        self.shared.room.report(self.shared.target())
    }

    /// Makes the reserve whole, as far as the disk has room: to be called regularly, by one thread
    /// at a time. Blocks.
    ///
    /// # Errors
    /// See [`JournalError`]; one that [`JournalError::is_no_space`] is no reason to worry as long
    /// as [`Room::is_waiting`] is false.
    pub fn renew_reserve(&self) -> Result<(), JournalError> {
        self.shared.renew_reserve()
    }

    /// Starts a snapshot of the state after the last record that was appended. The caller keeps
    /// others from appending until it has a copy of that state, drops the lock and then writes
    /// the copy with [`Snapshot::write`], in a thread that may block; the journal takes records
    /// meanwhile. Quick.
    ///
    /// # Errors
    /// [`JournalError::SnapshotRunning`], or why the journal has stopped.
    pub fn start_snapshot(&self) -> Result<Snapshot, JournalError> {
        let sequence = self.shared.start_snapshot()?;
        Ok(Snapshot::new(Arc::clone(&self.shared), sequence))
    }

    /// Makes everything durable, notes the clean end and closes the journal. Blocks. A journal
    /// that is dropped does the same, and keeps the error to itself.
    ///
    /// # Errors
    /// Why something is not durable.
    pub fn close(mut self) -> Result<(), JournalError> {
        self.stop()
    }

    fn stop(&mut self) -> Result<(), JournalError> {
        let Some(thread) = self.thread.take() else { return Ok(()) };
        self.shared.close();
        // A panic in that thread has stopped the journal already.
        let _ = thread.join();
        self.shared.leave_mark()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::debug!(%error, "the journal was not closed cleanly");
        }
    }
}
