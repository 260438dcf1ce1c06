//! A storage in memory that loses what was not made stable, tears writes, fails and loses power at
//! a chosen call. All its choices come from a seed.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;

use super::{Access, FilesystemTraits, Storage, StorageFile};

/// Bytes that reach the disk or do not reach it together, unless they are torn.
const SECTOR_BYTES: usize = 512;

/// A directory in memory. Clones are the same directory.
///
/// Calls that change something or make it stable are counted, so that a test can fail each of them
/// in turn.
#[derive(Clone)]
pub struct SimulatedStorage(Arc<Mutex<World>>);

struct World {
    random: Random,
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    stable_names: BTreeMap<String, usize>,
    /// Changes of names; those that are one change are stable together.
    pending_names: Vec<Vec<(String, Option<usize>)>>,
    calls: u64,
    power_cut_at: Option<u64>,
    failure: Option<(Range<u64>, Errno)>,
    is_full: bool,
    is_off: bool,
    /// Counts the power cuts: what was opened before the last one is of no use.
    boots: u64,
}

#[derive(Default)]
struct File {
    live: Vec<u8>,
    stable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
    /// Cut off at this length, before or after any of what is pending.
    pending_length: Option<usize>,
    is_sealed: bool,
    is_seal_stable: bool,
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((value ^ (value >> 31)) % limit.max(1) as u64) as usize
    }
}

impl SimulatedStorage {
    /// An empty directory whose choices come from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(World {
            random: Random(seed),
            files: Vec::new(),
            names: BTreeMap::new(),
            stable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            calls: 0,
            power_cut_at: None,
            failure: None,
            is_full: false,
            is_off: false,
            boots: 0,
        })))
    }

    /// The number of calls so far.
    pub fn calls(&self) -> u64 {
        self.0.lock().calls
    }

    /// Cuts the power during the call of this number (the first is 1).
    pub fn cut_power_at(&self, call: u64) {
        self.0.lock().power_cut_at = Some(call);
    }

    /// Lets the call of this number fail. A flush that fails forgets what it did not write, as
    /// Linux does: the bytes are still read back, but no later flush writes them.
    pub fn fail_at(&self, call: u64, error: Errno) {
        self.fail_between(call..call + 1, error);
    }

    /// Lets all calls of these numbers fail.
    pub fn fail_between(&self, calls: Range<u64>, error: Errno) {
        self.0.lock().failure = Some((calls, error));
    }

    /// Whether there is no room for another byte or another file. What a file has can be written
    /// over, and files can be given other names.
    pub fn set_full(&self, is_full: bool) {
        self.0.lock().is_full = is_full;
    }

    /// Cuts the power now, if it is not off yet, and switches it on again: what was not stable is
    /// there in part, torn, or not at all. All open files and pending faults are gone.
    pub fn restart(&self) {
        let world = &mut *self.0.lock();
        let pending = std::mem::take(&mut world.pending_names);
        for change in pending {
            if world.random.below(2) == 0 {
                for (name, file) in change {
                    apply_name(&mut world.stable_names, name, file);
                }
            }
        }
        world.names = world.stable_names.clone();
        for file in &mut world.files {
            file.lose_power(&mut world.random);
        }
        world.power_cut_at = None;
        world.failure = None;
        world.is_off = false;
        world.boots += 1;
    }

    /// The bytes of a file as a reader sees them; `None`: there is no such file.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.0.lock();
        world.names.get(name).map(|file| world.files[*file].live.clone())
    }

    /// Changes a file's stable bytes behind everybody's back; creates it if need be.
    pub fn replace(&self, name: &str, bytes: Vec<u8>) {
        let world = &mut *self.0.lock();
        let file = File { live: bytes.clone(), stable: bytes, ..File::default() };
        let index = *world.names.entry(name.to_owned()).or_insert(world.files.len());
        world.stable_names.insert(name.to_owned(), index);
        match world.files.get_mut(index) {
            Some(known) => *known = file,
            None => world.files.push(file),
        }
    }

    fn handle(&self, world: &World, file: usize) -> Box<dyn StorageFile> {
        Box::new(SimulatedFile { storage: self.clone(), file, boots: world.boots })
    }
}

/// What a call is to do.
enum Outcome {
    Succeed,
    Fail(Errno),
    LosePower,
}

impl World {
    /// Counts a call.
    fn call(&mut self) -> Outcome {
        if self.is_off {
            return Outcome::Fail(Errno::IO);
        }
        self.calls += 1;
        if self.power_cut_at == Some(self.calls) {
            self.is_off = true;
            return Outcome::LosePower;
        }
        match &self.failure {
            Some((calls, error)) if calls.contains(&self.calls) => Outcome::Fail(*error),
            _ => Outcome::Succeed,
        }
    }

