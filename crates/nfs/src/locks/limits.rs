//! How much the table may hold.

/// How much the table may hold. What goes beyond is refused, with the protocol's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockLimits {
    /// Locks, waiting requests and share reservations of one client.
    pub per_client: usize,
    /// Locks, waiting requests and share reservations in all.
    pub total: usize,
    /// Files that are locked at the same time.
    pub files: usize,
    /// Requests that wait for locks of one file.
    pub waiters_per_file: usize,
}

impl Default for LockLimits {
    fn default() -> Self {
        Self { per_client: 65_536, total: 1_000_000, files: 262_144, waiters_per_file: 1_024 }
    }
}

/// A limit that stands in the way of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// [`LockLimits::per_client`].
    #[error("the client holds as many locks as one client may")]
    Client,
    /// [`LockLimits::total`].
    #[error("as many locks are held as this server allows")]
    Total,
    /// [`LockLimits::files`].
    #[error("as many files are locked as this server allows")]
    Files,
}
