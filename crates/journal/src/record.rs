//! One record as it lies in a file. `FORMAT.md` has the layout.

use std::ops::Range;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 40;

/// Records start at multiples of this; the gap behind a payload is zeros.
pub(crate) const ALIGNMENT: usize = 8;

/// The longest payload of a record, in bytes.
pub const MAX_PAYLOAD_BYTES: usize = 16 << 20;

/// What a record is to the journal itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The first record of a holder: from here on, its epoch.
    Epoch,
    /// A record of the caller.
    Entry,
    /// Not part of the log: says, behind the last record, how far the log is known to be durable.
    /// The next batch overwrites it.
    Mark,
    /// A record of a snapshot.
    State,
    /// The last record of a snapshot; its sequence is the number of those before it, plus one.
    End,
}

impl Kind {
    const ALL: [(u16, Self); 5] =
        [(1, Self::Epoch), (2, Self::Entry), (3, Self::Mark), (4, Self::State), (5, Self::End)];

    fn number(self) -> u16 {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or(0, |(number, _)| *number)
    }

    fn from_number(number: u16) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == number).map(|(_, kind)| *kind)
    }
}

/// The fields of a record beside its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) kind: Kind,
    /// What the caller calls this kind of record.
    pub(crate) tag: u16,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    /// The last sequence that was known to be durable when this record was written.
    pub(crate) durable: u64,
}

/// A record found in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) head: Head,
    /// Where the payload lies, counted from the record's first byte.
    pub(crate) payload: Range<usize>,
    /// Bytes of the whole record, with the gap behind it.
    pub(crate) size: usize,
}

/// Why there is no record at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    /// Nothing was written here.
    #[error("only zeros")]
    Zeros,
    /// The bytes end before the record does.
    #[error("the file ends within a record")]
    Short,
    /// The header has values that no record has.
    #[error("not the header of a record")]
    Malformed,
    /// The checksum is that of other bytes.
    #[error("wrong checksum")]
    Checksum,
}

/// The start value of the checksums of one journal. A journal's id is random and secret, so that
/// bytes which a client brought into a payload are not taken for a record.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seed(u32);

impl Seed {
    pub(crate) fn of(id: [u8; 16]) -> Self {
        Self(crc32fast::hash(&id))
    }

    /// CRC-32 (IEEE 802.3). A torn write leaves arbitrary sectors, which any 32-bit checksum lets
    /// pass once in 2^32; for flipped bits this one finds any four in a record up to 371 bytes and
    /// any three up to 11 KiB, which is where records are. The Castagnoli polynomial would be a
    /// little better on longer ones; it is not worth a second implementation in the binary.
    fn checksum(self, bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(bytes);
        hasher.finalize()
    }
}

/// Bytes that a record with this payload takes in a file.
pub(crate) fn size_for(payload: usize) -> usize {
    HEADER_BYTES + payload.next_multiple_of(ALIGNMENT)
}

/// Appends a record to `bytes`; [`finish`] must follow before it is written.
pub(crate) fn push(bytes: &mut Vec<u8>, head: Head, payload: &[u8]) {
    let end = bytes.len() + size_for(payload.len());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&head.epoch.to_le_bytes());
    bytes.extend_from_slice(&head.sequence.to_le_bytes());
    bytes.extend_from_slice(&head.durable.to_le_bytes());
    bytes.extend_from_slice(&head.kind.number().to_le_bytes());
    bytes.extend_from_slice(&head.tag.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes.resize(end, 0);
}

/// Completes the records that [`push`] appended: what is durable now, and the checksums.
pub(crate) fn finish(mut bytes: &mut [u8], durable: u64, seed: Seed) {
    while let Some(length) = field::<4>(bytes, 4) {
        let size = size_for(u32::from_le_bytes(length) as usize);
        let Some((record, rest)) = bytes.split_at_mut_checked(size) else { return };
        record[24..32].copy_from_slice(&durable.to_le_bytes());
        let checksum = seed.checksum(&record[4..]);
        record[..4].copy_from_slice(&checksum.to_le_bytes());
        bytes = rest;
    }
}

/// One whole record, ready to be written.
pub(crate) fn encode(head: Head, payload: &[u8], seed: Seed) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_for(payload.len()));
    push(&mut bytes, head, payload);
    finish(&mut bytes, head.durable, seed);
    bytes
}

/// The header at the start of `bytes` and the record's size, without a look at the checksum.
pub(crate) fn peek(bytes: &[u8]) -> Result<Found, NoRecord> {
    let header = bytes.get(..HEADER_BYTES).ok_or(NoRecord::Short)?;
    if header.iter().all(|byte| *byte == 0) {
        return Err(NoRecord::Zeros);
    }
    let number = |at| field::<8>(header, at).map(u64::from_le_bytes).ok_or(NoRecord::Short);
    let short = |at| field::<2>(header, at).map(u16::from_le_bytes).ok_or(NoRecord::Short);
    let length = field::<4>(header, 4).map(u32::from_le_bytes).ok_or(NoRecord::Short)? as usize;
    let kind = Kind::from_number(short(32)?).ok_or(NoRecord::Malformed)?;
    if length > MAX_PAYLOAD_BYTES || field::<4>(header, 36) != Some([0; 4]) {
        return Err(NoRecord::Malformed);
    }
    let head = Head {
        kind,
        tag: short(34)?,
        epoch: number(8)?,
        sequence: number(16)?,
        durable: number(24)?,
    };
    Ok(Found { head, payload: HEADER_BYTES..HEADER_BYTES + length, size: size_for(length) })
}

/// The record at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8], seed: Seed) -> Result<Found, NoRecord> {
    let found = peek(bytes)?;
    let record = bytes.get(..found.size).ok_or(NoRecord::Short)?;
    let stored = field::<4>(record, 0).map(u32::from_le_bytes);
    let summed = record.get(4..).map(|rest| seed.checksum(rest));
    if stored == summed { Ok(found) } else { Err(NoRecord::Checksum) }
}

/// `N` bytes at an offset, if they are there.
pub(crate) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head() -> Head {
        Head { kind: Kind::Entry, tag: 7, epoch: 3, sequence: 9, durable: 8 }
    }

    #[test]
    fn a_record_of_another_journal_is_none() {
        let bytes = encode(head(), b"state", Seed::of([1; 16]));
        assert!(decode(&bytes, Seed::of([1; 16])).is_ok());
        assert_eq!(decode(&bytes, Seed::of([2; 16])), Err(NoRecord::Checksum));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(payload: Vec<u8>, tag: u16, numbers: [u64; 3]) {
            let [epoch, sequence, durable] = numbers;
            let head = Head { kind: Kind::Entry, tag, epoch, sequence, durable };
            let seed = Seed::of([5; 16]);
            let bytes = encode(head, &payload, seed);
            let found = decode(&bytes, seed).unwrap();
            prop_assert_eq!(found.head, head);
            prop_assert_eq!(found.size, bytes.len());
            prop_assert_eq!(&bytes[found.payload], &payload[..]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes, Seed::of([0; 16]));
        }

        #[test]
        fn a_flipped_bit_is_found(payload: [u8; 32], bit in 0usize..72 * 8) {
            let seed = Seed::of([5; 16]);
            let mut bytes = encode(head(), &payload, seed);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(decode(&bytes, seed).is_err());
        }
    }
}
