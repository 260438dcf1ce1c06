//! File contents that say where in a file they belong, so that a wrong byte is seen.

/// The bytes of a word of the pattern.
const WORD: u64 = 8;
/// An odd number without regularities (the golden ratio).
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// The word at `offset`, which is a multiple of eight.
fn word(offset: u64) -> [u8; 8] {
    (offset / WORD + 1).wrapping_mul(FACTOR).to_be_bytes()
}

/// Fills `block`, which begins at `offset` of the file.
pub fn fill(offset: u64, block: &mut [u8]) {
    for (place, chunk) in (offset..).step_by(8).zip(block.chunks_mut(8)) {
        chunk.copy_from_slice(&word(place)[..chunk.len()]);
    }
}

/// Whether `block` is what [`fill`] made at `offset`.
#[must_use]
pub fn is_at(offset: u64, block: &[u8]) -> bool {
    (offset..).step_by(8).zip(block.chunks(8)).all(|(place, chunk)| word(place).starts_with(chunk))
}

/// Whether `block` begins as [`fill`] made it at `offset`.
#[must_use]
pub fn begins_at(offset: u64, block: &[u8]) -> bool {
    is_at(offset, &block[..block.len().min(8)])
}

/// The payload of a WRITE of `size` bytes at `offset`: the offset, then the same for all.
#[must_use]
pub fn payload(offset: u64, size: usize) -> Vec<u8> {
    let mut block = vec![0; size];
    fill(0, &mut block);
    block[..8].copy_from_slice(&offset.to_be_bytes());
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_one_place_from_another() {
        let mut block = vec![0; 4096];
        fill(8192, &mut block);
        assert!(is_at(8192, &block) && begins_at(8192, &block));
        assert!(!is_at(0, &block) && !begins_at(4096, &block));
        block[4095] ^= 1;
        assert!(!is_at(8192, &block) && begins_at(8192, &block));
    }

    #[test]
    fn payload_begins_with_its_offset() {
        let block = payload(0x1_0000, 4096);
        assert_eq!(block[..8], 0x1_0000_u64.to_be_bytes());
        assert_eq!(block[8..], payload(0, 4096)[8..]);
    }
}
