//! Sets of attributes with their values (`fattr4`).

use standfast_rpc::xdr::{Decoder, Encode, Encoder, Opaque};
use standfast_rpc::xdr_struct;

use super::{Attribute, Bitmap, Status, Value};

/// Longest list of values that is read; an ACL of 1,024 entries with usual names fits.
const MAX_VALUES: usize = 1 << 16;

xdr_struct! {
    /// `fattr4`: which attributes, and their values one after the other.
    pub struct Fattr {
        /// Which.
        pub mask: Bitmap,
        /// The values, by ascending number.
        pub values: Opaque<MAX_VALUES>,
    }
}

/// Why attributes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttributeError {
    /// This attribute is not served, so what follows it cannot be read.
    #[error("attribute {0} is not served")]
    Unsupported(u32),
    /// The values are not what the mask says.
    #[error("the values of the attributes cannot be decoded")]
    Malformed,
}

impl From<AttributeError> for Status {
    fn from(error: AttributeError) -> Self {
        match error {
            AttributeError::Unsupported(_) => Self::AttrNotSupp,
            AttributeError::Malformed => Self::BadXdr,
        }
    }
}

impl Fattr {
    /// No attributes.
    pub fn empty() -> Self {
        Self { mask: Bitmap::EMPTY, values: Opaque::default() }
    }

    /// These values, in any order; of several for one attribute the last counts.
    pub fn new(values: impl IntoIterator<Item = Value>) -> Self {
        let mut values: Vec<Value> = values.into_iter().collect();
        values.sort_by_key(|value| value.attribute() as u32);
        values.reverse();
        values.dedup_by_key(|value| value.attribute());
        let mask = values.iter().map(|value| value.attribute() as u32).collect();
        let mut encoder = Encoder::default();
        values.iter().rev().for_each(|value| value.encode(&mut encoder));
        Self { mask, values: Opaque(encoder.into_segments().to_bytes()) }
    }

    /// The values, by ascending number.
    ///
    /// # Errors
    /// See [`AttributeError`].
    pub fn values(&self) -> Result<Vec<Value>, AttributeError> {
        let mut decoder = Decoder::new(&self.values.0);
        let mut values = Vec::new();
        for number in self.mask.iter() {
            let attribute =
                Attribute::try_from(number).map_err(|_| AttributeError::Unsupported(number))?;
            let value = Value::decode_as(attribute, &mut decoder);
            values.push(value.map_err(|_| AttributeError::Malformed)?);
        }
        decoder.finish().map_err(|_| AttributeError::Malformed)?;
        Ok(values)
    }
}
