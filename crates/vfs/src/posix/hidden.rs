//! The directory at the top of a served filesystem that is the server's own.
//!
//! It holds what the server keeps beside the data, and no client sees, names or reaches it:
//!
//! - Its name is refused in every directory, not only at the top, since one export may lie inside
//!   another: no listing shows it, nothing is found or removed by it, and nothing gets it.
//! - The directory itself is recognised by device and inode, under whatever name a filesystem
//!   that folds case finds it.
//! - A handle of a directory below it opens nothing: its parents are looked at.
//! - A handle of a file below it is one that this server gave out (clients cannot make handles),
//!   while the file had a name elsewhere. So it is a file that the server keeps for those who have
//!   it open, see [`super::held`]; a file that was made here was never given out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags};
use rustix::io::Errno;

/// The name that no client may use.
pub(super) const NAME: &std::ffi::CStr = c".standfast";

/// How deep below the hidden directory a directory is recognised; the server makes none deeper.
const DEPTH: usize = 8;

/// Whether this is the name that no client may use, also for a filesystem that folds case.
pub(super) fn is_hidden(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(NAME.to_bytes())
}

/// Whether a path leads through a hidden directory.
pub(super) fn leads_through(path: &Path) -> bool {
    path.components()
        .any(|part| matches!(part, Component::Normal(name) if is_hidden(name.as_encoded_bytes())))
}

/// Which object the hidden directory of a filesystem is.
#[derive(Default)]
pub(super) struct Hidden {
    /// Zero while there is none. Says no without a lock.
    inode: AtomicU64,
    device: Mutex<(u32, u32)>,
}

impl Hidden {
    /// Learns which object it is, if there is one below `top`.
    pub(super) fn find(top: BorrowedFd<'_>) -> Self {
        let hidden = Self::default();
        if let Ok(stat) = rustix::fs::statx(top, NAME, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO) {
            hidden.note(&stat);
        }
        hidden
    }

    fn note(&self, stat: &Statx) {
        let mut device = self.device.lock();
        *device = (stat.stx_dev_major, stat.stx_dev_minor);
        self.inode.store(stat.stx_ino, Ordering::SeqCst);
    }

    /// Whether there is one.
    pub(super) fn exists(&self) -> bool {
        self.inode.load(Ordering::SeqCst) != 0
    }

    /// Whether this is the hidden directory itself.
    pub(super) fn is(&self, stat: &Statx) -> bool {
        self.inode.load(Ordering::SeqCst) == stat.stx_ino
            && *self.device.lock() == (stat.stx_dev_major, stat.stx_dev_minor)
    }

    /// Whether a directory is the hidden one or below it; `ENOENT` if it is outside the served
    /// one: the kernel says so of the parent of a directory that was moved elsewhere.
    pub(super) fn holds(&self, directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
        let mut path = Vec::with_capacity(3 * DEPTH);
        let mut last = None;
        for _ in 0..DEPTH {
            path.extend_from_slice(if path.is_empty() { b".." } else { b"/.." });
            let parent =
                rustix::fs::statx(directory, &path[..], AtFlags::empty(), StatxFlags::INO)?;
            if self.is(&parent) {
                return Ok(true);
            }
            let now = (parent.stx_dev_major, parent.stx_dev_minor, parent.stx_ino);
            // The top is its own parent.
            let at_top = last == Some(now);
            if at_top || !self.exists() {
                break;
            }
            last = Some(now);
        }
        Ok(false)
    }

    /// Opens the hidden directory below `top`, and makes it if there is none, for the process
    /// alone. To be run as the process.
    pub(super) fn open(&self, top: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
        match rustix::fs::mkdirat(top, NAME, Mode::RWXU) {
            // Without this a crash could take away what is made stable inside.
            Ok(()) => rustix::fs::fsync(top)?,
            Err(Errno::EXIST) => {}
            Err(Errno::ROFS) => tracing::debug!("a filesystem is mounted read-only"),
            Err(errno) => return Err(errno),
        }
        let directory = open_directory(top, NAME)?;
        let stat = super::mounted::statx(directory.as_fd())?;
        let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
        if stat.stx_uid != user.as_raw() || stat.stx_mode & 0o077 != 0 {
            tracing::warn!(
                uid = stat.stx_uid,
                mode = format_args!("{:o}", stat.stx_mode & 0o7777),
                "the server's own directory {NAME:?} was open to others; it is closed to them now"
            );
            rustix::fs::fchown(&directory, Some(user), Some(group))?;
            rustix::fs::fchmod(&directory, Mode::RWXU)?;
        }
        self.note(&stat);
        Ok(directory)
    }
}

/// Opens a directory that is not reached through a symbolic link.
pub(super) fn open_directory(
    parent: BorrowedFd<'_>,
    name: &std::ffi::CStr,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}
