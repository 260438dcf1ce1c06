//! The wire types of portmap version 2 and rpcbind versions 3 and 4 (RFC 1833).

use crate::xdr::Opaque;
use crate::{xdr_enum, xdr_struct};

/// Number of the program.
pub const PROGRAM: u32 = 100_000;
/// The version that knows IPv4 only, and ports in place of addresses.
pub const PORTMAP_VERSION: u32 = 2;
/// The first version with universal addresses.
pub const RPCBIND_VERSION_3: u32 = 3;
/// The version that adds lists of addresses.
pub const RPCBIND_VERSION_4: u32 = 4;
/// Where the program listens.
pub const PORT: u16 = 111;

/// Protocol number of TCP, as portmap writes it.
pub const PROTOCOL_TCP: u32 = 6;
/// Protocol number of UDP.
pub const PROTOCOL_UDP: u32 = 17;

/// A network identifier, universal address or owner. RFC 1833 sets no limit; none of them comes
/// near this one.
pub type Text = Opaque<256>;

xdr_enum! {
    /// Procedures of portmap (RFC 1833 section 3.1).
    pub enum PortmapProcedure {
        /// Does nothing.
        Null = 0,
        /// Registers a program.
        Set = 1,
        /// Removes a program's registrations.
        Unset = 2,
        /// Where a program listens.
        GetPort = 3,
        /// All registrations.
        Dump = 4,
        /// Calls another program on the caller's behalf.
        CallIt = 5,
    }

    /// Procedures of rpcbind (RFC 1833 section 2.1); those from [`Self::GetVersionAddress`] on
    /// are version 4's.
    pub enum RpcbindProcedure {
        /// Does nothing.
        Null = 0,
        /// Registers a program.
        Set = 1,
        /// Removes a program's registrations.
        Unset = 2,
        /// Where a program listens, in this version or another.
        GetAddress = 3,
        /// All registrations.
        Dump = 4,
        /// Calls another program on the caller's behalf (`CALLIT`, in version 4 `BCAST`).
        CallIt = 5,
        /// The time here, in seconds since 1970.
        GetTime = 6,
        /// A universal address as a transport address.
        ToTransportAddress = 7,
        /// A transport address as a universal address.
        ToUniversalAddress = 8,
        /// Where a program listens, in this version only.
        GetVersionAddress = 9,
        /// As `CallIt`, with an answer also after an error.
        Indirect = 10,
        /// Where a program listens, on all transports of the caller's address family.
        GetAddressList = 11,
        /// Statistics.
        GetStatistics = 12,
    }
}

xdr_struct! {
    /// A registration as portmap knows it (`mapping`).
    pub struct Mapping {
        /// Program number.
        pub program: u32,
        /// Program version.
        pub version: u32,
        /// Protocol number of IP.
        pub protocol: u32,
        /// Port.
        pub port: u32,
    }

    /// A registration as rpcbind knows it (`rpcb`).
    pub struct Rpcb {
        /// Program number.
        pub program: u32,
        /// Program version.
        pub version: u32,
        /// Network identifier.
        pub netid: Text,
        /// Universal address.
        pub address: Text,
        /// Who registered it.
        pub owner: Text,
    }

    /// An address of a program and what carries it (`rpcb_entry`).
    pub struct RpcbEntry {
        /// Universal address, merged with the one that the caller reached us at.
        pub address: Text,
        /// Network identifier.
        pub netid: Text,
        /// Kind of transport: 1 datagrams, 3 a stream with an orderly end.
        pub semantics: u32,
        /// Protocol family.
        pub family: Text,
        /// Protocol.
        pub protocol: Text,
    }

    /// A transport address (`netbuf`): the socket address of the machine that is asked.
    pub struct Netbuf {
        /// Room for an address.
        pub capacity: u32,
        /// The address.
        pub bytes: Opaque<128>,
    }
}
