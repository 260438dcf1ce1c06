//! Taking a directory into service.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, RwLock};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Resource;

use super::mounted::{Mounted, MountedError};
use super::mounts::Mounts;
use super::{IdentityScope, NodeCache, PosixFileSystem, Shared, hidden};

/// How a directory is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether what is mounted below the directory is served too. If not, the directories that
    /// are covered by mounts are seen.
    pub cross_mounts: bool,
    /// Most file descriptors that are kept open for objects in use. No more than half of the
    /// process's limit (`RLIMIT_NOFILE`) are.
    pub cached_files: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { cross_mounts: false, cached_files: 4096 }
    }
}

/// Why a directory cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("{} cannot be opened: {errno}", path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
    /// It is not a directory.
    #[error("{} is not a directory; only directories can be exported", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It is in a directory that is the server's own.
    #[error("{} lies in a directory that Standfast keeps for itself; export another", path.display())]
    Hidden {
        /// The directory.
        path: PathBuf,
    },
    /// The process lacks a capability.
    #[error("{} cannot be served without {capability} ({purpose}); run as root, or give the \
             process that capability", path.display())]
    MissingCapability {
        /// The directory.
        path: PathBuf,
        /// The capability's name.
        capability: &'static str,
        /// What it is needed for.
        purpose: &'static str,
    },
    /// The filesystem makes no file handles.
    #[error("the filesystem of {} cannot make file handles ({errno}), by which clients name files \
             across restarts; ext4, XFS, btrfs, tmpfs and CephFS can, overlayfs only with the \
             mount option nfs_export=on", path.display())]
    NoHandles {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
    /// The filesystem's file handles do not fit into those of the protocol.
    #[error("the file handles of the filesystem of {} are longer than {} bytes, so that NFS \
             cannot carry them", path.display(), crate::Handle::MAX_BYTES)]
    LongHandles {
        /// The directory.
        path: PathBuf,
    },
    /// The filesystem makes file handles that it does not take back.
    #[error("the filesystem of {} does not open its own file handles: {errno}", path.display())]
    OpenByHandle {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        errno: Errno,
    },
    /// `/proc` is not there.
    #[error("/proc/self/fd cannot be opened ({errno}); mount the proc filesystem")]
    NoProc {
        /// What the kernel said.
        errno: Errno,
    },
}

impl PosixFileSystem {
    /// Takes the directory `path` into service. Sets the process's umask to zero, as the modes
    /// of new files are the clients' affair.
    ///
    /// The process needs `CAP_DAC_READ_SEARCH` and `CAP_SYS_ADMIN`; with `CAP_SETUID` and
    /// `CAP_SETGID` too operations run as their callers ([`super::can_switch_identity`]).
    pub fn open(path: &Path, options: &Options) -> Result<Self, OpenError> {
        let failed = |errno| match errno {
            Errno::NOTDIR => OpenError::NotADirectory { path: path.into() },
            _ => OpenError::Open { path: path.into(), errno },
        };
        if hidden::leads_through(path) {
            return Err(OpenError::Hidden { path: path.into() });
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let live = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let _scope = IdentityScope::enter();
        let root = Mounted::open(live, Some(0), options.cross_mounts, Arc::clone(&shared))
            .map_err(|error| explain(path, error))?;
        rustix::process::umask(Mode::empty());
        let half = rustix::process::getrlimit(Resource::Nofile).current.map_or(u64::MAX, |n| n / 2);
        Ok(Self {
            mounts: Mounts::new(Arc::new(root), Arc::clone(&shared)),
            cache: NodeCache::new(),
            open_files: RwLock::default(),
            permit: OnceLock::new(),
            openings: Box::new(std::array::from_fn(|_| Mutex::new(()))),
            steps: Box::new(std::array::from_fn(|_| Mutex::new(()))),
            shared,
            proc_fds: open_proc_fds().map_err(|errno| OpenError::NoProc { errno })?,
            most_open: options.cached_files.min(usize::try_from(half).unwrap_or(usize::MAX)),
        })
    }
}

fn explain(path: &Path, error: MountedError) -> OpenError {
    let path = path.to_path_buf();
    match error {
        MountedError::Clone(Errno::PERM) => OpenError::MissingCapability {
            path,
            capability: "CAP_SYS_ADMIN",
            purpose: "to confine clients to the directory by a mount of its own",
        },
        MountedError::OpenByHandle(Errno::PERM) => OpenError::MissingCapability {
            path,
            capability: "CAP_DAC_READ_SEARCH",
            purpose: "to open files by their handles",
        },
        MountedError::NoHandles(Errno::OVERFLOW) => OpenError::LongHandles { path },
        MountedError::NoHandles(errno) => OpenError::NoHandles { path, errno },
        MountedError::OpenByHandle(errno) => OpenError::OpenByHandle { path, errno },
        MountedError::Clone(errno) | MountedError::Other(errno) => OpenError::Open { path, errno },
    }
}

fn open_proc_fds() -> rustix::io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fds = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty())?;
    let is_proc = rustix::fs::fstatfs(fds.as_fd())?.f_type == rustix::fs::PROC_SUPER_MAGIC;
    if is_proc { Ok(fds) } else { Err(Errno::NOENT) }
}
