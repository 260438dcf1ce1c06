//! Why a filesystem operation failed.

use rustix::io::Errno;

/// Why a filesystem operation failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Error {
    /// The answer is not in memory and the caller did not want to wait.
    #[error("the answer is not in memory")]
    WouldBlock,
    /// The object that the handle named is gone.
    #[error("the object that the file handle named no longer exists")]
    Stale,
    /// The handle is not one that this filesystem makes.
    #[error("not a file handle of this filesystem")]
    BadHandle,
    /// The object changed after the time that the caller gave as a guard (`NFS3ERR_NOT_SYNC`).
    #[error("the object changed since the guard time")]
    NotSync,
    /// The operation is for another kind of object (`NFS3ERR_BADTYPE`).
    #[error("this kind of object cannot be created")]
    BadType,
    /// What the kernel said.
    #[error("{0}")]
    Os(Errno),
}

impl From<Errno> for Error {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::STALE => Self::Stale,
            other => Self::Os(other),
        }
    }
}
