//! What can go wrong with a drill itself, other than what it is there to find.

use std::io;
use std::time::Duration;

use crate::client::Refusal;

/// A drill could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machines or their network.
    #[error(transparent)]
    Lab(#[from] standfast_lab::Error),
    /// Something that a client needs before the load begins.
    #[error("a client cannot work on the service: {0}")]
    Client(#[from] Refusal),
    /// Something did not happen.
    #[error("{what} did not happen within {limit:?}{last}")]
    Late {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// What was seen last; may be empty.
        last: String,
    },
    /// An answer that cannot be understood.
    #[error("{what} cannot be understood: {why}")]
    Answer {
        /// Which answer.
        what: String,
        /// Why.
        why: String,
    },
    /// The system.
    #[error("{what}: {why}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        why: io::Error,
    },
    /// The person who watches wants it to end.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |why| Self::System { what, why }
    }
}
