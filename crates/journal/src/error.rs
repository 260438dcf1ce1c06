//! Why the journal failed.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::header::HeaderError;
use crate::record::{MAX_PAYLOAD_BYTES, NoRecord};

/// A call to the storage that failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {action} {file} in the journal's directory: {cause}")]
pub struct StorageError {
    /// What was tried.
    pub action: &'static str,
    /// On which file.
    pub file: String,
    /// What the system said.
    #[source]
    pub cause: Arc<io::Error>,
}

impl StorageError {
    /// Whether there was no room: the disk, the quota or what lies below is full. What was on the
    /// disk still is, and the same call may succeed later.
    pub fn is_no_space(&self) -> bool {
        let errno = Errno::from_io_error(&self.cause);
        matches!(errno, Some(Errno::NOSPC | Errno::DQUOT))
    }

    /// Makes an error of a failed call's.
    pub(crate) fn of(action: &'static str, file: impl ToString) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self { action, file: file.to_string(), cause: Arc::new(cause) }
    }
}

/// Why a record was not taken, or is not known to be durable.
#[derive(Clone, Debug, thiserror::Error)]
pub enum JournalError {
    /// A write or a flush failed. What is on the disk is unknown from here on, and another flush
    /// that succeeds would prove nothing: the journal takes no more records. Open it again.
    #[error("{0}; the journal takes no more records until it is opened again")]
    Storage(#[from] StorageError),
    /// A holder of a later epoch has taken the journal over.
    #[error("epoch {epoch} is over: another holder has taken the journal over; stop serving")]
    Superseded {
        /// The epoch of this holder.
        epoch: u64,
    },
    /// The payload is longer than [`MAX_PAYLOAD_BYTES`].
    #[error("a record of {bytes} bytes is too long, the limit is {MAX_PAYLOAD_BYTES}")]
    TooLong {
        /// The length of the payload.
        bytes: usize,
    },
    /// Too much waits for a flush. Nothing was appended; try again when a ticket is done.
    #[error("{limit} bytes of records wait for the disk already; try again later")]
    QueueFull {
        /// [`crate::Options::queue_bytes`].
        limit: usize,
    },
    /// A snapshot is being written already.
    #[error("a snapshot of the journal is being written already")]
    SnapshotRunning,
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Whether there was no room: see [`StorageError::is_no_space`].
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Storage(error) if error.is_no_space())
    }
}

/// Why a journal cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A file has a header that cannot be read.
    #[error("{file}: {cause}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong with its header.
        #[source]
        cause: HeaderError,
    },
    /// A record that was durable cannot be read.
    #[error(
        "{file} is damaged at byte {offset} ({found}): state that was promised is lost; \
         keep a copy of the directory, then start without a journal and let clients reclaim"
    )]
    Damaged {
        /// The file.
        file: String,
        /// Where in it.
        offset: usize,
        /// What is there.
        found: NoRecord,
    },
    /// Records are missing between two files, or a file is.
    #[error(
        "records from {expected} on are missing before {file}: state that was promised is lost; \
         keep a copy of the directory, then start without a journal and let clients reclaim"
    )]
    Missing {
        /// The file behind the gap; without one, the newest snapshot.
        file: String,
        /// The first sequence that is missing.
        expected: u64,
    },
    /// A file is of another journal.
    #[error("{file} belongs to another journal than the files before it; move it away")]
    Foreign {
        /// The file.
        file: String,
    },
    /// The journal has a holder of this epoch or a later one.
    #[error("epoch {given} is over: the journal has had epoch {found}; take a new lease")]
    Superseded {
        /// The epoch that was to start.
        given: u64,
        /// The latest epoch of the journal.
        found: u64,
    },
    /// Other holders keep opening the journal.
    #[error("others keep opening the journal; check that one node holds the lease")]
    Contended,
    /// The journal's thread did not start.
    #[error("the journal's thread did not start: {0}")]
    Thread(Arc<io::Error>),
    /// No random bytes for the journal's id.
    #[error("the system gives no random bytes for the journal's id: {0}")]
    Random(getrandom::Error),
}

impl OpenError {
    /// Whether promised state is lost, so that only a start with a grace period is left.
    pub fn is_loss(&self) -> bool {
        let damaged = matches!(self, Self::Header { cause: HeaderError::Damaged, .. });
        damaged || matches!(self, Self::Damaged { .. } | Self::Missing { .. })
    }

    /// Whether a file vanished that was just listed: somebody else tidies up.
    pub(crate) fn is_vanished_file(&self) -> bool {
        matches!(self, Self::Storage(error) if error.cause.kind() == io::ErrorKind::NotFound)
    }
}

/// Why a snapshot was not written. The log is whole all the same.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The journal failed meanwhile.
    #[error(transparent)]
    Journal(#[from] JournalError),
}
