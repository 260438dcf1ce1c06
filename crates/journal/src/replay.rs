//! From the files of a directory to one log.

use bytes::Bytes;

use crate::error::{OpenError, StorageError};
use crate::header::{FileKind, FileName, Header, HeaderError};
use crate::record::NoRecord;
use crate::segment::{Segment, Tail, decode_segment};
use crate::snapshot_file::{self, SnapshotDamage};
use crate::storage::{Access, Storage};

/// A record of the log, as the caller appended it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The epoch of the holder that appended it.
    pub epoch: u64,
    /// Its place in the log.
    pub sequence: u64,
    /// What the caller calls this kind of record.
    pub tag: u16,
    /// What it says.
    pub payload: Bytes,
}

/// A record of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRecord {
    /// What the caller calls this kind of record.
    pub tag: u16,
    /// What it says.
    pub payload: Bytes,
}

/// A snapshot as it was read.
pub(crate) struct LoadedSnapshot {
    pub(crate) header: Header,
    pub(crate) bytes: Bytes,
    pub(crate) records: snapshot_file::Records,
    /// Where it ends in the file.
    pub(crate) end: usize,
}

/// A segment that was read.
pub(crate) struct LoadedSegment {
    pub(crate) bytes: Bytes,
    pub(crate) segment: Segment,
    /// How many of its records belong to the log; those behind were never durable.
    pub(crate) used: usize,
}

/// The log of a directory.
pub(crate) struct Log {
    pub(crate) snapshot: Option<LoadedSnapshot>,
    pub(crate) segments: Vec<LoadedSegment>,
    /// The sequence of the record that comes next.
    pub(crate) next: u64,
}

impl Log {
    pub(crate) fn id(&self) -> Option<[u8; 16]> {
        let of_segment = self.segments.first().map(|loaded| loaded.segment.header.id);
        of_segment.or(self.snapshot.as_ref().map(|snapshot| snapshot.header.id))
    }

    /// The last sequence that the snapshot covers.
    pub(crate) fn covered(&self) -> u64 {
        self.snapshot.as_ref().map_or(0, |snapshot| snapshot.header.sequence)
    }
}

/// Reads the log of these files.
///
/// Each holder writes into segments of its own, and each segment says which one it goes on from
/// and from which sequence on. So the latest segment of the latest epoch tells the whole log; what
/// is not linked, or lies at or above the first sequence of the next segment, was written by a
/// holder that had been superseded, and was never reported durable. All the rest must be there.
pub(crate) fn load(storage: &dyn Storage, names: &[FileName]) -> Result<Log, OpenError> {
    let newest = newest_snapshot(names);
    let snapshot = newest.map(|name| load_snapshot(storage, name)).transpose()?;
    let covered = snapshot.as_ref().map_or(0, |snapshot| snapshot.header.sequence);
    let mut read = Vec::new();
    let pieces = walk(names, covered, |name| {
        let (bytes, segment) = load_segment(storage, name)?;
        let header = segment.header;
        read.push(LoadedSegment { bytes, segment, used: 0 });
        Ok::<_, OpenError>(header)
    })?;
    let mut log = Log { snapshot, segments: Vec::new(), next: covered + 1 };
    let missing =
        |file: FileName, expected| OpenError::Missing { file: file.to_string(), expected };
    match (pieces.last(), newest) {
        (Some(first), _) if first.name.sequence > covered + 1 => {
            return Err(missing(first.name, covered + 1));
        }
        // A holder's own segment is never removed, so with a snapshot there is one.
        (None, Some(newest)) => return Err(missing(newest, covered + 1)),
        _ => {}
    }
    // From the first to the last.
    for (piece, mut loaded) in pieces.into_iter().zip(read).rev() {
        if log.id().is_some_and(|id| id != loaded.segment.header.id) {
            return Err(OpenError::Foreign { file: piece.name.to_string() });
        }
        loaded.used = used_records(piece, &loaded.segment)?;
        log.next = piece.name.sequence + loaded.used as u64;
        log.segments.push(loaded);
    }
    match newest {
        Some(newest) if log.next <= covered => Err(missing(newest, log.next)),
        _ => Ok(log),
    }
}

pub(crate) fn newest_snapshot(names: &[FileName]) -> Option<FileName> {
    let snapshots = names.iter().copied().filter(|name| name.kind == FileKind::Snapshot);
    snapshots.max_by_key(|name| (name.sequence, name.epoch))
}

/// A segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) name: FileName,
    /// The sequence that its records must reach up to; `None`: it is the last one.
    pub(crate) end: Option<u64>,
}

/// The segments of the log from the last back to the one where what a snapshot covers ends, or as
/// far as there are files. `header` reads the header of one.
pub(crate) fn walk<E>(
    names: &[FileName],
    covered: u64,
    mut header: impl FnMut(FileName) -> Result<Header, E>,
) -> Result<Vec<Piece>, E> {
    let segments = names.iter().copied().filter(|name| name.kind == FileKind::Segment);
    let mut next = segments.max();
    let mut end = None;
    let mut pieces = Vec::new();
    while let Some(name) = next {
        let previous = header(name)?.previous;
        pieces.push(Piece { name, end });
        if name.sequence <= covered + 1 {
            break;
        }
        end = Some(name.sequence);
        next = previous.map(|link| link.name()).filter(|name| names.contains(name));
    }
    Ok(pieces)
}

fn load_segment(storage: &dyn Storage, name: FileName) -> Result<(Bytes, Segment), OpenError> {
    let damaged = |cause| OpenError::Header { file: name.to_string(), cause };
    let bytes = read(storage, name)?;
    let segment = decode_segment(&bytes).map_err(damaged)?;
    if segment.header.name() != name {
        return Err(damaged(HeaderError::Damaged));
    }
    Ok((bytes, segment))
}

