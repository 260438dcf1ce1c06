//! Octets as Keepalived 2.2.7 puts them on the wire, and decoding that survives everything.

use proptest::prelude::*;

use super::*;

fn octets(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn multicast_v4() -> Envelope {
    Envelope { source: "192.0.2.1".parse().unwrap(), destination: GROUP_V4.into(), ttl: TTL }
}

fn multicast_v6() -> Envelope {
    Envelope { source: "fe80::ff:fe00:1".parse().unwrap(), destination: GROUP_V6.into(), ttl: TTL }
}

fn addresses(list: &[&str]) -> Vec<IpAddr> {
    list.iter().map(|address| address.parse().unwrap()).collect()
}

fn advertisement(version: Version, router_id: u8, priority: u8) -> Advertisement {
    Advertisement {
        version,
        router_id,
        priority,
        interval: Duration::from_secs(1),
        addresses: addresses(&["192.0.2.10"]),
        authentication: Authentication::None,
    }
}

/// Each golden packet: its octets, its envelope, and what it says.
fn golden() -> Vec<(&'static str, Envelope, Advertisement)> {
    vec![
        (
            "21de ff01 0003 1d10 c000 020c 0000 0000 0000 0000",
            multicast_v4(),
            Advertisement {
                interval: Duration::from_secs(3),
                addresses: addresses(&["192.0.2.12"]),
                ..advertisement(Version::V2, 222, 255)
            },
        ),
        (
            PASSWORD,
            multicast_v4(),
            Advertisement {
                addresses: addresses(&["192.0.2.10", "192.0.2.11"]),
                authentication: Authentication::Password(Password::new("s3cret")),
                ..advertisement(Version::V2, 101, 101)
            },
        ),
        (
            "3133 c801 000a a222 c000 020d",
            multicast_v4(),
            Advertisement {
                interval: Duration::from_millis(100),
                addresses: addresses(&["192.0.2.13"]),
                ..advertisement(Version::V3, 51, 200)
            },
        ),
        (
            "3133 9602 0019 fd03 fe80 0000 0000 0000 0000 0000 0000 1234
             2001 0db8 0000 0000 0000 0000 0000 0010",
            multicast_v6(),
            Advertisement {
                interval: Duration::from_millis(250),
                addresses: addresses(&["fe80::1234", "2001:db8::10"]),
                ..advertisement(Version::V3, 51, 150)
            },
        ),
    ]
}

const PASSWORD: &str = "2165 6502 0101 b866 c000 020a c000 020b 7333 6372 6574 0000";

#[test]
fn golden_packets_decode() {
    for (hex, envelope, expected) in golden() {
        assert_eq!(Advertisement::decode(&octets(hex), &envelope), Ok(expected), "{hex}");
    }
}

#[test]
fn golden_packets_encode() {
    for (hex, envelope, advertisement) in golden() {
        let packet = advertisement.encode(envelope.source, envelope.destination);
        assert_eq!(packet, Ok(octets(hex)), "{hex}");
    }
}

#[test]
fn a_password_is_cut_after_eight_octets() {
    assert_eq!(Password::new("correct horse"), Password::new("correct "));
    assert_ne!(Password::new("correct"), Password::new("correct "));
    assert_eq!(format!("{:?}", Password::new("secret")), "Password(..)");
}

/// Overwrites octets of the golden packet with a password and mends its checksum.
fn altered(changes: &[(usize, u8)]) -> Result<Advertisement, DecodeError> {
    let mut packet = octets(PASSWORD);
    for (offset, value) in changes {
        packet[*offset] = *value;
    }
    packet[6..8].fill(0);
    let sum = checksum::plain(&packet).to_be_bytes();
    packet[6..8].copy_from_slice(&sum);
    Advertisement::decode(&packet, &multicast_v4())
}

#[test]
fn each_broken_field_is_named() {
    assert_eq!(altered(&[(0, 0x41)]), Err(DecodeError::Version(4)));
    assert_eq!(altered(&[(0, 0x22)]), Err(DecodeError::Type(2)));
    assert_eq!(altered(&[(1, 0)]), Err(DecodeError::RouterId));
    assert_eq!(altered(&[(3, 3)]), Err(DecodeError::Length { actual: 24, expected: 28 }));
    assert_eq!(altered(&[(4, 2)]), Err(DecodeError::AuthenticationHeader));
    assert_eq!(altered(&[(4, 9)]), Err(DecodeError::AuthenticationType(9)));
    assert_eq!(altered(&[(5, 0)]), Err(DecodeError::ZeroInterval));
}

#[test]
fn a_packet_that_was_forwarded_is_refused() {
    let envelope = Envelope { ttl: 254, ..multicast_v4() };
    let result = Advertisement::decode(&octets(PASSWORD), &envelope);
    assert_eq!(result, Err(DecodeError::Ttl(254)));
    let unicast = Envelope { destination: "192.0.2.2".parse().unwrap(), ..envelope };
    assert!(Advertisement::decode(&octets(PASSWORD), &unicast).is_ok());
}

#[test]
fn a_flipped_bit_breaks_the_checksum() {
    for (hex, envelope, _) in golden() {
        let mut packet = octets(hex);
        packet[2] ^= 1;
        assert_eq!(Advertisement::decode(&packet, &envelope), Err(DecodeError::Checksum));
    }
}

#[test]
fn version_3_covers_the_addresses_of_its_packet() {
    let envelope = Envelope { source: "192.0.2.2".parse().unwrap(), ..multicast_v4() };
    let packet = octets("3133 c801 000a a222 c000 020d");
    assert_eq!(Advertisement::decode(&packet, &envelope), Err(DecodeError::Checksum));
}

#[test]
fn what_a_version_cannot_say_is_not_encoded() {
    let source = multicast_v4().source;
    let encode = |advertisement: Advertisement| advertisement.encode(source, GROUP_V4.into());
    let half = Duration::from_millis(500);
    assert!(encode(Advertisement { interval: half, ..advertisement(Version::V3, 1, 1) }).is_ok());
    assert_eq!(
        encode(Advertisement { interval: half, ..advertisement(Version::V2, 1, 1) }),
        Err(EncodeError::Interval { interval: half, version: Version::V2 })
    );
    let password = Authentication::Password(Password::new("x"));
    assert_eq!(
        encode(Advertisement { authentication: password, ..advertisement(Version::V3, 1, 1) }),
        Err(EncodeError::Authentication)
    );
    for wrong in [vec![], addresses(&["2001:db8::1"]), addresses(&["192.0.2.1"; 256])] {
        let result = encode(Advertisement { addresses: wrong, ..advertisement(Version::V3, 1, 1) });
        assert!(matches!(result, Err(EncodeError::Addresses(_))), "{result:?}");
    }
    assert_eq!(longest_interval(Version::V3), Duration::from_millis(40_950));
    assert!(check_interval(Version::V3, Duration::from_secs(41)).is_err());
    assert!(check_interval(Version::V2, Duration::ZERO).is_err());
}

fn any_advertisement() -> impl Strategy<Value = (Advertisement, Envelope)> {
    let v4 = prop::collection::vec(any::<Ipv4Addr>().prop_map(IpAddr::V4), 1..=255);
    let v6 = prop::collection::vec(any::<Ipv6Addr>().prop_map(IpAddr::V6), 1..=90);
    let header = (1u8.., any::<u8>());
    let v2 = (header.clone(), 1u64..=255, v4.clone(), prop::option::of(any::<[u8; 8]>())).prop_map(
        |((router_id, priority), seconds, addresses, password)| Advertisement {
            version: Version::V2,
            router_id,
            priority,
            interval: Duration::from_secs(seconds),
            addresses,
            authentication: password
                .map_or(Authentication::None, |p| Authentication::Password(Password::from_wire(p))),
        },
    );
    let v3 = (header, 1u64..=4095, prop_oneof![v4, v6]).prop_map(
        |((router_id, priority), centiseconds, addresses)| Advertisement {
            version: Version::V3,
            router_id,
            priority,
            interval: Duration::from_millis(centiseconds * 10),
            addresses,
            authentication: Authentication::None,
        },
    );
    prop_oneof![v2, v3].prop_map(|advertisement| {
        let v4 = advertisement.addresses.iter().all(IpAddr::is_ipv4);
        (advertisement, if v4 { multicast_v4() } else { multicast_v6() })
    })
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself((advertisement, envelope) in any_advertisement()) {
        let packet = advertisement.encode(envelope.source, envelope.destination).unwrap();
        prop_assert_eq!(Advertisement::decode(&packet, &envelope), Ok(advertisement));
    }

    #[test]
    fn any_octets_decode_or_are_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        v6 in any::<bool>(),
        start in prop::option::of(0x20u8..0x40),
    ) {
        let mut bytes = bytes;
        if let (Some(start), Some(first)) = (start, bytes.first_mut()) {
            *first = start;
        }
        let envelope = if v6 { multicast_v6() } else { multicast_v4() };
        if let Ok(advertisement) = Advertisement::decode(&bytes, &envelope) {
            let again = advertisement.encode(envelope.source, envelope.destination);
            prop_assert!(again.is_ok());
        }
    }
}
