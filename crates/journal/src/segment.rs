//! Reading one segment: its records, and what its end is.

use std::ops::Range;

use crate::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use crate::record::{self, ALIGNMENT, Found, Kind, NoRecord, Seed};

/// A record of a segment; the payload is a range of the segment's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Where the record starts in the file.
    pub offset: usize,
    /// The record's place in the log.
    pub sequence: u64,
    /// The caller's tag; `None`: the journal's own record that starts an epoch.
    pub tag: Option<u16>,
    /// Where the payload lies in the file.
    pub payload: Range<usize>,
}

/// How the records of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Behind the last record lies nothing but zeros.
    Clean,
    /// Behind the last record lies a piece of a write that was never reported durable.
    Torn {
        /// Where that piece starts.
        offset: usize,
        /// What is there instead of a record.
        found: NoRecord,
    },
    /// A record that was reported durable cannot be read.
    Damaged {
        /// Where the record should be.
        offset: usize,
        /// What is there instead.
        found: NoRecord,
    },
}

/// What [`decode_segment`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The file's header.
    pub header: Header,
    /// All records up to the tail, their sequences without a gap.
    pub records: Vec<SegmentRecord>,
    /// How they end.
    pub tail: Tail,
    /// The last sequence that the segment itself proves to have been durable.
    pub proven: u64,
}

impl Segment {
    /// The sequence that would follow the last record.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.header.sequence.saturating_add(self.records.len() as u64)
    }

    /// Where the bytes of the record that would follow start.
    pub(crate) fn end(&self) -> usize {
        let last = self.records.last();
        last.map_or(HEADER_BYTES, |record| record.payload.end.next_multiple_of(ALIGNMENT))
    }
}

/// Reads a segment. Takes any bytes without a panic; time is linear in their length.
///
/// # Errors
/// The header's alone: what follows is told by [`Segment::tail`].
pub fn decode_segment(bytes: &[u8]) -> Result<Segment, HeaderError> {
    let header = Header::decode(bytes)?;
    if header.kind != FileKind::Segment {
        return Err(HeaderError::Damaged);
    }
    let seed = Seed::of(header.id);
    let mut segment = Segment {
        header,
        records: Vec::new(),
        tail: Tail::Clean,
        proven: header.sequence.saturating_sub(1),
    };
    let mut offset = HEADER_BYTES;
    // Behind the mark, if there is one.
    let mut end = None;
    let found = loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        let expected = segment.next_sequence();
        match record::decode(rest, seed) {
            Ok(found) if !belongs(&found, &header) || found.head.sequence != expected => {
                break NoRecord::Malformed;
            }
            Ok(found) if found.head.kind == Kind::Mark => {
                segment.proven = segment.proven.max(found.head.durable);
                end = Some(offset + found.size);
                break NoRecord::Zeros;
            }
            Ok(found) => {
                segment.proven = segment.proven.max(found.head.durable);
                let payload = offset + found.payload.start..offset + found.payload.end;
                let tag = (found.head.kind == Kind::Entry).then_some(found.head.tag);
                segment.records.push(SegmentRecord { offset, sequence: expected, tag, payload });
                offset += found.size;
            }
            Err(no_record) => break no_record,
        }
    };
    let rest = bytes.get(end.unwrap_or(offset)..).unwrap_or_default();
    segment.tail = tail(rest, offset, found, &mut segment, seed);
    Ok(segment)
}

/// Whether a record with a right checksum can be one of the log of this file.
fn belongs(found: &Found, header: &Header) -> bool {
    let head = &found.head;
    matches!(head.kind, Kind::Epoch | Kind::Entry | Kind::Mark)
        && head.epoch == header.epoch
        && head.durable < head.sequence
}

