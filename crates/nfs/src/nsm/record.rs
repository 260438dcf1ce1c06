//! What is kept about a monitored host.

use std::net::IpAddr;

use bytes::Bytes;
use standfast_rpc::xdr::{self, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

use super::protocol::{Mon, Name};

/// An address as text.
pub type AddressText = Opaque<64>;

xdr_enum! {
    /// Marks a file of the status monitor, and the version of its format.
    pub enum Format {
        /// The first.
        One = 0x534D_0001,
    }
}

xdr_struct! {
    /// A client that holds locks here, as it is kept.
    pub struct ClientRecord {
        /// What it calls itself.
        pub name: Name,
        /// Its address.
        pub address: AddressText,
        /// The address of ours that it knows us by.
        pub local: AddressText,
    }

    /// The state number, as it is kept.
    pub struct StateRecord {
        /// Format of the file.
        pub format: Format,
        /// Our state number.
        pub state: i32,
        /// The run of the machine (`/proc/sys/kernel/random/boot_id`) that it was set in.
        pub boot: Opaque<64>,
    }

    /// A host, as it is kept.
    pub struct HostRecord {
        /// Format of the file.
        pub format: Format,
        /// Who, and why.
        pub host: Record,
    }
}

xdr_union! {
    /// A monitored host.
    pub enum Record {
        /// A client that holds locks here.
        Client(ClientRecord) = 1,
        /// A host that a program of this machine wants to hear of.
        Registration(Mon) = 2,
    }
}

/// A client that holds locks here.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientHost {
    /// What it calls itself.
    pub name: Bytes,
    /// Its address.
    pub address: IpAddr,
    /// The address of ours that it knows us by.
    pub local: IpAddr,
}

impl From<&ClientHost> for ClientRecord {
    fn from(host: &ClientHost) -> Self {
        let text = |address: IpAddr| Opaque::copy_from_slice(address.to_string().as_bytes());
        Self {
            name: Opaque(host.name.clone()),
            address: text(host.address),
            local: text(host.local),
        }
    }
}

impl ClientHost {
    /// The host of a record; `None` if its addresses are none.
    pub fn from_record(record: &ClientRecord) -> Option<Self> {
        let address = |text: &[u8]| std::str::from_utf8(text).ok()?.parse().ok();
        Some(Self {
            name: record.name.0.clone(),
            address: address(&record.address)?,
            local: address(&record.local)?,
        })
    }
}

impl Record {
    /// The record of a client.
    pub fn client(host: &ClientHost) -> Self {
        Self::Client(host.into())
    }

    /// What tells records apart.
    pub(super) fn key(&self) -> Bytes {
        match self {
            Self::Client(_) => xdr::to_bytes(self),
            // The private part may change: it is still the same registration.
            Self::Registration(mon) => xdr::to_bytes(&mon.id),
        }
    }
}
