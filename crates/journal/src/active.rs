//! The file that the records go into.

use crate::error::{JournalError, StorageError};
use crate::header::Header;
use crate::open;
use crate::options::Options;
use crate::record;
use crate::reserve::{Pick, Reserve, with_ballast};
use crate::storage::{Access, Storage, StorageFile};

/// What room is made of, written in pieces.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The segment that takes the records.
pub(crate) struct ActiveSegment {
    pub(crate) file: Box<dyn StorageFile>,
    pub(crate) header: Header,
    /// Where the next record goes.
    pub(crate) offset: u64,
    /// Up to here the file has been written, if only with zeros.
    pub(crate) room: u64,
    pub(crate) has_records: bool,
}

/// A segment that is to be made.
pub(crate) struct Making<'a> {
    pub(crate) header: Header,
    /// The first records.
    pub(crate) start: &'a [u8],
    /// Bytes that must find room behind them.
    pub(crate) room_for: u64,
    pub(crate) rooms: Rooms,
}

/// Where a segment may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rooms {
    /// In a new file.
    New,
    /// In a new file, or else in the reserve.
    NewOrReserve,
}

impl Making<'_> {
    /// Makes it, of the reserve if there is no other room. It has its name then, which may not be
    /// stable.
    pub(crate) fn segment(
        &self,
        storage: &dyn Storage,
        options: &Options,
        reserve: &mut Reserve,
    ) -> Result<ActiveSegment, StorageError> {
        if self.rooms == Rooms::New {
            return self.in_new_file(storage, options);
        }
        let made = with_ballast(storage, reserve, || self.in_new_file(storage, options));
        match made {
            Err(error) if error.is_no_space() && storage.traits().overwrites_in_place => {
                self.in_spare(storage, reserve)?.ok_or(error)
            }
            made => made,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header.encode().to_vec();
        bytes.extend_from_slice(self.start);
        bytes
    }

    fn in_new_file(
        &self,
        storage: &dyn Storage,
        options: &Options,
    ) -> Result<ActiveSegment, StorageError> {
        let temporary = self.header.name().temporary();
        let file = open::create_anew(storage, &temporary)?;
        let made = self.write(file, 0).and_then(|mut active| {
            if storage.traits().overwrites_in_place {
                active.make_room(self.room_for, options.allocation_bytes)?;
            }
            self.publish(storage, active)
        });
        if made.is_err() {
            let _ = storage.remove(&temporary);
        }
        made
    }

    fn in_spare(
        &self,
        storage: &dyn Storage,
        reserve: &mut Reserve,
    ) -> Result<Option<ActiveSegment>, StorageError> {
        let name = self.header.name();
        let used = self.bytes().len() as u64;
        let needed = used + self.room_for + record::size_for(0) as u64;
        let Some(taken) = reserve.take(storage, Pick::Fitting(needed), name)? else {
            return Ok(None);
        };
        let temporary = name.temporary();
        let opened = storage.open(&temporary, Access::Write);
        let made = opened
            .map_err(StorageError::of("open", &temporary))
            .and_then(|file| self.write(file, taken.spare.bytes))
            .and_then(|active| self.publish(storage, active));
        match &made {
            Err(error) if error.is_no_space() => reserve.give_back(storage, &taken, name, used),
            // It may have its name though that was said to have failed.
            Err(_) => drop(storage.remove(&temporary)),
            Ok(_) => {}
        }
        made.map(Some)
    }

    /// Writes what it starts with into a file that has this much room.
    fn write(&self, file: Box<dyn StorageFile>, room: u64) -> Result<ActiveSegment, StorageError> {
        let bytes = self.bytes();
        let temporary = self.header.name().temporary();
        file.write(0, &bytes).map_err(StorageError::of("write", temporary))?;
        let offset = bytes.len() as u64;
        Ok(ActiveSegment {
            file,
            header: self.header,
            offset,
            room: room.max(offset),
            has_records: !self.start.is_empty(),
        })
    }

    fn publish(
        &self,
        storage: &dyn Storage,
        active: ActiveSegment,
    ) -> Result<ActiveSegment, StorageError> {
        let name = self.header.name();
        let temporary = name.temporary();
        active.file.sync_all().map_err(StorageError::of("flush", &temporary))?;
        storage
            .publish(&temporary, &name.to_string())
            .map_err(StorageError::of("publish", name))?;
        Ok(active)
    }
}

impl ActiveSegment {
    /// Writes zeros ahead, so that `length` more bytes and the mark fit into room that was written
    /// before.
    pub(crate) fn make_room(&mut self, length: u64, step: u64) -> Result<(), StorageError> {
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
    pub(crate) fn check_seal(&self) -> Result<(), JournalError> {
        let name = self.header.name();
        let is_sealed = self.file.is_sealed().map_err(StorageError::of("look at", name))?;
        if is_sealed {
            return Err(JournalError::Superseded { epoch: self.header.epoch });
        }
        Ok(())
    }
}
