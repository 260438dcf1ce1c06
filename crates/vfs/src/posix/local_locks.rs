//! Locks towards the processes of this machine: one open file of ours for each file that clients
//! have locked.

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::identity::as_process;
use super::node::require_regular;
use super::{IdentityScope, PosixFileSystem, Shared, syscall};
use crate::{Error, Handle, LocalLocks, LockMode, Result, Wait};

/// The files that clients have locked.
pub(super) type LockedFiles = Mutex<HashMap<Handle, Arc<Mutex<LockedFile>>>>;

/// A file that clients have locked.
#[derive(Default)]
pub(super) struct LockedFile {
    /// None before the first lock, and after the last.
    fd: Option<LockFd>,
    held: Spans,
}

/// An open file that holds locks.
struct LockFd {
    fd: OwnedFd,
    shared: Arc<Shared>,
}

impl Drop for LockFd {
    fn drop(&mut self) {
        self.shared.closed(1);
    }
}

/// The ranges that are held, in order and apart: first byte, last byte, mode.
#[derive(Default)]
struct Spans(Vec<(u64, u64, LockMode)>);

impl Spans {
    fn set(&mut self, first: u64, last: u64, mode: Option<LockMode>) {
        let mut spans = Vec::with_capacity(self.0.len() + 2);
        for &(from, to, held) in &self.0 {
            if from < first {
                spans.push((from, to.min(first - 1), held));
            }
            if to > last {
                spans.push((from.max(last + 1), to, held));
            }
        }
        spans.extend(mode.map(|mode| (first, last, mode)));
        spans.retain(|(from, to, _)| from <= to);
        spans.sort_unstable();
        self.0 = spans;
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl LocalLocks for PosixFileSystem {
    fn hold_range(
        &self,
        file: &Handle,
        offset: u64,
        length: u64,
        mode: Option<LockMode>,
    ) -> Result<()> {
        let _scope = IdentityScope::enter();
        const LARGEST: u64 = i64::MAX as u64;
        let filesystem = self.mounts.with_id(file.filesystem())?;
        // A lock beyond what the kernel knows is nobody's concern here.
        if !filesystem.locks_locally() || offset > LARGEST {
            return Ok(());
        }
        let last = match length {
            0 => LARGEST,
            length => offset.saturating_add(length - 1).min(LARGEST),
        };
        let locked = match mode {
            Some(_) => Arc::clone(self.locked_files.lock().entry(*file).or_default()),
            None => match self.locked_files.lock().get(file) {
                Some(locked) => Arc::clone(locked),
                None => return Ok(()),
            },
        };
        let mut locked = locked.lock();
        let result = self.set_lock(file, &mut locked, (offset, last), mode);
        if locked.held.is_empty() {
            locked.fd = None;
            self.locked_files.lock().retain(|known, kept| {
                // One that somebody waits for stays.
                known != file || Arc::strong_count(kept) > 2
            });
        }
        result
    }
}

impl PosixFileSystem {
    fn set_lock(
        &self,
        file: &Handle,
        locked: &mut LockedFile,
        (first, last): (u64, u64),
        mode: Option<LockMode>,
    ) -> Result<()> {
        let fd = match &locked.fd {
            Some(fd) => fd,
            None if mode.is_none() => return Ok(()),
            None => locked.fd.insert(self.open_to_lock(file)?),
        };
        match syscall::set_lock(fd.fd.as_fd(), first, last, mode) {
            // Of a file that can only be read the kernel gives no exclusive lock.
            Ok(()) | Err(Errno::BADF) => {}
            Err(Errno::ACCESS) => return Err(Errno::AGAIN.into()),
            Err(errno) => return Err(errno.into()),
        }
        locked.held.set(first, last, mode);
        Ok(())
    }

    fn open_to_lock(&self, file: &Handle) -> Result<LockFd> {
        let node = self.node(Wait::Allowed, file)?;
        require_regular(node.kind)?;
        let flags = OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let open = |mode| as_process(|| node.filesystem.open_handle(file, mode | flags));
        let fd = match open(OFlags::RDWR) {
            Err(Error::Os(Errno::ROFS | Errno::TXTBSY | Errno::PERM)) => open(OFlags::RDONLY),
            opened => opened,
        }?;
        self.shared.opened();
        Ok(LockFd { fd, shared: Arc::clone(&self.shared) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_cut_where_others_are_set() {
        use LockMode::{Exclusive, Shared};
        let mut spans = Spans::default();
        spans.set(0, 99, Some(Shared));
        spans.set(10, 19, Some(Exclusive));
        assert_eq!(spans.0, [(0, 9, Shared), (10, 19, Exclusive), (20, 99, Shared)]);
        spans.set(5, 24, None);
        assert_eq!(spans.0, [(0, 4, Shared), (25, 99, Shared)]);
        spans.set(0, i64::MAX as u64, None);
        assert!(spans.is_empty());
        spans.set(7, u64::MAX - 1, Some(Shared));
        spans.set(0, u64::MAX - 1, Some(Exclusive));
        assert_eq!(spans.0, [(0, u64::MAX - 1, Exclusive)]);
    }
}
