//! The checksum of a packet and, in version 3, of the pseudo-header before it.

use std::net::IpAddr;

use standfast_net::internet_checksum;

use super::PROTOCOL;

/// Checksum of `packet` alone (version 2). Zero if the packet already carries a right one.
pub(super) fn plain(packet: &[u8]) -> u16 {
    internet_checksum(&[packet])
}

/// Checksum of `packet` behind the pseudo-header of its family (version 3; RFC 9568, section
/// 5.2.8). Zero if the packet already carries a right one.
pub(super) fn with_pseudo_header(packet: &[u8], source: IpAddr, destination: IpAddr) -> u16 {
    // Length and next header are wider in IPv6, yet add up to the same words.
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX).to_be_bytes();
    let rest = [0, PROTOCOL, length[0], length[1]];
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            internet_checksum(&[&source.octets(), &destination.octets(), &rest, packet])
        }
        (source, destination) => {
            internet_checksum(&[&v6_octets(source), &v6_octets(destination), &rest, packet])
        }
    }
}

fn v6_octets(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}
