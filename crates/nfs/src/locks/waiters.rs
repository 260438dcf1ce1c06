//! The requests that wait for locks of one file.

use super::{Mode, Range};

/// Names a request that waits; never used again for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaiterId(pub u64);

/// A request that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waiter {
    pub(super) id: WaiterId,
    pub(super) owner: u32,
    pub(super) range: Range,
    pub(super) mode: Mode,
}

impl Waiter {
    /// Whether both cannot be granted.
    pub(super) fn conflicts(&self, owner: u32, range: Range, mode: Mode) -> bool {
        self.owner != owner && self.mode.conflicts(mode) && self.range.overlaps(range)
    }

    /// Whether this is the same request, sent again.
    fn is(&self, owner: u32, range: Range, mode: Mode) -> bool {
        self.owner == owner && self.range == range && self.mode == mode
    }
}

/// Requests in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    queue: Vec<Waiter>,
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.queue.iter()
    }

    pub(super) fn push(&mut self, waiter: Waiter) {
        self.queue.push(waiter);
    }

    /// The same request, if it waits already.
    pub(super) fn find(&self, owner: u32, range: Range, mode: Mode) -> Option<WaiterId> {
        self.queue.iter().find(|waiter| waiter.is(owner, range, mode)).map(|waiter| waiter.id)
    }

    /// The first request of somebody else that cannot be granted together with this one.
    pub(super) fn conflict(&self, owner: u32, range: Range, mode: Mode) -> Option<&Waiter> {
        self.queue.iter().find(|waiter| waiter.conflicts(owner, range, mode))
    }

    /// Takes out all requests that `gone` names; tells which.
    pub(super) fn remove_all(&mut self, gone: impl Fn(&Waiter) -> bool) -> Vec<Waiter> {
        let removed = self.queue.iter().filter(|waiter| gone(waiter)).copied().collect();
        self.queue.retain(|waiter| !gone(waiter));
        removed
    }

    /// The first request that can be granted: no lock stands in its way (`is_free`), and no
    /// earlier request that still waits. Those whose owner `holds` locks already do not queue
    /// behind mere requests: that could close a circle of waits.
    pub(super) fn next_grant(
        &self,
        is_free: impl Fn(&Waiter) -> bool,
        holds: impl Fn(u32) -> bool,
    ) -> Option<Waiter> {
        let mut earlier: Vec<&Waiter> = Vec::new();
        for waiter in &self.queue {
            let behind = |other: &&Waiter| other.conflicts(waiter.owner, waiter.range, waiter.mode);
            if is_free(waiter) && (holds(waiter.owner) || !earlier.iter().any(behind)) {
                return Some(*waiter);
            }
            earlier.push(waiter);
        }
        None
    }
}
