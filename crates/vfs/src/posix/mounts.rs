//! The filesystems of an export: its own, and those mounted below it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::mounted::{Mounted, MountedError, statx};
use super::{Shared, hidden};
use crate::{Error, Result};

/// The filesystems of an export. Those below its own are found when a lookup gets to them, or
/// when a handle of one comes in (as after a restart).
pub(super) struct Mounts {
    root: Arc<Mounted>,
    below: RwLock<Vec<Arc<Mounted>>>,
    shared: Arc<Shared>,
}

impl Mounts {
    pub(super) fn new(root: Arc<Mounted>, shared: Arc<Shared>) -> Self {
        Self { root, below: RwLock::default(), shared }
    }

    /// The export's own filesystem.
    pub(super) fn root(&self) -> &Arc<Mounted> {
        &self.root
    }

    /// The filesystem with this number, if it is known already.
    pub(super) fn known(&self, id: u64) -> Option<Arc<Mounted>> {
        if id == self.root.id {
            return Some(Arc::clone(&self.root));
        }
        self.below.read().iter().find(|mounted| mounted.id == id).cloned()
    }

    /// The filesystem with this number; `ESTALE` if it is not mounted below the export.
    pub(super) fn with_id(&self, id: u64) -> Result<Arc<Mounted>> {
        if let Some(known) = self.known(id) {
            return Ok(known);
        }
        if !self.root.crosses() {
            return Err(Error::Stale);
        }
        self.discover();
        self.known(id).ok_or(Error::Stale)
    }

    /// All filesystems that are served.
    pub(super) fn all(&self) -> Vec<Arc<Mounted>> {
        if self.root.crosses() {
            self.discover();
        }
        let root = std::iter::once(Arc::clone(&self.root));
        root.chain(self.below.read().iter().cloned()).collect()
    }

    /// The filesystem of the mount that `fd` was reached through, if it is known already.
    pub(super) fn known_mount(&self, mount: u64) -> Option<Arc<Mounted>> {
        if !self.root.crosses() || mount == self.root.mount {
            return Some(Arc::clone(&self.root));
        }
        self.below.read().iter().find(|mounted| mounted.mount == mount).cloned()
    }

    /// The filesystem that `fd` is the topmost directory of: it was reached by a step from a
    /// directory of the export, through `mount`.
    pub(super) fn at(&self, fd: BorrowedFd<'_>, mount: u64) -> Result<Arc<Mounted>> {
        if let Some(known) = self.known_mount(mount) {
            return Ok(known);
        }
        let live = rustix::io::fcntl_dupfd_cloexec(fd, 0)?;
        self.add(live).map_err(|error| match error {
            MountedError::Clone(errno)
            | MountedError::NoHandles(errno)
            | MountedError::OpenByHandle(errno)
            | MountedError::Other(errno) => errno.into(),
        })
    }

    fn add(&self, live: OwnedFd) -> std::result::Result<Arc<Mounted>, MountedError> {
        let mounted = Mounted::open(live, None, true, Arc::clone(&self.shared))?;
        let mut below = self.below.write();
        // Another thread may have come first; and where one directory is mounted at two places,
        // its handles are those of the place that was found first.
        if let Some(known) = below.iter().find(|known| known.id == mounted.id) {
            return Ok(Arc::clone(known));
        }
        let mounted = Arc::new(mounted);
        below.push(Arc::clone(&mounted));
        Ok(mounted)
    }

    /// Looks for everything that is mounted below the export now.
    fn discover(&self) {
        let top = match std::fs::read_link(fd_path(self.root.live())) {
            Ok(top) => top,
            Err(error) => return tracing::warn!(%error, "the export's path is not to be known"),
        };
        let table = match std::fs::read("/proc/thread-self/mountinfo") {
            Ok(table) => table,
            Err(error) => return tracing::warn!(%error, "mounts below the export are not seen"),
        };
        for point in mount_points(&table) {
            let Ok(below) = point.strip_prefix(&top) else { continue };
            if below.as_os_str().is_empty() || hidden::leads_through(below) {
                continue;
            }
            if let Err(error) = self.visit(below) {
                tracing::debug!(path = %point.display(), %error, "this mount cannot be served");
            }
        }
    }

    /// Takes what is mounted at this path below the export into service.
    fn visit(&self, below: &Path) -> Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let fd = rustix::fs::openat2(self.root.live(), below, flags, Mode::empty(), resolve)?;
        let mount = statx(fd.as_fd())?.stx_mnt_id;
        self.at(fd.as_fd(), mount).map(drop)
    }
}

/// The path under which `/proc` names a descriptor of this process.
fn fd_path(fd: BorrowedFd<'_>) -> PathBuf {
    Path::new("/proc/self/fd").join(rustix::path::DecInt::from_fd(fd).as_str())
}

/// The mount points of `/proc/thread-self/mountinfo` (`proc_pid_mountinfo(5)`), with its octal escapes
/// undone.
fn mount_points(table: &[u8]) -> impl Iterator<Item = PathBuf> {
    table.split(|&byte| byte == b'\n').filter_map(|line| {
        let field = line.split(|&byte| byte == b' ').nth(4)?;
        let mut path = Vec::with_capacity(field.len());
        let mut rest = field;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            let code = tail.first_chunk::<3>().filter(|_| byte == b'\\');
            let code = code.and_then(|digits| std::str::from_utf8(digits).ok());
            match code.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
                Some(unescaped) => {
                    path.push(unescaped);
                    rest = tail.get(3..).unwrap_or_default();
                }
                None => path.push(byte),
            }
        }
        Some(PathBuf::from(std::ffi::OsStr::from_bytes(&path)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let table = b"22 1 8:1 / / rw - ext4 /dev/vda rw\n\
            30 22 0:5 / /srv/a\\040b\\134 rw shared:1 - tmpfs tmpfs rw\n\
            short\n\
            31 22 0:6 / /srv/\\9 rw - tmpfs tmpfs rw\n";
        let points: Vec<_> = mount_points(table).collect();
        assert_eq!(points, [Path::new("/"), Path::new("/srv/a b\\"), Path::new("/srv/\\9")]);
    }
}
