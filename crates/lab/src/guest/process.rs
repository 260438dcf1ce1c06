//! Commands inside a guest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::Session;
use crate::process::{said, text_of};
use crate::{Error, Output};

/// A shell command that runs in a guest; it goes on when this is dropped.
#[derive(Debug)]
pub struct GuestProcess {
    session: Arc<Session>,
    id: u64,
    command: String,
}

impl GuestProcess {
    pub(super) fn new(session: Arc<Session>, id: u64, command: &str) -> Self {
        Self { session, id, command: command.into() }
    }

    /// Waits until it ends.
    ///
    /// # Errors
    /// [`Error::TimedOut`] with what it has printed: it goes on. [`Error::Off`] if the guest died.
    pub fn wait(&self, limit: Duration) -> Result<Output, Error> {
        match self.session.line.wait_done(self.id, limit, &format!("`{}`", self.command)) {
            Ok(status) => Ok(Output {
                command: self.command.clone(),
                status,
                stdout: self.stdout(),
                stderr: self.stderr(),
            }),
            Err(Error::TimedOut { what, limit, .. }) => {
                Err(Error::TimedOut { what, limit, said: said(&self.stdout(), &self.stderr()) })
            }
            Err(other) => Err(other),
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.session.is_running() && self.session.line.done(self.id).is_none()
    }

    /// Kills it with its children (SIGKILL to its process group). One that hangs in the kernel, as
    /// on a dead NFS server, may not end at once; nobody waits for it.
    ///
    /// # Errors
    /// [`Error::Off`] if the guest is gone.
    pub fn kill(&self) -> Result<(), Error> {
        if self.is_running() { self.session.line.send("kill", self.id) } else { Ok(()) }
    }

    /// What it printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        text_of(&self.file("stdout"))
    }

    /// What it printed to stderr so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        text_of(&self.file("stderr"))
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.session.file(self.id, kind)
    }
}
