//! Where a reply leaves: only while the lease is valid.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::Notify;

use super::Epoch;
use crate::heartbeat::Moment;

/// The service is no longer served here; nothing more may be said in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this node no longer holds the service")]
pub struct GateClosed;

/// The lease of one service in one epoch, as the paths of its replies see it. Cheap to ask.
#[derive(Debug)]
pub struct Gate {
    epoch: Epoch,
    until: AtomicU64,
    closed: AtomicBool,
    changed: Notify,
}

impl Gate {
    /// A gate that is shut until the first renewal.
    pub fn new(epoch: Epoch) -> Arc<Self> {
        Arc::new(Self {
            epoch,
            until: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            changed: Notify::new(),
        })
    }

    /// The gate of a service that no other node can hold.
    pub fn always_open(epoch: Epoch) -> Arc<Self> {
        let gate = Self::new(epoch);
        gate.renew(Moment::NEVER);
        gate
    }

    /// The epoch that its replies belong to.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The lease is valid until then.
    pub fn renew(&self, until: Moment) {
        let before = self.until.swap(until.nanoseconds(), Ordering::Release);
        if before < until.nanoseconds() {
            self.changed.notify_waiters();
        }
    }

    /// The service is given up, for good.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.until.store(0, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether a reply may leave at `now`.
    pub fn is_open_at(&self, now: Moment) -> bool {
        now.nanoseconds() < self.until.load(Ordering::Acquire)
            && !self.closed.load(Ordering::Acquire)
    }

    /// Whether a reply may leave now; to be asked right before the system call that sends it.
    pub fn is_open(&self) -> bool {
        self.is_open_at(Moment::now())
    }

    /// Waits until a reply may leave. Replies wait here while the lease has run out but may be
    /// renewed yet.
    ///
    /// # Errors
    /// If the service was given up: then the reply must never leave.
    pub async fn open(&self) -> Result<(), GateClosed> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.is_open() {
                return Ok(());
            }
            if self.closed.load(Ordering::Acquire) {
                return Err(GateClosed);
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_open_until_the_lease_ends() {
        let gate = Gate::new(Epoch(1));
        let at = |ms| Moment::BOOT + Duration::from_millis(ms);
        assert!(!gate.is_open_at(at(0)));
        gate.renew(at(100));
        assert!(gate.is_open_at(at(99)) && !gate.is_open_at(at(100)));
        gate.close();
        gate.renew(at(200));
        assert!(!gate.is_open_at(at(99)), "closed for good");
        assert!(Gate::always_open(Epoch(1)).is_open());
    }

    #[tokio::test]
    async fn replies_wait_for_a_renewal_or_the_end() {
        let gate = Gate::new(Epoch(1));
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.open().await }
        });
        gate.renew(Moment::NEVER);
        assert_eq!(waiting.await.unwrap(), Ok(()));
        gate.close();
        assert_eq!(gate.open().await, Err(GateClosed));
    }
}
