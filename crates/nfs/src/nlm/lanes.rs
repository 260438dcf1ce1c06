//! How many calls to clients are under way.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Lets so many calls run at a time, and so many to one address: a client that is gone must not
/// keep the others from being called.
#[derive(Debug)]
pub(super) struct Lanes {
    all: Arc<Semaphore>,
    each: usize,
    by_address: Mutex<HashMap<IpAddr, Weak<Semaphore>>>,
}

/// A call may run for as long as this lives.
pub(super) struct Pass {
    _all: OwnedSemaphorePermit,
    _lane: OwnedSemaphorePermit,
}

impl Lanes {
    pub(super) fn new(all: usize, each: usize) -> Self {
        let all = Arc::new(Semaphore::new(all.max(1)));
        Self { all, each: each.max(1), by_address: Mutex::default() }
    }

    /// Waits for a place to call `address`.
    pub(super) async fn enter(&self, address: IpAddr) -> Option<Pass> {
        let lane = self.lane(address).acquire_owned().await.ok()?;
        let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
        Some(Pass { _all: all, _lane: lane })
    }

    /// A place to call `address`, if there is one now.
    pub(super) fn try_enter(&self, address: IpAddr) -> Option<Pass> {
        let lane = self.lane(address).try_acquire_owned().ok()?;
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Pass { _all: all, _lane: lane })
    }

    fn lane(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut lanes = self.by_address.lock();
        if let Some(lane) = lanes.get(&address).and_then(Weak::upgrade) {
            return lane;
        }
        // Every permit holds its semaphore: one that is gone has no call under way.
        lanes.retain(|_, lane| lane.strong_count() > 0);
        let lane = Arc::new(Semaphore::new(self.each));
        lanes.insert(address, Arc::downgrade(&lane));
        lane
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_places() {
        let lanes = Lanes::new(3, 2);
        let address = |number| IpAddr::from([10, 0, 0, number]);
        let first = lanes.try_enter(address(1));
        let second = lanes.try_enter(address(1));
        assert!(first.is_some() && second.is_some());
        assert!(lanes.try_enter(address(1)).is_none());
        let other = lanes.try_enter(address(2));
        assert!(other.is_some());
        assert!(lanes.try_enter(address(3)).is_none());
        drop(first);
        assert!(lanes.try_enter(address(1)).is_some());
    }
}
