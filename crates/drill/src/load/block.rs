//! Blocks that tell which write they are of, and whether they are whole.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::{Bytes, BytesMut};

use crate::check::Content;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;
const WORD: usize = 8;

/// What write `value` of a block of a file writes.
pub(super) fn make(file: &str, block: u64, value: u64) -> Bytes {
    let tag = tag(file, block);
    let mut data = BytesMut::with_capacity(BLOCK);
    data.extend_from_slice(&value.to_be_bytes());
    (1..BLOCK / WORD).for_each(|at| data.extend_from_slice(&word(tag, value, at)));
    data.freeze()
}

/// What a block that was read holds.
pub(super) fn read(file: &str, block: u64, data: &[u8]) -> Content {
    if data.iter().all(|byte| *byte == 0) {
        return Content::Hole;
    }
    let Some(first) = data.first_chunk::<WORD>().filter(|_| data.len() == BLOCK) else {
        return Content::Torn;
    };
    let (tag, value) = (tag(file, block), u64::from_be_bytes(*first));
    let is_whole =
        data.chunks_exact(WORD).enumerate().skip(1).all(|(at, part)| part == word(tag, value, at));
    if is_whole { Content::Value(value) } else { Content::Torn }
}

fn tag(file: &str, block: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (file, block).hash(&mut hasher);
    hasher.finish()
}

fn word(tag: u64, value: u64, at: usize) -> [u8; WORD] {
    let mixed = tag ^ value.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (at as u64).rotate_left(40);
    mixed.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_known_again_and_no_other_is() {
        let data = make("file", 3, 7);
        assert_eq!(read("file", 3, &data), Content::Value(7));
        assert_eq!(read("file", 4, &data), Content::Torn);
        assert_eq!(read("other", 3, &data), Content::Torn);
        assert_eq!(read("file", 3, &data[..100]), Content::Torn);
        assert_eq!(read("file", 3, &[]), Content::Hole);
        assert_eq!(read("file", 3, &[0; BLOCK]), Content::Hole);
        let mut torn = data.to_vec();
        torn[2048..].copy_from_slice(&make("file", 3, 8)[2048..]);
        assert_eq!(read("file", 3, &torn), Content::Torn);
    }
}
