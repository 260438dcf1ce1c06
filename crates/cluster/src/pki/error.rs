//! What can go wrong with keys, certificates and tokens.

use std::io;
use std::path::PathBuf;

/// Why a key, a certificate or a token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// A certificate or key cannot be made or read.
    #[error("{what}: {detail}")]
    Certificate {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        detail: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} cannot be used: {detail}")]
    Contents {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The text is no token.
    #[error("this is not a token: {0}; copy the whole line that `standfast token create` printed")]
    Token(&'static str),
}

impl PkiError {
    pub(super) fn certificate(what: &'static str, detail: impl ToString) -> Self {
        Self::Certificate { what, detail: detail.to_string() }
    }
}
