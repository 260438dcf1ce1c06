//! The segment that is written, and the ones before it.

use std::sync::Arc;

use crate::error::{JournalError, StorageError};
use crate::header::{FileKind, FileName, Header, SegmentLink};
use crate::open;
use crate::options::Options;
use crate::queue::Batch;
use crate::record::{self, Head, Kind, Seed};
use crate::storage::{Storage, StorageFile};

/// A segment of the log and the bytes in it that count.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogFile {
    pub(crate) name: FileName,
    pub(crate) bytes: u64,
}

/// What room is made of, written in pieces.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// What a holder found.
pub(crate) struct Before {
    /// The segments of the log, oldest first.
    pub(crate) log: Vec<LogFile>,
    /// Segments that are not in it.
    pub(crate) unused: Vec<FileName>,
}

/// Writes the log of one holder.
pub(crate) struct Writer {
    storage: Arc<dyn Storage>,
    options: Options,
    seed: Seed,
    active: ActiveSegment,
    /// The segments before the active one, oldest first.
    earlier: Vec<LogFile>,
    /// Segments that are not in the log, to be removed.
    unused: Vec<FileName>,
    /// The sequence of the record that comes next.
    next: u64,
}

/// The segment that takes the records.
struct ActiveSegment {
    file: Box<dyn StorageFile>,
    header: Header,
    /// Where the next record goes.
    offset: u64,
    /// Up to here the file has been written, if only with zeros.
    room: u64,
    has_records: bool,
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
        let Before { log: earlier, unused } = before;
        let previous = earlier.last().map(|file| link(file.name));
        let header = Header { kind: FileKind::Segment, id, epoch, sequence: first, previous };
        let seed = Seed::of(id);
        let head = Head { kind: Kind::Epoch, tag: 0, epoch, sequence: first, durable: first - 1 };
        let start = record::encode(head, b"", seed);
        let active = ActiveSegment::create(storage.as_ref(), &options, header, &start)?;
        Ok(Self { storage, options, seed, active, earlier, unused, next: first + 1 })
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

    /// Makes a batch durable.
    pub(crate) fn write(&mut self, batch: &mut Batch, durable: u64) -> Result<(), JournalError> {
        let length = batch.bytes.len() as u64;
        let is_full = self.active.offset + length > self.options.segment_bytes;
        if self.active.has_records && (batch.starts_segment || is_full) {
            self.rotate()?;
        }
        record::finish(&mut batch.bytes, durable, self.seed);
        let traits = self.storage.traits();
        let active = &mut self.active;
        let name = active.header.name();
        if traits.overwrites_in_place {
            active.make_room(length, self.options.allocation_bytes)?;
        }
        let failed = |action| StorageError::of(action, name);
        active.file.write(active.offset, &batch.bytes).map_err(failed("write"))?;
        let flushed = self.options.flusher.flush(active.file.as_ref(), batch.scope, traits);
        flushed.map_err(failed("flush"))?;
        // Whoever takes over seals first and reads then: what was flushed before the seal, it has
        // read; what comes after, nobody may take for durable.
        active.check_seal()?;
        active.offset += length;
        active.has_records = true;
        self.next = batch.last + 1;
        Ok(())
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
        if self.active.header.sequence <= sequence { self.rotate() } else { Ok(()) }
    }

    /// Goes on in a new segment.
    fn rotate(&mut self) -> Result<(), JournalError> {
        let previous = Some(link(self.active_name()));
        let header = Header { sequence: self.next, previous, ..self.active.header };
        let new = ActiveSegment::create(self.storage.as_ref(), &self.options, header, &[]);
        // A successor seals what it finds, then looks again whether there is more. So it has
        // either sealed the old segment by now, or it will find the new one. It may also have
        // removed the new one before that had its name.
        self.active.check_seal()?;
        let old = std::mem::replace(&mut self.active, new?);
        self.earlier.push(LogFile { name: old.header.name(), bytes: old.offset });
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

impl ActiveSegment {
    fn create(
        storage: &dyn Storage,
        options: &Options,
        header: Header,
        start: &[u8],
    ) -> Result<Self, StorageError> {
        let name = header.name();
        let temporary = name.temporary();
        let file = open::create_anew(storage, &temporary)?;
        let mut bytes = header.encode().to_vec();
        bytes.extend_from_slice(start);
        let length = bytes.len() as u64;
        file.write(0, &bytes).map_err(StorageError::of("write", &temporary))?;
        let mut active =
            Self { file, header, offset: length, room: length, has_records: !start.is_empty() };
        if storage.traits().overwrites_in_place {
            active.make_room(0, options.allocation_bytes)?;
        }
        active.file.sync_all().map_err(StorageError::of("flush", &temporary))?;
        storage
            .publish(&temporary, &name.to_string())
            .map_err(StorageError::of("publish", name))?;
        storage.sync().map_err(StorageError::of("flush the name of", name))?;
        Ok(active)
    }

    /// Writes zeros ahead, so that `length` more bytes and the mark fit into room that was written
    /// before.
    fn make_room(&mut self, length: u64, step: u64) -> Result<(), StorageError> {
        let end = self.offset + length + record::size_for(0) as u64;
        if step == 0 || end <= self.room {
            return Ok(());
        }
        let room = end.next_multiple_of(step);
        let failed = || StorageError::of("write", self.header.name());
        while self.room < room {
            let count = (room - self.room).min(ZEROS.len() as u64);
            self.file.write(self.room, &ZEROS[..count as usize]).map_err(failed())?;
            self.room += count;
        }
        Ok(())
    }

    /// Fails if somebody has taken over.
    fn check_seal(&self) -> Result<(), JournalError> {
        let name = self.header.name();
        let is_sealed = self.file.is_sealed().map_err(StorageError::of("look at", name))?;
        if is_sealed {
            return Err(JournalError::Superseded { epoch: self.header.epoch });
        }
        Ok(())
    }
}
