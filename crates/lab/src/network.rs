//! The lab's bridge, its ports, and the address plan.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsFd;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use standfast_net::{MacAddress, Netlink, VethPeer};

use crate::{Cell, Error, process};

/// The bridge, and the name of every port's other end inside a host.
pub(crate) const BRIDGE: &str = "br0";
/// The one interface of a host.
pub(crate) const HOST_INTERFACE: &str = "eth0";
const LOOPBACK: &str = "lo";
/// The one interface of a guest: its driver makes no other name.
pub(crate) const GUEST_INTERFACE: &str = "vec0";
/// The last octet of the first machine's address, and of the first floating address.
const FIRST_MACHINE: u8 = 10;
const FIRST_FLOATING: u8 = 200;
/// How many machines, and how many floating addresses, the plan has room for.
pub(crate) const MACHINES: u8 = FIRST_FLOATING - FIRST_MACHINE;
pub(crate) const FLOATING: u8 = u8::MAX - FIRST_FLOATING;

const LIMIT: Duration = Duration::from_secs(120);

/// The addresses of a machine. Every lab uses the same plan, each in its own network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// IPv4, in 10.9.0.0/24.
    pub v4: Ipv4Addr,
    /// IPv6, in fd00:9::/64.
    pub v6: Ipv6Addr,
}

impl Addresses {
    const fn with_host_part(host: u8) -> Self {
        Self {
            v4: Ipv4Addr::new(10, 9, 0, host),
            v6: Ipv6Addr::new(0xfd00, 9, 0, 0, 0, 0, 0, host as u16),
        }
    }

    /// The addresses of the bridge itself.
    pub(crate) const fn bridge() -> Self {
        Self::with_host_part(1)
    }

    /// The addresses of the machine that was made as number `index`, from 0 on.
    pub(crate) fn machine(index: u8) -> Result<Self, Error> {
        Self::numbered(FIRST_MACHINE, index, MACHINES)
    }

    /// Floating addresses, that no machine has from the start.
    pub(crate) fn floating(index: u8) -> Result<Self, Error> {
        Self::numbered(FIRST_FLOATING, index, FLOATING)
    }

    fn numbered(first: u8, index: u8, room: u8) -> Result<Self, Error> {
        if index < room { Ok(Self::with_host_part(first + index)) } else { Err(Error::Full(room)) }
    }

    /// A hardware address that stays the same when the machine restarts.
    pub(crate) fn mac(&self) -> MacAddress {
        let [_, b, c, d] = self.v4.octets();
        MacAddress([2, 0, 0, b, c, d])
    }

    /// Brings the interface `name` of this network up, with these addresses. They are usable at
    /// once: no duplicate is looked for.
    fn bring_up(self, netlink: &mut Netlink, name: &str) -> Result<(), Error> {
        let lo = netlink.link_named(LOOPBACK)?.index;
        netlink.set_up(lo)?;
        let link = netlink.link_named(name)?.index;
        netlink.set_up(link)?;
        for (address, prefix) in [(IpAddr::from(self.v4), 24), (self.v6.into(), 64)] {
            netlink.add_own_address(link, IpNet::new_assert(address, prefix))?;
        }
        Ok(())
    }
}

/// Which frames a cut link loses, seen from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Both ways: a pulled plug.
    Both,
    /// The machine sends but hears nothing.
    In,
    /// The machine hears but nobody hears it.
    Out,
}

/// Speaks with the kernel about a cell's network.
fn configure<R: Send + 'static>(
    cell: &Cell,
    work: impl FnOnce(&mut Netlink) -> Result<R, Error> + Send + 'static,
) -> Result<R, Error> {
    cell.enter(move || work(&mut Netlink::new()?))?
}

/// Brings the interface `name` of a cell up.
pub(crate) fn bring_up(cell: &Cell, addresses: Addresses, name: &'static str) -> Result<(), Error> {
    configure(cell, move |netlink| addresses.bring_up(netlink, name))
}

/// Makes the bridge in a cell's network.
pub(crate) fn make_bridge(cell: &Cell) -> Result<(), Error> {
    configure(cell, |netlink| {
        netlink.add_bridge(BRIDGE)?;
        Addresses::bridge().bring_up(netlink, BRIDGE)
    })
}

/// A port of the bridge that leads to a host with the network namespace `namespace`.
pub(crate) fn make_host_port(
    cell: &Cell,
    port: &str,
    addresses: Addresses,
    namespace: Arc<File>,
) -> Result<(), Error> {
    let port = port.to_owned();
    configure(cell, move |netlink| {
        let (name, mac) = (HOST_INTERFACE, addresses.mac());
        let peer = VethPeer { name, mac, namespace: namespace.as_fd() };
        let link = netlink.add_veth(&port, peer)?;
        join_bridge(netlink, link)
    })
}

/// A port of the bridge that a guest's kernel can open.
pub(crate) fn make_guest_port(cell: &Cell, port: &str) -> Result<(), Error> {
    let mut command = Command::new("ip");
    command.args(["tuntap", "add", "dev", port, "mode", "tap"]);
    process::run(cell, command, "", LIMIT)?.ok()?;
    on_port(cell, port, join_bridge)
}

fn join_bridge(netlink: &mut Netlink, link: u32) -> Result<(), Error> {
    let bridge = netlink.link_named(BRIDGE)?.index;
    netlink.join_bridge(link, bridge)?;
    Ok(netlink.set_up(link)?)
}

/// Removes a port.
pub(crate) fn remove_port(cell: &Cell, port: &str) -> Result<(), Error> {
    on_port(cell, port, |netlink, link| Ok(netlink.remove_link(link)?))
}

/// Drops what goes through a port from now on, and nothing that was dropped before.
pub(crate) fn cut(cell: &Cell, port: &str, direction: Direction) -> Result<(), Error> {
    // Seen from the bridge: what comes in at the port is what the machine sends out.
    let (incoming, outgoing) = match direction {
        Direction::Both => (true, true),
        Direction::In => (false, true),
        Direction::Out => (true, false),
    };
    on_port(cell, port, move |netlink, link| Ok(netlink.drop_frames(link, incoming, outgoing)?))
}

/// Lets everything through a port again.
pub(crate) fn mend(cell: &Cell, port: &str) -> Result<(), Error> {
    on_port(cell, port, |netlink, link| Ok(netlink.pass_frames(link)?))
}

fn on_port(
    cell: &Cell,
    port: &str,
    work: impl FnOnce(&mut Netlink, u32) -> Result<(), Error> + Send + 'static,
) -> Result<(), Error> {
    let port = port.to_owned();
    configure(cell, move |netlink| {
        let link = netlink.link_named(&port)?.index;
        work(netlink, link)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_and_floating_addresses_never_meet() {
        let last = Addresses::machine(MACHINES - 1).unwrap();
        assert_eq!(last.v4, Ipv4Addr::new(10, 9, 0, 199));
        assert_eq!(Addresses::floating(0).unwrap().v4, Ipv4Addr::new(10, 9, 0, 200));
        assert_eq!(Addresses::floating(FLOATING - 1).unwrap().v4.octets()[3], 254);
        assert!(matches!(Addresses::machine(MACHINES), Err(Error::Full(MACHINES))));
        assert!(matches!(Addresses::floating(FLOATING), Err(Error::Full(FLOATING))));
    }

    #[test]
    fn v4_and_v6_share_the_host_part() {
        let machine = Addresses::machine(3).unwrap();
        assert_eq!(machine.v6, "fd00:9::d".parse::<Ipv6Addr>().unwrap());
        assert_eq!(machine.mac().to_string(), "02:00:00:09:00:0d");
    }
}
