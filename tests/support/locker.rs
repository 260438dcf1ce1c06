//! Guests that lock files.

use std::time::Duration;

use standfast_lab::{Guest, GuestProcess, wait_until};

use crate::guests::MOUNT;
use crate::{Result, SOON};

/// The exit status of [`LOCK`] if somebody else has the lock.
const BUSY: i32 = 3;

/// Locks a file: `lock.py NAME FILE MODE [wait]`. Once it has the lock, `/tmp/NAME.held` is there,
/// and it keeps the lock until `/tmp/NAME.release` is. Without `wait`, exits with 3 if somebody
/// else has it. To be pushed to `/tmp/lock.py`.
pub const LOCK: &str = r"
import fcntl, os, sys, time
name, path, mode = sys.argv[1:4]
file = open(path, 'r+b')
how = fcntl.LOCK_SH if mode == 'shared' else fcntl.LOCK_EX
try:
    fcntl.lockf(file, how if 'wait' in sys.argv else how | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(3)
open('/tmp/%s.held' % name, 'w').close()
for _ in range(60000):
    if os.path.exists('/tmp/%s.release' % name):
        break
    time.sleep(0.01)
";

/// A guest that locks the file `file` of its mount.
#[derive(Clone, Copy, Debug)]
pub struct Locker<'a> {
    /// The guest.
    pub guest: &'a Guest,
}

impl Locker<'_> {
    /// Starts to lock the file; waits for it until the file `NAME.held` is there.
    ///
    /// # Errors
    /// What running the program failed with.
    pub fn start(&self, name: &str, mode: &str) -> Result<GuestProcess> {
        Ok(self.guest.spawn(&format!("python3 /tmp/lock.py {name} {MOUNT}/file {mode} wait"))?)
    }

    /// Whether it has its lock.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.guest.run(&format!("test -e /tmp/{name}.held")).is_ok_and(|output| output.success())
    }

    /// Waits until it has its lock.
    ///
    /// # Errors
    /// If it has not within the limit.
    pub fn wait_for(&self, name: &str, limit: Duration) -> Result {
        Ok(wait_until(limit, &format!("{name} to get its lock"), || self.has(name))?)
    }

    /// Lets go of a lock.
    ///
    /// # Errors
    /// If the program does not end well.
    pub fn release(&self, name: &str, process: &GuestProcess) -> Result {
        self.guest.run(&format!(": >/tmp/{name}.release"))?.ok()?;
        process.wait(SOON)?.ok()?;
        Ok(())
    }

    /// Whether the file can be locked right now.
    ///
    /// # Errors
    /// What running the program failed with.
    pub fn can_lock(&self, mode: &str) -> Result<bool> {
        let try_it = format!(": >/tmp/try.release; python3 /tmp/lock.py try {MOUNT}/file {mode}");
        let output = self.guest.run_within(SOON, &try_it)?;
        match output.status {
            BUSY => Ok(false),
            _ => Ok(output.ok().map(|_| true)?),
        }
    }
}
