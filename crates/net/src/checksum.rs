//! The Internet checksum.

/// Checksum of RFC 1071 over the parts, each of an even number of octets but the last. Zero if the
/// parts contain a right one already.
pub fn internet_checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2)).map(|word| match word {
        [high, low] => u64::from(u16::from_be_bytes([*high, *low])),
        // An odd last octet counts as if a zero followed.
        [high] => u64::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u64 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // The loop leaves at most sixteen bits.
    !(sum as u16)
}
