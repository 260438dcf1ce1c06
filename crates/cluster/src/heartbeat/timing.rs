//! The times that heartbeats and leases go by, and what must hold between them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Parts of a million in the whole.
const WHOLE: u32 = 1_000_000;

/// Times of heartbeats and leases: the same on every node, kept with the cluster's settings.
///
/// Safety rests on one relation, which holds for any values that [`Timing::check`] lets pass: a
/// holder uses its lease for `lease` by its own clock, and whoever takes the service from it waits
/// [`Timing::lease_wait`] by another clock. Both clocks may be off by `clock_drift`, in opposite
/// directions, and the wait is still the longer one. The other times decide only how soon a
/// failure is noticed and how easily a busy node is suspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// How often a node sends a heartbeat to each other one, over each link.
    pub interval: Duration,
    /// For how long a node has to be silent on all links before it is suspected.
    pub suspect: Duration,
    /// How long a lease is valid, counted from the sending of the heartbeat that renewed it.
    pub lease: Duration,
    /// How far a clock's rate may be off, in parts of a million. chrony slews by up to 83 333
    /// unless told otherwise (`maxslewrate`), and `CLOCK_BOOTTIME` follows.
    pub clock_drift: u32,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            interval: Duration::from_millis(50),
            suspect: Duration::from_millis(250),
            lease: Duration::from_millis(350),
            clock_drift: CLOCK_DRIFT,
        }
    }
}

/// How far clocks may be off where the settings do not say.
const CLOCK_DRIFT: u32 = 90_000;

impl From<&standfast_settings::Timing> for Timing {
    fn from(settings: &standfast_settings::Timing) -> Self {
        Self {
            interval: settings.heartbeat_interval,
            suspect: settings.failure_timeout,
            lease: settings.lease_time,
            clock_drift: CLOCK_DRIFT,
        }
    }
}

/// What is wrong with times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The interval.
    #[error(
        "heartbeat interval {0:?} is not between 5 ms and 2 s: shorter floods the network, longer \
         makes every failure cost seconds; 50 ms is the default"
    )]
    Interval(Duration),
    /// The time until suspicion.
    #[error(
        "a node would be suspected after {suspect:?}, which is less than three heartbeat intervals \
         ({interval:?} each): one lost datagram would move services; raise `suspect` or lower \
         `interval`"
    )]
    Suspect {
        /// The time until suspicion.
        suspect: Duration,
        /// The interval.
        interval: Duration,
    },
    /// The lease.
    #[error(
        "a lease of {lease:?} is shorter than three heartbeat intervals ({interval:?} each): it would \
         end between two renewals; raise `lease` or lower `interval`"
    )]
    LeaseShort {
        /// The lease.
        lease: Duration,
        /// The interval.
        interval: Duration,
    },
    /// The lease.
    #[error(
        "a lease of {0:?} is longer than 60 s, and a failover would take as long; 350 ms is the default"
    )]
    LeaseLong(Duration),
    /// The drift.
    #[error(
        "a clock drift of {0} parts of a million is not between 500 and 250000: the kernel itself slews by 500, and \
         chrony by 83333 unless `maxslewrate` says otherwise"
    )]
    Drift(u32),
}

impl Timing {
    /// Whether these times can be used together.
    ///
    /// # Errors
    /// Which relation does not hold, and what to change.
    pub fn check(&self) -> Result<(), TimingError> {
        let Self { interval, suspect, lease, clock_drift } = *self;
        if !(Duration::from_millis(5)..=Duration::from_secs(2)).contains(&interval) {
            return Err(TimingError::Interval(interval));
        }
        if suspect < interval * 3 {
            return Err(TimingError::Suspect { suspect, interval });
        }
        if lease < interval * 3 {
            return Err(TimingError::LeaseShort { lease, interval });
        }
        if lease > Duration::from_secs(60) {
            return Err(TimingError::LeaseLong(lease));
        }
        if !(500..=250_000).contains(&clock_drift) {
            return Err(TimingError::Drift(clock_drift));
        }
        Ok(())
    }

