//! The time after a start in which clients reclaim their locks.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How long clients may reclaim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GraceSettings {
    /// At most so long.
    pub length: Duration,
    /// A client that knows of the restart and did not reclaim anything for so long is through.
    /// The protocol has no word for "that was the last one".
    pub settle: Duration,
}

impl Default for GraceSettings {
    fn default() -> Self {
        Self { length: Duration::from_secs(50), settle: Duration::from_secs(5) }
    }
}

/// A client that had locks when the last run ended: its name and address.
pub(super) type FormerHost = (Bytes, IpAddr);

/// The grace period: it ends in time, or when all clients of the last run are through.
#[derive(Debug)]
pub(super) struct Grace {
    until: Instant,
    settle: Duration,
    /// Clients that are not through, and when they last gave a sign of reclaiming.
    former: HashMap<FormerHost, Option<Instant>>,
}

impl Grace {
    /// Begins at `now`; without former clients, it is over at once.
    pub(super) fn begin(
        settings: GraceSettings,
        former: impl IntoIterator<Item = FormerHost>,
        now: Instant,
    ) -> Self {
        let former = former.into_iter().map(|host| (host, None)).collect();
        Self { until: now + settings.length, settle: settings.settle, former }
    }

    /// Time that is left, if no client is through before; `None` when it is over.
    pub(super) fn left(&mut self, now: Instant) -> Option<Duration> {
        let settle = self.settle;
        self.former
            .retain(|_, sign| sign.is_none_or(|sign| now.saturating_duration_since(sign) < settle));
        if now >= self.until {
            self.former.clear();
        }
        (!self.former.is_empty()).then(|| self.until.saturating_duration_since(now))
    }

    /// The client knows of the restart, or reclaimed a lock.
    pub(super) fn sign(&mut self, host: &FormerHost, now: Instant) {
        if let Some(sign) = self.former.get_mut(host) {
            *sign = Some(now);
        }
    }

    /// The client has nothing to reclaim.
    pub(super) fn forget(&mut self, gone: impl Fn(&FormerHost) -> bool) {
        self.former.retain(|host, _| !gone(host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn host(number: u8) -> FormerHost {
        (Bytes::from_static(b"host"), [10, 0, 0, number].into())
    }

    fn grace(hosts: &[u8], now: Instant) -> Grace {
        let settings = GraceSettings { length: 50 * SECOND, settle: 5 * SECOND };
        Grace::begin(settings, hosts.iter().copied().map(host), now)
    }

    #[test]
    fn nobody_to_wait_for() {
        let now = Instant::now();
        assert_eq!(grace(&[], now).left(now), None);
    }

    #[test]
    fn it_ends_in_time() {
        let now = Instant::now();
        let mut grace = grace(&[1], now);
        assert_eq!(grace.left(now + 10 * SECOND), Some(40 * SECOND));
        assert_eq!(grace.left(now + 50 * SECOND), None);
        assert_eq!(grace.left(now), None, "over is over");
    }

    #[test]
    fn it_ends_when_all_are_through() {
        let now = Instant::now();
        let mut grace = grace(&[1, 2, 3], now);
        grace.sign(&host(1), now + SECOND);
        grace.sign(&host(2), now + SECOND);
        grace.sign(&host(9), now + SECOND);
        grace.forget(|(_, address)| *address == host(3).1);
        grace.sign(&host(2), now + 4 * SECOND);
        assert!(grace.left(now + 8 * SECOND).is_some());
        assert!(grace.left(now + 9 * SECOND).is_none());
    }
}
