//! Who flushes when, and who learns of it.
//!
//! A thread that waits for a record and finds no flush under way does it itself, for all whose
//! records are in the same batch: with one client that saves two changes of thread per record.
//! Tasks and callbacks cannot, so a thread of the journal flushes for them. Whoever comes while a
//! flush runs is in the next batch; so batches grow with the load, and nobody waits for company.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};

use crate::error::{JournalError, StorageError};
use crate::flush::Scope;
use crate::options::Options;
use crate::queue::{Batch, Queue};
use crate::record;
use crate::room::RoomState;
use crate::storage::Storage;
use crate::ticket::{Group, Outcome};
use crate::writer::Writer;

/// Told of progress: the last durable sequence, or why there will be no more.
pub(crate) type Listener = Box<dyn Fn(Result<u64, JournalError>) + Send + Sync>;

/// What the journal, its tickets and its thread have in common.
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) options: Options,
    pub(crate) epoch: u64,
    pub(crate) id: [u8; 16],
    state: Mutex<State>,
    /// Wakes the journal's thread.
    work: Condvar,
    /// Wakes who waits for room on the disk, when the journal is closed.
    closing: Condvar,
    /// Used by the one who leads, and by the compaction for a moment.
    writer: Mutex<Writer>,
    durable: AtomicU64,
    pub(crate) snapshot_bytes: AtomicU64,
    pub(crate) room: RoomState,
    listeners: Mutex<Vec<Listener>>,
}

struct State {
    queue: Queue,
    /// Somebody is writing a batch.
    is_leading: bool,
    /// Who waits for the batch that is being written.
    leading_group: Option<Arc<Group>>,
    failure: Option<JournalError>,
    is_closing: bool,
    /// The end was asked for, and what found no room was tried again since.
    gives_up: bool,
    is_snapshotting: bool,
}

type Guard<'a> = MutexGuard<'a, State>;

