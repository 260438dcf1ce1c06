//! Certificates of the cluster and tokens to join it.
//!
//! Each cluster has an authority of its own, made when it is founded; its key is part of the
//! replicated state, so that whoever leads can let nodes in and renew certificates. A node makes its
//! private key itself and never gives it away. A certificate has a number that the state gives out
//! and that only grows: one with a smaller number than the state asks for is refused at once, as is
//! one of a node that was removed.

mod authority;
mod error;
mod files;
mod tls;
mod token;

pub use authority::{Authority, NodeKey, PeerIdentity, Request, authority_fingerprint};
pub use error::PkiError;
pub use files::{Founding, Identity, IdentityFiles};
pub use tls::{TlsIdentity, explain, joining_client, peer_identity, server_name};
pub use token::JoinToken;

use ring::digest::{SHA256, digest};

/// SHA-256 in hexadecimal.
pub fn fingerprint(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

/// Random bytes.
///
/// # Errors
/// The system gives none.
pub fn random<const N: usize>() -> Result<[u8; N], PkiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| PkiError::Random(error.to_string()))?;
    Ok(bytes)
}
