//! The lab's bridge, its ports, and the address plan.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::time::Duration;

use crate::{Cell, Error, process};

/// The bridge, and the name of every port's other end inside a host.
pub(crate) const BRIDGE: &str = "br0";
/// The one interface of a host.
pub(crate) const HOST_INTERFACE: &str = "eth0";
/// The one interface of a guest: its driver makes no other name.
pub(crate) const GUEST_INTERFACE: &str = "vec0";
/// The last octet of the first machine's address, and of the first floating address.
const FIRST_MACHINE: u8 = 10;
const FIRST_FLOATING: u8 = 200;
/// How many machines, and how many floating addresses, the plan has room for.
pub(crate) const MACHINES: u8 = FIRST_FLOATING - FIRST_MACHINE;
pub(crate) const FLOATING: u8 = u8::MAX - FIRST_FLOATING;

const LIMIT: Duration = Duration::from_secs(20);
/// The action "drop" of a traffic control filter (`TC_ACT_SHOT`).
const SHOT: u8 = 2;

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
    pub(crate) fn mac(&self) -> String {
        let [_, b, c, d] = self.v4.octets();
        format!("02:00:00:{b:02x}:{c:02x}:{d:02x}")
    }

    /// Lines for `ip -batch` that bring `interface` up with these addresses.
    pub(crate) fn up(&self, interface: &str) -> String {
        // Without duplicate address detection: the addresses are usable at once.
        format!(
            "link set lo up\nlink set {interface} up\naddr add {}/24 dev {interface}\n\
             addr add {}/64 dev {interface} nodad\n",
            self.v4, self.v6
        )
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

/// Runs lines of `ip -batch` in a cell's network.
pub(crate) fn ip(cell: &Cell, lines: &str) -> Result<(), Error> {
    let mut command = Command::new("ip");
    command.args(["-batch", "-"]);
    process::run(cell, command, lines, LIMIT)?.ok().map(drop)
}

/// Runs `tc` in a cell's network.
fn tc(cell: &Cell, words: &str) -> Result<(), Error> {
    let mut command = Command::new("tc");
    command.args(words.split(' '));
    process::run(cell, command, "", LIMIT)?.ok().map(drop)
}

/// Makes the bridge in a cell's network.
pub(crate) fn make_bridge(cell: &Cell) -> Result<(), Error> {
    // Snooping would swallow VRRP's multicasts, and the spanning tree would hold ports back.
    let bridge = format!(
        "link add {BRIDGE} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n{}",
        Addresses::bridge().up(BRIDGE)
    );
    ip(cell, &bridge)
}

/// A port of the bridge that leads to a host whose network namespace is at `path`.
pub(crate) fn make_host_port(
    cell: &Cell,
    port: &str,
    addresses: Addresses,
    path: &str,
) -> Result<(), Error> {
    let mac = addresses.mac();
    ip(
        cell,
        &format!(
            "link add {port} type veth peer name {HOST_INTERFACE} address {mac} netns {path}\n{}",
            join_bridge(port)
        ),
    )
}

/// A port of the bridge that a guest's kernel can open.
pub(crate) fn make_guest_port(cell: &Cell, port: &str) -> Result<(), Error> {
    ip(cell, &format!("tuntap add dev {port} mode tap\n{}", join_bridge(port)))
}

fn join_bridge(port: &str) -> String {
    format!("link set {port} master {BRIDGE}\nlink set {port} up\n")
}

/// Removes a port.
pub(crate) fn remove_port(cell: &Cell, port: &str) -> Result<(), Error> {
    ip(cell, &format!("link del {port}\n"))
}

/// Drops what goes through a port from now on, and nothing that was dropped before.
pub(crate) fn cut(cell: &Cell, port: &str, direction: Direction) -> Result<(), Error> {
    mend(cell, port)?;
    tc(cell, &format!("qdisc add dev {port} clsact"))?;
    // Seen from the bridge: what comes in at the port is what the machine sends out.
    let hooks: &[&str] = match direction {
        Direction::Both => &["ingress", "egress"],
        Direction::In => &["egress"],
        Direction::Out => &["ingress"],
    };
    // A program of one instruction: return SHOT.
    let program = format!("1,6 0 0 {SHOT}");
    for hook in hooks {
        let mut command = Command::new("tc");
        command.args(["filter", "add", "dev", port, hook, "bpf", "direct-action", "bytecode"]);
        command.arg(&program);
        process::run(cell, command, "", LIMIT)?.ok()?;
    }
    Ok(())
}

/// Lets everything through a port again.
pub(crate) fn mend(cell: &Cell, port: &str) -> Result<(), Error> {
    let mut command = Command::new("tc");
    command.args(["qdisc", "show", "dev", port, "clsact"]);
    let present = process::run(cell, command, "", LIMIT)?.ok()?.contains("clsact");
    if present { tc(cell, &format!("qdisc del dev {port} clsact")) } else { Ok(()) }
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
        assert_eq!(machine.mac(), "02:00:00:09:00:0d");
    }
}
