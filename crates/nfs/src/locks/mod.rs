//! The lock table: byte-range locks and share reservations of all files, for every protocol that
//! has them.
//!
//! It is a plain state machine: a request goes in, an outcome and the [`Change`]s that it made
//! come out; there is no I/O and no clock. Changes are values, so that a journal can record them
//! before anybody is told, and [`LockTable::apply`] rebuilds a table from them.
//!
//! Byte ranges follow POSIX: an owner's locks never conflict with each other, a new lock replaces
//! what the owner held in its range, neighbours of one mode become one lock, and unlocking a part
//! leaves the rest. Deadlocks between waiters are not looked for: a deadlocked client is freed
//! when one of its users interrupts the wait, as with other NLM servers.

mod change;
mod file_key;
mod interner;
mod limits;
mod owners;
mod range;
mod shares;
mod spans;
mod table;
mod waiters;

#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::hash::Hash;

pub use change::Change;
pub use file_key::FileKey;
pub use limits::{LimitReached, LockLimits};
pub use owners::Usage;
pub use range::{Mode, Range};
pub use shares::{Access, Share};
pub use table::{Conflict, HeldLock, LockTable, Outcome, Request};
pub use waiters::WaiterId;

/// Who holds locks: locks of one owner never conflict with each other.
pub trait Owner: Clone + Debug + Eq + Hash {
    /// The machine (or NFSv4 client) that the owner lives on: when it goes, all of its owners'
    /// locks go.
    type Client: Clone + Debug + Eq + Hash;

    /// The client that this owner belongs to.
    fn client(&self) -> &Self::Client;
}
