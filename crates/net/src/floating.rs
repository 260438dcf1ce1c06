//! A service's address on its interface.

use std::time::Duration;

use ipnet::IpNet;

use crate::{Error, Family, MacAddress, Netlink, PacketSocket, Setting, frame};

/// Announcements of one burst: a switch that is busy may drop one.
pub const BURST: usize = 3;
/// When an address is announced again after it was raised: neighbours may have missed the burst, or
/// asked the node before and been answered late.
pub const ANNOUNCE_AGAIN: [Duration; 5] = [
    Duration::from_millis(50),
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1500),
    Duration::from_millis(5000),
];

/// An address that moves between nodes, and where it belongs on this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Floating {
    /// The address and its prefix.
    pub address: IpNet,
    /// The name of the interface, or of the one that the VLAN is above.
    pub interface: String,
    /// The VLAN, whose interface is made if it is not there.
    pub vlan: Option<u16>,
}

/// A floating address with the interface as it is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The address and its prefix.
    pub address: IpNet,
    /// The interface's number.
    pub link: u32,
    /// The interface's name.
    pub interface: String,
    /// The interface's Ethernet address; none where there is no Ethernet and nothing to announce.
    pub mac: Option<MacAddress>,
}

impl Floating {
    /// Finds its interface, and makes the VLAN's if need be.
    ///
    /// # Errors
    /// If there is no such interface, or what the kernel says.
    pub fn place(&self, netlink: &mut Netlink) -> Result<Placed, Error> {
        let missing = |name: &str| Error::Answer {
            action: format!("find a place for {}", self.address),
            reason: format!("this node has no interface `{name}`"),
        };
        let links = netlink.links()?;
        let base = links
            .iter()
            .find(|link| link.name == self.interface)
            .ok_or_else(|| missing(&self.interface))?;
        let Some(id) = self.vlan else {
            return Ok(self.placed(base.index, &base.name, base.mac));
        };
        let name = format!("{}.{id}", self.interface);
        let index = netlink.add_vlan(base.index, &name, id)?;
        netlink.set_up(index)?;
        let links = netlink.links()?;
        let made = links.iter().find(|link| link.index == index).ok_or_else(|| missing(&name))?;
        Ok(self.placed(index, &made.name, made.mac))
    }

    fn placed(&self, link: u32, interface: &str, mac: Option<MacAddress>) -> Placed {
        Placed { address: self.address, link, interface: interface.into(), mac }
    }
}

impl Placed {
    /// Puts the address on the interface; it may be there already. IPv6 waits for no duplicate
    /// address detection: the lease says that nobody else has it, and [`crate::ConflictWatch`] tells
    /// if somebody has.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn raise(&self, netlink: &mut Netlink) -> Result<(), Error> {
        netlink.add_address(self.link, self.address)
    }

    /// Takes the address off the interface; says whether it was there.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn lower(&self, netlink: &mut Netlink) -> Result<bool, Error> {
        netlink.remove_address(self.link, self.address)
    }

    /// Tells the neighbours `count` times where the address is.
    ///
    /// # Errors
    /// What the kernel says, such as that the interface is down.
    pub fn announce(&self, socket: &PacketSocket, count: usize) -> Result<(), Error> {
        let Some(mac) = self.mac else { return Ok(()) };
        let address = self.address.addr();
        // RFC 4861, section 4.4: an advertisement says whether its sender forwards.
        let is_router = address.is_ipv6()
            && Setting::of_interface(Family::Ipv6, &self.interface, "forwarding")
                .read()
                .unwrap_or(0)
                != 0;
        let frame = frame::announcement(mac, address, is_router);
        (0..count).try_for_each(|_| socket.send(self.link, &frame))
    }
}