impl Shared {
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        options: Options,
        writer: Writer,
        snapshot_bytes: u64,
    ) -> Self {
        let last = writer.last();
        let header = writer.header();
        let state = State {
            queue: Queue::new(header.epoch, last, options.batch_bytes),
            is_leading: false,
            leading_group: None,
            failure: None,
            is_closing: false,
            gives_up: false,
            is_snapshotting: false,
        };
        Self {
            storage,
            options,
            epoch: header.epoch,
            id: header.id,
            state: Mutex::new(state),
            work: Condvar::new(),
            closing: Condvar::new(),
            room: RoomState::of(&writer),
            writer: Mutex::new(writer),
            durable: AtomicU64::new(last),
            snapshot_bytes: AtomicU64::new(snapshot_bytes),
            listeners: Mutex::default(),
        }
    }

    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn appended(&self) -> u64 {
        self.state.lock().queue.last()
    }

    pub(crate) fn append(
        &self,
        tag: u16,
        payload: &[u8],
        scope: Scope,
    ) -> Result<(u64, Arc<Group>), JournalError> {
        if payload.len() > record::MAX_PAYLOAD_BYTES {
            return Err(JournalError::TooLong { bytes: payload.len() });
        }
        let mut state = self.state.lock();
        state.check()?;
        let limit = self.options.queue_bytes;
        // One record always fits, however small the limit.
        let waiting = state.queue.bytes();
        if waiting > 0 && waiting + record::size_for(payload.len()) > limit {
            return Err(JournalError::QueueFull { limit });
        }
        Ok(state.queue.push(tag, payload, scope))
    }

    /// Who waits for everything that was appended so far.
    pub(crate) fn barrier(&self) -> (u64, Arc<Group>) {
        let state = self.state.lock();
        let last = state.queue.last();
        if let Some(batch) = state.queue.back() {
            return (last, Arc::clone(&batch.group));
        }
        // Nothing waits: either the last batch is being written, or there is nothing to wait for.
        match &state.leading_group {
            Some(group) => (last, Arc::clone(group)),
            None => {
                let group = Arc::<Group>::default();
                let failure = state.failure.clone();
                drop(state);
                group.finish(&failure.map_or(Ok(last), Err));
                (last, group)
            }
        }
    }

    /// Starts a snapshot of everything that was appended so far.
    pub(crate) fn start_snapshot(&self) -> Result<u64, JournalError> {
        let mut state = self.state.lock();
        state.check()?;
        if std::mem::replace(&mut state.is_snapshotting, true) {
            return Err(JournalError::SnapshotRunning);
        }
        state.queue.cut();
        Ok(state.queue.last())
    }

    pub(crate) fn end_snapshot(&self) {
        self.state.lock().is_snapshotting = false;
    }

    /// Uses the writer between two batches.
    pub(crate) fn with_writer<T>(
        &self,
        use_it: impl FnOnce(&mut Writer) -> Result<T, JournalError>,
    ) -> Result<T, JournalError> {
        let mut writer = self.writer.lock();
        if let Some(failure) = self.state.lock().failure.clone() {
            return Err(failure);
        }
        let result = use_it(&mut writer);
        self.room.note(&writer);
        drop(writer);
        // Without room nothing was changed that cannot be tried again.
        if let Err(failure) = result.as_ref().map_err(Clone::clone).map(drop)
            && !failure.is_no_space()
        {
            self.fail(&failure);
        }
        result
    }

    /// Calls `listener` whenever more is durable, and once when there will be no more.
    pub(crate) fn listen(&self, listener: Listener) {
        self.listeners.lock().push(listener);
    }

    /// Blocks until the outcome of a batch is known.
    pub(crate) fn wait(&self, group: &Arc<Group>) -> Outcome {
        let mut state = self.state.lock();
        loop {
            if let Some(outcome) = group.outcome() {
                return outcome.clone();
            }
            if !state.is_leading {
                state = self.lead(state);
                continue;
            }
            state.count_thread(group, |threads| threads + 1);
            group.finished.wait(&mut state);
            state.count_thread(group, |threads| threads - 1);
        }
    }

    /// Has the journal's thread see to a batch.
    pub(crate) fn ask(&self, group: &Arc<Group>) {
        let mut state = self.state.lock();
        if let Some(batch) = state.queue.find(group) {
            batch.is_asked = true;
            if !state.is_leading {
                self.work.notify_one();
            }
        }
    }

    /// The work of the journal's thread, until the journal is closed and everything is written.
    pub(crate) fn serve(&self) {
        let mut state = self.state.lock();
        loop {
            let is_asked = state.queue.batches().any(|batch| batch.is_asked) || state.is_closing;
            if !state.is_leading && is_asked && state.queue.front().is_some() {
                state = self.lead(state);
            } else if state.is_closing && !state.is_leading {
                return;
            } else {
                self.work.wait(&mut state);
            }
        }
    }

    /// Takes no more records and lets the journal's thread end when everything is written.
    pub(crate) fn close(&self) {
        self.state.lock().is_closing = true;
        self.work.notify_one();
        self.closing.notify_all();
    }

    /// Leaves, in stable form, how far the log is durable. The journal's thread has ended.
    pub(crate) fn leave_mark(&self) -> Result<(), JournalError> {
        self.state.lock().failure.clone().map_or(Ok(()), Err)?;
        self.writer.lock().close()
    }

    /// Writes the oldest batch, with the state unlocked meanwhile.
    fn lead<'a>(&'a self, mut state: Guard<'a>) -> Guard<'a> {
        let Some(batch) = state.queue.take() else { return state };
        state.is_leading = true;
        state.leading_group = Some(Arc::clone(&batch.group));
        let failure = state.failure.clone();
        drop(state);
        let mut lead = Lead { shared: self, batch };
        let outcome = failure.map_or_else(|| self.write(&mut lead.batch), Err);
        lead.finish(&outcome);
        drop(lead);
        self.state.lock()
    }

    /// Makes a batch durable; without room on the disk, as soon as there is some.
    fn write(&self, batch: &mut Batch) -> Outcome {
        loop {
            let mut writer = self.writer.lock();
            let result = writer.write(batch, self.durable());
            self.room.note(&writer);
            drop(writer);
            match result {
                Err(error) if error.is_no_space() => {
                    self.room.wait(&error);
                    self.pause(error)?;
                }
                Err(error) => return Err(error),
                Ok(()) => break,
            }
        }
        self.room.found();
        self.durable.store(batch.last, Ordering::Release);
        Ok(batch.last)
    }

    /// Waits before what found no room is tried again. The error: the journal is being closed.
    fn pause(&self, error: JournalError) -> Result<(), JournalError> {
        let mut state = self.state.lock();
        if !state.is_closing {
            self.closing.wait_for(&mut state, self.options.room_retry);
        }
        // Once more after the end was asked for, and then no more.
        let is_closing = state.is_closing;
        let gives_up = std::mem::replace(&mut state.gives_up, is_closing);
        if gives_up { Err(error) } else { Ok(()) }
    }

    /// Notes that everything is durable, unless more is to be written anyhow.
    fn mark(&self) -> Result<(), StorageError> {
        let is_idle = self.state.lock().queue.front().is_none();
        let marked = if is_idle { self.writer.lock().mark() } else { Ok(()) };
        match marked {
            // It helps to tell damage from an unfinished write, and that is all.
            Err(error) if error.is_no_space() => Ok(()),
            marked => marked,
        }
    }

    fn tell(&self, outcome: &Outcome) {
        for listener in self.listeners.lock().iter() {
            listener(outcome.clone());
        }
    }

    /// Stops the journal: whoever waits learns why.
    fn fail(&self, failure: &JournalError) {
        let mut failed = Vec::new();
        let mut state = self.state.lock();
        let is_first = state.failure.is_none();
        let failure = state.failure.get_or_insert_with(|| failure.clone()).clone();
        while let Some(batch) = state.queue.take() {
            failed.push(batch.group);
        }
        drop(state);
        let outcome = Err(failure);
        for group in &failed {
            group.finish(&outcome);
        }
        // A thread looks for the outcome and goes to sleep under the lock: with the lock held
        // once in between, none that has not seen it sleeps through this.
        let state = self.state.lock();
        for group in &failed {
            group.finished.notify_all();
        }
        drop(state);
        if is_first {
            self.tell(&outcome);
        }
    }
}

