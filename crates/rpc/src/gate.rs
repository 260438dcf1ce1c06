//! Whether replies may leave: a server speaks only while it has the right to.
//!
//! The holder of a service has a lease. Whoever renews it moves the end of the right ahead
//! ([`ReplyGate::open_until`]), counted from when the renewal was *sent*. The gate is asked at the
//! last moment before bytes are given to the kernel, for replies and for calls to clients alike; a
//! gate that is closed means silence. Nothing has to happen for it to close: a process that was
//! frozen finds it closed when it wakes up.
//!
//! # The clock
//! `CLOCK_BOOTTIME`: it cannot be set, and it goes on while the machine is suspended, which
//! `CLOCK_MONOTONIC` (and so [`std::time::Instant`]) does not: after a resume it would take an old
//! lease for a young one. A hypervisor that pauses a guest stops both, and a guest that is moved on
//! pause sees no time pass; for those, and for bytes that the kernel sends again on its own, there
//! is the fencing of the storage, and the successor's reset of the old connection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::sync::Notify;

/// The end of a right that does not end.
const NEVER: u64 = u64::MAX;

/// Closed, and not to be opened again.
const SHUT: u64 = 1;

/// A moment: the time since the machine started, suspended time included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootTime(u64);

impl BootTime {
    /// Now.
    pub fn now() -> Self {
        let now = clock_gettime(ClockId::Boottime);
        // Neither part is ever negative.
        Self(now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64)
    }

    /// A moment by the time since the machine started.
    pub fn from_start(time: Duration) -> Self {
        Self(u64::try_from(time.as_nanos()).unwrap_or(NEVER))
    }

    /// The time since the machine started.
    pub fn since_start(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The moment that is `later` than this one.
    pub fn after(self, later: Duration) -> Self {
        let later = u64::try_from(later.as_nanos()).unwrap_or(NEVER);
        Self(self.0.saturating_add(later))
    }
}

/// The right to speak. Cheap to ask; shared by all who send.
#[derive(Debug)]
pub struct ReplyGate {
    /// Nanoseconds of [`BootTime`].
    until: AtomicU64,
    /// Somebody was turned away since it was opened last.
    turned_away: AtomicBool,
    opened: Notify,
}

impl Default for ReplyGate {
    /// Open for ever: for who holds a service without a lease.
    fn default() -> Self {
        Self {
            until: AtomicU64::new(NEVER),
            turned_away: AtomicBool::new(false),
            opened: Notify::new(),
        }
    }
}

impl ReplyGate {
    /// A gate that is closed until it is opened.
    pub fn closed() -> Self {
        Self { until: AtomicU64::new(0), ..Self::default() }
    }

    /// Open until that moment, in place of any other. A moment that has passed closes it. One that
    /// is shut stays so.
    pub fn open_until(&self, end: BootTime) {
        if !self.set(if end.0 == SHUT { 0 } else { end.0 }) {
            return;
        }
        if self.turned_away.swap(false, Ordering::AcqRel) {
            self.opened.notify_waiters();
        }
    }

    /// Closed from now on.
    pub fn close(&self) {
        self.set(0);
    }

    /// Closed for ever: who holds the other end may go on to renew the lease, and nothing leaves
    /// all the same.
    pub fn shut(&self) {
        self.until.store(SHUT, Ordering::Release);
    }

    /// Whether it is closed for ever.
    pub fn is_shut(&self) -> bool {
        self.until.load(Ordering::Acquire) == SHUT
    }

    fn set(&self, until: u64) -> bool {
        let open = |now| (now != SHUT).then_some(until);
        self.until.fetch_update(Ordering::AcqRel, Ordering::Acquire, open).is_ok()
    }

    /// Whether bytes may leave now.
    pub fn may_send(&self) -> bool {
        let may = match self.until.load(Ordering::Acquire) {
            NEVER => true,
            0 | SHUT => false,
            until => BootTime::now().0 < until,
        };
        if !may {
            self.turned_away.store(true, Ordering::Release);
        }
        may
    }

    /// Waits until it is opened again. To be made before [`ReplyGate::may_send`] is asked, so that
    /// no opening is missed.
    pub async fn opened(&self) {
        let opened = self.opened.notified();
        if !self.may_send() {
            opened.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_open_while_the_right_lasts() {
        let gate = ReplyGate::default();
        assert!(gate.may_send());
        gate.open_until(BootTime::now().after(Duration::from_secs(3600)));
        assert!(gate.may_send());
        gate.open_until(BootTime::now());
        assert!(!gate.may_send());
        gate.open_until(BootTime::now().after(Duration::from_secs(3600)));
        gate.close();
        assert!(!gate.may_send());
        assert!(!ReplyGate::closed().may_send());
    }

    #[test]
    fn nothing_opens_it_again_once_it_is_shut() {
        let gate = ReplyGate::default();
        assert!(!gate.is_shut());
        gate.shut();
        gate.open_until(BootTime(NEVER));
        gate.close();
        gate.open_until(BootTime::now().after(Duration::from_secs(3600)));
        assert!(gate.is_shut() && !gate.may_send());
    }

    #[tokio::test]
    async fn who_was_turned_away_learns_of_the_opening() {
        let gate = std::sync::Arc::new(ReplyGate::closed());
        let waiting = std::sync::Arc::clone(&gate);
        let waiter = tokio::spawn(async move { waiting.opened().await });
        while !gate.turned_away.load(Ordering::Acquire) {
            tokio::task::yield_now().await;
        }
        gate.open_until(BootTime(NEVER));
        waiter.await.unwrap();
        gate.opened().await;
    }
}
