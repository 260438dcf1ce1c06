//! Who is alive, by datagrams between nodes.
//!
//! Every node sends every other one a heartbeat per interval over each link, and answers each that
//! comes at once. The datagrams carry more than a sign of life: a voter's answer says that it stands
//! by the leader, the leader's answer renews leases (see [`crate::lease`]), and a node's heartbeat
//! says how far it is with what it was given.

mod datagram;
mod detector;
mod incarnation;
mod moment;
mod support;
mod timing;

pub use datagram::{
    ClusterId, Datagram, DatagramError, Echo, MOST_ENTRIES, MOST_OCTETS, Report, Seal, Word,
};
pub use detector::{Detector, LinkId, Notice, WayState};
pub use incarnation::next_incarnation;
pub use moment::Moment;
pub use support::Support;
pub use timing::{Covering, Timing, TimingError};
