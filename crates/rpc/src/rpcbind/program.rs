//! rpcbind as a program that we serve ourselves.

use std::future::ready;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use super::netid::{Netid, from_universal, to_universal, transport_of};
use super::protocol::{
    Mapping, Netbuf, PORTMAP_VERSION, PROGRAM, PortmapProcedure, RPCBIND_VERSION_4, Rpcb,
    RpcbEntry, RpcbindProcedure, Text,
};
use super::table::{Registration, Table, text};
use crate::auth::AuthStat;
use crate::message::ReplyStatus;
use crate::program::{Call, CallFuture, Program, Reply, Transport};
use crate::xdr::{Chain, Opaque};

/// How many registrations of other services are kept.
const SPARE: usize = 512;

/// Ports from here on are open to any user of a machine.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// Bytes of a reply with all registrations, at most.
const DUMP_SIZE: usize = 64 << 10;

/// Answers where programs listen: ours, and those that other services of this machine register.
#[derive(Debug)]
pub struct Rpcbind {
    table: Mutex<Table>,
}

impl Rpcbind {
    /// Knows `ours`, which nobody else can change.
    pub fn new(ours: Vec<Registration>) -> Arc<Self> {
        Arc::new(Self { table: Mutex::new(Table::new(ours, SPARE)) })
    }

    fn answer(&self, call: &Call) -> Result<Reply, Reply> {
        match call.version {
            PORTMAP_VERSION => match PortmapProcedure::try_from(call.procedure) {
                Ok(procedure) => self.portmap(procedure, call),
                Err(_) => Err(unavailable()),
            },
            _ => match RpcbindProcedure::try_from(call.procedure) {
                Ok(procedure) => self.rpcbind(procedure, call),
                Err(_) => Err(unavailable()),
            },
        }
    }

    fn portmap(&self, procedure: PortmapProcedure, call: &Call) -> Result<Reply, Reply> {
        Ok(match procedure {
            PortmapProcedure::Null => Reply::success(&()),
            PortmapProcedure::Set => {
                let mapping = may_change(call)?.decode::<Mapping>()?;
                self.set(Registration::from_mapping(&mapping))
            }
            PortmapProcedure::Unset => {
                let mapping = may_change(call)?.decode::<Mapping>()?;
                self.unset(mapping.program, mapping.version, |netid| !netid.ipv6)
            }
            PortmapProcedure::GetPort => {
                let mapping = call.decode::<Mapping>()?;
                let netid = transport_of(mapping.protocol)
                    .map(|transport| Netid { transport, ipv6: false });
                let table = self.table.lock();
                let found =
                    netid.and_then(|netid| table.find_any(mapping.program, mapping.version, netid));
                Reply::success(&found.map_or(0, |found| u32::from(found.address.port())))
            }
            PortmapProcedure::Dump => {
                let table = self.table.lock();
                let mappings = table.entries().filter_map(|(entry, _)| entry.to_mapping());
                Reply::success(&Chain(mappings.collect()))
            }
            PortmapProcedure::CallIt => refused_relay(call),
        })
    }

