//! What is registered.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::netid::{Netid, from_universal, protocol_number, to_universal, transport_of};
use super::protocol::{Mapping, Rpcb, Text};
use crate::program::Transport;

/// A version of a program, and where it listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Registration {
    /// Program number.
    pub program: u32,
    /// Program version.
    pub version: u32,
    /// What carries its calls.
    pub transport: Transport,
    /// Where it listens; an unspecified address stands for all of its family.
    pub address: SocketAddr,
}

impl Registration {
    /// The network identifier, which follows from the transport and the address.
    pub fn netid(&self) -> Netid {
        Netid::of(self.transport, self.address.ip())
    }

    /// Whether both speak of the same version of a program on the same transport.
    pub(super) fn same_place(&self, other: &Self) -> bool {
        let place = |of: &Self| (of.program, of.version, of.netid());
        place(self) == place(other)
    }

    /// As portmap writes it, if it can: IPv4 only.
    pub(super) fn to_mapping(self) -> Option<Mapping> {
        self.address.is_ipv4().then(|| Mapping {
            program: self.program,
            version: self.version,
            protocol: protocol_number(self.transport),
            port: self.address.port().into(),
        })
    }

    /// Reads what portmap writes; only a protocol that RPC knows and a port that can be.
    pub(super) fn from_mapping(mapping: &Mapping) -> Option<Self> {
        let port = u16::try_from(mapping.port).ok()?;
        Some(Self {
            program: mapping.program,
            version: mapping.version,
            transport: transport_of(mapping.protocol)?,
            address: (Ipv4Addr::UNSPECIFIED, port).into(),
        })
    }

    /// As rpcbind writes it.
    pub(super) fn to_rpcb(self, owner: &str) -> Rpcb {
        Rpcb {
            program: self.program,
            version: self.version,
            netid: text(self.netid().name()),
            address: text(&to_universal(self.address)),
            owner: text(owner),
        }
    }

    /// Reads what rpcbind writes; only transports that RPC has over IP.
    pub(super) fn from_rpcb(rpcb: &Rpcb) -> Option<Self> {
        let netid = Netid::from_name(&rpcb.netid)?;
        let address = from_universal(&rpcb.address)?;
        (address.is_ipv6() == netid.ipv6).then_some(Self {
            program: rpcb.program,
            version: rpcb.version,
            transport: netid.transport,
            address,
        })
    }

    /// Where a caller finds the program who reached us at `local`.
    pub(super) fn address_for(&self, local: IpAddr) -> SocketAddr {
        let any = self.address.ip().is_unspecified() && self.address.is_ipv4() == local.is_ipv4();
        SocketAddr::new(if any { local } else { self.address.ip() }, self.address.port())
    }
}

/// Text that is known to fit.
pub(super) fn text(value: &str) -> Text {
    Text::copy_from_slice(value.as_bytes())
}

/// Who registered a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This server: nobody else may remove it.
    Server,
    /// Another service of this machine.
    Machine,
}

impl Owner {
    /// As `rpcinfo` shows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Server => "standfast",
            Self::Machine => "superuser",
        }
    }
}

/// The registrations, at most one per version and network identifier.
#[derive(Debug)]
pub(super) struct Table {
    entries: Vec<(Registration, Owner)>,
    limit: usize,
}

impl Table {
    /// A table with registrations of this server, and room for `spare` of others.
    pub(super) fn new(ours: Vec<Registration>, spare: usize) -> Self {
        let limit = ours.len() + spare;
        Self { entries: ours.into_iter().map(|entry| (entry, Owner::Server)).collect(), limit }
    }

    /// Adds a registration of another service. False if the place is taken, or the table full.
    pub(super) fn set(&mut self, registration: Registration) -> bool {
        match self.entries.iter().find(|(entry, _)| entry.same_place(&registration)) {
            Some((entry, _)) => *entry == registration,
            None if self.entries.len() >= self.limit => false,
            None => {
                self.entries.push((registration, Owner::Machine));
                true
            }
        }
    }

