//! Sizes in bytes, written as `4MiB`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// That many bytes.
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// That many times 1024 bytes.
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// That many times 1024 * 1024 bytes.
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// That many times 1024 * 1024 * 1024 bytes.
    pub const fn gib(gib: u64) -> Self {
        Self(gib << 30)
    }

    /// The number of bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; more than fits counts as the greatest length.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |&(_, factor): &(&str, u64)| self.0 != 0 && self.0.is_multiple_of(factor);
        match UNITS.into_iter().find(exact) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => f.write_str("0B"),
        }
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Why a text is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ByteSizeError {
    /// It does not start with a whole number.
    #[error("`{0}` is not a size; write a whole number and a unit, such as \"4MiB\"")]
    NotANumber(String),
    /// The unit is unknown or missing.
    #[error("`{0}` has no unit of size; write B, KiB, MiB, GiB, TiB, kB, MB, GB or TB after it")]
    Unit(String),
    /// It is more than 2^64 bytes.
    #[error("`{0}` is more than a size can be")]
    TooLarge(String),
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(ByteSizeError::NotANumber(text.into()));
        }
        let factor = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))
            .map(|(_, factor)| *factor)
            .ok_or_else(|| ByteSizeError::Unit(text.into()))?;
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| ByteSizeError::TooLarge(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!("4MiB".parse(), Ok(ByteSize::mib(4)));
        assert_eq!("1 GiB".parse(), Ok(ByteSize::gib(1)));
        assert_eq!("64kib".parse(), Ok(ByteSize::kib(64)));
        assert_eq!("5MB".parse(), Ok(ByteSize::bytes(5_000_000)));
        assert_eq!("0B".parse(), Ok(ByteSize::default()));
    }

    #[test]
    fn what_is_no_size_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<ByteSize>().unwrap_err();
        assert_eq!(error("MiB"), ByteSizeError::NotANumber("MiB".into()));
        assert_eq!(error("-4MiB"), ByteSizeError::NotANumber("-4MiB".into()));
        assert_eq!(error("4096"), ByteSizeError::Unit("4096".into()));
        assert_eq!(error("4 apples"), ByteSizeError::Unit("4 apples".into()));
        assert_eq!(error("99999999TiB"), ByteSizeError::TooLarge("99999999TiB".into()));
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes: u64) {
            let size = ByteSize::bytes(bytes);
            proptest::prop_assert_eq!(size.to_string().parse(), Ok(size));
        }
    }
}
