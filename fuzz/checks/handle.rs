//! File handles: what was not signed does not open, what was opens as it was.

use standfast_nfs::handles::{BadHandle, HandleCodec, HandleKey};
use standfast_settings::ExportId;
use standfast_vfs::Handle;

/// Where the parts begin of which a handle is made: its kind, its export, its filesystem.
const PARTS: usize = 1 + 8 + 8;

/// The data is a handle from the wire, and then what to make one of.
pub(crate) fn check(data: &[u8]) {
    let codec = HandleCodec::new(&HandleKey::new(*b"0123456789abcdef"));
    if let Ok((export, handle)) = codec.open(data) {
        assert_eq!(codec.seal(export, &handle), data);
    }
    let Some((parts, bytes)) = data.split_first_chunk::<PARTS>() else { return };
    let [kind, numbers @ ..] = parts;
    let [export, filesystem] =
        [&numbers[..8], &numbers[8..]].map(|number| number.iter().fold(0, shifted));
    let Some(handle) = Handle::new(filesystem, i32::from(*kind), bytes) else {
        assert!(bytes.len() > Handle::MAX_BYTES);
        return;
    };
    let wire = codec.seal(ExportId(export), &handle);
    assert_eq!(codec.open(&wire), Ok((ExportId(export), handle)));
    altered_ones_do_not_open(&codec, &wire, *kind);
}

fn shifted(number: u64, byte: &u8) -> u64 {
    number << 8 | u64::from(*byte)
}

/// Neither with one byte changed, nor shorter, nor longer, nor under another key.
fn altered_ones_do_not_open(codec: &HandleCodec, wire: &[u8], seed: u8) {
    let mut altered = wire.to_vec();
    altered[usize::from(seed) % wire.len()] ^= seed | 1;
    let longer = [wire, &[0]].concat();
    for forged in [&altered[..], &wire[1..], &wire[..wire.len() - 1], &longer] {
        assert_eq!(codec.open(forged), Err(BadHandle));
    }
    let other = HandleCodec::new(&HandleKey::new(*b"fedcba9876543210"));
    assert_eq!(other.open(wire), Err(BadHandle));
}
