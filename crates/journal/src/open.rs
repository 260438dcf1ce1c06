//! Taking a journal over.

use std::sync::Arc;

use crate::error::{OpenError, StorageError};
use crate::header::{FileKind, FileName};
use crate::journal::Journal;
use crate::options::Options;
use crate::replay::{LoadedSegment, Log, Records, StateRecords, load};
use crate::reserve::{Pick, Reserve, Spare, with_ballast};
use crate::segment::Tail;
use crate::storage::{Access, Storage, StorageFile};
use crate::writer::{Before, LogFile, Writer};

/// How often an opening starts anew because another holder got in between.
const ATTEMPTS: usize = 16;

/// An open journal and what it held.
pub struct Opened {
    /// Takes the records of the new epoch.
    pub journal: Journal,
    /// The state that the records build upon.
    pub snapshot: Option<StateRecords>,
    /// The records since.
    pub records: Records,
    /// What was found.
    pub report: Report,
}

/// What was found in a journal's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Names this journal: random bytes from when it was made.
    pub id: [u8; 16],
    /// The latest epoch before this one; `None`: the directory held no journal.
    pub previous_epoch: Option<u64>,
    /// The last sequence that the snapshot covers; 0 without one.
    pub covered_sequence: u64,
    /// The sequence of the record that starts the new epoch.
    pub first_sequence: u64,
    /// The piece of a write that was cut off, if there was one.
    pub torn_tail: Option<TornTail>,
    /// Bytes of the log that was replayed.
    pub log_bytes: u64,
    /// Files of the log that was replayed: each holder begins one.
    pub log_files: usize,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
}

/// A piece of a write that was under way when the previous holder stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: String,
    /// Where the piece starts.
    pub offset: usize,
}

/// See [`Journal::open`].
pub(crate) fn open(
    storage: Arc<dyn Storage>,
    epoch: u64,
    options: Options,
) -> Result<Opened, OpenError> {
    claim(storage.as_ref(), epoch)?;
    let opened = read_and_start(&storage, epoch, &options);
    if opened.is_err() {
        // So that the epoch can be used for another try. What cannot be removed now, the next
        // holder removes.
        let _ = release_claim(storage.as_ref(), epoch);
    }
    opened
}

fn read_and_start(
    storage: &Arc<dyn Storage>,
    epoch: u64,
    options: &Options,
) -> Result<Opened, OpenError> {
    for _ in 0..ATTEMPTS {
        match attempt(storage, epoch, options) {
            Ok(Some(opened)) => return Ok(opened),
            Ok(None) => {}
            Err(error) if error.is_vanished_file() => {}
            Err(error) => return Err(error),
        }
    }
    Err(OpenError::Contended)
}

/// One attempt to read what is claimed; `None`: another holder got in between.
///
/// Two who open at once: each makes its claim, then reads; and at the end, after its segment has
/// its name, looks whether there is a later claim. So if the earlier epoch finds none and goes on,
/// its segment was there before the later one's claim, and the later one reads it.
fn attempt(
    storage: &Arc<dyn Storage>,
    epoch: u64,
    options: &Options,
) -> Result<Option<Opened>, OpenError> {
    let Some(names) = seal(storage.as_ref())? else { return Ok(None) };
    let previous_epoch = names.iter().filter(|name| name.kind == FileKind::Segment).max();
    let previous_epoch = previous_epoch.map(|name| name.epoch);
    refuse_later(storage.as_ref(), epoch)?;
    let log = load(storage.as_ref(), &names)?;
    let mut reserve = Reserve::find(storage.as_ref())?;
    if let Some(last) = log.segments.last() {
        with_ballast(storage.as_ref(), &mut reserve, || write_back(storage.as_ref(), last))?;
    }
    let id = match log.id() {
        Some(id) => id,
        None => random_id()?,
    };
    let before = before(&names, &log.segments, reserve);
    let storage = Arc::clone(storage);
    let mut writer =
        Writer::start(Arc::clone(&storage), options.clone(), id, epoch, log.next, before)?;
    refuse_later(storage.as_ref(), epoch)?;
    if let Some(spare) = release_claim(storage.as_ref(), epoch)? {
        writer.add_spare(spare);
    }
    tidy_up(storage.as_ref(), epoch)?;
    opened(storage, options, writer, log, previous_epoch).map(Some)
}

