//! How much the state may hold, and for how long.

use std::time::Duration;

/// Limits and times of the state. What goes beyond a limit is refused with the protocol's own
/// error: `NFS4ERR_RESOURCE` in minor version 0, `NFS4ERR_DELAY` from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a client may be silent before others may take what it holds.
    pub lease: Duration,
    /// How long a silent client that holds nothing is remembered.
    pub forget_after: Duration,
    /// Clients, confirmed or not.
    pub clients: usize,
    /// Sessions of a client.
    pub sessions_per_client: usize,
    /// Slots of a session.
    pub slots_per_session: u32,
    /// Operations of a COMPOUND.
    pub operations: u32,
    /// Largest request, in bytes.
    pub request_bytes: u32,
    /// Largest reply, in bytes.
    pub reply_bytes: u32,
    /// Largest reply that is kept for a retransmission, in bytes.
    pub cached_reply_bytes: u32,
    /// Open owners and lock owners of a client.
    pub owners_per_client: usize,
    /// Opens, locked files and delegations of a client.
    pub states_per_client: usize,
    /// Whether delegations are given.
    pub delegations: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(90),
            forget_after: Duration::from_secs(24 * 60 * 60),
            clients: 16_384,
            sessions_per_client: 16,
            slots_per_session: 64,
            operations: 64,
            request_bytes: (1 << 20) + 4096,
            reply_bytes: (1 << 20) + 4096,
            cached_reply_bytes: 8192,
            owners_per_client: 65_536,
            states_per_client: 262_144,
            delegations: true,
        }
    }
}
