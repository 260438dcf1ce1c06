//! Programs that a test writes and then runs.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{PoisonError, RwLock};

/// Held while a process is started, and alone while a program is written. A process has copies of
/// all descriptors of this one until it runs its own program, and the kernel runs no program that
/// somebody has open for writing (`ETXTBSY`).
static STARTING: RwLock<()> = RwLock::new(());

/// Starts a process.
pub(crate) fn spawn(command: &mut Command) -> io::Result<Child> {
    let _starting = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    command.spawn()
}

/// Writes a program that anybody may run, so that it can be run at once, also while other threads
/// start processes.
///
/// # Errors
/// What writing it failed with.
pub fn write_program(path: &Path, content: &[u8]) -> io::Result<()> {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    fs::write(path, content)?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))
}
