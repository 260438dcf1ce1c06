//! Writing an advertisement.

use std::net::IpAddr;

use super::authentication::{self, Authentication};
use super::{
    Advertisement, EncodeError, HEADER_LENGTH, TYPE_ADVERTISEMENT, Version, checksum, interval,
};

const CHECKSUM_OFFSET: usize = 6;

impl Advertisement {
    /// Writes the payload of an IP packet from `source` to `destination`; in version 3 both
    /// addresses are part of the checksum.
    ///
    /// # Errors
    /// If the interval does not fit the version, if there is no address or more than 255, if the
    /// addresses are not of the family of `source`, or if version 3 is to be authenticated.
    pub fn encode(&self, source: IpAddr, destination: IpAddr) -> Result<Vec<u8>, EncodeError> {
        let count = self.count_addresses(source)?;
        let interval = interval::to_wire(self.version, self.interval)?.to_be_bytes();
        let mut packet = Vec::with_capacity(HEADER_LENGTH + self.addresses.len() * 16 + 8);
        let (number, fifth) = match self.version {
            Version::V2 => (2, self.authentication_type()),
            Version::V3 => (3, interval[0]),
        };
        let first = number << 4 | TYPE_ADVERTISEMENT;
        packet.extend([first, self.router_id, self.priority, count, fifth, interval[1], 0, 0]);
        for address in &self.addresses {
            match address {
                IpAddr::V4(address) => packet.extend(address.octets()),
                IpAddr::V6(address) => packet.extend(address.octets()),
            }
        }
        let checksum = match (self.version, self.authentication) {
            (Version::V2, Authentication::None) => {
                packet.extend([0; authentication::DATA_LENGTH]);
                checksum::plain(&packet)
            }
            (Version::V2, Authentication::Password(password)) => {
                packet.extend(password.octets());
                checksum::plain(&packet)
            }
            (Version::V3, Authentication::None) => {
                checksum::with_pseudo_header(&packet, source, destination)
            }
            (Version::V3, Authentication::Password(_)) => return Err(EncodeError::Authentication),
        };
        packet[CHECKSUM_OFFSET..HEADER_LENGTH].copy_from_slice(&checksum.to_be_bytes());
        Ok(packet)
    }

    fn count_addresses(&self, source: IpAddr) -> Result<u8, EncodeError> {
        if self.addresses.is_empty() {
            return Err(EncodeError::Addresses("a virtual router needs at least one address"));
        }
        if self.addresses.iter().any(|address| address.is_ipv4() != source.is_ipv4()) {
            return Err(EncodeError::Addresses(
                "the advertised addresses are not of the family of the source address",
            ));
        }
        if self.version == Version::V2 && source.is_ipv6() {
            return Err(EncodeError::Addresses("version 2 is for IPv4 only, IPv6 needs version 3"));
        }
        u8::try_from(self.addresses.len()).map_err(|_| {
            EncodeError::Addresses("an advertisement holds no more than 255 addresses")
        })
    }

    fn authentication_type(&self) -> u8 {
        match self.authentication {
            Authentication::None => authentication::TYPE_NONE,
            Authentication::Password(_) => authentication::TYPE_PASSWORD,
        }
    }
}