    fn rpcbind(&self, procedure: RpcbindProcedure, call: &Call) -> Result<Reply, Reply> {
        if procedure as u32 >= RpcbindProcedure::GetVersionAddress as u32
            && call.version < RPCBIND_VERSION_4
        {
            return Err(unavailable());
        }
        Ok(match procedure {
            RpcbindProcedure::Null => Reply::success(&()),
            RpcbindProcedure::Set => {
                let rpcb = may_change(call)?.decode::<Rpcb>()?;
                self.set(Registration::from_rpcb(&rpcb))
            }
            RpcbindProcedure::Unset => {
                let rpcb = may_change(call)?.decode::<Rpcb>()?;
                // No network identifier stands for all.
                let wanted = |netid: Netid| {
                    rpcb.netid.is_empty() || netid.name().as_bytes() == &rpcb.netid[..]
                };
                self.unset(rpcb.program, rpcb.version, wanted)
            }
            RpcbindProcedure::GetAddress => self.address(call, Table::find_any)?,
            RpcbindProcedure::GetVersionAddress => self.address(call, Table::find)?,
            RpcbindProcedure::GetAddressList => self.address_list(&call.decode()?, call),
            RpcbindProcedure::Dump => {
                let table = self.table.lock();
                let entries = table.entries().map(|(entry, owner)| entry.to_rpcb(owner.name()));
                Reply::success(&Chain(entries.collect()))
            }
            RpcbindProcedure::GetTime => Reply::success(&seconds_now()),
            RpcbindProcedure::ToTransportAddress => {
                Reply::success(&to_netbuf(from_universal(&call.decode::<Text>()?)))
            }
            RpcbindProcedure::ToUniversalAddress => {
                let address = from_netbuf(&call.decode()?);
                Reply::success(&text(&address.map(to_universal).unwrap_or_default()))
            }
            RpcbindProcedure::CallIt => refused_relay(call),
            RpcbindProcedure::Indirect | RpcbindProcedure::GetStatistics => unavailable(),
        })
    }

    fn set(&self, registration: Option<Registration>) -> Reply {
        let done = registration.is_some_and(|registration| self.table.lock().set(registration));
        tracing::debug!(?registration, done, "registering a program of another service");
        Reply::success(&done)
    }

    fn unset(&self, program: u32, version: u32, wanted: impl Fn(Netid) -> bool) -> Reply {
        let done = self.table.lock().unset(program, version, wanted);
        tracing::debug!(program, version, done, "removing a program of another service");
        Reply::success(&done)
    }

    /// `GETADDR` and its like: an empty address if there is none.
    fn address(
        &self,
        call: &Call,
        find: fn(&Table, u32, u32, Netid) -> Option<&Registration>,
    ) -> Result<Reply, Reply> {
        let rpcb = call.decode::<Rpcb>()?;
        let netid = netid_for(&rpcb.netid, call);
        let table = self.table.lock();
        let address = find(&table, rpcb.program, rpcb.version, netid)
            .map(|found| to_universal(found.address_for(call.peer.local.ip())));
        Ok(Reply::success(&text(&address.unwrap_or_default())))
    }

    fn address_list(&self, rpcb: &Rpcb, call: &Call) -> Reply {
        let local = call.peer.local.ip();
        let table = self.table.lock();
        let entries = table.entries().map(|(entry, _)| entry).filter(|entry| {
            (entry.program, entry.version) == (rpcb.program, rpcb.version)
                && entry.address.is_ipv6() == local.is_ipv6()
        });
        let entries = entries.map(|entry| {
            let (semantics, protocol) = match entry.transport {
                Transport::Tcp => (3, "tcp"),
                Transport::Udp => (1, "udp"),
            };
            RpcbEntry {
                address: text(&to_universal(entry.address_for(local))),
                netid: text(entry.netid().name()),
                semantics,
                family: text(if entry.address.is_ipv6() { "inet6" } else { "inet" }),
                protocol: text(protocol),
            }
        });
        Reply::success(&Chain(entries.collect()))
    }
}

impl Program for Rpcbind {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        PORTMAP_VERSION..=RPCBIND_VERSION_4
    }

    fn runs_once(&self, call: &Call) -> bool {
        // The numbers are the same in all versions.
        [PortmapProcedure::Set as u32, PortmapProcedure::Unset as u32].contains(&call.procedure)
    }

    fn reply_size(&self, call: &Call) -> usize {
        if call.procedure == PortmapProcedure::Dump as u32 { DUMP_SIZE } else { 512 }
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(ready(self.answer(&call).unwrap_or_else(|refusal| refusal)))
    }
}

