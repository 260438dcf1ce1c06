//! Reading XDR from a message that came from the network.

use bytes::Bytes;

/// Why bytes are not the XDR that they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The message ends inside a value.
    #[error("the message ends inside a value")]
    Short,
    /// A length is above what the protocol allows.
    #[error("a length of {length} is above the limit of {limit}")]
    TooLong {
        /// What the message says.
        length: usize,
        /// What the protocol allows.
        limit: usize,
    },
    /// A number that stands for no value of its type.
    #[error("{value} is no value of {type_name}")]
    BadDiscriminant {
        /// The type.
        type_name: &'static str,
        /// The number.
        value: u32,
    },
    /// Bytes are left after the last value.
    #[error("{0} bytes are left over")]
    Trailing(usize),
}

/// A position in a message. Opaque data is taken out as slices that share the message's memory.
#[derive(Clone, Debug)]
pub struct Decoder<'a> {
    message: &'a Bytes,
    position: usize,
}

impl<'a> Decoder<'a> {
    /// Starts at the beginning of `message`.
    pub fn new(message: &'a Bytes) -> Self {
        Self { message, position: 0 }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.message.len() - self.position
    }

    /// What is left, sharing the message's memory.
    pub fn rest(&self) -> Bytes {
        self.message.slice(self.position..)
    }

    /// A fixed number of bytes, without padding.
    fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let end = self.position.checked_add(length).ok_or(DecodeError::Short)?;
        let slice = self.message.get(self.position..end).ok_or(DecodeError::Short)?;
        self.position = end;
        Ok(slice)
    }

    /// An unsigned integer (RFC 4506 section 4.2).
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        let bytes = self.raw(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// Fixed-length opaque data (section 4.9).
    pub fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut value = [0; N];
        value.copy_from_slice(self.raw(N)?);
        self.raw(padding(N))?;
        Ok(value)
    }

    /// Variable-length opaque data of at most `limit` bytes (section 4.10).
    pub fn opaque(&mut self, limit: usize) -> Result<Bytes, DecodeError> {
        let length = self.length(limit)?;
        let start = self.position;
        self.raw(length)?;
        self.raw(padding(length))?;
        Ok(self.message.slice(start..start + length))
    }

    /// Passes over variable-length opaque data.
    pub fn pass_opaque(&mut self) -> Result<(), DecodeError> {
        let length = self.u32()? as usize;
        self.raw(length)?;
        self.raw(padding(length))?;
        Ok(())
    }

    /// A length of at most `limit` (section 4.10, 4.13).
    pub fn length(&mut self, limit: usize) -> Result<usize, DecodeError> {
        let length = self.u32()? as usize;
        if length > limit {
            return Err(DecodeError::TooLong { length, limit });
        }
        Ok(length)
    }

    /// Succeeds only at the end of the message.
    pub fn finish(self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}

/// Bytes that fill `length` up to a multiple of four.
pub(super) fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

/// A value that can be read from XDR.
pub trait Decode: Sized {
    /// Reads one value and moves past it.
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError>;
}

/// Reads one value that fills the whole message.
pub fn from_bytes<T: Decode>(message: &Bytes) -> Result<T, DecodeError> {
    let mut decoder = Decoder::new(message);
    let value = T::decode(&mut decoder)?;
    decoder.finish()?;
    Ok(value)
}
