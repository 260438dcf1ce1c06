//! What can be wrong with a packet.

use std::time::Duration;

use super::{AH_REFUSAL, Version};

/// Why a received packet is dropped; each reason has its counter in
/// [`Statistics`](crate::statistics).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It did not come from this link (RFC 9568, section 7.1).
    #[error("the TTL is {0}, not 255: the packet crossed a router")]
    Ttl(u8),
    /// Neither version 2 nor 3, or version 2 over IPv6.
    #[error("version {0} is not spoken here over this address family")]
    Version(u8),
    /// Not an advertisement.
    #[error("packet type {0} is unknown")]
    Type(u8),
    /// The length is not the one that the header promises.
    #[error("the packet has {actual} octets where its header promises {expected}")]
    Length {
        /// Octets there are.
        actual: usize,
        /// Octets there should be.
        expected: usize,
    },
    /// The checksum is wrong.
    #[error("the checksum is wrong")]
    Checksum,
    /// Virtual router identifier zero.
    #[error("the virtual router identifier is zero")]
    RouterId,
    /// No address at all.
    #[error("the packet carries no address")]
    NoAddress,
    /// An interval of zero.
    #[error("the advertisement interval is zero")]
    ZeroInterval,
    /// IPsec AH (type 2).
    #[error("the sender uses IPsec AH: {AH_REFUSAL}")]
    AuthenticationHeader,
    /// An authentication type nobody defined.
    #[error("authentication type {0} is unknown")]
    AuthenticationType(u8),
}

/// Why an advertisement cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The interval does not fit.
    #[error(
        "an advertisement interval of {interval:?} cannot be written in {version:?}: version 2 counts \
         whole seconds up to 255 s, version 3 centiseconds up to 40.95 s"
    )]
    Interval {
        /// The interval.
        interval: Duration,
        /// The version.
        version: Version,
    },
    /// None, too many, or addresses of the wrong family.
    #[error("{0}")]
    Addresses(&'static str),
    /// Authentication in version 3.
    #[error("version 3 has no authentication (RFC 9568, section 9)")]
    Authentication,
}
