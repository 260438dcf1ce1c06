//! Who holds NLM locks.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use standfast_rpc::{Peer, Transport};

use crate::locks::Owner;
use crate::nsm::caller::Destination;
use crate::nsm::record::ClientHost;

use super::protocol::VERSION_4;

/// A lock manager of a client, as this server knows it.
///
/// Clients number their processes anew for each server address, protocol version and transport
/// that they use, so the same number means another process over another one of these: together
/// with the name and the address of the client they tell lock managers apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Host {
    /// What it calls itself.
    pub name: Bytes,
    /// Its address.
    pub address: IpAddr,
    /// The address of ours that it uses.
    pub local: IpAddr,
    /// What carries its calls.
    pub transport: Transport,
    /// Whether it speaks version 4.
    pub wide: bool,
}

impl Host {
    /// The lock manager that a call comes from. The name is copied: a slice would keep the
    /// whole message in memory.
    pub fn of_call(name: &[u8], peer: &Peer, version: u32) -> Self {
        Self {
            name: Bytes::copy_from_slice(name),
            address: peer.address.ip(),
            local: peer.local.ip(),
            transport: peer.transport,
            wide: version >= VERSION_4,
        }
    }

    /// As the status monitor knows it.
    pub fn monitored(&self) -> ClientHost {
        ClientHost { name: self.name.clone(), address: self.address, local: self.local }
    }

    /// Where to call it back.
    pub fn destination(&self) -> Destination {
        Destination { address: self.address, local: Some(self.local), transport: self.transport }
    }
}

/// A process of a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LockOwner {
    /// Its machine.
    pub host: Arc<Host>,
    /// Its number there.
    pub svid: i32,
    /// What else the client calls it by.
    pub name: Bytes,
}

impl Owner for LockOwner {
    type Client = Arc<Host>;

    fn client(&self) -> &Arc<Host> {
        &self.host
    }
}
