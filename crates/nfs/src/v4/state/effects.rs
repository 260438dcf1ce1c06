//! What requests change and want done.

use crate::locks::{Change as LockChange, FileKey};

use super::super::protocol::{StateId, StateOwner};
use super::{Change, Holder};

/// Something to tell a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Recall a delegation (CB_RECALL).
    Recall {
        /// The client.
        client: u64,
        /// The delegation.
        delegation: StateId,
        /// The file.
        file: FileKey,
    },
    /// A lock may be had now (CB_NOTIFY_LOCK).
    NotifyLock {
        /// The client.
        client: u64,
        /// The file.
        file: FileKey,
        /// Its owner that was denied.
        owner: StateOwner,
    },
}

/// What requests change and want done. To be taken after each request.
#[derive(Debug)]
pub struct Effects<H: Holder> {
    /// Changes: durable before the reply leaves.
    pub changes: Vec<Change>,
    /// Changes of the lock table that concern owners of other protocols, such as a request of
    /// theirs that waited and was granted.
    pub others: Vec<LockChange<FileKey, H>>,
    /// Callbacks to send, once the changes are durable.
    pub actions: Vec<Action>,
    /// Files that lost an open or a delegation.
    pub closed: Vec<FileKey>,
}

impl<H: Holder> Default for Effects<H> {
    fn default() -> Self {
        let (changes, others, actions, closed) = Default::default();
        Self { changes, others, actions, closed }
    }
}

impl<H: Holder> Effects<H> {
    /// Whether nothing changed and nothing is to be done.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.others.is_empty() && self.actions.is_empty()
    }

    /// Keeps what of the lock table's changes is not of NFSv4's own owners; theirs are in the
    /// changes of the state.
    pub(super) fn keep_others(&mut self, changes: Vec<LockChange<FileKey, H>>) {
        let is_other = |change: &LockChange<FileKey, H>| match change {
            LockChange::Granted { owner, .. }
            | LockChange::Released { owner, .. }
            | LockChange::Waiting { owner, .. }
            | LockChange::Shared { owner, .. }
            | LockChange::Unshared { owner, .. }
            | LockChange::OwnerReleased { owner } => owner.as_v4().is_none(),
            LockChange::Cancelled { .. } => true,
            LockChange::ClientReleased { .. } => false,
        };
        self.others.extend(changes.into_iter().filter(is_other));
    }
}
