//! Reading an advertisement: every octet comes from the network and may be hostile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use super::authentication::{self, Authentication, Password};
use super::{
    Advertisement, DecodeError, Envelope, HEADER_LENGTH, TTL, TYPE_ADVERTISEMENT, Version,
    checksum, interval,
};

impl Advertisement {
    /// Reads the payload of one IP packet, with the checks of RFC 9568, section 7.1, and RFC 3768,
    /// section 7.1, that need no settings. The TTL of a packet from a unicast peer is left to the
    /// caller, who knows where its peers are.
    ///
    /// # Errors
    /// The first check that fails, in the order of the RFCs.
    pub fn decode(bytes: &[u8], envelope: &Envelope) -> Result<Self, DecodeError> {
        if envelope.destination.is_multicast() && envelope.ttl != TTL {
            return Err(DecodeError::Ttl(envelope.ttl));
        }
        let &[first, router_id, priority, count, fifth, sixth, _, _] = header(bytes)?;
        let version = version(first >> 4, envelope)?;
        let addresses = address_octets(bytes, version, envelope, count)?;
        if checksum_of(bytes, version, envelope) != 0 {
            return Err(DecodeError::Checksum);
        }
        if first & 0x0f != TYPE_ADVERTISEMENT {
            return Err(DecodeError::Type(first & 0x0f));
        }
        if router_id == 0 {
            return Err(DecodeError::RouterId);
        }
        let (interval, authentication) = match version {
            Version::V2 => {
                (Duration::from_secs(u64::from(sixth)), authentication_of(bytes, fifth)?)
            }
            Version::V3 => (
                interval::from_centiseconds(u16::from_be_bytes([fifth, sixth])),
                Authentication::None,
            ),
        };
        if count == 0 {
            return Err(DecodeError::NoAddress);
        }
        if interval.is_zero() {
            return Err(DecodeError::ZeroInterval);
        }
        let addresses = read_addresses(addresses, envelope);
        Ok(Self { version, router_id, priority, interval, addresses, authentication })
    }
}

fn header(bytes: &[u8]) -> Result<&[u8; HEADER_LENGTH], DecodeError> {
    bytes.first_chunk().ok_or(DecodeError::Length { actual: bytes.len(), expected: HEADER_LENGTH })
}

fn version(number: u8, envelope: &Envelope) -> Result<Version, DecodeError> {
    match (number, envelope.source) {
        (2, IpAddr::V4(_)) => Ok(Version::V2),
        (3, _) => Ok(Version::V3),
        _ => Err(DecodeError::Version(number)),
    }
}

fn address_octets<'a>(
    bytes: &'a [u8],
    version: Version,
    envelope: &Envelope,
    count: u8,
) -> Result<&'a [u8], DecodeError> {
    let address_length = if envelope.source.is_ipv4() { 4 } else { 16 };
    let end = HEADER_LENGTH + usize::from(count) * address_length;
    let trailer = match version {
        Version::V2 => authentication::DATA_LENGTH,
        Version::V3 => 0,
    };
    let error = DecodeError::Length { actual: bytes.len(), expected: end + trailer };
    if bytes.len() != end + trailer {
        return Err(error);
    }
    bytes.get(HEADER_LENGTH..end).ok_or(error)
}

fn checksum_of(bytes: &[u8], version: Version, envelope: &Envelope) -> u16 {
    match version {
        Version::V2 => checksum::plain(bytes),
        Version::V3 => checksum::with_pseudo_header(bytes, envelope.source, envelope.destination),
    }
}

fn authentication_of(bytes: &[u8], kind: u8) -> Result<Authentication, DecodeError> {
    match kind {
        authentication::TYPE_NONE => Ok(Authentication::None),
        authentication::TYPE_PASSWORD => {
            let data = bytes.last_chunk().copied().unwrap_or_default();
            Ok(Authentication::Password(Password::from_wire(data)))
        }
        authentication::TYPE_AH => Err(DecodeError::AuthenticationHeader),
        other => Err(DecodeError::AuthenticationType(other)),
    }
}

fn read_addresses(octets: &[u8], envelope: &Envelope) -> Vec<IpAddr> {
    if envelope.source.is_ipv4() {
        octets.as_chunks().0.iter().map(|octets| Ipv4Addr::from_octets(*octets).into()).collect()
    } else {
        octets.as_chunks().0.iter().map(|octets| Ipv6Addr::from_octets(*octets).into()).collect()
    }
}
