//! Ethernet frames: announcements of addresses (RFC 5227, RFC 4861), answers for them, and any IP
//! packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{MacAddress, internet_checksum};

const TYPE_IPV4: u16 = 0x0800;
const TYPE_ARP: u16 = 0x0806;
const TYPE_IPV6: u16 = 0x86dd;
const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;
const ICMPV6: u8 = 58;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const TARGET_LINK_LAYER_ADDRESS: u8 = 2;
const FLAG_ROUTER: u8 = 0x80;
const FLAG_SOLICITED: u8 = 0x40;
const FLAG_OVERRIDE: u8 = 0x20;
/// Hop limit of neighbour discovery and of VRRP: what crossed no router.
const HOP_LIMIT: u8 = 255;
/// Type of service "internetwork control", with which routing protocols send.
const CONTROL: u8 = 0xc0;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Somebody asks who has an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The address that is asked for.
    pub target: IpAddr,
    /// Who asks; unspecified for a probe of an address that is about to be used.
    pub asker: IpAddr,
    /// The asker's Ethernet address, if it is known.
    pub asker_mac: Option<MacAddress>,
}

fn ethernet(destination: MacAddress, source: MacAddress, kind: u16) -> Vec<u8> {
    let mut frame = Vec::with_capacity(128);
    frame.extend(destination.0);
    frame.extend(source.0);
    frame.extend(kind.to_be_bytes());
    frame
}

fn arp(
    operation: u16,
    sender: (MacAddress, Ipv4Addr),
    target: (MacAddress, Ipv4Addr),
    destination: MacAddress,
) -> Vec<u8> {
    let mut frame = ethernet(destination, sender.0, TYPE_ARP);
    frame.extend([0, 1, 8, 0, 6, 4]);
    frame.extend(operation.to_be_bytes());
    frame.extend(sender.0.0);
    frame.extend(sender.1.octets());
    frame.extend(target.0.0);
    frame.extend(target.1.octets());
    frame
}

pub(crate) fn ipv4_header(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    length: usize,
) -> Vec<u8> {
    let total = u16::try_from(20 + length).unwrap_or(u16::MAX).to_be_bytes();
    let mut header = vec![0x45, CONTROL, total[0], total[1], 0, 0, 0, 0, HOP_LIMIT, protocol, 0, 0];
    header.extend(source.octets());
    header.extend(destination.octets());
    let sum = internet_checksum(&[&header]).to_be_bytes();
    header[10..12].copy_from_slice(&sum);
    header
}

pub(crate) fn ipv6_header(
    source: Ipv6Addr,
    destination: Ipv6Addr,
    protocol: u8,
    length: usize,
) -> Vec<u8> {
    let length = u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    let mut header =
        vec![0x60 | CONTROL >> 4, CONTROL << 4, 0, 0, length[0], length[1], protocol, HOP_LIMIT];
    header.extend(source.octets());
    header.extend(destination.octets());
    header
}

/// A frame with an IP packet to a multicast group, TTL 255.
pub fn multicast(
    mac: MacAddress,
    source: IpAddr,
    group: IpAddr,
    protocol: u8,
    payload: &[u8],
) -> Vec<u8> {
    let to = MacAddress::of_group(group);
    let (mut frame, header) = match (source, group) {
        (IpAddr::V4(source), IpAddr::V4(group)) => {
            (ethernet(to, mac, TYPE_IPV4), ipv4_header(source, group, protocol, payload.len()))
        }
        (source, group) => {
            let header = ipv6_header(to_v6(source), to_v6(group), protocol, payload.len());
            (ethernet(to, mac, TYPE_IPV6), header)
        }
    };
    frame.extend(header);
    frame.extend_from_slice(payload);
    frame
}

