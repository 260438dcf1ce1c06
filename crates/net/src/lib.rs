//! Floating addresses and their announcements.
//!
//! [`Netlink`] puts addresses on interfaces and takes them off, [`PacketSocket`] sends the frames
//! that [`frame`] makes, [`Watch`] tells when interfaces or addresses change, and [`Responder`]
//! answers for addresses that are announced but not accepted. [`Floating`] is a service's address on
//! its interface, [`ConflictWatch`] hears who else has it, [`Tickler`] wakes its clients, and
//! [`silence`] ends connections without a word. Each call is one system call or two
//! and never waits, so that a failover does not either.

mod checksum;
mod conflict;
mod error;
mod floating;
pub mod frame;
mod link;
mod mac;
mod netlink;
mod packet_socket;
mod ports;
mod responder;
mod silence;
mod sysctl;
mod tickle;
mod watch;

pub use checksum::internet_checksum;
pub use conflict::{Conflict, ConflictWatch};
pub use error::Error;
pub use floating::{ANNOUNCE_AGAIN, BURST, Floating, Placed};
pub use link::{InterfaceAddress, Link};
pub use mac::MacAddress;
pub use netlink::Netlink;
pub use packet_socket::PacketSocket;
pub use ports::VethPeer;
pub use responder::Responder;
pub use silence::silence;
pub use sysctl::{Family, Setting};
pub use tickle::{Connection, REPEAT as TICKLE_AGAIN, Tickler};
pub use watch::Watch;
