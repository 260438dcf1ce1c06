//! Where a node keeps its log, its vote and its snapshot: one `redb` file.
//!
//! The log is in memory as well (it is short: a snapshot is taken every few hundred entries), so
//! reads cost nothing. Everything is written by one thread, in order; what arrives while it flushes
//! goes into the next flush together. On a full disk that thread keeps what it has, says so, and
//! goes on when there is space again: nothing is answered that is not durable, nothing is lost.

mod disk;
mod log;
mod machine;

use std::path::Path;

pub use disk::{DiskHealth, StoreError};
pub use log::LogStore;
pub use machine::{Applied, StateMachine};

use disk::Disk;

/// The parts that the consensus is given, and a view of the disk's health.
pub struct Store {
    /// The log and the vote.
    pub log: LogStore,
    /// The state.
    pub machine: StateMachine,
    /// Whether it can be written to.
    pub health: DiskHealth,
}

/// Opens the file, or makes it.
///
/// # Errors
/// The file cannot be used: another process has it, it is of another node or of a newer version, or
/// it is damaged.
pub fn open(path: &Path, owner: &str) -> Result<Store, StoreError> {
    let (disk, contents) = Disk::open(path, owner)?;
    let health = disk.health();
    let log = LogStore::new(disk.clone(), contents.log);
    let machine = StateMachine::new(disk, contents.snapshot, log.support());
    Ok(Store { log, machine, health })
}