/// What the place without a record at `offset` is; `rest` are the bytes from there, or from behind
/// the mark that is there.
///
/// There is never more than one batch on its way to the disk, and it starts where the durable
/// records end. So after a power cut any part of the last batch may be there and any part missing,
/// also valid records behind a missing one; but nothing that was reported durable is. Each record
/// says what was known to be durable when it was written. Hence: a record anywhere behind the bad
/// place that speaks of the missing sequence as durable proves damage. Without such a witness the
/// bad place lies in the batch that was under way, of which nothing had been promised.
///
/// What this cannot see is damage to the very last batch before its witness, the mark that
/// follows a flush, reached the disk too (it rides on the kernel's own write-back, so within about
/// half a minute), or the loss of the batch and the mark together.
fn tail(rest: &[u8], offset: usize, found: NoRecord, segment: &mut Segment, seed: Seed) -> Tail {
    let expected = segment.next_sequence();
    if is_zero(rest) {
        return Tail::Clean;
    }
    // Each candidate costs at most its own length; a payload could be made of nothing but headers,
    // so there is a limit, and what lies beyond it counts as damage: never guess.
    let mut budget = rest.len().saturating_mul(4);
    for (at, window) in candidates(rest) {
        let Ok(peeked) = record::peek(window) else { continue };
        let sequence = peeked.head.sequence;
        let plausible = belongs(&peeked, &segment.header)
            && sequence >= expected
            && sequence - expected <= (at / ALIGNMENT) as u64
            && peeked.size <= window.len();
        if !plausible {
            continue;
        }
        let Some(left) = budget.checked_sub(peeked.size) else {
            return Tail::Damaged { offset, found };
        };
        budget = left;
        if record::decode(window, seed).is_ok() {
            segment.proven = segment.proven.max(peeked.head.durable);
        }
    }
    if segment.proven >= expected {
        Tail::Damaged { offset, found }
    } else {
        Tail::Torn { offset, found }
    }
}

/// The places where a record could start, without those that are zero.
fn candidates(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (0..bytes.len() / ALIGNMENT)
        .map(|index| index * ALIGNMENT)
        .filter(|at| record::field::<8>(bytes, *at).is_some_and(|start| start != [0; 8]))
        .filter_map(|at| Some((at, bytes.get(at..)?)))
}

pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(4096).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::record::Head;

    const ID: [u8; 16] = [7; 16];
    const FIRST: u64 = 20;

    /// A segment with these batches, each flushed before the next, and the place of each record.
    fn segment(batches: &[&[&[u8]]]) -> (Vec<u8>, Vec<usize>) {
        let header =
            Header { kind: FileKind::Segment, id: ID, epoch: 4, sequence: FIRST, previous: None };
        let mut bytes = header.encode().to_vec();
        let mut places = Vec::new();
        let mut sequence = FIRST;
        for batch in batches {
            let durable = sequence - 1;
            for payload in *batch {
                places.push(bytes.len());
                bytes.extend(record(Kind::Entry, sequence, durable, payload));
                sequence += 1;
            }
        }
        (bytes, places)
    }

    fn record(kind: Kind, sequence: u64, durable: u64, payload: &[u8]) -> Vec<u8> {
        record::encode(Head { kind, tag: 1, epoch: 4, sequence, durable }, payload, Seed::of(ID))
    }

    fn tail_of(bytes: &[u8]) -> (usize, Tail) {
        let segment = decode_segment(bytes).unwrap();
        (segment.records.len(), segment.tail)
    }

    #[test]
    fn zeros_are_a_clean_end_with_and_without_a_mark() {
        let (mut bytes, _) = segment(&[&[b"a"], &[b"b", b"c"]]);
        assert_eq!(tail_of(&bytes), (3, Tail::Clean));
        let end = bytes.len();
        bytes.resize(end + 8192, 0);
        assert_eq!(tail_of(&bytes), (3, Tail::Clean));
        let mark = record(Kind::Mark, FIRST + 3, FIRST + 2, b"");
        bytes[end..end + mark.len()].copy_from_slice(&mark);
        assert_eq!(tail_of(&bytes), (3, Tail::Clean));
        assert_eq!(decode_segment(&bytes).unwrap().proven, FIRST + 2);
    }

    #[test]
    fn a_hole_in_the_last_batch_is_torn_also_with_whole_records_behind_it() {
        let (mut bytes, places) = segment(&[&[b"a"], &[b"b", b"c", b"d"]]);
        bytes[places[2]..places[3]].fill(0);
        let (records, tail) = tail_of(&bytes);
        assert_eq!(records, 2);
        assert!(matches!(tail, Tail::Torn { offset, .. } if offset == places[2]));
    }

    #[test]
    fn a_hole_in_an_earlier_batch_is_damage() {
        for fill in [0, 0xff] {
            let (mut bytes, places) = segment(&[&[b"a"], &[b"b", b"c"], &[b"d"]]);
            bytes[places[1]..places[2]].fill(fill);
            bytes.resize(bytes.len() + 4096, 0);
            let (records, tail) = tail_of(&bytes);
            assert_eq!(records, 1);
            assert!(matches!(tail, Tail::Damaged { offset, .. } if offset == places[1]));
        }
    }

    #[test]
    fn the_mark_is_witness_to_the_last_batch() {
        let (mut bytes, places) = segment(&[&[b"a"], &[b"b", b"c"]]);
        bytes.extend(record(Kind::Mark, FIRST + 3, FIRST + 2, b""));
        bytes[places[1] + 2] ^= 4;
        assert!(matches!(tail_of(&bytes), (1, Tail::Damaged { .. })));
    }

    #[test]
    fn the_next_batch_torn_over_the_mark_is_torn() {
        let (mut bytes, _) = segment(&[&[b"a"], &[b"b"]]);
        let end = bytes.len();
        bytes.extend(record(Kind::Mark, FIRST + 2, FIRST + 1, b""));
        bytes.extend(record(Kind::Entry, FIRST + 3, FIRST + 1, b"the first one is missing"));
        assert!(matches!(tail_of(&bytes), (2, Tail::Torn { offset, .. }) if offset == end));
    }

    #[test]
    fn payloads_that_look_like_records_prove_nothing_and_cost_little() {
        let foreign = Seed::of([9; 16]);
        let mut payload = Vec::new();
        while payload.len() < 256 << 10 {
            // A header that is plausible and claims a long payload, at each place that there is.
            let sequence = FIRST + 2;
            let head = Head { kind: Kind::Entry, tag: 1, epoch: 4, sequence, durable: FIRST + 1 };
            payload.extend_from_slice(&record::encode(head, &[1; 4096], foreign)[..40]);
        }
        let (mut bytes, places) = segment(&[&[b"a"], &[&payload]]);
        bytes[places[1]] ^= 1;
        let (records, tail) = tail_of(&bytes);
        // So many that the search gave up: then it counts as damage.
        assert_eq!(records, 1);
        assert!(matches!(tail, Tail::Damaged { .. }));
    }

    fn batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let payload = prop::collection::vec(any::<u8>(), 0..90);
        prop::collection::vec(prop::collection::vec(payload, 1..5), 1..6)
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(rest: Vec<u8>) {
            let (mut bytes, _) = segment(&[]);
            let _ = decode_segment(&rest);
            bytes.extend(rest);
            prop_assert!(decode_segment(&bytes).is_ok());
        }

        /// However the last batch is torn, sector by sector or within one, what was flushed before
        /// is there and the tail is no damage.
        #[test]
        fn a_torn_last_batch_is_never_damage(
            batches in batches(),
            lost in prop::collection::vec(any::<bool>(), 8),
            cut in 0usize..400,
        ) {
            let slices: Vec<Vec<&[u8]>> =
                batches.iter().map(|batch| batch.iter().map(Vec::as_slice).collect()).collect();
            let slices: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
            let (mut bytes, places) = segment(&slices);
            let durable = places.len() - batches.last().map_or(0, Vec::len);
            let start = places[durable];
            for (sector, _) in lost.iter().enumerate().filter(|(_, lost)| **lost) {
                let sector = sector * 64;
                let from = (start + sector).min(bytes.len());
                let to = (from + 64).min(bytes.len());
                bytes[from..to].fill(0);
            }
            bytes.truncate(bytes.len().saturating_sub(cut).max(start));
            let segment = decode_segment(&bytes).unwrap();
            prop_assert!(segment.records.len() >= durable);
            let is_damaged = matches!(segment.tail, Tail::Damaged { .. });
            prop_assert!(!is_damaged);
        }

        /// A changed byte in what was durable is found, and what is given is what was written.
        #[test]
        fn a_changed_byte_is_damage(batches in batches(), at: prop::sample::Index, bit in 0u8..8) {
            let slices: Vec<Vec<&[u8]>> =
                batches.iter().map(|batch| batch.iter().map(Vec::as_slice).collect()).collect();
            let mut slices: Vec<&[&[u8]]> = slices.iter().map(Vec::as_slice).collect();
            slices.push(&[b"the witness"]);
            let (whole, places) = segment(&slices);
            let mut bytes = whole.clone();
            let durable = places[places.len() - 1] - HEADER_BYTES;
            let at = HEADER_BYTES + at.index(durable);
            bytes[at] ^= 1 << bit;
            let segment = decode_segment(&bytes).unwrap();
            let is_damaged = matches!(segment.tail, Tail::Damaged { .. });
            prop_assert!(is_damaged);
            let before = decode_segment(&whole).unwrap();
            prop_assert_eq!(&segment.records[..], &before.records[..segment.records.len()]);
        }
    }
}
