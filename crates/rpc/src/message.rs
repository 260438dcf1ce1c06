//! Call and reply headers (RFC 5531 section 9).

use bytes::Bytes;

use crate::auth::{AuthStat, Credential, OpaqueAuth};
use crate::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

/// The version of the protocol.
pub const RPC_VERSION: u32 = 2;

const CALL: u32 = 0;
const REPLY: u32 = 1;
const MSG_ACCEPTED: u32 = 0;
const MSG_DENIED: u32 = 1;
const RPC_MISMATCH: u32 = 0;
const AUTH_ERROR: u32 = 1;

/// Whether a message is a reply, as far as its second word tells.
pub fn is_reply(message: &Bytes) -> bool {
    message.get(4..8).is_some_and(|word| word == REPLY.to_be_bytes())
}

/// The header of a call, and its arguments still encoded.
#[derive(Clone, Debug)]
pub struct CallMessage {
    /// Transaction id: a retransmission carries the same.
    pub xid: u32,
    /// The version of RPC itself.
    pub rpc_version: u32,
    /// Program number.
    pub program: u32,
    /// Program version.
    pub version: u32,
    /// Procedure number.
    pub procedure: u32,
    /// Who asks, or why that could not be read.
    pub credential: Result<Credential, AuthStat>,
    /// The arguments.
    pub arguments: Bytes,
}

impl CallMessage {
    /// Reads the header of a call. A message of another version of RPC ends after `rpc_version`.
    pub fn decode(message: &Bytes) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(message);
        let xid = decoder.u32()?;
        match decoder.u32()? {
            CALL => {}
            value => return Err(DecodeError::BadDiscriminant { type_name: "call", value }),
        }
        let rpc_version = decoder.u32()?;
        if rpc_version != RPC_VERSION {
            return Ok(Self {
                xid,
                rpc_version,
                program: 0,
                version: 0,
                procedure: 0,
                credential: Ok(Credential::None),
                arguments: Bytes::new(),
            });
        }
        let (program, version, procedure) = (decoder.u32()?, decoder.u32()?, decoder.u32()?);
        let credential = OpaqueAuth::decode(&mut decoder)?;
        let _verifier = OpaqueAuth::decode(&mut decoder)?;
        Ok(Self {
            xid,
            rpc_version,
            program,
            version,
            procedure,
            credential: Credential::from_opaque(&credential),
            arguments: decoder.rest(),
        })
    }

    /// Writes a call; the arguments follow.
    pub fn encode_header(
        encoder: &mut Encoder,
        xid: u32,
        (program, version, procedure): (u32, u32, u32),
        credential: &OpaqueAuth,
    ) {
        words(encoder, &[xid, CALL, RPC_VERSION, program, version, procedure]);
        credential.encode(encoder);
        OpaqueAuth::none().encode(encoder);
    }
}

/// How a call was received (`accept_stat` and `reject_stat` in one).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyStatus {
    /// The results follow.
    Success,
    /// This program is not served here.
    ProgramUnavailable,
    /// The program is served in versions `low` to `high` only.
    ProgramMismatch {
        /// Lowest version served.
        low: u32,
        /// Highest version served.
        high: u32,
    },
    /// The program has no such procedure.
    ProcedureUnavailable,
    /// The arguments could not be decoded.
    GarbageArguments,
    /// The server failed (for example: out of memory).
    SystemError,
    /// Another version of RPC than 2.
    RpcMismatch,
    /// The credential was refused.
    AuthError(AuthStat),
}

/// Bytes of the header of a reply with results.
pub const SUCCESS_HEADER_SIZE: usize = 24;

impl ReplyStatus {
    /// Writes the header of a reply; the results follow a success.
    pub fn encode_header(self, encoder: &mut Encoder, xid: u32) {
        encoder.u32(xid);
        encoder.u32(REPLY);
        match self {
            Self::RpcMismatch => {
                words(encoder, &[MSG_DENIED, RPC_MISMATCH, RPC_VERSION, RPC_VERSION]);
            }
            Self::AuthError(stat) => {
                words(encoder, &[MSG_DENIED, AUTH_ERROR, stat as u32]);
            }
            _ => {
                encoder.u32(MSG_ACCEPTED);
                OpaqueAuth::none().encode(encoder);
                self.encode_accepted(encoder);
            }
        }
    }

    fn encode_accepted(self, encoder: &mut Encoder) {
        let accept_stat = match self {
            Self::Success => 0,
            Self::ProgramUnavailable => 1,
            Self::ProgramMismatch { low, high } => {
                return words(encoder, &[2, low, high]);
            }
            Self::ProcedureUnavailable => 3,
            Self::GarbageArguments => 4,
            Self::SystemError | Self::RpcMismatch | Self::AuthError(_) => 5,
        };
        encoder.u32(accept_stat);
    }

    /// Reads the header of a reply: its xid, and what became of the call.
    pub fn decode(decoder: &mut Decoder<'_>) -> Result<(u32, Self), DecodeError> {
        let xid = decoder.u32()?;
        match decoder.u32()? {
            REPLY => {}
            value => return Err(DecodeError::BadDiscriminant { type_name: "reply", value }),
        }
        let status = match decoder.u32()? {
            MSG_ACCEPTED => {
                OpaqueAuth::decode(decoder)?;
                Self::decode_accepted(decoder)?
            }
            MSG_DENIED => match decoder.u32()? {
                RPC_MISMATCH => {
                    decoder.u32()?;
                    decoder.u32()?;
                    Self::RpcMismatch
                }
                AUTH_ERROR => {
                    Self::AuthError(decoder.u32()?.try_into().unwrap_or(AuthStat::TooWeak))
                }
                value => {
                    return Err(DecodeError::BadDiscriminant { type_name: "reject_stat", value });
                }
            },
            value => return Err(DecodeError::BadDiscriminant { type_name: "reply_stat", value }),
        };
        Ok((xid, status))
    }

    fn decode_accepted(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match decoder.u32()? {
            0 => Self::Success,
            1 => Self::ProgramUnavailable,
            2 => Self::ProgramMismatch { low: decoder.u32()?, high: decoder.u32()? },
            3 => Self::ProcedureUnavailable,
            4 => Self::GarbageArguments,
            5 => Self::SystemError,
            value => return Err(DecodeError::BadDiscriminant { type_name: "accept_stat", value }),
        })
    }
}

fn words(encoder: &mut Encoder, words: &[u32]) {
    words.iter().for_each(|word| encoder.u32(*word));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_has_the_size_that_is_left_open_for_it() {
        let mut encoder = Encoder::default();
        ReplyStatus::Success.encode_header(&mut encoder, 1);
        assert_eq!(encoder.len(), SUCCESS_HEADER_SIZE);
    }
}