    /// What is slower than it could be, in words, if anything.
    pub fn advice(&self) -> Option<String> {
        (self.suspect > self.lease_wait()).then(|| {
            format!(
                "a silent node is suspected after {:?}, though its leases have ended after {:?}: \
                 lower `suspect` and failovers get shorter at no risk",
                self.suspect,
                self.lease_wait()
            )
        })
    }

    /// How long to wait, by one's own clock, until a time of `duration` has surely passed by the
    /// clock of another node: `duration * (1 + drift) / (1 - drift)`, rounded up.
    pub fn surely(&self, duration: Duration) -> Duration {
        let drift = self.clock_drift.min(WHOLE / 2);
        let nanoseconds = duration.as_nanos() * u128::from(WHOLE + drift);
        let nanoseconds = nanoseconds.div_ceil(u128::from(WHOLE - drift));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// How much of a time of `duration` that another node measured has surely passed by one's own
    /// clock: `duration * (1 - drift) / (1 + drift)`, rounded down.
    pub fn at_least(&self, duration: Duration) -> Duration {
        let drift = self.clock_drift.min(WHOLE / 2);
        let nanoseconds = duration.as_nanos() * u128::from(WHOLE - drift);
        let nanoseconds = nanoseconds / u128::from(WHOLE + drift);
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    /// After this time a lease that was renewed no later than now has surely ended.
    pub fn lease_wait(&self) -> Duration {
        self.surely(self.lease)
    }

    /// These times, but with a wait that also covers leases given by `previous` ones: for a node
    /// that has new settings while another one may still act by the old.
    #[must_use]
    pub fn covering(&self, previous: &Self) -> Covering {
        let wait = self.lease_wait().max(previous.lease_wait());
        let wait = wait.max(self.surely(previous.lease)).max(previous.surely(self.lease));
        Covering { timing: *self, wait }
    }
}

/// Times with the wait that is right for everybody's leases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Covering {
    /// The times that are in force.
    pub timing: Timing,
    /// How long a lease may last that anybody gave, seen from here.
    pub wait: Duration,
}

impl From<Timing> for Covering {
    fn from(timing: Timing) -> Self {
        Self { timing, wait: timing.lease_wait() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_defaults_hold_and_are_fast() {
        let timing = Timing::default();
        assert_eq!(timing, Timing::from(&standfast_settings::Timing::default()));
        assert_eq!(timing.check(), Ok(()));
        assert_eq!(timing.advice(), None);
        // What a crash costs before the successor may act.
        assert!(timing.lease_wait() < Duration::from_millis(430), "{:?}", timing.lease_wait());
    }

    #[test]
    fn each_relation_is_named() {
        let timing = Timing::default();
        let ms = Duration::from_millis;
        let error = |timing: Timing| timing.check().unwrap_err().to_string();
        assert!(error(Timing { interval: ms(1), ..timing }).contains("interval"));
        assert!(error(Timing { suspect: ms(100), ..timing }).contains("`suspect`"));
        assert!(error(Timing { lease: ms(100), ..timing }).contains("`lease`"));
        assert!(error(Timing { lease: ms(61_000), ..timing }).contains("longer"));
        assert!(error(Timing { clock_drift: 1, ..timing }).contains("drift"));
        assert!(Timing { suspect: ms(5000), ..timing }.advice().is_some());
    }

    proptest! {
        /// Whoever waits, waits longer than the holder holds, whatever both clocks do within the
        /// drift that is allowed.
        #[test]
        fn the_wait_outlasts_the_lease(
            lease in 20_u64..60_000, drift in 500_u32..250_000, fast in -1.0..1.0, slow in -1.0..1.0
        ) {
            let timing = Timing {
                lease: Duration::from_millis(lease), clock_drift: drift, ..Timing::default()
            };
            let rate = |part: f64| 1.0 + part * f64::from(drift) / 1e6;
            let holder = timing.lease.as_secs_f64() / rate(slow);
            let waiter = timing.lease_wait().as_secs_f64() / rate(fast);
            prop_assert!(waiter >= holder - 1e-9);
            let seen = timing.at_least(timing.lease);
            prop_assert!(seen.as_secs_f64() / rate(fast) <= timing.lease.as_secs_f64() / rate(slow) + 1e-9);
        }
    }
}