/// Only this machine's own services register, that is, processes which may use reserved ports.
fn may_change(call: &Call) -> Result<&Call, Reply> {
    let from = call.peer.address;
    let trusted = from.ip().is_loopback() && from.port() < FIRST_UNPRIVILEGED_PORT;
    trusted.then_some(call).ok_or_else(|| Reply::auth_error(AuthStat::TooWeak))
}

fn unavailable() -> Reply {
    Reply::status(ReplyStatus::ProcedureUnavailable)
}

/// The answer to a request to call another program on somebody's behalf. It is never done: the
/// call would come from this machine, which lets outsiders past checks of the caller's address
/// and answers a small forged datagram with a large one. A failure is met with silence
/// (RFC 1833 section 2.2.1), as the request may be a broadcast; a connection has one reader who
/// waits for an answer.
fn refused_relay(call: &Call) -> Reply {
    match call.peer.transport {
        Transport::Udp => Reply::None,
        Transport::Tcp => unavailable(),
    }
}

/// The transport that a caller asks about: the one it names, if the family fits the address that
/// it reached us at, else the one it came on (RFC 1833 section 2.2.1, and what clients expect).
fn netid_for(name: &[u8], call: &Call) -> Netid {
    let own = Netid::of(call.peer.transport, call.peer.local.ip());
    Netid::from_name(name).filter(|netid| netid.ipv6 == own.ipv6).unwrap_or(own)
}

fn seconds_now() -> u32 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // The protocol has 32 bits, which wrap.
    elapsed.as_secs() as u32
}

/// Sizes of Linux's `sockaddr_in` and `sockaddr_in6`.
const SOCKADDR_V4: usize = 16;
const SOCKADDR_V6: usize = 28;

/// A socket address as Linux lays it out in memory; empty for none.
fn to_netbuf(address: Option<SocketAddr>) -> Netbuf {
    let mut bytes = Vec::with_capacity(SOCKADDR_V6);
    match address {
        None => {}
        Some(SocketAddr::V4(v4)) => {
            bytes.extend((nix::libc::AF_INET as u16).to_ne_bytes());
            bytes.extend(v4.port().to_be_bytes());
            bytes.extend(v4.ip().octets());
            bytes.resize(SOCKADDR_V4, 0);
        }
        Some(SocketAddr::V6(v6)) => {
            bytes.extend((nix::libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend(v6.port().to_be_bytes());
            bytes.extend(v6.flowinfo().to_be_bytes());
            bytes.extend(v6.ip().octets());
            bytes.extend(v6.scope_id().to_ne_bytes());
        }
    }
    Netbuf { capacity: bytes.len() as u32, bytes: Opaque::from(bytes) }
}

/// Reads a socket address as Linux lays it out in memory.
fn from_netbuf(netbuf: &Netbuf) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(*netbuf.bytes.first_chunk()?));
    let port = u16::from_be_bytes(*netbuf.bytes.get(2..)?.first_chunk()?);
    match (family, netbuf.bytes.len()) {
        (nix::libc::AF_INET, SOCKADDR_V4) => {
            let octets: [u8; 4] = *netbuf.bytes.get(4..)?.first_chunk()?;
            Some((Ipv4Addr::from(octets), port).into())
        }
        (nix::libc::AF_INET6, SOCKADDR_V6) => {
            let octets: [u8; 16] = *netbuf.bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*netbuf.bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(octets), port, 0, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_addresses_are_read_as_they_are_written() {
        for address in ["127.0.0.1:2049", "[2001:db8::1]:111"] {
            let address: SocketAddr = address.parse().expect("an address");
            assert_eq!(from_netbuf(&to_netbuf(Some(address))), Some(address));
        }
        assert_eq!(from_netbuf(&to_netbuf(None)), None);
        for length in 0..40 {
            let netbuf = Netbuf { capacity: 0, bytes: Opaque::from(vec![2; length]) };
            assert_eq!(from_netbuf(&netbuf), None);
        }
    }
}
