//! Other machines that say they have one of our addresses.

use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{read_arp_claim, read_neighbour_advertisement};
use crate::{Error, MacAddress, PacketSocket};

/// Longer than any ARP packet or advertisement that is read.
const MOST_OCTETS: usize = 256;
/// Claims read per call; what is left wakes the caller again.
const MOST_CLAIMS: usize = 64;
/// Our addresses are defended by announcing them again, but not more often than this: two machines
/// that both do would flood the link (RFC 5227, section 2.4).
const DEFEND_EVERY: Duration = Duration::from_millis(200);

/// Another machine has one of our addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Where the other one says it is.
    pub mac: MacAddress,
}

impl std::fmt::Display for Conflict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { address, mac } = self;
        write!(
            f,
            "another machine, {mac}, says that it has {address}, which this node serves; clients \
             reach one or the other by chance. Find it by its Ethernet address and take the \
             address off it"
        )
    }
}

/// Hears what others on a link say of our addresses, and tells when to defend them.
#[derive(Debug)]
pub struct ConflictWatch {
    arp: PacketSocket,
    discovery: Option<Socket>,
    own: MacAddress,
    addresses: Vec<IpAddr>,
    defended: Option<Instant>,
}

impl ConflictWatch {
    /// Listens on the interface `link`, whose Ethernet address is `own`.
    ///
    /// # Errors
    /// If a socket cannot be opened.
    pub fn new(link: u32, own: MacAddress, addresses: Vec<IpAddr>) -> Result<Self, Error> {
        let discovery = if addresses.iter().any(IpAddr::is_ipv6) {
            let socket = open_discovery(link)
                .map_err(Error::system("listen for neighbour advertisements"))?;
            Some(socket)
        } else {
            None
        };
        Ok(Self { arp: PacketSocket::for_arp(link)?, discovery, own, addresses, defended: None })
    }

    /// The conflicts that were heard since the last call.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn take(&mut self) -> Result<Vec<Conflict>, Error> {
        let mut conflicts = Vec::new();
        let mut buffer = [0; MOST_OCTETS];
        for _ in 0..MOST_CLAIMS {
            let Some(frame) = self.arp.receive(&mut buffer)? else { break };
            let claim = read_arp_claim(frame).map(|(mac, address)| (mac, IpAddr::V4(address)));
            conflicts.extend(self.conflict(claim));
        }
        for _ in 0..MOST_CLAIMS {
            let Some(socket) = &self.discovery else { break };
            match advertisement(socket) {
                Ok(claim) => conflicts.extend(self.conflict(claim)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(Error::system("hear an advertisement")(error)),
            }
        }
        conflicts.dedup();
        Ok(conflicts)
    }

    fn conflict(&self, claim: Option<(MacAddress, IpAddr)>) -> Option<Conflict> {
        let (mac, address) = claim?;
        (mac != self.own && self.addresses.contains(&address)).then_some(Conflict { address, mac })
    }

    /// Whether to announce the addresses again because of a conflict: not more than five times a
    /// second.
    pub fn may_defend(&mut self, now: Instant) -> bool {
        let due = self.defended.is_none_or(|last| now.duration_since(last) >= DEFEND_EVERY);
        if due {
            self.defended = Some(now);
        }
        due
    }
}

fn open_discovery(link: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    socket.bind_device_by_index_v6(NonZeroU32::new(link))?;
    Ok(socket)
}

fn advertisement(socket: &Socket) -> io::Result<Option<(MacAddress, IpAddr)>> {
    let mut buffer = [0; MOST_OCTETS];
    let (length, _, _) = rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::empty())?;
    let message = buffer.get(..length).unwrap_or_default();
    Ok(read_neighbour_advertisement(message).map(|(mac, address)| (mac, IpAddr::V6(address))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_names_the_other_machine() {
        let conflict = Conflict {
            address: "192.0.2.10".parse().unwrap(),
            mac: MacAddress([2, 0, 0, 0, 0, 9]),
        };
        assert!(conflict.to_string().contains("02:00:00:00:00:09, says that it has 192.0.2.10"));
    }
}
