//! Ethernet addresses.

use std::fmt;
use std::net::IpAddr;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// All stations.
    pub const BROADCAST: Self = Self([0xff; 6]);

    /// The address of a multicast group (RFC 1112, section 6.4; RFC 2464, section 7).
    pub fn of_group(group: IpAddr) -> Self {
        match group {
            IpAddr::V4(group) => {
                let [_, b, c, d] = group.octets();
                Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
            }
            IpAddr::V6(group) => {
                let [.., a, b, c, d] = group.octets();
                Self([0x33, 0x33, a, b, c, d])
            }
        }
    }

    /// The virtual address of a virtual router (RFC 9568, section 7.3).
    pub fn of_virtual_router(router_id: u8, is_ipv4: bool) -> Self {
        Self([0x00, 0x00, 0x5e, 0x00, if is_ipv4 { 1 } else { 2 }, router_id])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_virtual_routers_have_their_addresses() {
        let group = |text: &str| MacAddress::of_group(text.parse().unwrap()).to_string();
        assert_eq!(group("224.0.0.18"), "01:00:5e:00:00:12");
        assert_eq!(group("239.255.1.2"), "01:00:5e:7f:01:02");
        assert_eq!(group("ff02::12"), "33:33:00:00:00:12");
        assert_eq!(MacAddress::of_virtual_router(222, true).to_string(), "00:00:5e:00:01:de");
        assert_eq!(MacAddress::of_virtual_router(1, false).to_string(), "00:00:5e:00:02:01");
    }
}
