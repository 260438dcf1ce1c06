//! What can stop the driver.

use std::io;
use std::path::PathBuf;

use super::PlanError;

/// Why virtual routers cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The settings make no sense.
    #[error(transparent)]
    Settings(#[from] PlanError),
    /// Interfaces or packets cannot be used.
    #[error(transparent)]
    Net(#[from] standfast_net::Error),
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    System {
        /// What was to be done, on what.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The user of a script does not exist or may not be used.
    #[error("user `{user}` of {what}: {reason}")]
    User {
        /// The user.
        user: String,
        /// For which script.
        what: String,
        /// What is wrong.
        reason: String,
    },
    /// The FIFO is something else.
    #[error("{0} exists and is no FIFO; remove it or name another path in notify_fifo")]
    NoFifo(PathBuf),
    /// The protocol's thread ended by itself.
    #[error("the thread of the virtual routers ended unexpectedly; the log says why")]
    Ended,
}

impl Error {
    pub(super) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        let action = action.into();
        |source| Self::System { action, source: source.into() }
    }
}
