//! Results: a status, and what belongs to it.

use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

use super::Status;

/// The result of an operation that has nothing to say beyond its status when it fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// `NFS4_OK` and what it gave.
    Ok(T),
    /// Another status.
    Fail(Status),
}

impl<T> Outcome<T> {
    /// The status.
    pub fn status(&self) -> Status {
        match self {
            Self::Ok(_) => Status::Ok,
            Self::Fail(status) => *status,
        }
    }
}

impl<T> From<Result<T, Status>> for Outcome<T> {
    fn from(result: Result<T, Status>) -> Self {
        match result {
            Ok(value) => Self::Ok(value),
            Err(status) => Self::Fail(status),
        }
    }
}

impl<T: Encode> Encode for Outcome<T> {
    fn encode(&self, encoder: &mut Encoder) {
        self.status().encode(encoder);
        if let Self::Ok(value) = self {
            value.encode(encoder);
        }
    }
}

impl<T: Decode> Decode for Outcome<T> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match Status::decode(decoder)? {
            Status::Ok => T::decode(decoder).map(Self::Ok),
            status => Ok(Self::Fail(status)),
        }
    }
}

/// What goes with one certain status of failure.
pub trait Detail: Encode + Decode {
    /// That status.
    const STATUS: Status;
}

/// The result of an operation that explains one of its failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Detailed<T, D> {
    /// Success, or a failure without explanation.
    Plain(Outcome<T>),
    /// The failure [`Detail::STATUS`].
    Explained(D),
}

impl<T, D: Detail> Detailed<T, D> {
    /// The status.
    pub fn status(&self) -> Status {
        match self {
            Self::Plain(outcome) => outcome.status(),
            Self::Explained(_) => D::STATUS,
        }
    }
}

impl<T: Encode, D: Detail> Encode for Detailed<T, D> {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Plain(outcome) => outcome.encode(encoder),
            Self::Explained(detail) => {
                D::STATUS.encode(encoder);
                detail.encode(encoder);
            }
        }
    }
}

impl<T: Decode, D: Detail> Decode for Detailed<T, D> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match Status::decode(decoder)? {
            Status::Ok => T::decode(decoder).map(|value| Self::Plain(Outcome::Ok(value))),
            status if status == D::STATUS => D::decode(decoder).map(Self::Explained),
            status => Ok(Self::Plain(Outcome::Fail(status))),
        }
    }
}
