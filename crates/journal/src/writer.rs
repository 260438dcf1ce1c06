//! The segment that is written, and the ones before it.

use std::sync::Arc;

use crate::active::{ActiveSegment, Making, Rooms};
use crate::error::{JournalError, StorageError};
use crate::header::{FileKind, FileName, Header, SegmentLink};
use crate::options::Options;
use crate::queue::Batch;
use crate::record::{self, Head, Kind, Seed};
use crate::reserve::{Pick, Reserve, Spare, Taken, Target};
use crate::storage::Storage;

/// A segment of the log and the bytes in it that count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFile {
    pub(crate) name: FileName,
    pub(crate) bytes: u64,
}

/// What a holder found.
pub(crate) struct Before {
    /// The segments of the log, oldest first.
    pub(crate) log: Vec<LogFile>,
    /// Segments that are not in it.
    pub(crate) unused: Vec<FileName>,
    /// Room for the day when the disk is full.
    pub(crate) reserve: Reserve,
}

/// Writes the log of one holder.
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    options: Options,
    seed: Seed,
    active: ActiveSegment,
    /// Whether the name of the active segment may not be stable yet.
    is_name_unstable: bool,
    /// The segments before the active one, oldest first.
    earlier: Vec<LogFile>,
    /// Segments that are not in the log, to be removed.
    unused: Vec<FileName>,
    reserve: Reserve,
    /// Spares that were named in this epoch.
    spares_named: u64,
    /// The sequence of the record that comes next.
    next: u64,
}

