//! What holds for any bytes that are read as an XDR value.

use std::fmt::Debug;

use bytes::Bytes;
use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, to_bytes};

/// Reads the start of `message` as a `T`: if it is one, it is written as the same bytes.
pub(crate) fn same_again<T: Decode + Encode + PartialEq + Debug>(message: &Bytes) {
    same_again_by(T::decode, message);
}

/// As [`same_again`], for a type that is read by a function of its own.
pub(crate) fn same_again_by<T: Encode + PartialEq + Debug>(
    decode: fn(&mut Decoder<'_>) -> Result<T, DecodeError>,
    message: &Bytes,
) {
    let mut decoder = Decoder::new(message);
    let Ok(value) = decode(&mut decoder) else { return };
    let read = &message[..message.len() - decoder.remaining()];
    let again = to_bytes(&value);
    assert_eq!(again.len(), read.len(), "{value:?}");
    // Padding may be anything when it is read, and is zero when it is written. It never starts a
    // word.
    let same = |(at, (new, old)): (usize, (&u8, &u8))| new == old || (*new == 0 && at % 4 != 0);
    assert!(again.iter().zip(read).enumerate().all(same), "{value:?}");
    assert_eq!(decode(&mut Decoder::new(&again)).as_ref(), Ok(&value));
}

/// Does [`same_again`] for each of the types.
macro_rules! each_same_again {
    ($message:expr; $($type:ty),* $(,)?) => {$(
        crate::wire::same_again::<$type>($message);
    )*};
}
pub(crate) use each_same_again;
