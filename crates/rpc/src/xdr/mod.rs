//! External data representation (RFC 4506).
//!
//! A wire type is written once, with [`xdr_struct!`](crate::xdr_struct),
//! [`xdr_enum!`](crate::xdr_enum) or [`xdr_union!`](crate::xdr_union), and both directions come
//! from that one description. Declarative macros suffice for what RPC protocols need, expand to
//! code a reader can follow, and keep a procedural macro (with its parser of Rust) out of the
//! build.

mod decode;
mod encode;
mod macros;
mod types;

pub use decode::{Decode, DecodeError, Decoder, from_bytes};
pub use encode::{Encode, Encoder, Mark, Segments, to_bytes};
pub use types::{Chain, List, Opaque};