impl Writer {
    /// Starts a holder's log with its first segment, which starts with the epoch's record. The
    /// whole is stable before it has a name.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        options: Options,
        id: [u8; 16],
        epoch: u64,
        first: u64,
        before: Before,
    ) -> Result<Self, StorageError> {
        let Before { log: earlier, unused, mut reserve } = before;
        let previous = earlier.last().map(|file| link(file.name));
        let header = Header { kind: FileKind::Segment, id, epoch, sequence: first, previous };
        let seed = Seed::of(id);
        let head = Head { kind: Kind::Epoch, tag: 0, epoch, sequence: first, durable: first - 1 };
        let start = record::encode(head, b"", seed);
        let making = Making { header, start: &start, room_for: 0, rooms: Rooms::NewOrReserve };
        let active = making.segment(storage.as_ref(), &options, &mut reserve)?;
        let mut writer = Self {
            storage,
            options,
            seed,
            active,
            is_name_unstable: true,
            earlier,
            unused,
            reserve,
            spares_named: 0,
            next: first + 1,
        };
        writer.make_name_stable()?;
        Ok(writer)
    }

    /// The name of the segment that takes the records.
    pub(crate) fn active_name(&self) -> FileName {
        self.active.header.name()
    }

    /// The header of the segment that takes the records.
    pub(crate) fn header(&self) -> Header {
        self.active.header
    }

    /// The sequence of the last record.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Bytes of the log.
    pub(crate) fn log_bytes(&self) -> u64 {
        let earlier: u64 = self.earlier.iter().map(|file| file.bytes).sum();
        earlier + self.active.offset
    }

    /// How many segments a snapshot would make needless.
    pub(crate) fn earlier_segments(&self) -> usize {
        self.earlier.len()
    }

    /// Bytes that are kept for the day when the disk is full.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        self.reserve.bytes()
    }

    /// The name and the size of a file that the reserve misses, if it misses one.
    pub(crate) fn wanted_spare(&mut self, target: Target) -> Option<Spare> {
        let bytes = self.reserve.wanted(target)?;
        self.spares_named += 1;
        let epoch = self.active.header.epoch;
        let name = FileName { kind: FileKind::Spare, epoch, sequence: self.spares_named };
        Some(Spare { name, bytes })
    }

    pub(crate) fn add_spare(&mut self, spare: Spare) {
        self.reserve.add(spare);
    }

    /// Takes the largest spare for another file, under its temporary name.
    pub(crate) fn take_spare(&mut self, name: FileName) -> Result<Option<Taken>, JournalError> {
        Ok(self.reserve.take(self.storage.as_ref(), Pick::Largest, name)?)
    }

    /// Makes a batch durable.
    ///
    /// When it finds no room, what was durable still is, and it can be called again.
    pub(crate) fn write(&mut self, batch: &mut Batch, durable: u64) -> Result<(), JournalError> {
        record::finish(&mut batch.bytes, durable, self.seed);
        loop {
            match self.try_write(batch) {
                Err(error) if error.is_no_space() => {
                    if !self.find_room(batch.bytes.len() as u64)? {
                        return Err(error);
                    }
                }
                written => return written,
            }
        }
    }

    fn try_write(&mut self, batch: &Batch) -> Result<(), JournalError> {
        let length = batch.bytes.len() as u64;
        self.make_name_stable()?;
        let is_full = self.active.offset + length > self.options.segment_bytes;
        if self.active.has_records && (batch.starts_segment || is_full) {
            match self.rotate(length, Rooms::New) {
                // It goes on in the room that it has: the reserve is for when there is none.
                Err(error) if error.is_no_space() && !self.is_name_unstable => {}
                rotated => rotated?,
            }
        }
        let traits = self.storage.traits();
        let active = &mut self.active;
        let name = active.header.name();
        if traits.overwrites_in_place {
            active.make_room(length, self.options.allocation_bytes)?;
        }
        let failed = |action| StorageError::of(action, name);
        active.file.write(active.offset, &batch.bytes).map_err(failed("write"))?;
        let flushed = self.options.flusher.flush(active.file.as_ref(), batch.scope, traits);
        if let Err(error) = flushed {
            // What was written since the last flush may be lost though the kernel shows it: all of
            // it, the zeros too, is written again before anything counts as durable.
            active.room = active.offset;
            return Err(failed("flush")(error).into());
        }
        // Whoever takes over seals first and reads then: what was flushed before the seal, it has
        // read; what comes after, nobody may take for durable.
        active.check_seal()?;
        active.offset += length;
        active.has_records = true;
        self.next = batch.last + 1;
        Ok(())
    }

    /// Uses the reserve, so that `length` bytes may find room; false: that would not help.
    fn find_room(&mut self, length: u64) -> Result<bool, JournalError> {
        if !self.storage.traits().overwrites_in_place {
            return Ok(self.reserve.spend(self.storage.as_ref()));
        }
        if !self.active.has_records {
            // Another one would have the same name.
            return Ok(false);
        }
        self.rotate(length, Rooms::NewOrReserve)?;
        Ok(true)
    }

    /// Notes behind the last record that everything is durable. Not flushed: it gets to the disk
    /// with the kernel's write-back, and the next batch takes its place.
    pub(crate) fn mark(&mut self) -> Result<(), StorageError> {
        let head = Head {
            kind: Kind::Mark,
            tag: 0,
            epoch: self.active.header.epoch,
            sequence: self.next,
            durable: self.next - 1,
        };
        let mark = record::encode(head, b"", self.seed);
        let active = &mut self.active;
        let name = active.header.name();
        active.file.write(active.offset, &mark).map_err(StorageError::of("write", name))
    }

    /// Makes the mark stable.
    pub(crate) fn close(&mut self) -> Result<(), JournalError> {
        self.active.check_seal()?;
        self.mark()?;
        let name = self.active_name();
        Ok(self.active.file.sync_data().map_err(StorageError::of("flush", name))?)
    }

    /// Fails if somebody has taken over.
    pub(crate) fn check_seal(&self) -> Result<(), JournalError> {
        self.active.check_seal()
    }

    /// Lets the segments end at `sequence`, if the active one has records up to there.
    pub(crate) fn rotate_after(&mut self, sequence: u64) -> Result<(), JournalError> {
        if self.active.header.sequence <= sequence {
            self.rotate(self.options.batch_bytes as u64, Rooms::NewOrReserve)?;
        }
        Ok(self.make_name_stable()?)
    }

    /// Goes on in a new segment, with room for this many bytes.
    fn rotate(&mut self, length: u64, rooms: Rooms) -> Result<(), JournalError> {
        let previous = Some(link(self.active_name()));
        let header = Header { sequence: self.next, previous, ..self.active.header };
        let making = Making { header, start: &[], room_for: length, rooms };
        let new = making.segment(self.storage.as_ref(), &self.options, &mut self.reserve);
        // A successor seals what it finds, then looks again whether there is more. So it has
        // either sealed the old segment by now, or it will find the new one. It may also have
        // removed the new one before that had its name.
        self.active.check_seal()?;
        let old = std::mem::replace(&mut self.active, new?);
        self.earlier.push(LogFile { name: old.header.name(), bytes: old.offset });
        self.is_name_unstable = true;
        Ok(self.make_name_stable()?)
    }

    /// From the moment when a segment has its name, records behind its start count in no other: so
    /// there is no way back, and its name must be stable before the first one is.
    fn make_name_stable(&mut self) -> Result<(), StorageError> {
        if self.is_name_unstable {
            let name = self.active_name();
            self.storage.sync().map_err(StorageError::of("flush the name of", name))?;
            self.is_name_unstable = false;
        }
        Ok(())
    }

    /// Takes the segments out of the list that a snapshot of `sequence` makes needless.
    pub(crate) fn take_covered(&mut self, sequence: u64) -> Vec<FileName> {
        let active = self.active_name();
        let nexts = self.earlier.iter().skip(1).map(|file| file.name).chain([active]);
        let pairs = self.earlier.iter().zip(nexts);
        let count = pairs.take_while(|(_, next)| next.sequence <= sequence + 1).count();
        let mut needless = std::mem::take(&mut self.unused);
        needless.extend(self.earlier.drain(..count).map(|file| file.name));
        needless
    }
}

fn link(name: FileName) -> SegmentLink {
    SegmentLink { epoch: name.epoch, sequence: name.sequence }
}
