//! What is known of a client.

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;

use super::super::protocol::SessionId;
use super::ClientRecord;

/// What a client calls itself; minor version 0 has names of its own.
pub(super) type ClientName = (bool, Bytes);

/// The clients of one name (RFC 7530 section 16.33.5, RFC 8881 section 18.35.5).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    pub(super) confirmed: Option<u64>,
    pub(super) unconfirmed: Option<u64>,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) record: ClientRecord,
    pub(super) renewed: Instant,
    pub(super) sessions: BTreeSet<SessionId>,
    pub(super) owners: BTreeSet<u64>,
    /// Stateids, those of revoked and closed states included.
    pub(super) states: BTreeSet<u64>,
    /// Those of them that are revoked.
    pub(super) revoked: BTreeSet<u64>,
    /// It said of one filesystem that it has reclaimed all, and that counted as said of all: it
    /// may still say so.
    pub(super) reclaimed_one: bool,
}

impl Client {
    pub(super) fn new(record: ClientRecord, now: Instant) -> Self {
        let (sessions, owners, states, revoked) = Default::default();
        let reclaimed_one = false;
        Self { record, renewed: now, sessions, owners, states, revoked, reclaimed_one }
    }

    pub(super) fn name(record: &ClientRecord) -> ClientName {
        (record.has_sessions, record.owner.0.clone())
    }

    /// Whether it has anything that another may want.
    pub(super) fn holds_state(&self) -> bool {
        !self.states.is_empty()
    }
}
