//! Ranges of bytes, and how they are locked.

use std::fmt;

/// How a range is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Others may hold it shared too (a read lock).
    Shared,
    /// Nobody else may hold it (a write lock).
    Exclusive,
}

impl Mode {
    /// Whether two owners cannot hold these at once.
    pub fn conflicts(self, other: Self) -> bool {
        self == Self::Exclusive || other == Self::Exclusive
    }
}

/// A range of bytes of a file; never empty. A range that ends at the last of 2^64 bytes reaches
/// to the end of the file, wherever that is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Range {
    first: u64,
    last: u64,
}

impl Range {
    /// Every byte.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };

    /// The range in the words of the protocols: `length` bytes from `offset`, where a length of
    /// zero reaches to the end of the file. `None` if it ends beyond the last possible byte.
    pub fn new(offset: u64, length: u64) -> Option<Self> {
        let last = match length {
            0 => u64::MAX,
            length => offset.checked_add(length - 1)?,
        };
        Some(Self { first: offset, last })
    }

    /// The range from byte `first` to byte `last`, both inside it; `None` if that is empty.
    pub fn between(first: u64, last: u64) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The first byte.
    pub fn first(self) -> u64 {
        self.first
    }

    /// The last byte.
    pub fn last(self) -> u64 {
        self.last
    }

    /// The length in the words of the protocols: zero reaches to the end of the file.
    pub fn length(self) -> u64 {
        match self.last {
            u64::MAX => 0,
            last => last - self.first + 1,
        }
    }

    /// Whether a byte is in both.
    pub fn overlaps(self, other: Self) -> bool {
        self.overlap(other).is_some()
    }

    /// The bytes that are in both.
    pub fn overlap(self, other: Self) -> Option<Self> {
        Self::between(self.first.max(other.first), self.last.min(other.last))
    }

    /// Whether all of `other` is in this one.
    pub fn contains(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether they overlap or one follows the other without a gap.
    pub(super) fn touches(self, other: Self) -> bool {
        self.first <= other.last.saturating_add(1) && other.first <= self.last.saturating_add(1)
    }

    /// The smallest range that contains both.
    pub(super) fn join(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// What lies before `other`.
    pub fn before(self, other: Self) -> Option<Self> {
        Self::between(self.first, self.last.min(other.first.checked_sub(1)?))
    }

    /// What lies behind `other`.
    pub fn behind(self, other: Self) -> Option<Self> {
        Self::between(self.first.max(other.last.checked_add(1)?), self.last)
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            u64::MAX => write!(f, "{}..", self.first),
            last => write!(f, "{}..={last}", self.first),
        }
    }
}
