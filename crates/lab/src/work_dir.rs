//! Directories that vanish with their owner, at the latest when the next lab starts.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::Error;

const PREFIX: &str = "standfast-lab-";

/// A directory of this process alone. A lock on it says that its owner lives; the kernel drops the
/// lock with the process, however that ends, so no process id has to be trusted.
#[derive(Debug)]
pub(crate) struct WorkDir {
    path: PathBuf,
    _lock: File,
}

impl WorkDir {
    /// Makes a directory below `base`, after it removed those whose owner is dead.
    pub(crate) fn new(base: &Path) -> Result<Self, Error> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        remove_stale(base);
        for _ in 0..1000 {
            let count = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = base.join(format!("{PREFIX}{}-{count}", process::id()));
            // Other users' processes (rpc.statd, postgres) must be able to pass through.
            match DirBuilder::new().mode(0o755).create(&path) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(Error::io(format!("make {}", path.display()))(error)),
            }
            if let Some(lock) = lock(&path) {
                return Ok(Self { path, _lock: lock });
            }
        }
        Err(Error::io(format!("make a directory in {}", base.display()))(io::Error::from(
            io::ErrorKind::AlreadyExists,
        )))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        // What cannot be removed now is stale for the next lab.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Locks a directory; `None` if somebody holds it, or removed it between its making and its locking.
fn lock(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    file.try_lock().ok()?;
    let (held, named) = (file.metadata().ok()?, fs::metadata(path).ok()?);
    (held.ino() == named.ino() && held.dev() == named.dev()).then_some(file)
}

fn remove_stale(base: &Path) {
    let Ok(entries) = fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let path = entry.path();
            if let Some(_lock) = lock(&path) {
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_directories_differ_and_go() {
        let base = tempfile::tempdir().unwrap();
        let (one, two) = (WorkDir::new(base.path()).unwrap(), WorkDir::new(base.path()).unwrap());
        assert_ne!(one.path(), two.path());
        fs::write(one.path().join("file"), "x").unwrap();
        drop((one, two));
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn stale_ones_are_removed_and_living_ones_kept() {
        let base = tempfile::tempdir().unwrap();
        let stale = base.path().join(format!("{PREFIX}1-1"));
        let other = base.path().join("other");
        fs::create_dir_all(stale.join("deep/down")).unwrap();
        fs::create_dir(&other).unwrap();
        let living = WorkDir::new(base.path()).unwrap();
        let _second = WorkDir::new(base.path()).unwrap();
        assert!(!stale.exists());
        assert!(living.path().exists());
        assert!(other.exists());
    }
}
