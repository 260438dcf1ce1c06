//! Who holds locks in the one table that all protocols of a service share.

use std::sync::Arc;

use crate::locks::Owner;
use crate::nlm::{Host, LockOwner};
use crate::v4::protocol::StateOwner;
use crate::v4::state::{Holder, LockHolder};

/// A client of any protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceClient {
    /// A client of NFSv4.
    V4(u64),
    /// A host that uses NLM.
    Nlm(Arc<Host>),
}

/// A holder of locks, of any protocol.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServiceHolder {
    /// An owner of NFSv4.
    V4(LockHolder, ServiceClient),
    /// A process of a host that uses NLM.
    Nlm(LockOwner, ServiceClient),
}

impl From<LockOwner> for ServiceHolder {
    fn from(owner: LockOwner) -> Self {
        let client = ServiceClient::Nlm(Arc::clone(&owner.host));
        Self::Nlm(owner, client)
    }
}

impl Owner for ServiceHolder {
    type Client = ServiceClient;

    fn client(&self) -> &ServiceClient {
        match self {
            Self::V4(_, client) | Self::Nlm(_, client) => client,
        }
    }
}

impl Holder for ServiceHolder {
    fn from_v4(holder: LockHolder) -> Self {
        Self::V4(holder, ServiceClient::V4(holder.client))
    }

    fn client_from_v4(client: u64) -> ServiceClient {
        ServiceClient::V4(client)
    }

    fn as_v4(&self) -> Option<LockHolder> {
        match self {
            Self::V4(holder, _) => Some(*holder),
            Self::Nlm(..) => None,
        }
    }

    /// NLM's holders have no client id; the owner names the host and the process there.
    fn describe(&self) -> StateOwner {
        match self {
            Self::V4(holder, _) => holder.describe(),
            Self::Nlm(owner, _) => {
                let host = String::from_utf8_lossy(&owner.host.name);
                let name = format!("{host}:{}", owner.svid);
                StateOwner { client: 0, name: name.into_bytes().into() }
            }
        }
    }
}
