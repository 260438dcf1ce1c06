//! XDR of Rust's own types, and the few containers that XDR has and Rust has not.

use std::ops::Deref;

use bytes::Bytes;

use super::{Decode, DecodeError, Decoder, Encode, Encoder};

macro_rules! integers {
    ($($type:ty as $wire:ty),*) => {$(
        impl Encode for $type {
            fn encode(&self, encoder: &mut Encoder) {
                encoder.fixed(&(*self as $wire).to_be_bytes());
            }
        }
        impl Decode for $type {
            fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
                Ok(<$wire>::from_be_bytes(decoder.fixed()?) as $type)
            }
        }
    )*};
}

integers!(u32 as u32, i32 as i32, u64 as u64, i64 as i64);

impl Encode for bool {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.u32(u32::from(*self));
    }
}

impl Decode for bool {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match decoder.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::BadDiscriminant { type_name: "bool", value }),
        }
    }
}

impl Encode for () {
    fn encode(&self, _encoder: &mut Encoder) {}
}

impl Decode for () {
    fn decode(_decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.fixed(self);
    }
}

impl<const N: usize> Decode for [u8; N] {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        decoder.fixed()
    }
}

/// Optional data (section 4.19).
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, encoder: &mut Encoder) {
        self.is_some().encode(encoder);
        if let Some(value) = self {
            value.encode(encoder);
        }
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        bool::decode(decoder)?.then(|| T::decode(decoder)).transpose()
    }
}

/// Opaque data or a string of at most `MAX` bytes (sections 4.10, 4.11). Strings are bytes: the
/// protocols that use them do not agree on an encoding.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Opaque<const MAX: usize>(pub Bytes);

impl<const MAX: usize> Opaque<MAX> {
    /// A copy of `value`, which is at most `MAX` bytes long.
    pub fn copy_from_slice(value: &[u8]) -> Self {
        debug_assert!(value.len() <= MAX);
        Self(Bytes::copy_from_slice(value))
    }
}

impl<const MAX: usize> Deref for Opaque<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl<const MAX: usize> From<Vec<u8>> for Opaque<MAX> {
    fn from(value: Vec<u8>) -> Self {
        Self(value.into())
    }
}

impl<const MAX: usize> From<Bytes> for Opaque<MAX> {
    fn from(value: Bytes) -> Self {
        Self(value)
    }
}

impl<const MAX: usize> std::fmt::Debug for Opaque<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.len() {
            0..=64 => write!(f, "\"{}\"", self.0.escape_ascii()),
            length => write!(f, "({length} bytes)"),
        }
    }
}

impl<const MAX: usize> Encode for Opaque<MAX> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.shared(&self.0);
    }
}

impl<const MAX: usize> Decode for Opaque<MAX> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(decoder.opaque(MAX)?))
    }
}

/// A variable-length array of at most `MAX` elements (section 4.13).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T: Encode, const MAX: usize> Encode for List<T, MAX> {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.length(self.0.len());
        self.0.iter().for_each(|element| element.encode(encoder));
    }
}

impl<T: Decode, const MAX: usize> Decode for List<T, MAX> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let length = decoder.length(MAX)?;
        // The length is the sender's word; memory follows the data that is really there.
        (0..length).map(|_| T::decode(decoder)).collect::<Result<_, _>>().map(Self)
    }
}

/// A linked list, each element behind a "one more follows" (section 4.19, `struct *next`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain<T>(pub Vec<T>);

impl<T: Encode> Encode for Chain<T> {
    fn encode(&self, encoder: &mut Encoder) {
        for element in &self.0 {
            true.encode(encoder);
            element.encode(encoder);
        }
        false.encode(encoder);
    }
}

impl<T: Decode> Decode for Chain<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut elements = Vec::new();
        while bool::decode(decoder)? {
            elements.push(T::decode(decoder)?);
        }
        Ok(Self(elements))
    }
}