impl State {
    fn check(&self) -> Result<(), JournalError> {
        match &self.failure {
            Some(failure) => Err(failure.clone()),
            None if self.is_closing => Err(JournalError::Closed),
            None => Ok(()),
        }
    }

    fn count_thread(&mut self, group: &Arc<Group>, change: impl FnOnce(usize) -> usize) {
        if let Some(batch) = self.queue.find(group) {
            batch.threads = change(batch.threads);
        }
    }
}

/// The one batch that is being written.
struct Lead<'a> {
    shared: &'a Shared,
    batch: Batch,
}

impl Lead<'_> {
    fn finish(&self, outcome: &Outcome) {
        self.batch.group.finish(outcome);
        match outcome {
            Ok(_) => {
                self.shared.tell(outcome);
                if let Err(error) = self.shared.mark() {
                    self.shared.fail(&error.into());
                }
            }
            Err(failure) => self.shared.fail(failure),
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if self.batch.group.outcome().is_none() {
            // The storage or the flusher panicked: nobody knows what is on the disk.
            self.finish(&Err(JournalError::Closed));
        }
        let mut state = self.shared.state.lock();
        state.is_leading = false;
        state.leading_group = None;
        self.batch.group.finished.notify_all();
        // Somebody must lead the next batch: a thread that waits, or else the journal's own.
        if let Some(batch) = state.queue.batches().find(|batch| batch.threads > 0) {
            batch.group.finished.notify_one();
        } else if state.is_closing || state.queue.batches().any(|batch| batch.is_asked) {
            self.shared.work.notify_one();
        }
    }
}
