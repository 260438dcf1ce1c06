//! The phases of a measurement.

use std::time::{Duration, Instant};

/// An end: whichever comes first.
#[derive(Debug, Clone, Copy)]
pub struct Bound {
    /// After so many operations.
    pub operations: u64,
    /// After so much time.
    pub time: Duration,
}

/// Where a measurement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    WarmUp,
    Measured,
    /// No more calls; those in flight are waited for.
    Draining,
}

/// A phase with its beginning.
#[derive(Debug)]
pub(super) struct Stopwatch {
    pub(super) phase: Phase,
    pub(super) since: Instant,
    pub(super) operations: u64,
    pub(super) units: u64,
}

impl Stopwatch {
    pub(super) fn new(phase: Phase, since: Instant) -> Self {
        Self { phase, since, operations: 0, units: 0 }
    }

    pub(super) fn count(&mut self, units: u64) {
        self.operations += 1;
        self.units += units;
    }

    pub(super) fn is_over(&self, bound: &Bound, now: Instant) -> bool {
        self.operations >= bound.operations || now.duration_since(self.since) >= bound.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bound_ends_a_phase() {
        let start = Instant::now();
        let bound = Bound { operations: 2, time: Duration::from_secs(5) };
        let mut watch = Stopwatch::new(Phase::WarmUp, start);
        assert!(!watch.is_over(&bound, start));
        assert!(watch.is_over(&bound, start + bound.time));
        watch.count(10);
        assert!(!watch.is_over(&bound, start));
        watch.count(10);
        assert!(watch.is_over(&bound, start));
        assert_eq!((watch.operations, watch.units), (2, 20));
    }
}