fn to_v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn neighbour_advertisement(
    mac: MacAddress,
    address: Ipv6Addr,
    flags: u8,
    to: (MacAddress, Ipv6Addr),
) -> Vec<u8> {
    let mut message = vec![NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(address.octets());
    message.extend([TARGET_LINK_LAYER_ADDRESS, 1]);
    message.extend(mac.0);
    let pseudo = [0, 0, 0, message.len() as u8, 0, 0, 0, ICMPV6];
    let sum =
        internet_checksum(&[&address.octets(), &to.1.octets(), &pseudo, &message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    let mut frame = ethernet(to.0, mac, TYPE_IPV6);
    let mut header = ipv6_header(address, to.1, ICMPV6, message.len());
    // Neighbour discovery belongs to no traffic class.
    header[..2].copy_from_slice(&[0x60, 0]);
    frame.extend(header);
    frame.extend(message);
    frame
}

/// Tells everybody on the link that `address` is at `mac` now: a gratuitous ARP request, or an
/// unsolicited neighbour advertisement with the override flag (RFC 9568, section 6.4.2).
pub fn announcement(mac: MacAddress, address: IpAddr, is_router: bool) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => arp(
            ARP_REQUEST,
            (mac, address),
            (MacAddress::BROADCAST, address),
            MacAddress::BROADCAST,
        ),
        IpAddr::V6(address) => {
            let flags = FLAG_OVERRIDE | if is_router { FLAG_ROUTER } else { 0 };
            let everybody = (MacAddress::of_group(ALL_NODES.into()), ALL_NODES);
            neighbour_advertisement(mac, address, flags, everybody)
        }
    }
}

/// Asks everybody on the link who has `target`.
pub fn arp_request(mac: MacAddress, asker: Ipv4Addr, target: Ipv4Addr) -> Vec<u8> {
    arp(ARP_REQUEST, (mac, asker), (MacAddress([0; 6]), target), MacAddress::BROADCAST)
}

/// Answers a question for an address that is at `mac`.
pub fn answer(mac: MacAddress, question: &Question, is_router: bool) -> Vec<u8> {
    let to = question.asker_mac.unwrap_or(MacAddress::BROADCAST);
    match (question.target, question.asker) {
        (IpAddr::V4(target), IpAddr::V4(asker)) => arp(ARP_REPLY, (mac, target), (to, asker), to),
        (target, asker) if asker.is_unspecified() => announcement(mac, target, is_router),
        (target, asker) => {
            let router = if is_router { FLAG_ROUTER } else { 0 };
            let to = question
                .asker_mac
                .map_or((MacAddress::of_group(ALL_NODES.into()), ALL_NODES), |mac| {
                    (mac, to_v6(asker))
                });
            let flags = FLAG_OVERRIDE | FLAG_SOLICITED | router;
            neighbour_advertisement(mac, to_v6(target), flags, to)
        }
    }
}

/// Reads an ARP request from an Ethernet frame.
pub fn read_arp_request(frame: &[u8]) -> Option<Question> {
    let (mac, asker, target) = read_arp(frame, ARP_REQUEST)?;
    Some(Question { target: target.into(), asker: asker.into(), asker_mac: Some(mac) })
}

/// Reads from an ARP reply in an Ethernet frame who has which address.
pub fn read_arp_reply(frame: &[u8]) -> Option<(MacAddress, Ipv4Addr)> {
    read_arp(frame, ARP_REPLY).map(|(mac, sender, _)| (mac, sender))
}

/// Reads from any ARP packet who says to have which address. A probe says nothing of the kind.
pub fn read_arp_claim(frame: &[u8]) -> Option<(MacAddress, Ipv4Addr)> {
    let (mac, sender, _) = read_arp(frame, ARP_REQUEST).or_else(|| read_arp(frame, ARP_REPLY))?;
    (!sender.is_unspecified()).then_some((mac, sender))
}

/// Reads from a neighbour advertisement who says to have which address (RFC 4861, section 4.4).
pub fn read_neighbour_advertisement(message: &[u8]) -> Option<(MacAddress, Ipv6Addr)> {
    let (fixed, rest) = message.split_first_chunk::<8>()?;
    let (target, options) = rest.split_first_chunk::<16>()?;
    match options.first_chunk::<8>() {
        Some([TARGET_LINK_LAYER_ADDRESS, 1, mac @ ..])
            if fixed.starts_with(&[NEIGHBOUR_ADVERTISEMENT, 0]) =>
        {
            Some((MacAddress(*mac), Ipv6Addr::from_octets(*target)))
        }
        _ => None,
    }
}

/// The sender's addresses and the target's, from an ARP packet of one operation.
fn read_arp(frame: &[u8], operation: u16) -> Option<(MacAddress, Ipv4Addr, Ipv4Addr)> {
    let (header, arp) = frame.split_at_checked(14)?;
    let arp: &[u8; 28] = arp.first_chunk()?;
    let (fixed, addresses) = arp.split_first_chunk::<8>()?;
    let [high, low] = operation.to_be_bytes();
    let is_meant =
        header.ends_with(&TYPE_ARP.to_be_bytes()) && *fixed == [0, 1, 8, 0, 6, 4, high, low];
    let (mac, rest) = addresses.split_first_chunk::<6>()?;
    let (sender, rest) = rest.split_first_chunk::<4>()?;
    let target = rest.last_chunk::<4>()?;
    is_meant
        .then(|| (MacAddress(*mac), Ipv4Addr::from_octets(*sender), Ipv4Addr::from_octets(*target)))
}

/// Reads a neighbour solicitation from an ICMPv6 message that came from `asker`.
pub fn read_neighbour_solicitation(message: &[u8], asker: Ipv6Addr) -> Option<Question> {
    let (fixed, rest) = message.split_first_chunk::<8>()?;
    let (target, options) = rest.split_first_chunk::<16>()?;
    let is_solicitation = fixed.starts_with(&[NEIGHBOUR_SOLICITATION, 0]);
    // The only option it may have is the asker's link-layer address (RFC 4861, section 4.3).
    let asker_mac = match options.first_chunk::<8>() {
        Some([1, 1, mac @ ..]) => Some(MacAddress(*mac)),
        _ => None,
    };
    is_solicitation.then(|| Question {
        target: Ipv6Addr::from_octets(*target).into(),
        asker: asker.into(),
        asker_mac,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: MacAddress = MacAddress([2, 0, 0, 0, 0, 1]);
    const ASKER: MacAddress = MacAddress([2, 0, 0, 0, 0, 9]);

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn a_gratuitous_arp_is_as_keepalived_sends_it() {
        let expected = octets(
            "ffff ffff ffff 0200 0000 0001 0806 0001 0800 0604 0001 0200 0000 0001 c000 020c
             ffff ffff ffff c000 020c",
        );
        assert_eq!(announcement(MAC, "192.0.2.12".parse().unwrap(), true), expected);
    }

    #[test]
    fn an_unsolicited_advertisement_is_as_keepalived_sends_it() {
        let expected = octets(
            "3333 0000 0001 0200 0000 0001 86dd 6000 0000 0020 3aff 2001 0db8 0000 0000 0000
             0000 0000 0010 ff02 0000 0000 0000 0000 0000 0000 0001 8800 f90c 2000 0000 2001
             0db8 0000 0000 0000 0000 0000 0010 0201 0200 0000 0001",
        );
        assert_eq!(announcement(MAC, "2001:db8::10".parse().unwrap(), false), expected);
        assert_eq!(announcement(MAC, "2001:db8::10".parse().unwrap(), true)[58], 0xa0);
    }

    #[test]
    fn multicast_frames_carry_their_headers() {
        let payload = octets("3133 c801 000a a222 c000 020d");
        let source = "192.0.2.1".parse().unwrap();
        let frame = multicast(MAC, source, "224.0.0.18".parse().unwrap(), 112, &payload);
        let expected = octets(
            "0100 5e00 0012 0200 0000 0001 0800 45c0 0020 0000 0000 ff70 189a c000 0201 e000 0012",
        );
        assert_eq!(frame, [expected, payload].concat());
        let source = "fe80::ff:fe00:1".parse().unwrap();
        let frame = multicast(MAC, source, "ff02::12".parse().unwrap(), 112, &[0; 40]);
        let expected = octets(
            "3333 0000 0012 0200 0000 0001 86dd 6c00 0000 0028 70ff fe80 0000 0000 0000 0000
             00ff fe00 0001 ff02 0000 0000 0000 0000 0000 0000 0012",
        );
        assert_eq!(frame[..54], expected);
    }

    #[test]
    fn an_arp_request_is_read_and_answered() {
        let asker: Ipv4Addr = "192.0.2.9".parse().unwrap();
        let target: Ipv4Addr = "192.0.2.12".parse().unwrap();
        let request = arp_request(ASKER, asker, target);
        let question = read_arp_request(&request).unwrap();
        assert_eq!((question.target, question.asker_mac), (target.into(), Some(ASKER)));
        let reply = answer(MAC, &question, true);
        assert_eq!(reply, arp(ARP_REPLY, (MAC, target), (ASKER, asker), ASKER));
        assert_eq!(read_arp_request(&reply), None);
        assert_eq!(read_arp_reply(&reply), Some((MAC, target)));
        for length in 0..request.len() {
            assert_eq!(read_arp_request(&request[..length]), None);
        }
    }

    #[test]
    fn claims_are_read_from_announcements() {
        let v4: Ipv4Addr = "192.0.2.12".parse().unwrap();
        let v6: Ipv6Addr = "2001:db8::10".parse().unwrap();
        let arp_frame = announcement(MAC, v4.into(), false);
        assert_eq!(read_arp_claim(&arp_frame), Some((MAC, v4)));
        let probe = arp_request(MAC, Ipv4Addr::UNSPECIFIED, v4);
        assert_eq!(read_arp_claim(&probe), None);
        let message = announcement(MAC, v6.into(), false).split_off(54);
        assert_eq!(read_neighbour_advertisement(&message), Some((MAC, v6)));
        for length in 0..message.len() {
            assert_eq!(read_neighbour_advertisement(&message[..length]), None);
        }
    }

    #[test]
    fn a_solicitation_is_read_and_answered() {
        let asker: Ipv6Addr = "fe80::9".parse().unwrap();
        let mut message = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        message.extend("2001:db8::10".parse::<Ipv6Addr>().unwrap().octets());
        let probe = read_neighbour_solicitation(&message, Ipv6Addr::UNSPECIFIED).unwrap();
        assert_eq!(answer(MAC, &probe, false), announcement(MAC, probe.target, false));
        message.extend([1, 1]);
        message.extend(ASKER.0);
        let question = read_neighbour_solicitation(&message, asker).unwrap();
        assert_eq!(question.asker_mac, Some(ASKER));
        let reply = answer(MAC, &question, true);
        assert_eq!((&reply[..6], reply[58]), (&ASKER.0[..], 0xe0));
        assert_eq!(read_neighbour_solicitation(&message[..23], asker), None);
    }
}
