//! Locks towards the processes of this machine.

use crate::{Handle, Result};

/// How a range is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// Others may lock it in this mode too.
    Shared,
    /// Nobody else may lock it.
    Exclusive,
}

/// The server keeps its clients' byte-range locks apart from each other by itself. Here it holds
/// them, all of them as one holder, against the processes of this machine that lock the same files
/// (`F_OFD_SETLK` of `fcntl(2)`).
pub trait LocalLocks {
    /// From now on the server holds these bytes of a regular file in this mode, or not at all; a
    /// length of zero is all to the largest offset. Waits for nobody who holds a lock, but may wait
    /// for the filesystem. Without effect on filesystems that other machines use too, where a lock
    /// is a question to a server.
    ///
    /// # Errors
    /// `EAGAIN`: a process has a lock that stands in the way; all is as before.
    fn hold_range(
        &self,
        file: &Handle,
        offset: u64,
        length: u64,
        mode: Option<LockMode>,
    ) -> Result<()>;
}
