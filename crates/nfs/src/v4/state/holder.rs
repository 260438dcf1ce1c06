//! Who holds NFSv4 locks in the table that all protocols share.

use crate::locks::Owner;

use super::super::protocol::{OwnerName, StateOwner};

/// An owner of an NFSv4 client: an open owner for share reservations, a lock owner for locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LockHolder {
    /// The client's id.
    pub client: u64,
    /// The owner's number.
    pub owner: u64,
}

impl Owner for LockHolder {
    type Client = u64;

    fn client(&self) -> &u64 {
        &self.client
    }
}

/// What the holders in a lock table must be for NFSv4 to use it together with other protocols:
/// an enumeration of all their owners, one of which is [`LockHolder`].
pub trait Holder: Owner {
    /// An NFSv4 owner.
    fn from_v4(holder: LockHolder) -> Self;
    /// An NFSv4 client.
    fn client_from_v4(client: u64) -> Self::Client;
    /// The NFSv4 owner, if it is one.
    fn as_v4(&self) -> Option<LockHolder>;
    /// How a holder of another protocol is named to an NFSv4 client whose lock it denies.
    fn describe(&self) -> StateOwner;
}

impl Holder for LockHolder {
    fn from_v4(holder: LockHolder) -> Self {
        holder
    }

    fn client_from_v4(client: u64) -> u64 {
        client
    }

    fn as_v4(&self) -> Option<LockHolder> {
        Some(*self)
    }

    fn describe(&self) -> StateOwner {
        StateOwner { client: self.client, name: OwnerName::default() }
    }
}
