//! Network identifiers and universal addresses (RFC 5665).

use std::net::{IpAddr, SocketAddr};

use super::protocol::{PROTOCOL_TCP, PROTOCOL_UDP};
use crate::program::Transport;

/// A transport protocol over an address family (RFC 5665 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Netid {
    /// The transport.
    pub transport: Transport,
    /// IPv6 in place of IPv4.
    pub ipv6: bool,
}

impl Netid {
    const ALL: [Self; 4] = [
        Self { transport: Transport::Udp, ipv6: false },
        Self { transport: Transport::Tcp, ipv6: false },
        Self { transport: Transport::Udp, ipv6: true },
        Self { transport: Transport::Tcp, ipv6: true },
    ];

    /// The transport to an address.
    pub fn of(transport: Transport, address: IpAddr) -> Self {
        Self { transport, ipv6: address.is_ipv6() }
    }

    /// The identifier of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|netid| netid.name().as_bytes() == name)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match (self.transport, self.ipv6) {
            (Transport::Tcp, false) => "tcp",
            (Transport::Udp, false) => "udp",
            (Transport::Tcp, true) => "tcp6",
            (Transport::Udp, true) => "udp6",
        }
    }
}

/// The number that IP knows a transport by.
pub(super) fn protocol_number(transport: Transport) -> u32 {
    match transport {
        Transport::Tcp => PROTOCOL_TCP,
        Transport::Udp => PROTOCOL_UDP,
    }
}

/// The transport of a protocol number of IP.
pub(super) fn transport_of(protocol: u32) -> Option<Transport> {
    [Transport::Tcp, Transport::Udp]
        .into_iter()
        .find(|transport| protocol_number(*transport) == protocol)
}

/// An address in the universal form: the address as text, and the two bytes of the port
/// (RFC 5665 section 5.2.3).
pub(super) fn to_universal(address: SocketAddr) -> String {
    let [high, low] = address.port().to_be_bytes();
    format!("{}.{high}.{low}", address.ip())
}

/// Reads a universal address.
pub fn from_universal(text: &[u8]) -> Option<SocketAddr> {
    let mut parts = std::str::from_utf8(text).ok()?.rsplitn(3, '.');
    let low = parts.next()?.parse().ok()?;
    let high = parts.next()?.parse().ok()?;
    let address = parts.next()?.parse().ok()?;
    Some(SocketAddr::new(address, u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn universal_addresses_are_read_as_they_are_written() {
        for (text, address) in [
            ("127.0.0.1.8.1", "127.0.0.1:2049"),
            ("0.0.0.0.0.111", "0.0.0.0:111"),
            ("::.8.1", "[::]:2049"),
            ("2001:db8::1.255.255", "[2001:db8::1]:65535"),
        ] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(from_universal(text.as_bytes()), Some(address));
            assert_eq!(to_universal(address), text);
        }
    }

    #[test]
    fn what_is_no_universal_address_is_refused() {
        for text in
            ["", ".", "1.2", "127.0.0.1", "127.0.0.1.256.1", "::1.8.-1", "x.8.1", "\u{e9}.8.1"]
        {
            assert_eq!(from_universal(text.as_bytes()), None, "{text}");
        }
        assert_eq!(from_universal(b"\xff\xff.1.1"), None);
    }

    #[test]
    fn names_stand_for_one_netid_each() {
        for netid in Netid::ALL {
            assert_eq!(Netid::from_name(netid.name().as_bytes()), Some(netid));
            assert_eq!(transport_of(protocol_number(netid.transport)), Some(netid.transport));
        }
        assert_eq!(Netid::from_name(b"local"), None);
    }
}
