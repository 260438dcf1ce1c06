//! Which file a lock is on.

use standfast_vfs::Handle;

/// A file, the same for every protocol and after every restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// The export that the file is in.
    pub export: u64,
    /// The file in it.
    pub handle: Handle,
}
