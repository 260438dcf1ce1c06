//! The first bytes of each file, and the files' names.

use std::fmt;

use crate::record::field;

/// The version of the format that this crate writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 1;

/// Bytes of the header of a file of [`FORMAT_VERSION`].
pub(crate) const HEADER_BYTES: usize = 80;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// The whole state after one sequence.
    Snapshot,
    /// A piece of the log.
    Segment,
    /// Nothing: its name says that a holder of this epoch is about to read the others.
    Claim,
    /// Nothing: room that is kept for the day when the disk is full.
    Spare,
}

/// All kinds.
const KINDS: [FileKind; 4] =
    [FileKind::Snapshot, FileKind::Segment, FileKind::Claim, FileKind::Spare];

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Snapshot => *b"SFJSNAPS",
            Self::Segment => *b"SFJSEGMT",
            Self::Claim => *b"SFJCLAIM",
            Self::Spare => *b"SFJSPARE",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Segment => "log",
            Self::Claim => "claim",
            Self::Spare => "spare",
        }
    }
}

/// What the name of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FileName {
    pub(crate) kind: FileKind,
    /// The epoch of the holder that made the file.
    pub(crate) epoch: u64,
    /// Of a segment, the sequence of its first record; of a snapshot, the last that it covers; of
    /// a claim 0; of a spare a number.
    pub(crate) sequence: u64,
}

/// What a file is called until it is whole.
const TEMPORARY: &str = ".tmp";

impl FileName {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        let (numbers, suffix) = name.split_once('.')?;
        let kind = KINDS.into_iter().find(|kind| kind.suffix() == suffix)?;
        let (epoch, sequence) = numbers.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let parsed = Self { kind, epoch: number(epoch)?, sequence: number(sequence)? };
        // Only the one spelling that we write.
        (parsed.to_string() == name).then_some(parsed)
    }

    /// What the file is called until it is whole.
    pub(crate) fn temporary(&self) -> String {
        format!("{self}{TEMPORARY}")
    }

    /// What a file that was not completed was to become.
    pub(crate) fn parse_temporary(name: &str) -> Option<Self> {
        name.strip_suffix(TEMPORARY).and_then(Self::parse)
    }
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Segment => "segment",
            Self::Claim => "claim",
            Self::Spare => "spare",
        })
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{:016x}.{}", self.epoch, self.sequence, self.kind.suffix())
    }
}

/// The header of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: FileKind,
    /// The journal that the file belongs to.
    pub id: [u8; 16],
    /// The epoch of the holder that made the file.
    pub epoch: u64,
    /// Of a segment, the sequence of its first record; of a snapshot, the last that it covers.
    pub sequence: u64,
    /// Of a segment, the one that it goes on from; `None`: it is the journal's first, or this is a
    /// snapshot.
    pub previous: Option<SegmentLink>,
}

/// Names a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLink {
    /// The epoch of its holder.
    pub epoch: u64,
    /// The sequence of its first record.
    pub sequence: u64,
}

/// Why the first bytes of a file are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short, another magic number, a wrong checksum or values that cannot be.
    #[error("the file's header is damaged, or this is not a file of a journal")]
    Damaged,
    /// A version that this program does not know.
    #[error(
        "the journal has format version {found}, this program reads up to {FORMAT_VERSION}: \
         run the newer program that wrote it"
    )]
    Version {
        /// The version that the header has.
        found: u32,
    },
}

impl SegmentLink {
    pub(crate) fn name(self) -> FileName {
        FileName { kind: FileKind::Segment, epoch: self.epoch, sequence: self.sequence }
    }
}

impl Header {
    pub(crate) fn name(&self) -> FileName {
        FileName { kind: self.kind, epoch: self.epoch, sequence: self.sequence }
    }

    pub(crate) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&self.kind.magic());
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
        bytes[16..32].copy_from_slice(&self.id);
        bytes[32..40].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        // No record has sequence 0, so that stands for none.
        let previous = self.previous.unwrap_or(SegmentLink { epoch: 0, sequence: 0 });
        bytes[48..56].copy_from_slice(&previous.epoch.to_le_bytes());
        bytes[56..64].copy_from_slice(&previous.sequence.to_le_bytes());
        let checksum = crc32fast::hash(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// The header at the start of a file's bytes.
    ///
    /// # Errors
    /// See [`HeaderError`]. The version is believed only under a right checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        Self::read(bytes).ok_or(HeaderError::Damaged)?
    }

    fn read(bytes: &[u8]) -> Option<Result<Self, HeaderError>> {
        let magic = field::<8>(bytes, 0)?;
        let kind = KINDS.into_iter().find(|kind| kind.magic() == magic)?;
        let version = u32::from_le_bytes(field(bytes, 8)?);
        let length = u32::from_le_bytes(field(bytes, 12)?) as usize;
        let summed = bytes.get(..length.checked_sub(4)?)?;
        if length < 20 || u32::from_le_bytes(field(bytes, length - 4)?) != crc32fast::hash(summed) {
            return None;
        }
        if version > FORMAT_VERSION {
            return Some(Err(HeaderError::Version { found: version }));
        }
        if version != FORMAT_VERSION || length != HEADER_BYTES {
            return None;
        }
        let number = |at| field(bytes, at).map(u64::from_le_bytes);
        let previous = SegmentLink { epoch: number(48)?, sequence: number(56)? };
        let header = Self {
            kind,
            id: field(bytes, 16)?,
            epoch: number(32)?,
            sequence: number(40)?,
            previous: (previous.sequence != 0).then_some(previous),
        };
        // A segment that goes on from itself or a later one would never end.
        let link = |link: SegmentLink| (link.epoch, link.sequence);
        let is_forward = header.previous.is_none_or(|previous| {
            link(previous) < (header.epoch, header.sequence) && previous.sequence <= header.sequence
        });
        (is_forward && header.sequence != 0).then_some(Ok(header))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let previous = Some(SegmentLink { epoch: 4, sequence: 77 });
        Header { kind: FileKind::Segment, id: [3; 16], epoch: 5, sequence: 77, previous }
    }

    #[test]
    fn a_segment_goes_on_from_an_earlier_one() {
        for (epoch, sequence) in [(5, 77), (6, 1), (4, 78)] {
            let previous = Some(SegmentLink { epoch, sequence });
            let header = Header { previous, ..header() };
            assert_eq!(Header::decode(&header.encode()), Err(HeaderError::Damaged));
        }
    }

    #[test]
    fn a_header_and_its_name_are_read_back() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        let name = header().name();
        assert_eq!(name.to_string(), "0000000000000005-000000000000004d.log");
        assert_eq!(FileName::parse(&name.to_string()), Some(name));
        assert_eq!(FileName::parse_temporary(&name.temporary()), Some(name));
        for other in ["5-4d.log", "0000000000000005-000000000000004D.log", "lost+found", "x.tmp"] {
            assert_eq!(FileName::parse(other), None);
            assert_eq!(FileName::parse_temporary(other), None);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Damaged));
        let checksum = crc32fast::hash(&bytes[..76]);
        bytes[76..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Version { found: 2 }));
        assert_eq!(Header::decode(&bytes[..40]), Err(HeaderError::Damaged));
    }
}
