//! Why a service does not start.

use std::io;
use std::net::SocketAddr;

use standfast_journal::OpenError;
use standfast_nfs::handles::KeyError;
use standfast_nfs::nsm::StoreError;
use standfast_nfs::v4::keeper::LogStopped;

use crate::place::PlaceError;
use crate::replay::ReplayError;

/// Why a service does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no place for the journal.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The key that signs file handles cannot be had.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The journal cannot be opened, and is not lost either.
    #[error("the journal in {place} cannot be opened: {error}")]
    Journal {
        /// Where it lies.
        place: String,
        /// Why.
        #[source]
        error: OpenError,
    },
    /// The journal cannot be understood.
    #[error("the journal in {place} cannot be replayed: {error}")]
    Replay {
        /// Where it lies.
        place: String,
        /// Why.
        #[source]
        error: ReplayError,
    },
    /// The journal took nothing more before anything was served.
    #[error(transparent)]
    Stopped(LogStopped),
    /// The records of the lock service cannot be used.
    #[error(transparent)]
    Locks(#[from] StoreError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}; stop what listens there, or choose another port: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// None of the addresses is of this machine.
    #[error("none of the addresses to listen on is of this machine")]
    NoAddress,
}
