//! Floating addresses and their announcements.
//!
//! [`Netlink`] puts addresses on interfaces and takes them off, [`PacketSocket`] sends the frames
//! that [`frame`] makes, [`Watch`] tells when interfaces or addresses change, and [`Responder`]
//! answers for addresses that are announced but not accepted. Each call is one system call or two
//! and never waits, so that a failover does not either.

mod checksum;
mod error;
pub mod frame;
mod link;
mod mac;
mod netlink;
mod packet_socket;
mod ports;
mod responder;
mod sysctl;
mod watch;

pub use checksum::internet_checksum;
pub use error::Error;
pub use link::{InterfaceAddress, Link};
pub use mac::MacAddress;
pub use netlink::Netlink;
pub use packet_socket::PacketSocket;
pub use ports::VethPeer;
pub use responder::Responder;
pub use sysctl::{Family, Setting};
pub use watch::Watch;
