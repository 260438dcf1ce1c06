//! VRRP advertisements on the wire: version 2 (RFC 3768) and version 3 (RFC 9568).

mod authentication;
mod checksum;
mod decode;
mod encode;
mod error;
mod interval;

pub use authentication::{Authentication, Password};
pub use error::{DecodeError, EncodeError};
pub use interval::{check_interval, longest_interval};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// IP protocol number of VRRP (RFC 9568, section 5.1.1.4).
pub const PROTOCOL: u8 = 112;
/// The only TTL or hop limit with which an advertisement is accepted (RFC 9568, section 5.1.1.3).
pub const TTL: u8 = 255;
/// Multicast group of the advertisements over IPv4 (RFC 9568, section 5.1.1.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// Multicast group of the advertisements over IPv6 (RFC 9568, section 5.1.2.2).
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);
/// Priority of the router that owns the addresses (RFC 9568, section 5.2.4).
pub const PRIORITY_OWNER: u8 = 255;
/// Priority with which a master says that it leaves (RFC 9568, section 5.2.4).
pub const PRIORITY_LEAVING: u8 = 0;

/// Why IPsec AH is refused wherever it is met.
pub const AH_REFUSAL: &str = "RFC 3768 withdrew IPsec AH; it protects nothing that the TTL check does \
                              not, and its replay counter breaks each failover";

/// Octets before the address list.
const HEADER_LENGTH: usize = 8;
/// The only packet type there is (RFC 9568, section 5.2.2).
const TYPE_ADVERTISEMENT: u8 = 1;

/// Version of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, the skew counted in parts of one second.
    V2,
    /// RFC 9568: IPv4 and IPv6, centiseconds, the skew counted in parts of the interval.
    V3,
}

/// The two addresses and the TTL of the IP packet that carried an advertisement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Source address: the sender's primary address.
    pub source: IpAddr,
    /// Destination address: the multicast group, or one of our own for a unicast peer.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
}

/// One advertisement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advertisement {
    /// Version of the protocol.
    pub version: Version,
    /// Virtual router identifier, 1 to 255.
    pub router_id: u8,
    /// Priority of the sender, [`PRIORITY_LEAVING`] when it stops being master.
    pub priority: u8,
    /// Time between two advertisements of the sender.
    pub interval: Duration,
    /// Addresses of the virtual router, of one family.
    pub addresses: Vec<IpAddr>,
    /// Authentication; always [`Authentication::None`] in version 3.
    pub authentication: Authentication,
}

/// The virtual router identifier of a packet that may be broken otherwise, so that the packet can
/// be counted where it belongs.
pub fn peek_router_id(bytes: &[u8]) -> Option<u8> {
    bytes.get(1).copied()
}

#[cfg(test)]
mod tests;
