//! The intervals that both RFCs compute, exact to the nanosecond.

use std::time::Duration;

use crate::packet::Version;

/// Steps of the priority scale.
const PRIORITIES: u32 = 256;

/// `Skew_Time`: the higher the priority, the sooner a backup acts.
///
/// (256 - priority) / 256 of a second in version 2 (RFC 3768, section 6.1), of the master's
/// interval in version 3 (RFC 9568, section 6.1).
pub fn skew_time(version: Version, priority: u8, master_interval: Duration) -> Duration {
    let whole = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => master_interval,
    };
    whole * (PRIORITIES - u32::from(priority)) / PRIORITIES
}

/// `Master_Down_Interval` (version 2), `Active_Down_Interval` (version 3): three of the master's
/// intervals and the skew.
pub fn master_down_interval(version: Version, priority: u8, master_interval: Duration) -> Duration {
    master_interval * 3 + skew_time(version, priority, master_interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_skews_within_a_second() {
        let three = Duration::from_secs(3);
        assert_eq!(skew_time(Version::V2, 100, three), Duration::from_micros(609_375));
        assert_eq!(skew_time(Version::V2, 255, three), Duration::from_nanos(3_906_250));
        assert_eq!(
            master_down_interval(Version::V2, 101, Duration::from_secs(1)),
            Duration::from_nanos(3_605_468_750)
        );
    }

    #[test]
    fn version_3_skews_within_the_interval() {
        let tenth = Duration::from_millis(100);
        assert_eq!(skew_time(Version::V3, 100, tenth), Duration::from_nanos(60_937_500));
        assert_eq!(skew_time(Version::V3, 1, tenth), Duration::from_nanos(99_609_375));
        assert_eq!(
            master_down_interval(Version::V3, 254, Duration::from_millis(10)),
            Duration::from_nanos(30_078_125)
        );
    }
}
