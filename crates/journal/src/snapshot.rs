//! Writing a snapshot and removing what it replaces.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::{JournalError, SnapshotError, StorageError};
use crate::header::{FileKind, FileName, Header};
use crate::open;
use crate::record::{self, Kind, MAX_PAYLOAD_BYTES, Seed};
use crate::reserve::Spare;
use crate::shared::Shared;
use crate::snapshot_file;
use crate::storage::StorageFile;

/// Records are gathered up to this many bytes before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// A snapshot that was started. Dropped without [`Snapshot::write`], it leaves no trace.
#[must_use = "a snapshot that is not written compacts nothing"]
pub struct Snapshot {
    shared: Arc<Shared>,
    sequence: u64,
}

impl Snapshot {
    pub(crate) fn new(shared: Arc<Shared>, sequence: u64) -> Self {
        Self { shared, sequence }
    }

    /// The snapshot is to hold the effect of all records up to this one, and of no other.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes the state that `records` gives, makes it stable, and removes the log before it.
    /// Blocks. A crash at any moment leaves the old log, the new snapshot, or both.
    ///
    /// # Errors
    /// See [`SnapshotError`]. The log is whole all the same; only one that says the journal has
    /// stopped means more than that the next attempt may go better.
    pub fn write<E: From<SnapshotError>>(
        self,
        records: impl FnOnce(&mut SnapshotWriter) -> Result<(), E>,
    ) -> Result<(), E> {
        let header = Header {
            kind: FileKind::Snapshot,
            id: self.shared.id,
            epoch: self.shared.epoch,
            sequence: self.sequence,
            previous: None,
        };
        let name = header.name();
        let mut writer = SnapshotWriter::create(&self.shared, header)?;
        let spare = writer.spare;
        let written = records(&mut writer).and_then(|()| Ok(writer.finish()?));
        let bytes = match written {
            Ok(bytes) => bytes,
            Err(error) => {
                self.shared.room.snapshot_found(false);
                self.discard(name, spare);
                return Err(error);
            }
        };
        self.publish(name, spare)?;
        self.shared.snapshot_bytes.store(bytes, Ordering::Relaxed);
        self.shared.room.snapshot_found(true);
        Ok(self.remove_covered(name)?)
    }

    /// Gives the snapshot its name, after everything that it covers is durable: a snapshot must
    /// not know of a record that might yet be lost. A holder that is superseded right after the
    /// look at the seal does no harm: all that it covers is in its successor's log, too.
    fn publish(&self, name: FileName, spare: Option<Spare>) -> Result<(), SnapshotError> {
        let (_, group) = self.shared.barrier();
        self.shared.wait(&group)?;
        self.shared.with_writer(|writer| writer.check_seal())?;
        let storage = &self.shared.storage;
        match storage.publish(&name.temporary(), &name.to_string()) {
            // Nothing was appended since the last one: it is the same state.
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.discard(name, spare);
            }
            Err(error) => {
                let error = StorageError::of("publish", name)(error);
                if error.is_no_space() {
                    self.discard(name, spare);
                }
                return Err(error.into());
            }
            Ok(()) => {}
        }
        storage.sync().map_err(StorageError::of("flush the name of", name))?;
        Ok(())
    }

    /// Removes what was not completed. Whatever comes of it: it is removed when the journal is
    /// opened, too.
    fn discard(&self, name: FileName, spare: Option<Spare>) {
        match spare {
            Some(spare) => self.shared.clear_spare(name, spare),
            None => drop(self.shared.storage.remove(&name.temporary())),
        }
    }

    fn remove_covered(&self, name: FileName) -> Result<(), SnapshotError> {
        let storage = &self.shared.storage;
        let covered = self.shared.with_writer(|writer| Ok(writer.take_covered(self.sequence)))?;
        let snapshots = open::list(storage.as_ref())?
            .into_iter()
            .filter(|other| other.kind == FileKind::Snapshot && other.sequence < name.sequence);
        for old in snapshots.chain(covered) {
            self.shared.give_up_file(old)?;
        }
        // Now that there is room for another one.
        let rest = self.shared.with_writer(|writer| {
            writer.rotate_after(self.sequence)?;
            Ok(writer.take_covered(self.sequence))
        })?;
        for old in rest {
            self.shared.give_up_file(old)?;
        }
        Ok(storage.sync().map_err(StorageError::of("flush", "the directory"))?)
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.end_snapshot();
    }
}

/// Takes the records of a snapshot.
pub struct SnapshotWriter {
    file: Box<dyn StorageFile>,
    /// What the file was made of, if the disk is full.
    spare: Option<Spare>,
    header: Header,
    seed: Seed,
    buffer: Vec<u8>,
    offset: u64,
    records: u64,
}

impl SnapshotWriter {
    fn create(shared: &Shared, header: Header) -> Result<Self, SnapshotError> {
        let name = header.name();
        let taken = shared.spare_for_snapshot(name)?;
        let spare = taken.as_ref().map(|taken| taken.spare);
        let file = match taken {
            Some(taken) => taken.file,
            None => open::create_anew(shared.storage.as_ref(), &name.temporary())
                .inspect_err(|_| shared.room.snapshot_found(false))?,
        };
        Ok(Self {
            file,
            spare,
            header,
            seed: Seed::of(header.id),
            buffer: header.encode().to_vec(),
            offset: 0,
            records: 0,
        })
    }

    /// Adds a record of the state.
    ///
    /// # Errors
    /// [`JournalError::TooLong`], or that the storage failed.
    pub fn push(&mut self, tag: u16, payload: &[u8]) -> Result<(), SnapshotError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(JournalError::TooLong { bytes: payload.len() }.into());
        }
        self.add(Kind::State, tag, payload)
    }

    fn add(&mut self, kind: Kind, tag: u16, payload: &[u8]) -> Result<(), SnapshotError> {
        self.records += 1;
        let head = snapshot_file::head(&self.header, kind, tag, self.records);
        let start = self.buffer.len();
        record::push(&mut self.buffer, head, payload);
        record::finish(&mut self.buffer[start..], 0, self.seed);
        if self.buffer.len() >= BUFFER_BYTES { self.write_buffer() } else { Ok(()) }
    }

    fn write_buffer(&mut self) -> Result<(), SnapshotError> {
        let name = self.header.name().temporary();
        self.file.write(self.offset, &self.buffer).map_err(StorageError::of("write", name))?;
        self.offset += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the last record and makes the file stable; gives its length.
    fn finish(mut self) -> Result<u64, SnapshotError> {
        self.add(Kind::End, 0, b"")?;
        self.write_buffer()?;
        let name = self.header.name().temporary();
        self.file.sync_all().map_err(StorageError::of("flush", name))?;
        Ok(self.offset)
    }
}
