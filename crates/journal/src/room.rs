//! How much room the log has, and keeping the reserve.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::error::{JournalError, SnapshotError};
use crate::header::FileName;
use crate::reserve::{self, Spare, Taken, Target};
use crate::shared::Shared;
use crate::writer::Writer;

/// How much room a journal has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are kept for the day when the disk is full.
    pub reserve_bytes: u64,
    /// Bytes that should be kept.
    pub wanted_bytes: u64,
    /// Why less is kept than should be, as the system said when more was asked for.
    pub shortage: Option<String>,
    /// What the system said, while records wait because there is no room at all.
    pub waiting: Option<String>,
}

impl Room {
    /// Whether records wait for room.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether less is kept than should be: the disk is full or nearly so.
    pub fn is_short(&self) -> bool {
        self.reserve_bytes < self.wanted_bytes
    }

    /// Whether so little is left that only what sets room free should be begun.
    pub fn is_scarce(&self) -> bool {
        self.is_waiting() || self.reserve_bytes < self.wanted_bytes / 4
    }
}

/// What is known of the room without a look at the writer.
pub(crate) struct RoomState {
    log_bytes: AtomicU64,
    earlier_segments: AtomicUsize,
    reserve_bytes: AtomicU64,
    /// The last snapshot found no room in a file of its own.
    snapshot_needs_spare: AtomicBool,
    shortage: Mutex<Option<String>>,
    waiting: Mutex<Option<String>>,
}

impl RoomState {
    pub(crate) fn of(writer: &Writer) -> Self {
        let state = Self {
            log_bytes: AtomicU64::new(0),
            earlier_segments: AtomicUsize::new(0),
            reserve_bytes: AtomicU64::new(0),
            snapshot_needs_spare: AtomicBool::new(false),
            shortage: Mutex::new(None),
            waiting: Mutex::new(None),
        };
        state.note(writer);
        state
    }

    pub(crate) fn note(&self, writer: &Writer) {
        self.log_bytes.store(writer.log_bytes(), Ordering::Relaxed);
        self.earlier_segments.store(writer.earlier_segments(), Ordering::Relaxed);
        self.reserve_bytes.store(writer.reserve_bytes(), Ordering::Relaxed);
    }

    pub(crate) fn log_bytes(&self) -> u64 {
        self.log_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn report(&self, target: Target) -> Room {
        Room {
            reserve_bytes: self.reserve_bytes.load(Ordering::Relaxed),
            wanted_bytes: target.bytes(),
            shortage: self.shortage.lock().clone(),
            waiting: self.waiting.lock().clone(),
        }
    }

    /// Whether a snapshot would set room free that the reserve needs.
    pub(crate) fn is_reclaimable(&self, target: Target) -> bool {
        self.is_short(target) && self.earlier_segments.load(Ordering::Relaxed) > 0
    }

    fn is_short(&self, target: Target) -> bool {
        self.reserve_bytes.load(Ordering::Relaxed) < target.bytes()
    }

    /// Records wait for room.
    pub(crate) fn wait(&self, error: &JournalError) {
        let mut waiting = self.waiting.lock();
        if waiting.is_none() {
            tracing::error!(%error, "THE DISK OF THE JOURNAL IS FULL and the reserve is used up: \
                changes wait until there is room; remove files, grow the disk, or raise the quota");
            *waiting = Some(said(error));
        }
    }

    /// A record found room.
    pub(crate) fn found(&self) {
        let mut waiting = self.waiting.lock();
        if waiting.take().is_some() {
            tracing::info!("the journal has room again and goes on");
        }
    }

    /// Whether a snapshot found room.
    pub(crate) fn snapshot_found(&self, found: bool) {
        self.snapshot_needs_spare.store(!found, Ordering::Relaxed);
    }
}

/// What the system said.
fn said(error: &JournalError) -> String {
    match error {
        JournalError::Storage(error) => error.to_string(),
        other => other.to_string(),
    }
}

impl Shared {
    pub(crate) fn target(&self) -> Target {
        Target::new(&self.options, self.snapshot_bytes.load(Ordering::Relaxed))
    }

    /// A spare to write a snapshot into, if the disk seems full.
    pub(crate) fn spare_for_snapshot(
        &self,
        name: FileName,
    ) -> Result<Option<Taken>, SnapshotError> {
        let is_short = self.room.is_short(self.target());
        let needs = self.room.snapshot_needs_spare.load(Ordering::Relaxed) || is_short;
        if !needs || !self.storage.traits().overwrites_in_place {
            return Ok(None);
        }
        Ok(self.with_writer(|writer| writer.take_spare(name))?)
    }

    /// Makes the reserve whole.
    pub(crate) fn renew_reserve(&self) -> Result<(), JournalError> {
        let renewed = self.add_spares();
        let shortage = renewed.as_ref().err().filter(|error| error.is_no_space());
        *self.room.shortage.lock() = shortage.map(said);
        renewed
    }

    fn add_spares(&self) -> Result<(), JournalError> {
        let target = self.target();
        // Each round adds a file, so this is more than enough.
        for _ in 0..64 {
            let wanted = self.with_writer(|writer| {
                writer.check_seal()?;
                Ok(writer.wanted_spare(target))
            })?;
            let Some(Spare { name, bytes }) = wanted else { break };
            let spare = reserve::make(self.storage.as_ref(), name, bytes)?;
            self.add_spare(spare)?;
        }
        Ok(())
    }

    /// Makes a spare of a file that is needed no more, or removes it.
    pub(crate) fn give_up_file(&self, old: FileName) -> Result<(), JournalError> {
        let target = self.target();
        let in_place = self.storage.traits().overwrites_in_place;
        let is_ours = old.epoch == self.epoch || self.options.is_sole;
        let wanted = match in_place && is_ours {
            true => self.with_writer(|writer| Ok(writer.wanted_spare(target)))?,
            false => None,
        };
        let Some(Spare { name, bytes }) = wanted else {
            return Ok(crate::open::remove(self.storage.as_ref(), &old.to_string())?);
        };
        let check = || self.with_writer(|writer| writer.check_seal());
        match reserve::recycle(self.storage.as_ref(), &old.to_string(), name, bytes, check)? {
            Some(spare) => self.add_spare(spare),
            None => Ok(()),
        }
    }

    /// Makes a spare again of one that was to become the file `name`.
    pub(crate) fn clear_spare(&self, name: FileName, spare: Spare) {
        let check = || self.with_writer(|writer| writer.check_seal());
        let temporary = name.temporary();
        let storage = self.storage.as_ref();
        match reserve::recycle(storage, &temporary, spare.name, u64::MAX, check) {
            Ok(Some(spare)) => drop(self.add_spare(spare)),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a spare of the journal is lost"),
        }
    }

    fn add_spare(&self, spare: Spare) -> Result<(), JournalError> {
        self.with_writer(|writer| {
            writer.add_spare(spare);
            Ok(())
        })
    }
}
