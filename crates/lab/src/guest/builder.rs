//! What a guest is made of.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::lab::Site;
use crate::{Error, Guest, Requirement, missing};

/// One mebibyte, for the sizes of memory and disks.
pub const MIB: u64 = 1 << 20;

/// A disk of a guest, in the order of `/dev/ubda`, `/dev/ubdb`, ….
#[derive(Debug, Clone)]
pub(super) enum Disk {
    /// A new sparse file of that many bytes.
    New(u64),
    /// A file of this machine, for this guest alone.
    File(PathBuf),
    /// A file that other guests have as well.
    Shared(PathBuf),
}

/// Describes a guest; made by [`crate::Lab::guest`].
#[derive(Debug)]
pub struct GuestBuilder {
    pub(super) site: Arc<Site>,
    pub(super) name: String,
    pub(super) memory: u64,
    pub(super) disks: Vec<Disk>,
    pub(super) boot_limit: Duration,
}

impl GuestBuilder {
    pub(super) fn new(site: Arc<Site>, name: &str) -> Self {
        // Memory that the guest never touches costs nothing.
        let (memory, boot_limit) = (512 * MIB, Duration::from_secs(300));
        Self { site, name: name.into(), memory, disks: Vec::new(), boot_limit }
    }

    /// Its memory in bytes; 512 MiB if not set. Three quarters of it may hold files that the guest
    /// writes outside its disks.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Adds an empty sparse disk of `bytes`.
    #[must_use]
    pub fn disk(mut self, bytes: u64) -> Self {
        self.disks.push(Disk::New(bytes));
        self
    }

    /// Adds a file of this machine as a disk of this guest alone.
    #[must_use]
    pub fn disk_file(mut self, path: &Path) -> Self {
        self.disks.push(Disk::File(path.into()));
        self
    }

    /// Adds a disk that other guests have as well; see [`crate::Lab::make_disk`].
    #[must_use]
    pub fn shared_disk(mut self, path: &Path) -> Self {
        self.disks.push(Disk::Shared(path.into()));
        self
    }

    /// How long it may take to boot; five minutes if not set.
    #[must_use]
    pub fn boot_limit(mut self, limit: Duration) -> Self {
        self.boot_limit = limit;
        self
    }

    /// Boots the guest and waits until it takes commands. To boot several at once, call this from
    /// several threads.
    ///
    /// # Errors
    /// [`Error::Missing`] without user-mode Linux, [`Error::TimedOut`] or [`Error::Off`] if it does
    /// not come up, with the end of its console.
    pub fn boot(self) -> Result<Guest, Error> {
        let lacking = missing(&[Requirement::Guests]);
        if !lacking.is_empty() {
            return Err(Error::Missing(lacking));
        }
        Guest::boot(self)
    }
}
