//! What the kernel says of interfaces and their addresses.

use std::net::IpAddr;

use ipnet::IpNet;
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{
    InfoData, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::MacAddress;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address.
    pub mac: Option<MacAddress>,
    /// The number of the interface that it is above, if it is above one.
    pub parent: Option<u32>,
    /// Its id, if it is a VLAN.
    pub vlan: Option<u16>,
    /// Whether it is administratively up and its medium carries.
    pub is_running: bool,
}

/// An address on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The interface's number.
    pub link: u32,
    /// The address and its prefix.
    pub address: IpNet,
    /// Whether it can be a source: neither a duplicate nor still being checked for one.
    pub is_usable: bool,
}

impl InterfaceAddress {
    /// Whether it is an IPv6 link-local address, the kind that VRRP sends from.
    pub fn is_link_local(&self) -> bool {
        matches!(self.address.addr(), IpAddr::V6(address) if address.is_unicast_link_local())
    }
}

impl Link {
    pub(crate) fn read(message: &LinkMessage) -> Option<Self> {
        let mut name = None;
        let mut mac = None;
        let mut parent = None;
        let mut vlan = None;
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(text) => name = Some(text.clone()),
                LinkAttribute::Address(octets) => {
                    mac = octets.as_slice().try_into().ok().map(MacAddress);
                }
                LinkAttribute::Link(index) => parent = Some(*index),
                LinkAttribute::LinkInfo(info) => vlan = info.iter().find_map(vlan_id),
                _ => {}
            }
        }
        let running = LinkFlags::Up | LinkFlags::Running;
        Some(Self {
            index: message.header.index,
            name: name?,
            mac,
            parent,
            vlan,
            is_running: message.header.flags.contains(running),
        })
    }
}

fn vlan_id(info: &LinkInfo) -> Option<u16> {
    let LinkInfo::Data(InfoData::Vlan(attributes)) = info else { return None };
    attributes.iter().find_map(|attribute| match attribute {
        InfoVlan::Id(id) => Some(*id),
        _ => None,
    })
}

impl InterfaceAddress {
    pub(crate) fn read(message: &AddressMessage) -> Option<Self> {
        let mut local = None;
        let mut flags = AddressFlags::empty();
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(address) => local = Some(*address),
                AddressAttribute::Address(address) => local = local.or(Some(*address)),
                AddressAttribute::Flags(value) => flags = *value,
                _ => {}
            }
        }
        let unusable = AddressFlags::Tentative | AddressFlags::Dadfailed;
        Some(Self {
            link: message.header.index,
            address: IpNet::new(local?, message.header.prefix_len).ok()?,
            is_usable: !flags.intersects(unusable)
                && !matches!(message.header.scope, AddressScope::Host | AddressScope::Nowhere),
        })
    }
}
