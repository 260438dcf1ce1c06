//! Daemons on a host.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::Error;
use crate::process::{Process, text_of};

/// A process that a test started on a [`crate::Host`]; killed when it is dropped.
#[derive(Debug)]
pub struct Daemon {
    name: String,
    process: Process,
    log: PathBuf,
}

impl Daemon {
    pub(crate) fn new(name: String, process: Process, log: PathBuf) -> Self {
        Self { name, process, log }
    }

    /// Its process id, as this machine counts it.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.is_running()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn kill(&self) -> Result<(), Error> {
        self.process.signal(Signal::SIGKILL)?;
        self.process.reap();
        Ok(())
    }

    /// Asks it to end with SIGTERM and waits for that.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with the end of its log; [`Error::Io`].
    pub fn terminate(&self, limit: Duration) -> Result<ExitStatus, Error> {
        self.signal(Signal::SIGTERM)?;
        self.wait(limit)
    }

    /// Sends it a signal, unless it has ended.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.process.signal(signal)
    }

    /// Stops it with SIGSTOP: it hangs, while the kernel keeps its sockets alive.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn freeze(&self) -> Result<(), Error> {
        self.process.signal(Signal::SIGSTOP)
    }

    /// Lets it go on after [`Daemon::freeze`].
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn thaw(&self) -> Result<(), Error> {
        self.process.signal(Signal::SIGCONT)
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// [`Error::TimedOut`], [`Error::Io`].
    pub fn wait(&self, limit: Duration) -> Result<ExitStatus, Error> {
        self.process.wait_within(limit, &format!("the end of {}", self.name))
    }

    /// What it printed so far, to stdout and stderr.
    #[must_use]
    pub fn log(&self) -> String {
        text_of(&self.log)
    }

    /// The file of [`Daemon::log`].
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