fn opened(
    storage: Arc<dyn Storage>,
    options: &Options,
    writer: Writer,
    log: Log,
    previous_epoch: Option<u64>,
) -> Result<Opened, OpenError> {
    let torn_tail = log.segments.last().and_then(|last| match last.segment.tail {
        Tail::Torn { offset, .. } => {
            Some(TornTail { file: last.segment.header.name().to_string(), offset })
        }
        Tail::Clean | Tail::Damaged { .. } => None,
    });
    let covered = log.covered();
    let report = Report {
        id: writer.header().id,
        previous_epoch,
        covered_sequence: covered,
        first_sequence: log.next,
        torn_tail,
        log_bytes: log.segments.iter().map(|loaded| loaded.segment.end() as u64).sum(),
        log_files: log.segments.len(),
        snapshot_bytes: log.snapshot.as_ref().map_or(0, |snapshot| snapshot.end as u64),
    };
    let journal = Journal::start(storage, options.clone(), writer, &report)
        .map_err(|cause| OpenError::Thread(Arc::new(cause)))?;
    Ok(Opened {
        journal,
        snapshot: log.snapshot.map(StateRecords::new),
        records: Records::new(log.segments, covered),
        report,
    })
}

/// The files of a journal, without the room that is kept.
pub(crate) fn list(storage: &dyn Storage) -> Result<Vec<FileName>, StorageError> {
    let names = storage.list().map_err(StorageError::of("list", "files"))?;
    let mut names: Vec<_> = names.iter().filter_map(|name| FileName::parse(name)).collect();
    names.retain(|name| name.kind != FileKind::Spare);
    names.sort();
    Ok(names)
}

/// The latest epoch that a holder has had or is about to have; `None`: there is no journal. The
/// next one must be later.
///
/// # Errors
/// The directory cannot be read.
pub fn latest_epoch(storage: &dyn Storage) -> Result<Option<u64>, StorageError> {
    Ok(list(storage)?.iter().map(|name| name.epoch).max())
}

/// Says that a holder of this epoch is about to read. From here on no earlier epoch gets through
/// an opening; who holds the journal goes on until its segment is sealed.
fn claim(storage: &dyn Storage, epoch: u64) -> Result<(), OpenError> {
    match latest_epoch(storage)? {
        Some(found) if found >= epoch => return Err(OpenError::Superseded { given: epoch, found }),
        _ => {}
    }
    let name = claim_of(epoch);
    let mut reserve = Reserve::find(storage)?;
    let claimed = with_ballast(storage, &mut reserve, || {
        let created = storage.create(&name.to_string());
        created.map(drop).map_err(StorageError::of("create", name))
    });
    let claimed = match claimed {
        Err(error) if error.is_no_space() => {
            match reserve.take(storage, Pick::Fitting(0), name)? {
                None => Err(error),
                Some(_) => storage
                    .publish(&name.temporary(), &name.to_string())
                    .map_err(StorageError::of("publish", name)),
            }
        }
        claimed => claimed,
    };
    claimed.map_err(|error| match error.cause.kind() {
        std::io::ErrorKind::AlreadyExists => OpenError::Superseded { given: epoch, found: epoch },
        _ => error.into(),
    })
}

/// Removes the claim. If it was a spare, it is one again.
fn release_claim(storage: &dyn Storage, epoch: u64) -> Result<Option<Spare>, StorageError> {
    let claim = claim_of(epoch).to_string();
    let bytes = match storage.open(&claim, Access::Read).and_then(|file| file.length()) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        length => length.map_err(StorageError::of("look at", &claim))?,
    };
    if bytes == 0 {
        remove(storage, &claim)?;
        return Ok(None);
    }
    let name = FileName { kind: FileKind::Spare, epoch, sequence: 0 };
    storage.rename(&claim, &name.to_string()).map_err(StorageError::of("rename", claim))?;
    Ok(Some(Spare { name, bytes }))
}

