//! What can go wrong with interfaces and sockets.

use std::io;

/// Why an interface, an address or a socket could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("cannot {action}: {source}{}", advice(source))]
    System {
        /// What was to be done, on what.
        action: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The kernel's answer made no sense.
    #[error("cannot {action}: the kernel's answer over netlink cannot be read: {reason}")]
    Answer {
        /// What was to be done.
        action: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl Error {
    pub(crate) fn system(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let action = action.into();
        |source| Self::System { action, source }
    }

    /// The error number of the system call, if it was one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::System { source, .. } => source.raw_os_error(),
            Self::Answer { .. } => None,
        }
    }
}

fn advice(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::PermissionDenied {
        " (it needs CAP_NET_ADMIN and CAP_NET_RAW)"
    } else {
        ""
    }
}