    /// Counts a call that has no effect if it fails.
    fn all_or_nothing(&mut self) -> io::Result<()> {
        match self.call() {
            Outcome::Succeed => Ok(()),
            Outcome::Fail(error) => Err(error.into()),
            Outcome::LosePower => Err(Errno::IO.into()),
        }
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        if self.is_off {
            return Err(Errno::IO.into());
        }
        Ok(*self.names.get(name).ok_or(Errno::NOENT)?)
    }

    fn set_name(&mut self, name: &str, file: Option<usize>) {
        self.set_names(vec![(name.to_owned(), file)]);
    }

    fn set_names(&mut self, change: Vec<(String, Option<usize>)>) {
        for (name, file) in change.clone() {
            apply_name(&mut self.names, name, file);
        }
        self.pending_names.push(change);
    }

    fn sync_names(&mut self) {
        for (name, file) in std::mem::take(&mut self.pending_names).into_iter().flatten() {
            apply_name(&mut self.stable_names, name, file);
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, name: String, file: Option<usize>) {
    match file {
        Some(file) => names.insert(name, file),
        None => names.remove(&name),
    };
}

fn put(bytes: &mut Vec<u8>, offset: usize, new: &[u8]) {
    if bytes.len() < offset + new.len() {
        bytes.resize(offset + new.len(), 0);
    }
    bytes[offset..offset + new.len()].copy_from_slice(new);
}

impl File {
    fn sync(&mut self) {
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            put(&mut self.stable, offset, &bytes);
        }
        if self.pending_length.take().is_some() {
            self.stable.resize(self.live.len(), 0);
        }
        self.is_seal_stable = self.is_sealed;
    }

    /// Brings an arbitrary part of the pending writes to the disk and forgets the rest. Sectors
    /// are independent of each other; one that was written several times may have stopped at any
    /// of its versions, or within one.
    fn write_back_some(&mut self, random: &mut Random) {
        let mut sectors: BTreeMap<usize, Vec<(usize, Vec<u8>)>> = BTreeMap::new();
        for (offset, bytes) in std::mem::take(&mut self.pending) {
            let mut at = offset;
            while at < offset + bytes.len() {
                let next = (at / SECTOR_BYTES + 1) * SECTOR_BYTES;
                let end = next.min(offset + bytes.len());
                let piece = bytes[at - offset..end - offset].to_vec();
                sectors.entry(at / SECTOR_BYTES).or_default().push((at, piece));
                at = end;
            }
        }
        for pieces in sectors.values() {
            let whole = random.below(pieces.len() + 1);
            for (at, piece) in &pieces[..whole] {
                put(&mut self.stable, *at, piece);
            }
            if let Some((at, piece)) = pieces.get(whole).filter(|_| random.below(3) == 0) {
                put(&mut self.stable, *at, &piece[..random.below(piece.len() + 1)]);
            }
        }
        if let Some(length) = self.pending_length.take().filter(|_| random.below(2) == 0) {
            self.stable.truncate(length);
        }
        if random.below(2) == 0 && self.stable.len() < self.live.len() {
            self.stable.resize(self.live.len(), 0);
        }
    }

    fn lose_power(&mut self, random: &mut Random) {
        self.write_back_some(random);
        self.live = self.stable.clone();
        if random.below(2) == 0 {
            self.is_seal_stable = self.is_sealed;
        }
        self.is_sealed = self.is_seal_stable;
    }
}

impl Storage for SimulatedStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let world = self.0.lock();
        if world.is_off {
            return Err(Errno::IO.into());
        }
        Ok(world.names.keys().cloned().collect())
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<Box<dyn StorageFile>> {
        let world = self.0.lock();
        Ok(self.handle(&world, world.find(name)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        let world = &mut *self.0.lock();
        if world.names.contains_key(name) {
            return Err(Errno::EXIST.into());
        }
        world.all_or_nothing()?;
        if world.is_full {
            return Err(Errno::NOSPC.into());
        }
        let file = world.files.len();
        world.files.push(File::default());
        world.set_name(name, Some(file));
        Ok(self.handle(world, file))
    }

    fn publish(&self, from: &str, to: &str) -> io::Result<()> {
        {
            let world = &mut *self.0.lock();
            let file = world.find(from)?;
            if world.names.contains_key(to) {
                return Err(Errno::EXIST.into());
            }
            world.all_or_nothing()?;
            world.set_name(to, Some(file));
        }
        let _ = self.remove(from);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let world = &mut *self.0.lock();
        let file = world.find(from)?;
        world.all_or_nothing()?;
        world.set_names(vec![(from.to_owned(), None), (to.to_owned(), Some(file))]);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let world = &mut *self.0.lock();
        world.find(name)?;
        world.all_or_nothing()?;
        world.set_name(name, None);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let world = &mut *self.0.lock();
        world.all_or_nothing()?;
        world.sync_names();
        Ok(())
    }

    fn traits(&self) -> FilesystemTraits {
        FilesystemTraits { overwrites_in_place: true, has_one_log: false }
    }
}

struct SimulatedFile {
    storage: SimulatedStorage,
    file: usize,
    boots: u64,
}

impl SimulatedFile {
    fn with<T>(&self, use_it: impl FnOnce(&mut World) -> io::Result<T>) -> io::Result<T> {
        let world = &mut *self.storage.0.lock();
        if world.is_off || world.boots != self.boots {
            return Err(Errno::IO.into());
        }
        use_it(world)
    }

    fn change(&self, change: impl FnOnce(&mut File)) -> io::Result<()> {
        self.with(|world| {
            world.all_or_nothing()?;
            change(&mut world.files[self.file]);
            Ok(())
        })
    }
}

impl StorageFile for SimulatedFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        self.with(|world| Ok(world.files[self.file].live.clone()))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|world| {
            let offset = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
            let room = world.files[self.file].live.len().saturating_sub(offset);
            let (written, result) = match world.call() {
                Outcome::Succeed if world.is_full && room < bytes.len() => {
                    (room, Err(Errno::NOSPC.into()))
                }
                Outcome::Succeed => (bytes.len(), Ok(())),
                Outcome::Fail(error) => (world.random.below(bytes.len() + 1), Err(error.into())),
                Outcome::LosePower => (world.random.below(bytes.len() + 1), Err(Errno::IO.into())),
            };
            let file = &mut world.files[self.file];
            put(&mut file.live, offset, &bytes[..written]);
            file.pending.push((offset, bytes[..written].to_vec()));
            result
        })
    }

    fn length(&self) -> io::Result<u64> {
        self.with(|world| Ok(world.files[self.file].live.len() as u64))
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(|_| Errno::FBIG)?;
        self.change(|file| {
            file.live.resize(length, 0);
            file.pending.retain_mut(|(offset, bytes)| {
                bytes.truncate(length.saturating_sub(*offset));
                !bytes.is_empty()
            });
            file.pending_length = Some(length);
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|world| match world.call() {
            Outcome::Succeed => {
                world.files[self.file].sync();
                Ok(())
            }
            Outcome::Fail(error) => {
                world.files[self.file].write_back_some(&mut world.random);
                Err(error.into())
            }
            Outcome::LosePower => Err(Errno::IO.into()),
        })
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        self.with(|world| {
            world.all_or_nothing()?;
            world.files.iter_mut().for_each(File::sync);
            world.sync_names();
            Ok(())
        })
    }

    fn touch(&self) -> io::Result<()> {
        self.change(|_| ())
    }

    fn seal(&self) -> io::Result<()> {
        self.change(|file| file.is_sealed = true)
    }

    fn unseal(&self) -> io::Result<()> {
        self.change(|file| file.is_sealed = false)
    }

    fn is_sealed(&self) -> io::Result<bool> {
        self.with(|world| Ok(world.files[self.file].is_sealed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stable_survives_and_the_rest_may_not() {
        let mut lost = 0;
        for seed in 0..64 {
            let storage = SimulatedStorage::new(seed);
            let file = storage.create("a").unwrap();
            file.write(0, &[1; 2048]).unwrap();
            file.sync_data().unwrap();
            storage.sync().unwrap();
            file.write(2048, &[2; 2048]).unwrap();
            storage.restart();
            assert!(file.read().is_err(), "the descriptor of a machine that is gone");
            let bytes = storage.bytes("a").unwrap();
            assert_eq!(bytes[..2048], [1; 2048]);
            lost += usize::from(bytes.len() < 4096 || bytes[2048..].contains(&0));
        }
        assert!(lost > 32);
    }

    #[test]
    fn a_failed_flush_leaves_bytes_that_no_later_flush_writes() {
        let lost = (0..64).any(|seed| {
            let storage = SimulatedStorage::new(seed);
            let file = storage.create("a").unwrap();
            storage.sync().unwrap();
            file.write(0, b"abc").unwrap();
            storage.fail_at(storage.calls() + 1, Errno::IO);
            assert!(file.sync_data().is_err());
            assert_eq!(file.read().unwrap(), b"abc");
            file.sync_data().unwrap();
            storage.restart();
            storage.bytes("a").unwrap() != b"abc"
        });
        assert!(lost);
    }
}
