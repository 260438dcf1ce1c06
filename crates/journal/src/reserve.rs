//! Room that is kept for the day when the disk is full.
//!
//! Spares are files that hold zeros, written and flushed, so that their blocks are there: a new
//! segment, a snapshot or a claim is then a spare under another name, and asks the filesystem for
//! no block. On filesystems that never write in place a spare is ballast: it is removed, and
//! something else may be written.
//!
//! A spare must never have a second name under which its bytes mean something. So the new name is
//! stable before the first byte is written.

use crate::error::{JournalError, StorageError};
use crate::header::{FileKind, FileName};
use crate::open;
use crate::options::Options;
use crate::storage::{Access, Storage, StorageFile};

/// A smaller file is not worth keeping.
const SMALLEST_BYTES: u64 = 64 << 10;

/// What is written at once.
const PIECE_BYTES: usize = 64 << 10;

/// A file that holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spare {
    pub(crate) name: FileName,
    pub(crate) bytes: u64,
}

/// Which spare to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// The smallest that has this many bytes.
    Fitting(u64),
    /// The largest.
    Largest,
}

/// A spare that has become something else, under a temporary name, which is stable.
pub(crate) struct Taken {
    pub(crate) file: Box<dyn StorageFile>,
    pub(crate) spare: Spare,
}

/// How much should be kept: two files that a snapshot fits into, since the one before it goes only
/// when the next is there, and four for segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    largest: u64,
    other: u64,
}

impl Target {
    /// The target when the last snapshot had `snapshot` bytes.
    pub(crate) fn new(options: &Options, snapshot: u64) -> Self {
        let reserve = options.reserve_bytes;
        if reserve == 0 {
            return Self { largest: 0, other: 0 };
        }
        let snapshot = snapshot.saturating_add(snapshot / 4).next_multiple_of(SMALLEST_BYTES);
        Self { largest: snapshot.max(reserve / 4), other: (reserve / 8).max(SMALLEST_BYTES) }
    }

    pub(crate) fn bytes(self) -> u64 {
        self.largest.saturating_mul(2).saturating_add(4 * self.other)
    }
}

/// The spares of a journal.
#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// The smallest first.
    spares: Vec<Spare>,
}

impl Reserve {
    /// The spares that there are.
    pub(crate) fn find(storage: &dyn Storage) -> Result<Self, StorageError> {
        let names = storage.list().map_err(StorageError::of("list", "files"))?;
        let mut reserve = Self::default();
        for name in names.iter().filter_map(|name| FileName::parse(name)) {
            if name.kind != FileKind::Spare {
                continue;
            }
            // One that is taken away meanwhile is none.
            let length =
                storage.open(&name.to_string(), Access::Read).and_then(|file| file.length());
            match length {
                Ok(bytes) if bytes >= SMALLEST_BYTES => reserve.add(Spare { name, bytes }),
                _ => {
                    let _ = storage.remove(&name.to_string());
                }
            }
        }
        Ok(reserve)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.spares.iter().map(|spare| spare.bytes).sum()
    }

    pub(crate) fn add(&mut self, spare: Spare) {
        let index = self.spares.partition_point(|known| known.bytes < spare.bytes);
        self.spares.insert(index, spare);
    }

    /// The size of a file that is missing, if one is.
    pub(crate) fn wanted(&self, target: Target) -> Option<u64> {
        let missing = target.bytes().saturating_sub(self.bytes());
        let large = self.spares.iter().filter(|spare| spare.bytes >= target.largest).count();
        if missing == 0 {
            None
        } else if large < 2 {
            Some(target.largest)
        } else {
            Some(target.other.min(missing).next_multiple_of(SMALLEST_BYTES))
        }
    }

