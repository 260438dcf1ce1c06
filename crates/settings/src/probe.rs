//! A look at the machine, for what a settings file cannot know by itself.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};

/// What is found under a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathState {
    /// A directory.
    Directory,
    /// Something else.
    NotADirectory,
    /// Nothing.
    Missing,
    /// It cannot be seen, for this reason.
    Hidden(String),
}

/// What the check asks of the machine.
pub trait Probe {
    /// What is under a path, with symbolic links followed.
    fn state(&self, path: &Path) -> PathState;
    /// Whether a filesystem is mounted there.
    fn is_mount_point(&self, path: &Path) -> bool;
    /// The permission bits, if the path can be seen.
    fn mode(&self, path: &Path) -> Option<u32>;
    /// Why the filesystem that holds a directory cannot be exported, if it is known that it
    /// cannot.
    fn export_obstacle(&self, path: &Path) -> Option<String>;
}

/// The machine itself. It does not know which filesystems can make handles: who serves them does.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemProbe;

impl Probe for SystemProbe {
    fn state(&self, path: &Path) -> PathState {
        match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => PathState::Directory,
            Ok(_) => PathState::NotADirectory,
            Err(error) if error.kind() == io::ErrorKind::NotFound => PathState::Missing,
            Err(error) => PathState::Hidden(error.to_string()),
        }
    }

    fn is_mount_point(&self, path: &Path) -> bool {
        let flags = AtFlags::NO_AUTOMOUNT;
        statx(CWD, path, flags, StatxFlags::empty())
            .is_ok_and(|found| found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
    }

    fn mode(&self, path: &Path) -> Option<u32> {
        std::fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o7777)
    }

    fn export_obstacle(&self, _: &Path) -> Option<String> {
        None
    }
}
