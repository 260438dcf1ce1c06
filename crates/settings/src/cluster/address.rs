//! A floating address as it is written: `10.0.0.10/24`, `fd00::10/64@bond0`, `10.1.0.1/24@bond0.20`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address that moves with its service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FloatingAddress {
    /// The address with the length of its network's prefix.
    pub network: IpNet,
    /// The interface that carries it, without the VLAN; the one that has an address of the same
    /// network if it is not said.
    pub interface: Option<String>,
    /// The VLAN on that interface (IEEE 802.1Q, 1 to 4094).
    pub vlan: Option<u16>,
}

/// Why a text is no floating address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// There is no address with a prefix.
    #[error("`{0}` is not an address with its prefix; write such as 10.0.0.10/24 or fd00::10/64")]
    Malformed(String),
    /// The address cannot float.
    #[error("{0} is {1}, which no node can hold for a service")]
    Unusable(IpAddr, &'static str),
    /// The interface cannot be one.
    #[error("`{0}` is not the name of an interface; write such as bond0, or bond0.20 for VLAN 20")]
    Interface(String),
    /// The VLAN cannot be one.
    #[error("`{0}` is not a VLAN; it is a number from 1 to 4094")]
    Vlan(String),
}

impl FloatingAddress {
    /// The address alone.
    pub fn address(&self) -> IpAddr {
        self.network.addr()
    }
}

impl FromStr for FloatingAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (address, place) = match text.split_once('@') {
            Some((address, place)) => (address, Some(place)),
            None => (text, None),
        };
        let network: IpNet = address.parse().map_err(|_| AddressError::Malformed(text.into()))?;
        if let Some(why) = unusable(&network) {
            return Err(AddressError::Unusable(network.addr(), why));
        }
        let (interface, vlan) = place.map(read_interface).transpose()?.unzip();
        Ok(Self { network, interface, vlan: vlan.flatten() })
    }
}

fn unusable(network: &IpNet) -> Option<&'static str> {
    let address = network.addr();
    if address.is_unspecified() {
        Some("the unspecified address")
    } else if address.is_loopback() {
        Some("a loopback address")
    } else if address.is_multicast() {
        Some("a multicast address")
    } else if is_edge(network) {
        Some("the first or last address of its network")
    } else {
        None
    }
}

/// The network's own address and its broadcast address belong to nobody (RFC 3021 excepts /31).
fn is_edge(network: &IpNet) -> bool {
    match network {
        IpNet::V4(network) if network.prefix_len() < 31 => {
            network.addr() == network.network() || network.addr() == network.broadcast()
        }
        _ => false,
    }
}

fn read_interface(text: &str) -> Result<(String, Option<u16>), AddressError> {
    let (name, vlan) = match text.rsplit_once('.') {
        Some((name, vlan)) => (name, Some(vlan)),
        None => (text, None),
    };
    // IFNAMSIZ leaves 15 bytes.
    let fits = (1..=15).contains(&text.len());
    if !fits || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/') {
        return Err(AddressError::Interface(text.into()));
    }
    let read = |vlan: &str| {
        let number = vlan.parse().ok().filter(|vlan| (1..=4094).contains(vlan));
        number.ok_or_else(|| AddressError::Vlan(vlan.into()))
    };
    Ok((name.into(), vlan.map(read).transpose()?))
}

impl fmt::Display for FloatingAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)?;
        if let Some(interface) = &self.interface {
            write!(f, "@{interface}")?;
        }
        match self.vlan {
            Some(vlan) => write!(f, ".{vlan}"),
            None => Ok(()),
        }
    }
}

impl Serialize for FloatingAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FloatingAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_is_read() {
        for text in ["10.0.0.10/24", "fd00::10/64@bond0", "10.1.0.1/24@bond0.20", "10.0.0.0/31"] {
            let address: FloatingAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            let json = serde_json::to_string(&address).unwrap();
            assert_eq!(serde_json::from_str::<FloatingAddress>(&json).unwrap(), address);
        }
    }

    #[test]
    fn what_no_node_can_hold_is_refused() {
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.0/24",
            "10.0.0.255/24",
            "127.0.0.1/8",
            "224.0.0.5/24",
            "::/64",
            "::1/128",
            "10.0.0.1/24@",
            "10.0.0.1/24@a/b",
            "10.0.0.1/24@bond0.0",
            "10.0.0.1/24@bond0.4095",
            "10.0.0.1/24@an-interface-too-long",
        ] {
            assert!(text.parse::<FloatingAddress>().is_err(), "{text}");
        }
    }
}
