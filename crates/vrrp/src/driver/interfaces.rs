//! All interfaces and their addresses at one moment.

use std::net::IpAddr;
use std::time::Instant;

use standfast_net::{Error, InterfaceAddress, Link, Netlink};

/// A picture of the interfaces.
#[derive(Debug)]
pub(super) struct Interfaces {
    /// Changes before this are in it.
    looked_at: Instant,
    links: Vec<Link>,
    addresses: Vec<InterfaceAddress>,
}

impl Interfaces {
    pub(super) fn look(netlink: &mut Netlink) -> Result<Self, Error> {
        let looked_at = Instant::now();
        Ok(Self { looked_at, links: netlink.links()?, addresses: netlink.addresses()? })
    }

    pub(super) fn looked_at(&self) -> Instant {
        self.looked_at
    }

    pub(super) fn link(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    pub(super) fn addresses(&self, link: u32) -> impl Iterator<Item = &InterfaceAddress> {
        self.addresses.iter().filter(move |address| address.link == link)
    }

    pub(super) fn has(&self, link: u32, address: IpAddr) -> bool {
        self.addresses(link).any(|own| own.address.addr() == address)
    }
}