    /// Removes a version's registrations of other services on the network identifiers that are
    /// `wanted`. False if there were none.
    pub(super) fn unset(
        &mut self,
        program: u32,
        version: u32,
        wanted: impl Fn(Netid) -> bool,
    ) -> bool {
        let before = self.entries.len();
        self.entries.retain(|(entry, owner)| {
            let meant = (entry.program, entry.version) == (program, version);
            *owner == Owner::Server || !meant || !wanted(entry.netid())
        });
        self.entries.len() < before
    }

    /// The registration of exactly this version.
    pub(super) fn find(&self, program: u32, version: u32, netid: Netid) -> Option<&Registration> {
        self.of_program(program, netid).find(|entry| entry.version == version)
    }

    /// The registration of this version, or of another: the program itself then tells its caller
    /// which versions it has.
    pub(super) fn find_any(
        &self,
        program: u32,
        version: u32,
        netid: Netid,
    ) -> Option<&Registration> {
        self.find(program, version, netid).or_else(|| self.of_program(program, netid).next())
    }

    fn of_program(&self, program: u32, netid: Netid) -> impl Iterator<Item = &Registration> {
        let entries = self.entries.iter().map(|(entry, _)| entry);
        entries.filter(move |entry| entry.program == program && entry.netid() == netid)
    }

    /// All of them.
    pub(super) fn entries(&self) -> impl Iterator<Item = &(Registration, Owner)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(program: u32, version: u32, address: &str) -> Registration {
        let address = address.parse().expect("an address");
        Registration { program, version, transport: Transport::Tcp, address }
    }

    const TCP: Netid = Netid { transport: Transport::Tcp, ipv6: false };

    #[test]
    fn a_place_is_given_once() {
        let mut table = Table::new(vec![], 10);
        assert!(table.set(registration(1, 1, "0.0.0.0:1000")));
        assert!(table.set(registration(1, 1, "0.0.0.0:1000")), "the same again");
        assert!(!table.set(registration(1, 1, "0.0.0.0:1001")), "taken");
        assert!(table.set(registration(1, 1, "[::]:1001")), "another netid");
        assert!(table.unset(1, 1, |netid| netid == TCP));
        assert!(!table.unset(1, 1, |netid| netid == TCP));
        assert!(table.set(registration(1, 1, "0.0.0.0:1001")));
    }

    #[test]
    fn the_servers_own_stay() {
        let mut table = Table::new(vec![registration(1, 3, "0.0.0.0:2049")], 10);
        assert!(!table.unset(1, 3, |_| true));
        assert!(!table.set(registration(1, 3, "0.0.0.0:1")));
        assert!(table.find(1, 3, TCP).is_some());
    }

    #[test]
    fn the_table_has_an_end() {
        let mut table = Table::new(vec![], 2);
        assert!(table.set(registration(1, 1, "0.0.0.0:1")));
        assert!(table.set(registration(1, 2, "0.0.0.0:1")));
        assert!(!table.set(registration(1, 3, "0.0.0.0:1")));
    }

    #[test]
    fn another_version_is_better_than_none() {
        let table = Table::new(vec![registration(1, 3, "0.0.0.0:2049")], 0);
        assert!(table.find(1, 4, TCP).is_none());
        assert!(table.find_any(1, 4, TCP).is_some());
        assert!(table.find_any(1, 3, Netid { transport: Transport::Udp, ipv6: false }).is_none());
    }

    #[test]
    fn a_wildcard_becomes_the_address_that_was_asked() {
        let local = IpAddr::from([192, 0, 2, 1]);
        let any = registration(1, 3, "0.0.0.0:2049");
        assert_eq!(any.address_for(local), "192.0.2.1:2049".parse().expect("an address"));
        let one = registration(1, 3, "192.0.2.9:2049");
        assert_eq!(one.address_for(local), one.address);
        let other_family = registration(1, 3, "[::]:2049");
        assert_eq!(other_family.address_for(local), other_family.address);
    }
}
