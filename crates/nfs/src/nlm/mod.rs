//! The network lock manager, program 100021, versions 1 to 4 (The Open Group, XNFS, chapters 10
//! and 14): the byte-range locks and share reservations of NFSv3 clients.
//!
//! The rules are in `locker`, which knows no network; [`LockService`] drives it: it puts a host
//! on record with the status monitor before it gets its first lock, and tells clients of locks
//! that they waited for.

mod exported;
mod files;
mod grace;
mod grants;
mod host;
mod lanes;
mod locker;
mod program;
pub mod protocol;
pub mod record;
mod report;
mod restored;
mod service;
mod settings;

pub use exported::ExportedFiles;
pub use files::{FileFuture, Files};
pub use grace::GraceSettings;
pub use host::{Host, LockOwner};
pub use locker::Table;
pub use program::NlmProgram;
pub use report::{HostReport, LockReport};
pub use restored::RestoredLocks;
pub use service::{Base, LockService};
pub use settings::LockSettings;
