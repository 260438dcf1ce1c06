//! VRRP: an advertisement that is accepted says the same when it is written and read again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use standfast_vrrp::packet::{
    Advertisement, Envelope, GROUP_V4, GROUP_V6, PROTOCOL, TTL, peek_router_id,
};

/// The payload of an IP packet, in both versions of IP, to the group and to one router.
pub(crate) fn check(data: &[u8]) {
    let v4 = |last| IpAddr::from(Ipv4Addr::new(192, 0, 2, last));
    let v6 = |last| IpAddr::from(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, last));
    let ways = [(v4(1), GROUP_V4.into()), (v4(1), v4(2)), (v6(1), GROUP_V6.into()), (v6(1), v6(2))];
    for (source, destination) in ways {
        let envelope = Envelope { source, destination, ttl: TTL };
        let mut mended = data.to_vec();
        mend_checksum(&mut mended, &envelope);
        for packet in [data, &mended] {
            if let Ok(advertisement) = Advertisement::decode(packet, &envelope) {
                assert_eq!(peek_router_id(packet), Some(advertisement.router_id));
                check_again(&advertisement, packet, &envelope);
            }
        }
    }
}

/// Gives a packet the checksum that it should have: by chance it would hardly ever be right.
fn mend_checksum(packet: &mut [u8], envelope: &Envelope) {
    let Some([first, .., high, low]) = packet.first_chunk_mut::<8>() else { return };
    (*high, *low) = (0, 0);
    let octets = |address: IpAddr| match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let mut counted = Vec::new();
    if *first >> 4 == 3 {
        counted.extend(octets(envelope.source));
        counted.extend(octets(envelope.destination));
        counted.extend([0, PROTOCOL]);
        counted.extend((packet.len() as u16).to_be_bytes());
    }
    counted.extend_from_slice(packet);
    let word = |pair: &[u8]| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u64 = counted.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[6..8].copy_from_slice(&(!sum as u16).to_be_bytes());
}

/// The nibble beside the interval of version 3 is to be ignored, and the checksum counts it; so is
/// what follows in version 2 where there is no password. So it is the reading that is compared.
fn check_again(advertisement: &Advertisement, data: &[u8], envelope: &Envelope) {
    let again = advertisement.encode(envelope.source, envelope.destination);
    let again = again.expect("what was read can be written");
    assert_eq!(again.len(), data.len());
    assert_eq!(Advertisement::decode(&again, envelope).as_ref(), Ok(advertisement));
}
