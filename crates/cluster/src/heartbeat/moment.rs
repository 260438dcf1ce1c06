//! Points of the node's own time.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A point of `CLOCK_BOOTTIME` (`clock_gettime(2)`): nanoseconds since the node booted. It goes on
/// while the machine is suspended, nobody can set it, and it means nothing on another node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(u64);

impl Moment {
    /// The boot of the node.
    pub const BOOT: Self = Self(0);
    /// Later than anything.
    pub const NEVER: Self = Self(u64::MAX);

    /// This moment.
    pub fn now() -> Self {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
    }

    /// From nanoseconds since boot.
    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self(nanoseconds)
    }

    /// Nanoseconds since boot.
    pub const fn nanoseconds(self) -> u64 {
        self.0
    }

    /// How long before `self` the moment `earlier` was; zero if it was not earlier.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanoseconds(duration)))
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanoseconds(duration)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.0 / 1_000_000_000, self.0 % 1_000_000_000 / 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_stays_within_bounds() {
        let second = Duration::from_secs(1);
        assert_eq!(Moment::BOOT - second, Moment::BOOT);
        assert_eq!(Moment::NEVER + second, Moment::NEVER);
        assert_eq!((Moment::BOOT + second).since(Moment::BOOT), second);
        assert_eq!(Moment::BOOT.since(Moment::BOOT + second), Duration::ZERO);
        assert_eq!((Moment::BOOT + second * 3 / 2).to_string(), "1.500000 s");
    }

    #[test]
    fn it_goes_on() {
        let before = Moment::now();
        assert!(Moment::now() >= before);
    }
}