    /// Gives a spare the temporary name of `name`; `None`: there is none that fits.
    pub(crate) fn take(
        &mut self,
        storage: &dyn Storage,
        pick: Pick,
        name: FileName,
    ) -> Result<Option<Taken>, StorageError> {
        let temporary = name.temporary();
        loop {
            let index = match pick {
                Pick::Fitting(bytes) => self.spares.iter().position(|spare| spare.bytes >= bytes),
                Pick::Largest => self.spares.len().checked_sub(1),
            };
            let Some(index) = index else { return Ok(None) };
            let spare = self.spares.remove(index);
            match storage.rename(&spare.name.to_string(), &temporary) {
                // A successor was faster.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => {
                    self.add(spare);
                    return Err(StorageError::of("rename", spare.name)(error));
                }
                Ok(()) => {}
            }
            let opened = storage
                .sync()
                .map_err(StorageError::of("flush the name of", &temporary))
                .and_then(|()| open_for_writing(storage, &temporary));
            match opened {
                Ok(file) => return Ok(Some(Taken { file, spare })),
                Err(error) => {
                    // Nothing was written into it.
                    if storage.rename(&temporary, &spare.name.to_string()).is_ok() {
                        self.add(spare);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Takes back what was taken under the temporary name of `name` and has `used` bytes in it.
    pub(crate) fn give_back(
        &mut self,
        storage: &dyn Storage,
        taken: &Taken,
        name: FileName,
        used: u64,
    ) {
        let given = fill(taken.file.as_ref(), 0, used, Filling::Zeros)
            .and_then(|()| taken.file.sync_all())
            .and_then(|()| storage.rename(&name.temporary(), &taken.spare.name.to_string()));
        match given {
            Ok(()) => self.add(taken.spare),
            Err(_) => drop(storage.remove(&name.temporary())),
        }
    }

    /// Removes a spare, the smallest first, so that something else finds room; false: there is
    /// none.
    pub(crate) fn spend(&mut self, storage: &dyn Storage) -> bool {
        while !self.spares.is_empty() {
            let spare = self.spares.remove(0);
            if storage.remove(&spare.name.to_string()).is_ok() {
                return true;
            }
        }
        false
    }
}

/// Repeats `call` with one spare less each time, as long as it finds no room: where nothing is
/// written in place.
pub(crate) fn with_ballast<T>(
    storage: &dyn Storage,
    reserve: &mut Reserve,
    call: impl Fn() -> Result<T, StorageError>,
) -> Result<T, StorageError> {
    loop {
        match call() {
            Err(error)
                if error.is_no_space()
                    && !storage.traits().overwrites_in_place
                    && reserve.spend(storage) => {}
            result => return result,
        }
    }
}

/// What a spare is made of.
#[derive(Clone, Copy)]
enum Filling {
    Zeros,
    /// What no filesystem makes smaller.
    Noise(u64),
}

fn fill(file: &dyn StorageFile, from: u64, to: u64, filling: Filling) -> std::io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut at = from;
    let mut random = match filling {
        Filling::Zeros => 0,
        Filling::Noise(seed) => seed | 1,
    };
    while at < to {
        if let Filling::Noise(_) = filling {
            for word in piece.chunks_exact_mut(8) {
                // Xorshift.
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                word.copy_from_slice(&random.to_le_bytes());
            }
        }
        let count = (to - at).min(PIECE_BYTES as u64);
        file.write(at, &piece[..count as usize])?;
        at += count;
    }
    Ok(())
}

/// Makes a spare of `bytes` bytes. Blocks.
pub(crate) fn make(
    storage: &dyn Storage,
    name: FileName,
    bytes: u64,
) -> Result<Spare, StorageError> {
    let temporary = name.temporary();
    let file = open::create_anew(storage, &temporary)?;
    let filling = if storage.traits().overwrites_in_place {
        Filling::Zeros
    } else {
        Filling::Noise(name.epoch.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ name.sequence)
    };
    let made = fill(file.as_ref(), 0, bytes, filling)
        .and_then(|()| file.sync_all())
        .and_then(|()| storage.publish(&temporary, &name.to_string()))
        .and_then(|()| storage.sync());
    match made {
        Ok(()) => Ok(Spare { name, bytes }),
        Err(error) => {
            let _ = storage.remove(&temporary);
            Err(StorageError::of("keep room with", name)(error))
        }
    }
}

/// Makes a spare of a file that is needed no more, without a moment in which its blocks are
/// anybody's. `None`: it was too small, and is gone. Blocks.
///
/// No earlier holder may have it open: it might write into it. `check` tells whether somebody has taken over: whoever does so seals first and lists the files
/// then, so it has not seen this one, or we see the seal.
pub(crate) fn recycle(
    storage: &dyn Storage,
    old: &str,
    name: FileName,
    bytes: u64,
    check: impl FnOnce() -> Result<(), JournalError>,
) -> Result<Option<Spare>, JournalError> {
    let temporary = name.temporary();
    match storage.rename(old, &temporary) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        renamed => renamed.map_err(StorageError::of("rename", old))?,
    }
    check()?;
    let spare = clear(storage, &temporary, bytes).and_then(|length| {
        storage
            .rename(&temporary, &name.to_string())
            .map_err(StorageError::of("rename", &temporary))?;
        Ok(Spare { name, bytes: length })
    });
    match spare {
        Ok(spare) if spare.bytes >= SMALLEST_BYTES => Ok(Some(spare)),
        Ok(_) => {
            open::remove(storage, &name.to_string())?;
            Ok(None)
        }
        Err(error) => {
            let _ = storage.remove(&temporary);
            Err(error.into())
        }
    }
}

/// Puts zeros into a file and cuts it off at `bytes`; gives its length.
fn clear(storage: &dyn Storage, file_name: &str, bytes: u64) -> Result<u64, StorageError> {
    let flushed = StorageError::of("flush the name of", file_name);
    storage.sync().map_err(flushed)?;
    let file = open_for_writing(storage, file_name)?;
    let cleared = || {
        let length = file.length()?;
        if length > bytes {
            file.truncate(bytes)?;
        }
        if file.is_sealed()? {
            file.unseal()?;
        }
        fill(file.as_ref(), 0, length.min(bytes), Filling::Zeros)?;
        file.sync_all()?;
        Ok(length.min(bytes))
    };
    cleared().map_err(StorageError::of("clear", file_name))
}

fn open_for_writing(
    storage: &dyn Storage,
    name: &str,
) -> Result<Box<dyn StorageFile>, StorageError> {
    storage.open(name, Access::Write).map_err(StorageError::of("open", name))
}
