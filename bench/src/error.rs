//! What can go wrong with a measurement.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use standfast_nfs::mount::protocol::MountResult;
use standfast_nfs::v3::protocol::Status;
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::record::RecordTooLong;
use standfast_rpc::xdr::DecodeError;

/// Why a measurement could not be made, or does not count.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: String,
        /// What the system said.
        source: io::Error,
    },
    /// The namespaces that the servers run in.
    #[error("the servers' namespaces: {0}")]
    Lab(#[from] standfast_lab::Error),
    /// This machine lacks what a server needs.
    #[error("{server} cannot run here, missing: {}", missing.join(", "))]
    Missing {
        /// The server.
        server: &'static str,
        /// What it lacks, with the package that has it.
        missing: Vec<String>,
    },
    /// The server's program was not built.
    #[error("{} is not there; build it first: cargo build --release -p standfast", .0.display())]
    NotBuilt(PathBuf),
    /// A server did not come up.
    #[error("{server} did not answer: {reason}; its log ends:\n{log}")]
    NotReady {
        /// The server.
        server: &'static str,
        /// The last attempt's failure.
        reason: String,
        /// The end of what it printed.
        log: String,
    },
    /// A row failed.
    #[error("{row} on {server}: {source}")]
    Row {
        /// The row.
        row: String,
        /// The server.
        server: &'static str,
        /// Why.
        source: Box<Error>,
    },
    /// The connection was closed by the server.
    #[error("the server closed the connection")]
    Closed,
    /// No reply for too long.
    #[error("no reply within {0:?}")]
    Stalled(Duration),
    /// A record that is too long.
    #[error("the reply is too long: {0}")]
    TooLong(#[from] RecordTooLong),
    /// A reply that is not the XDR it should be.
    #[error("the reply cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// A reply to nothing that was asked.
    #[error("a reply to the unknown transaction {0:#x}")]
    UnknownXid(u32),
    /// The server did not run the call.
    #[error("the server refused the call: {0:?}")]
    Refused(ReplyStatus),
    /// MOUNT failed.
    #[error("MOUNT of {path} failed: {result:?}")]
    Mount {
        /// The export.
        path: String,
        /// The answer.
        result: MountResult,
    },
    /// NFS said no.
    #[error("NFS status {0:?}")]
    Status(Status),
    /// The reply is well-formed and wrong.
    #[error("wrong answer: {0}")]
    Wrong(String),
    /// A row had nothing to measure.
    #[error("nothing was measured: the warm-up used everything up")]
    Nothing,
}

impl Error {
    /// For `map_err` after a system call that tried to `action`.
    pub fn io<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |source| Self::Io { action: action.into(), source: source.into() }
    }

    /// For `map_err` after a system call that tried to do `action` with `path`.
    pub fn path<E: Into<io::Error>>(action: &str, path: &Path) -> impl FnOnce(E) -> Self {
        Self::io(format!("{action} {}", path.display()))
    }
}
