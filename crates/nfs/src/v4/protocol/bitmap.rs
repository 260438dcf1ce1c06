//! Sets of small numbers: attributes, operations, notifications (`bitmap4`).

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

/// Words that are kept: room for attributes far beyond those that are defined.
pub const MAX_WORDS: usize = 8;

/// Most words that are read.
const MAX_WORDS_READ: usize = 256;

/// Stands for all numbers that are too large to be kept. Nothing has this number, so whoever asks
/// for it is not served, and whoever sets it is told so.
const BEYOND: u32 = 32 * MAX_WORDS as u32 - 1;

/// A set of numbers below 256 (`bitmap4`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bitmap([u32; MAX_WORDS]);

impl Bitmap {
    /// The empty set.
    pub const EMPTY: Self = Self([0; MAX_WORDS]);

    /// Adds a number; those that are too large are left out.
    pub fn insert(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 32) {
            *word |= 1 << (number % 32);
        }
    }

    /// Takes a number out.
    pub fn remove(&mut self, number: u32) {
        if let Some(word) = self.0.get_mut(number as usize / 32) {
            *word &= !(1 << (number % 32));
        }
    }

    /// Whether the number is in the set.
    pub fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 32).is_some_and(|word| word & 1 << (number % 32) != 0)
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// What is in this set and not in the other.
    pub fn difference(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// What is in one of them or in both.
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + use<> {
        let words = self.0.into_iter().enumerate();
        words.flat_map(|(at, word)| {
            let without_lowest = |bits: &u32| Some(bits & (bits - 1)).filter(|bits| *bits != 0);
            let rests = std::iter::successors(Some(word).filter(|word| *word != 0), without_lowest);
            rests.map(move |rest| 32 * at as u32 + rest.trailing_zeros())
        })
    }
}

impl FromIterator<u32> for Bitmap {
    fn from_iter<T: IntoIterator<Item = u32>>(numbers: T) -> Self {
        let mut set = Self::EMPTY;
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl Encode for Bitmap {
    fn encode(&self, encoder: &mut Encoder) {
        let words = MAX_WORDS - self.0.iter().rev().take_while(|word| **word == 0).count();
        encoder.length(words);
        self.0[..words].iter().for_each(|word| encoder.u32(*word));
    }
}

impl Decode for Bitmap {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let words = decoder.length(MAX_WORDS_READ)?;
        let mut set = Self::EMPTY;
        for at in 0..words {
            let word = decoder.u32()?;
            match set.0.get_mut(at) {
                Some(kept) => *kept |= word,
                None if word != 0 => set.insert(BEYOND),
                None => {}
            }
        }
        Ok(set)
    }
}

#[cfg(test)]
mod tests {
    use standfast_rpc::xdr;

    use super::*;

    fn read(words: &[u32]) -> Result<Bitmap, DecodeError> {
        let mut encoder = Encoder::with_capacity(256);
        encoder.length(words.len());
        words.iter().for_each(|word| encoder.u32(*word));
        xdr::from_bytes(&encoder.into_segments().to_bytes())
    }

    #[test]
    fn numbers_that_are_too_large_are_read_as_one_that_nothing_has() {
        let mut words = [0; 32];
        words[0] = 1;
        assert_eq!(read(&words), Ok(Bitmap::from_iter([0])));
        words[31] = 1 << 8;
        assert_eq!(read(&words), Ok(Bitmap::from_iter([0, BEYOND])));
        assert!(read(&[0; MAX_WORDS_READ + 1]).is_err());
    }
}
