//! Looking at a journal without touching it, also while its holder writes.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use crate::error::{OpenError, StorageError};
use crate::header::{FileKind, FileName, Header, HeaderError};
use crate::open::list;
use crate::record::NoRecord;
use crate::replay::{self, Piece, load, newest_snapshot, walk};
use crate::segment::{Tail, decode_segment};
use crate::snapshot_file::{self, SnapshotDamage};
use crate::storage::Storage;

/// How often [`verify`] reads again what seems damaged.
const ATTEMPTS: usize = 3;

/// What a journal holds, without its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The epoch of the last holder; `None`: there is no journal.
    pub epoch: Option<u64>,
    /// The last sequence that the snapshot covers; 0 without one.
    pub covered_sequence: u64,
    /// The last sequence of the log; 0: there is none.
    pub last_sequence: u64,
    /// Bytes of the log behind the snapshot.
    pub log_bytes: u64,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
    /// Whether a piece of a write lies behind the last record: it was under way when the holder
    /// stopped, or is right now.
    pub has_torn_tail: bool,
}

/// Reads the journal as an opening would, and changes nothing.
///
/// # Errors
/// What the opening would say. Damage counts if it is found there again and again: a holder that
/// writes while its file is read can make it look damaged for a moment.
pub fn verify(storage: &dyn Storage) -> Result<Summary, OpenError> {
    let mut result = verify_once(storage);
    for _ in 1..ATTEMPTS {
        match &result {
            Err(error) if error.is_loss() || error.is_vanished_file() => {
                result = verify_once(storage);
            }
            _ => break,
        }
    }
    result
}

fn verify_once(storage: &dyn Storage) -> Result<Summary, OpenError> {
    let names = list(storage)?;
    let log = load(storage, &names)?;
    let last = log.segments.last();
    Ok(Summary {
        epoch: last.map(|loaded| loaded.segment.header.epoch),
        covered_sequence: log.covered(),
        last_sequence: log.next - 1,
        log_bytes: log.segments.iter().map(|loaded| loaded.segment.end() as u64).sum(),
        snapshot_bytes: log.snapshot.as_ref().map_or(0, |snapshot| snapshot.end as u64),
        has_torn_tail: last.is_some_and(|last| matches!(last.segment.tail, Tail::Torn { .. })),
    })
}

/// One thing in a journal's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A file; what it holds follows.
    File {
        /// Its name.
        name: String,
        /// What it is.
        kind: FileKind,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A record.
    Record {
        /// Where it starts in the file, in bytes.
        offset: usize,
        /// The epoch of the holder that wrote it.
        epoch: u64,
        /// Its place in the log; in a snapshot, its place there.
        sequence: u64,
        /// The caller's tag; `None`: it starts the epoch.
        tag: Option<u16>,
        /// What it says.
        payload: Bytes,
        /// Whether a replay would give it: it is not covered by a snapshot and was not written by
        /// a holder that had been superseded.
        is_replayed: bool,
    },
    /// A piece of a write that was never reported durable.
    Torn {
        /// Where it starts, in bytes.
        offset: usize,
    },
    /// Something that cannot be read.
    Damaged {
        /// Where, in bytes.
        offset: usize,
        /// What is there.
        found: NoRecord,
    },
    /// A file with a header that cannot be read.
    Unreadable {
        /// What is wrong with it.
        cause: HeaderError,
    },
}

impl Shown {
    /// One line for people. `format` says in words what a payload means; `None`: it is shown in
    /// hexadecimal digits.
    pub fn line(&self, format: &dyn Fn(u16, &[u8]) -> Option<String>) -> String {
        match self {
            Self::File { name, kind, bytes } => format!("{name}: {kind}, {bytes} bytes"),
            Self::Record { offset, epoch, sequence, tag, payload, is_replayed } => {
                let note = if *is_replayed { "" } else { "  (not replayed)" };
                let text = match tag {
                    None => format!("epoch {epoch} starts"),
                    Some(tag) => format(*tag, payload)
                        .unwrap_or_else(|| format!("type {tag}: {}", Hex(payload))),
                };
                format!("  {offset:>10}  {epoch:>6}  {sequence:>10}  {text}{note}")
            }
            Self::Torn { offset } => format!("  {offset:>10}  piece of an unfinished write"),
            Self::Damaged { offset, found } => format!("  {offset:>10}  DAMAGED: {found}"),
            Self::Unreadable { cause } => format!("  UNREADABLE: {cause}"),
        }
    }
}

