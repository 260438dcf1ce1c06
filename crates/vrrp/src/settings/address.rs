//! A floating address in settings: `"192.0.2.10/24"`, or with the interface it is to be on.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A floating address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSettings {
    /// The address and its prefix; a host's own (`/32`, `/128`) if none is written.
    pub address: IpNet,
    /// The interface, if it is not the virtual router's.
    pub interface: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Written {
    Plain(String),
    Placed(Placed),
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Placed {
    address: String,
    interface: String,
}

impl AddressSettings {
    /// Reads an address with or without a prefix.
    pub fn parse(text: &str) -> Option<IpNet> {
        text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    }
}

impl<'de> Deserialize<'de> for AddressSettings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let (text, interface) = match Written::deserialize(from)? {
            Written::Plain(text) => (text, None),
            Written::Placed(placed) => (placed.address, Some(placed.interface)),
        };
        let address = Self::parse(&text).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is no address such as \"192.0.2.10/24\""))
        })?;
        Ok(Self { address, interface })
    }
}

impl Serialize for AddressSettings {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let address = self.address.to_string();
        match &self.interface {
            None => Written::Plain(address),
            Some(interface) => Written::Placed(Placed { address, interface: interface.clone() }),
        }
        .serialize(to)
    }
}
