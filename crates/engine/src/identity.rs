//! What tells a pool from another one that looks alike, and whether handles mean the same everywhere.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::EngineError;

/// What a node sees of a pool. All nodes must see the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The random name that the first node wrote into it, in hexadecimal.
    pub marker: String,
    /// The type of the filesystem, as `statfs(2)` numbers it.
    pub filesystem: u64,
    /// The handle of the marker file, as `name_to_handle_at(2)` gives it: its type and octets. NFS
    /// clients hold such handles, so they must mean the same after a failover.
    pub handle: (i32, Vec<u8>),
}

/// A node sees something else than the others.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It is another directory.
    #[error(
        "this node and node {0} do not see the same storage: the markers in the pool's directory \
         differ. Is the filesystem mounted on both?"
    )]
    Marker(String),
    /// The same files under another filesystem.
    #[error(
        "this node and node {0} reach the storage through filesystems of different types; handles \
         that clients hold would mean nothing after a failover. Mount it in the same way on both"
    )]
    Filesystem(String),
    /// Handles differ.
    #[error(
        "a file has another handle on node {0} than here; clients would get ESTALE after a \
         failover. Mount the storage in the same way on both (same filesystem, same export, same \
         fsid)"
    )]
    Handle(String),
}

impl Identity {
    /// Compares with what another node sees.
    ///
    /// # Errors
    /// What differs.
    pub fn same_as(&self, other: &Self, node: &str) -> Result<(), IdentityError> {
        if self.marker != other.marker {
            return Err(IdentityError::Marker(node.into()));
        }
        if self.filesystem != other.filesystem {
            return Err(IdentityError::Filesystem(node.into()));
        }
        if self.handle != other.handle {
            return Err(IdentityError::Handle(node.into()));
        }
        Ok(())
    }
}

/// Room for a handle (`MAX_HANDLE_SZ`).
const MOST_OCTETS: usize = 128;

#[repr(C)]
struct Handle {
    length: libc::c_uint,
    kind: libc::c_int,
    octets: [u8; MOST_OCTETS],
}

/// The handle of a file.
pub(crate) fn handle(path: &Path) -> Result<(i32, Vec<u8>), EngineError> {
    use std::os::unix::ffi::OsStrExt as _;
    let failed = |source| EngineError::Io {
        action: "learn the handle (the filesystem must be one that NFS can export)",
        path: path.into(),
        source,
    };
    let name = std::ffi::CString::new(path.as_os_str().as_bytes())
        .map_err(|error| failed(error.into()))?;
    let mut handle =
        Handle { length: MOST_OCTETS as libc::c_uint, kind: 0, octets: [0; MOST_OCTETS] };
    let mut mount = 0;
    // SAFETY: the name is a C string; the handle has room for as many octets as its length says and
    // has the layout of `struct file_handle`; the mount's number is an integer.
    let result = unsafe {
        libc::name_to_handle_at(
            libc::AT_FDCWD,
            name.as_ptr(),
            (&raw mut handle).cast(),
            &raw mut mount,
            0,
        )
    };
    if result != 0 {
        return Err(failed(std::io::Error::last_os_error()));
    }
    let length = usize::try_from(handle.length).unwrap_or(0);
    Ok((handle.kind, handle.octets.get(..length).unwrap_or_default().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_named() {
        let one = Identity { marker: "a".into(), filesystem: 1, handle: (1, vec![1]) };
        assert_eq!(one.same_as(&one, "n2"), Ok(()));
        let error = |other: Identity| one.same_as(&other, "n2").unwrap_err();
        assert!(matches!(
            error(Identity { marker: "b".into(), ..one.clone() }),
            IdentityError::Marker(_)
        ));
        let other = Identity { filesystem: 2, ..one.clone() };
        assert!(matches!(error(other), IdentityError::Filesystem(_)));
        let other = Identity { handle: (1, vec![2]), ..one.clone() };
        assert!(error(other).to_string().contains("node n2"));
    }
}
