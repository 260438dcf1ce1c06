//! When the leader was heard last.

use std::time::Instant;

use parking_lot::Mutex;

use super::types::Vote;

/// When a leader was heard last, and in which term.
///
/// It is noted where a message arrives, before it waits for the disk: a slow disk is not a dead
/// leader.
#[derive(Debug)]
pub(super) struct Contact(Mutex<(Option<Vote>, Instant)>);

impl Contact {
    pub(super) fn new() -> Self {
        Self(Mutex::new((None, Instant::now())))
    }

    /// A leader of this vote was heard.
    pub(super) fn heard(&self, vote: Vote) {
        let mut contact = self.0.lock();
        if contact.0.is_none_or(|known| vote >= known) {
            *contact = (Some(vote), Instant::now());
        }
    }

    /// When that was; when this node started, if it never was.
    pub(super) fn last(&self) -> Instant {
        self.0.lock().1
    }

    /// Whether there ever was one.
    pub(super) fn ever(&self) -> bool {
        self.0.lock().0.is_some()
    }
}