/// How many records of a segment belong to the log.
fn used_records(piece: Piece, segment: &Segment) -> Result<usize, OpenError> {
    let next = segment.next_sequence();
    let is_lost = piece.end.is_some_and(|end| next < end);
    let (offset, found) = match segment.tail {
        Tail::Damaged { offset, found } if is_lost || piece.end.is_none() => (offset, found),
        Tail::Torn { offset, found } if is_lost => (offset, found),
        Tail::Clean if is_lost => (segment.end(), NoRecord::Zeros),
        _ => {
            let end = piece.end.map_or(next, |end| end.min(next));
            return Ok((end - segment.header.sequence) as usize);
        }
    };
    Err(OpenError::Damaged { file: piece.name.to_string(), offset, found })
}

fn load_snapshot(storage: &dyn Storage, name: FileName) -> Result<LoadedSnapshot, OpenError> {
    let file = name.to_string();
    let bytes = read(storage, name)?;
    let decoded = snapshot_file::decode(&bytes).map_err(|damage| match damage {
        SnapshotDamage::Header(cause) => OpenError::Header { file: file.clone(), cause },
        SnapshotDamage::Record { offset, found } => {
            OpenError::Damaged { file: file.clone(), offset, found }
        }
    })?;
    let snapshot_file::Decoded { header, records, end } = decoded;
    if header.name() != name {
        return Err(OpenError::Header { file, cause: HeaderError::Damaged });
    }
    Ok(LoadedSnapshot { header, bytes, records, end })
}

pub(crate) fn read(storage: &dyn Storage, name: FileName) -> Result<Bytes, StorageError> {
    let text = name.to_string();
    let file = storage.open(&text, Access::Read).map_err(StorageError::of("open", &text))?;
    Ok(file.read().map_err(StorageError::of("read", &text))?.into())
}

/// The records behind the snapshot, in order, each once.
pub struct Records {
    segments: std::vec::IntoIter<LoadedSegment>,
    current: Option<LoadedSegment>,
    index: usize,
    covered: u64,
}

impl Records {
    pub(crate) fn new(segments: Vec<LoadedSegment>, covered: u64) -> Self {
        let mut segments = segments.into_iter();
        Self { current: segments.next(), segments, index: 0, covered }
    }
}

impl Iterator for Records {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let loaded = self.current.as_ref()?;
            let in_log = loaded.segment.records.get(..loaded.used).unwrap_or_default();
            let Some(record) = in_log.get(self.index) else {
                self.current = self.segments.next();
                self.index = 0;
                continue;
            };
            self.index += 1;
            if let Some(tag) = record.tag.filter(|_| record.sequence > self.covered) {
                return Some(Record {
                    epoch: loaded.segment.header.epoch,
                    sequence: record.sequence,
                    tag,
                    payload: loaded.bytes.slice(record.payload.clone()),
                });
            }
        }
    }
}

/// The records of a snapshot, in the order in which they were written.
pub struct StateRecords {
    snapshot: LoadedSnapshot,
    index: usize,
}

impl StateRecords {
    pub(crate) fn new(snapshot: LoadedSnapshot) -> Self {
        Self { snapshot, index: 0 }
    }

    /// The last sequence whose effect the snapshot holds.
    pub fn sequence(&self) -> u64 {
        self.snapshot.header.sequence
    }
}

impl Iterator for StateRecords {
    type Item = StateRecord;

    fn next(&mut self) -> Option<StateRecord> {
        let (tag, payload) = self.snapshot.records.get(self.index)?;
        self.index += 1;
        Some(StateRecord { tag: *tag, payload: self.snapshot.bytes.slice(payload.clone()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::header::SegmentLink;

    /// Walks segments that are given with the ones they go on from, all by epoch and sequence.
    fn walked(segments: &[[(u64, u64); 2]], covered: u64) -> Vec<(u64, u64, Option<u64>)> {
        let link = |(epoch, sequence)| SegmentLink { epoch, sequence };
        let names: Vec<_> = segments.iter().map(|[name, _]| link(*name).name()).collect();
        let pieces = walk(&names, covered, |name| {
            let found = segments.iter().find(|[own, _]| link(*own).name() == name);
            let previous = found.map(|[_, previous]| link(*previous));
            let FileName { kind, epoch, sequence } = name;
            Ok::<_, OpenError>(Header { kind, id: [0; 16], epoch, sequence, previous })
        });
        let pieces = pieces.into_iter().flatten();
        pieces.map(|piece| (piece.name.epoch, piece.name.sequence, piece.end)).collect()
    }

    #[test]
    fn segments_are_followed_back() {
        let segments = [[(1, 1), (0, 0)], [(1, 5), (1, 1)], [(2, 9), (1, 5)]];
        assert_eq!(walked(&segments, 0), [(2, 9, None), (1, 5, Some(9)), (1, 1, Some(5))]);
        assert_eq!(walked(&segments, 7), [(2, 9, None), (1, 5, Some(9))]);
        assert_eq!(walked(&segments, 8), [(2, 9, None)]);
        assert_eq!(walked(&segments[1..], 0), [(2, 9, None), (1, 5, Some(9))]);
    }

    #[test]
    fn what_a_superseded_holder_wrote_is_not_in_the_log() {
        // Epoch 1 went on to 5 and 8 after epoch 3 had read up to 3; epoch 2 gave up.
        let segments = [
            [(1, 1), (0, 0)],
            [(1, 5), (1, 1)],
            [(1, 8), (1, 5)],
            [(2, 3), (1, 1)],
            [(3, 4), (1, 1)],
        ];
        assert_eq!(walked(&segments, 0), [(3, 4, None), (1, 1, Some(4))]);
    }
}
