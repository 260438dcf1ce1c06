//! The log, its storage, its network: who agrees on the state.
//!
//! [`Member`] is a running node of a cluster: it reads the state locally, also without a quorum, has
//! commands agreed on by way of the leader, and keeps itself: certificates, elections, members.
//! [`found`] and [`join`] make a node a member. Failures of *services* are not detected here, but by
//! heartbeats ([`crate::heartbeat`]); here it is only decided who may decide.

mod contact;
mod core;
mod elector;
mod entry;
mod leader;
mod links;
mod listener;
mod member;
mod membership;
mod network;
mod peers;
pub mod store;
mod types;
mod upkeep;
mod wire;

pub use entry::{DEFAULT_PORT, Entrant, EntryError, found, join, make_token, with_port};
pub use links::Links;
pub use member::{Leadership, Mandate, Member, MemberOptions, ProposeError, StartError};
pub use types::TypeConfig;
pub use wire::{JoinAnswer, JoinRequest, LeaderAnswer, LeaderError, LeaderRequest};
