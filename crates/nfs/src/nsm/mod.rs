//! The network status monitor, program 100024 (The Open Group, XNFS, chapter 11): it learns when a
//! client restarted, which frees its locks, and tells clients when we did, so that they reclaim
//! theirs.
//!
//! A host is on record, durably, before its first lock is granted ([`StatusMonitor::monitor`]).
//! After a start, everybody on record is told ([`notify`]): by the name or address they know us
//! by, from that address, until they answer.

pub mod backoff;
pub mod caller;
mod monitor;
mod names;
mod notify;
mod program;
pub mod protocol;
pub mod record;
mod store;

pub use monitor::{MonitorError, Run, StatusMonitor, client_of};
pub use names::same_host;
pub use notify::{Notifier, NotifySettings};
pub use program::{NsmProgram, RebootListener};
pub use store::StoreError;
