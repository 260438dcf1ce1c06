//! Clients that would wait for a lock: minor version 1 tells them when it may be had
//! (CB_NOTIFY_LOCK, RFC 8881 section 20.11). They ask again then; the notice reserves nothing, and
//! a client that misses it (after a restart, say) asks again by itself.

use std::time::Instant;

use bytes::Bytes;

use crate::locks::{FileKey, Mode, Range, Request};

use super::super::protocol::StateOwner;
use super::{Action, Holder, LockHolder, OwnerKind, State};

/// A lock that was denied to somebody who would wait for it.
#[derive(Clone, Debug)]
pub(super) struct LockWaiter {
    pub(super) client: u64,
    /// The client's name of the lock owner.
    pub(super) owner: Bytes,
    pub(super) range: Range,
    pub(super) mode: Mode,
    pub(super) since: Instant,
}

impl LockWaiter {
    fn is_same(&self, other: &Self) -> bool {
        (self.client, &self.owner, self.range, self.mode)
            == (other.client, &other.owner, other.range, other.mode)
    }
}

impl<H: Holder> State<H> {
    /// Remembers a wish; one beyond the limits is not, and its client has to poll.
    pub(super) fn wait_for_lock(&mut self, file: FileKey, waiter: LockWaiter) {
        let limits = self.locks.limits();
        if self.lock_waiters.len() >= limits.files && !self.lock_waiters.contains_key(&file) {
            return;
        }
        let waiters = self.lock_waiters.entry(file).or_default();
        let has_room = waiters.len() < limits.waiters_per_file;
        match waiters.iter_mut().find(|known| known.is_same(&waiter)) {
            Some(known) => known.since = waiter.since,
            None if has_room => waiters.push(waiter),
            None => {}
        }
    }

    /// A wish came true.
    pub(super) fn waits_no_more(&mut self, file: &FileKey, waiter: &LockWaiter) {
        self.retain_waiters(file, |known| !known.is_same(waiter));
    }

    /// Tells those, in the order in which they asked, who may have their locks now.
    pub(super) fn notify_waiters(&mut self, file: &FileKey) {
        let Some(waiters) = self.lock_waiters.get(file).cloned() else { return };
        let is_free = |waiter: &LockWaiter| {
            let owner = self.find_owner(waiter.client, OwnerKind::Lock, &waiter.owner);
            let holder = LockHolder { client: waiter.client, owner: owner.unwrap_or(0) };
            let (range, mode) = (waiter.range, waiter.mode);
            let wish = Request { file: *file, owner: H::from_v4(holder), range, mode };
            self.locks.test(&wish).is_none()
        };
        let (free, others): (Vec<_>, Vec<_>) = waiters.into_iter().partition(is_free);
        for LockWaiter { client, owner, .. } in free {
            let owner = StateOwner { client, name: owner.into() };
            if self.clients.contains_key(&client) {
                self.effects.actions.push(Action::NotifyLock { client, file: *file, owner });
            }
        }
        self.set_waiters(*file, others);
    }

    /// Forgets wishes that were not repeated for a lease.
    pub(super) fn forget_waiters(&mut self, now: Instant) {
        let lease = self.settings.lease;
        let files: Vec<FileKey> = self.lock_waiters.keys().copied().collect();
        for file in files {
            self.retain_waiters(&file, |it| now.saturating_duration_since(it.since) <= lease);
        }
    }

    fn retain_waiters(&mut self, file: &FileKey, keep: impl Fn(&LockWaiter) -> bool) {
        if let Some(mut waiters) = self.lock_waiters.remove(file) {
            waiters.retain(keep);
            self.set_waiters(*file, waiters);
        }
    }

    fn set_waiters(&mut self, file: FileKey, waiters: Vec<LockWaiter>) {
        if waiters.is_empty() {
            self.lock_waiters.remove(&file);
        } else {
            self.lock_waiters.insert(file, waiters);
        }
    }
}