fn claim_of(epoch: u64) -> FileName {
    FileName { kind: FileKind::Claim, epoch, sequence: 0 }
}

/// Seals all segments, so that whoever writes to one learns that it is over. Gives the files, if
/// none came or went meanwhile: a holder that goes on to a new segment looks for the seal on the
/// old one after it made the new one, so one of the two sees the other.
fn seal(storage: &dyn Storage) -> Result<Option<Vec<FileName>>, OpenError> {
    let names = list(storage)?;
    for name in names.iter().filter(|name| name.kind == FileKind::Segment) {
        let text = name.to_string();
        let file = storage.open(&text, Access::Write).map_err(StorageError::of("open", &text))?;
        if !file.is_sealed().map_err(StorageError::of("look at", &text))? {
            file.seal().map_err(StorageError::of("seal", &text))?;
        }
    }
    Ok((list(storage)? == names).then_some(names))
}

/// Fails if there is a later epoch.
fn refuse_later(storage: &dyn Storage, epoch: u64) -> Result<(), OpenError> {
    match latest_epoch(storage)? {
        Some(found) if found > epoch => Err(OpenError::Superseded { given: epoch, found }),
        _ => Ok(()),
    }
}

/// Makes stable what was read. The last batch of the previous holder may be in the page cache
/// alone, and after a flush of it that failed, the kernel takes those pages for clean: a flush
/// would not write them. So its records are written again first, with the same bytes.
fn write_back(storage: &dyn Storage, last: &LoadedSegment) -> Result<(), StorageError> {
    let name = last.segment.header.name().to_string();
    let file = storage.open(&name, Access::Write).map_err(StorageError::of("open", &name))?;
    let unproven = last.segment.records.iter().find(|record| record.sequence > last.segment.proven);
    if let Some(first) = unproven {
        let bytes = last.bytes.get(first.offset..last.segment.end()).unwrap_or_default();
        file.write(first.offset as u64, bytes).map_err(StorageError::of("write", &name))?;
    }
    file.sync_all().map_err(StorageError::of("flush", &name))?;
    // The names of what was read, too, before there is a segment that goes on from them.
    storage.sync().map_err(StorageError::of("flush the name of", &name))
}

/// What the new holder's segment goes on from.
fn before(names: &[FileName], segments: &[LoadedSegment], reserve: Reserve) -> Before {
    let log: Vec<_> = segments
        .iter()
        .map(|loaded| {
            let name = loaded.segment.header.name();
            LogFile { name, bytes: loaded.segment.end() as u64 }
        })
        .collect();
    let unused = names.iter().filter(|name| {
        name.kind == FileKind::Segment && log.iter().all(|file| file.name != **name)
    });
    Before { unused: unused.copied().collect(), log, reserve }
}

/// Removes claims and files that were never completed, up to this epoch.
fn tidy_up(storage: &dyn Storage, epoch: u64) -> Result<(), StorageError> {
    let names = storage.list().map_err(StorageError::of("list", "files"))?;
    for name in &names {
        let is_claim = |name: &FileName| name.kind == FileKind::Claim;
        let needless = FileName::parse(name).filter(is_claim);
        let needless = needless.or_else(|| FileName::parse_temporary(name));
        if needless.is_some_and(|needless| needless.epoch <= epoch) {
            remove(storage, name)?;
        }
    }
    Ok(())
}

/// Creates a file in place of one that was left behind.
pub(crate) fn create_anew(
    storage: &dyn Storage,
    name: &str,
) -> Result<Box<dyn StorageFile>, StorageError> {
    match storage.create(name) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            remove(storage, name)?;
            storage.create(name)
        }
        created => created,
    }
    .map_err(StorageError::of("create", name))
}

/// Removes a file, unless somebody else was faster.
pub(crate) fn remove(storage: &dyn Storage, name: &str) -> Result<(), StorageError> {
    match storage.remove(name) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(StorageError::of("remove", name)),
    }
}

fn random_id() -> Result<[u8; 16], OpenError> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(OpenError::Random)?;
    Ok(id)
}
