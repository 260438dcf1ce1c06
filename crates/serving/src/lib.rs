//! One service as it runs on this node: its exports and their storage, its identity and journal,
//! the protocol state, the server with its sockets, and the gate that its replies leave through.
//!
//! A node may run several ([`Instance`]), each with its own journal and epoch. A start is made of
//! steps that are timed one by one, since a takeover reports each:
//!
//! 1. [`Opening::storage`]: the directories of the exports are taken into service.
//! 2. [`Opening::take_over`]: the journal is found ([`place`]), opened with a new epoch and
//!    replayed ([`replay`]); who held it before is shut out by that.
//! 3. [`Taken::listen`]: the sockets are bound and served. The address comes after that.
//!
//! [`Instance::stop`] ends it: drained, with a word to the clients, or silently when the service
//! goes on elsewhere.

mod connections;
mod error;
mod identity;
mod instance;
mod journal;
mod limits;
mod listen;
mod log;
mod node;
mod place;
mod replay;
mod replies;
mod show;
mod snapshots;
mod steps;
mod storage;
mod timings;

pub use connections::Ends;
pub use error::StartError;
pub use instance::{Instance, Manner, Opening, Taken};
pub use journal::Epoch;
pub use limits::server_limits;
pub use listen::Listening;
pub use log::JournalLog;
pub use node::Node;
pub use place::{JOURNAL, PlaceError};
pub use replay::{ReplayError, Restored};
pub use show::{FindError, describe, find_journal};
pub use timings::{Step, Timings};