/// Bytes as hexadecimal digits.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Everything in a journal's directory, file by file. One file at a time is in memory.
pub struct Inspection<'a> {
    storage: &'a dyn Storage,
    names: std::vec::IntoIter<FileName>,
    pieces: Vec<Piece>,
    covered: u64,
    shown: std::vec::IntoIter<Shown>,
}

/// Lists everything in a journal's directory, damaged or not, and changes nothing.
///
/// # Errors
/// The directory cannot be read.
pub fn inspect(storage: &dyn Storage) -> Result<Inspection<'_>, StorageError> {
    let names = list(storage)?;
    let covered = newest_snapshot(&names).map_or(0, |name| name.sequence);
    // Where the links break, the rest counts as not replayed; what is wrong is shown in its place.
    let mut pieces = Vec::new();
    let _ = walk(&names, covered, |name| {
        let header = Header::decode(&replay::read(storage, name).map_err(drop)?).map_err(drop)?;
        let end = pieces.last().map(|piece: &Piece| piece.name.sequence);
        pieces.push(Piece { name, end });
        Ok::<_, ()>(header)
    });
    let mut in_order = names;
    in_order.sort_by_key(|name| (name.kind, name.epoch, name.sequence));
    Ok(Inspection {
        storage,
        names: in_order.into_iter(),
        pieces,
        covered,
        shown: Vec::new().into_iter(),
    })
}

impl Iterator for Inspection<'_> {
    type Item = Result<Shown, StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(shown) = self.shown.next() {
                return Some(Ok(shown));
            }
            let name = self.names.next()?;
            if name.kind == FileKind::Claim {
                continue;
            }
            match replay::read(self.storage, name) {
                Ok(bytes) => self.shown = self.file(name, &bytes).into_iter(),
                // Compacted away since it was listed.
                Err(error) if error.cause.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Inspection<'_> {
    fn file(&self, name: FileName, bytes: &Bytes) -> Vec<Shown> {
        let file = Shown::File { name: name.to_string(), kind: name.kind, bytes: bytes.len() };
        let mut shown = vec![file];
        match name.kind {
            FileKind::Segment => self.segment(name, bytes, &mut shown),
            FileKind::Claim | FileKind::Spare => {}
            FileKind::Snapshot => self.snapshot(name, bytes, &mut shown),
        }
        shown
    }

    fn segment(&self, name: FileName, bytes: &Bytes, shown: &mut Vec<Shown>) {
        let segment = match decode_segment(bytes) {
            Ok(segment) => segment,
            Err(cause) => return shown.push(Shown::Unreadable { cause }),
        };
        let piece = self.pieces.iter().find(|piece| piece.name == name);
        let replayed: Range<u64> =
            piece.map_or(0..0, |piece| self.covered + 1..piece.end.unwrap_or(u64::MAX));
        shown.extend(segment.records.into_iter().map(|record| Shown::Record {
            offset: record.offset,
            epoch: name.epoch,
            sequence: record.sequence,
            tag: record.tag,
            payload: bytes.slice(record.payload),
            is_replayed: replayed.contains(&record.sequence),
        }));
        match segment.tail {
            Tail::Clean => {}
            Tail::Torn { offset, .. } => shown.push(Shown::Torn { offset }),
            Tail::Damaged { offset, found } => shown.push(Shown::Damaged { offset, found }),
        }
    }

    fn snapshot(&self, name: FileName, bytes: &Bytes, shown: &mut Vec<Shown>) {
        match snapshot_file::decode(bytes) {
            Ok(snapshot_file::Decoded { header, records, .. }) => {
                shown.extend((1..).zip(records).map(|(index, (tag, payload))| Shown::Record {
                    offset: payload.start - crate::record::HEADER_BYTES,
                    epoch: header.epoch,
                    sequence: index,
                    tag: Some(tag),
                    payload: bytes.slice(payload),
                    is_replayed: name.sequence == self.covered,
                }));
            }
            Err(SnapshotDamage::Header(cause)) => shown.push(Shown::Unreadable { cause }),
            Err(SnapshotDamage::Record { offset, found }) => {
                shown.push(Shown::Damaged { offset, found });
            }
        }
    }
}
