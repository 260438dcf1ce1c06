//! What can go wrong in a lab.

use std::io;
use std::time::Duration;

use crate::output::Output;

/// A failure of the lab itself, or of a command that a test wanted to succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine cannot run the lab.
    #[error("this machine cannot run a lab; it lacks {}", .0.join(", "))]
    Missing(Vec<String>),
    /// A call to the system failed.
    #[error("{action}: {source}")]
    Io {
        /// What was being done, on what.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// The kernel refused something about the lab's network.
    #[error(transparent)]
    Network(#[from] standfast_net::Error),
    /// A command ended with a status other than 0.
    #[error("{0}")]
    Failed(Box<Output>),
    /// Something did not happen in time.
    #[error("{what}: not within {limit:?}{said}")]
    TimedOut {
        /// What was awaited.
        what: String,
        /// How long.
        limit: Duration,
        /// What a command had printed until then; may be empty.
        said: String,
    },
    /// A guest did not come up.
    #[error("{guest} did not boot: {source}; its console ends with\n{console}")]
    Boot {
        /// Its name.
        guest: String,
        /// What was seen of it.
        source: Box<Error>,
        /// The end of its console.
        console: String,
    },
    /// The machine is switched off: it was killed, crashed, or ended by itself.
    #[error("{0} is not running; restart it first")]
    Off(String),
    /// More machines than the lab's network has addresses.
    #[error("the lab's network is full: it holds {0} machines")]
    Full(u8),
}

impl Error {
    /// Wraps what the system said with what was being done.
    pub(crate) fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Error {
        let action = action.into();
        move |source| Error::Io { action, source: source.into() }
    }
}
