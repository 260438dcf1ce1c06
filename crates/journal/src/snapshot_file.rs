//! The bytes of a snapshot.

use std::ops::Range;

use crate::header::{FileKind, HEADER_BYTES, Header, HeaderError};
use crate::record::{self, Head, Kind, NoRecord, Seed};
use crate::segment::is_zero;

/// A snapshot's records: tag and payload's place in the file.
pub(crate) type Records = Vec<(u16, Range<usize>)>;

/// A snapshot that was read.
pub(crate) struct Decoded {
    pub(crate) header: Header,
    pub(crate) records: Records,
    /// Where it ends in the file.
    pub(crate) end: usize,
}

/// Why a snapshot cannot be read.
pub(crate) enum SnapshotDamage {
    Header(HeaderError),
    Record { offset: usize, found: NoRecord },
}

/// The head of the record number `index` of a snapshot, the first being 1.
pub(crate) fn head(header: &Header, kind: Kind, tag: u16, index: u64) -> Head {
    Head { kind, tag, epoch: header.epoch, sequence: index, durable: 0 }
}

/// Reads a snapshot. A snapshot is published only when it is whole, so whatever is wrong with it
/// is damage.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, SnapshotDamage> {
    let header = Header::decode(bytes).map_err(SnapshotDamage::Header)?;
    if header.kind != FileKind::Snapshot {
        return Err(SnapshotDamage::Header(HeaderError::Damaged));
    }
    let seed = Seed::of(header.id);
    let mut records = Records::new();
    let mut offset = HEADER_BYTES;
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        let damage = |found| SnapshotDamage::Record { offset, found };
        let found = record::decode(rest, seed).map_err(damage)?;
        let index = records.len() as u64 + 1;
        if found.head != head(&header, found.head.kind, found.head.tag, index) {
            return Err(damage(NoRecord::Malformed));
        }
        match found.head.kind {
            Kind::State => {
                let payload = offset + found.payload.start..offset + found.payload.end;
                records.push((found.head.tag, payload));
                offset += found.size;
            }
            // It may lie in a file that was there before, which is longer.
            Kind::End if is_zero(rest.get(found.size..).unwrap_or_default()) => {
                return Ok(Decoded { header, records, end: offset + found.size });
            }
            _ => return Err(damage(NoRecord::Malformed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot(records: &[&[u8]]) -> Vec<u8> {
        let kind = FileKind::Snapshot;
        let header = Header { kind, id: [1; 16], epoch: 2, sequence: 30, previous: None };
        let seed = Seed::of(header.id);
        let mut bytes = header.encode().to_vec();
        for (index, payload) in (1..).zip(records) {
            bytes.extend(record::encode(head(&header, Kind::State, 9, index), payload, seed));
        }
        let end = head(&header, Kind::End, 0, records.len() as u64 + 1);
        bytes.extend(record::encode(end, b"", seed));
        bytes
    }

    #[test]
    fn only_a_whole_snapshot_is_one() {
        let whole = snapshot(&[b"one", b"two"]);
        let Ok(Decoded { header, records, end }) = decode(&whole) else { panic!("cannot read it") };
        assert_eq!(end, whole.len());
        assert_eq!(header.sequence, 30);
        let payloads: Vec<_> = records.iter().map(|(_, range)| &whole[range.clone()]).collect();
        assert_eq!(payloads, [b"one", b"two"]);
        let longer = [&whole[..], &[0; 64]].concat();
        assert!(decode(&longer).is_ok_and(|decoded| decoded.end == whole.len()));
        assert!(decode(&[&longer[..], b"x"].concat()).is_err());
        for length in 0..whole.len() {
            assert!(decode(&whole[..length]).is_err());
        }
        for offset in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[offset] ^= 1;
            assert!(decode(&bytes).is_err(), "a changed byte at {offset}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail: Vec<u8>) {
            let mut bytes = snapshot(&[])[..HEADER_BYTES].to_vec();
            bytes.extend(tail);
            let _ = decode(&bytes);
        }
    }
}
