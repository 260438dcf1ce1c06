//! A shared allowance of bytes, so that memory has a limit and not a hope.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// An allowance of bytes that many connections draw on.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicUsize,
    used: AtomicUsize,
    waiting: AtomicUsize,
    released: Notify,
}

/// Bytes that were set aside; they go back when it is dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// An allowance of `limit` bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            used: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            released: Notify::new(),
        })
    }

    /// Changes the allowance; what is in use beyond it comes back in time.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
        self.released.notify_waiters();
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// Sets `bytes` aside, if there are as many left. A request larger than the whole allowance
    /// is let through when nothing else is in use, so that it is late and not lost.
    pub fn try_take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let fits = |used: usize| {
            let total = used.checked_add(bytes)?;
            (used == 0 || total <= self.limit.load(Ordering::Relaxed)).then_some(total)
        };
        // Sequentially consistent, as is `waiting`: a taker that fails and then waits is seen by
        // the release that it lost the race to.
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fits).ok()?;
        Some(Share { budget: Arc::clone(self), bytes })
    }

    /// Sets `bytes` aside as soon as there are as many left.
    pub async fn take(self: &Arc<Self>, bytes: usize) -> Share {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        loop {
            let mut released = std::pin::pin!(self.released.notified());
            released.as_mut().enable();
            if let Some(share) = self.try_take(bytes) {
                return share;
            }
            released.await;
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::SeqCst);
        if self.budget.waiting.load(Ordering::SeqCst) > 0 {
            self.budget.released.notify_waiters();
        }
    }
}
