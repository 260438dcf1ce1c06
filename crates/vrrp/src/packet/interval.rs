//! Advertisement intervals and how each version writes them.

use std::time::Duration;

use super::{EncodeError, Version};

/// Largest value of the 12-bit field of version 3.
const MAX_CENTISECONDS: u16 = 0x0fff;

/// The longest interval a version can express: 255 seconds, or 40.95 seconds.
pub fn longest_interval(version: Version) -> Duration {
    match version {
        Version::V2 => Duration::from_secs(u64::from(u8::MAX)),
        Version::V3 => from_centiseconds(MAX_CENTISECONDS),
    }
}

/// Says whether `interval` can be written without loss in `version`.
///
/// # Errors
/// If it is zero, too long, or no multiple of the version's unit (1 s in version 2, 10 ms in
/// version 3).
pub fn check_interval(version: Version, interval: Duration) -> Result<(), EncodeError> {
    to_wire(version, interval).map(|_| ())
}

pub(super) fn to_wire(version: Version, interval: Duration) -> Result<u16, EncodeError> {
    let unit = match version {
        Version::V2 => Duration::from_secs(1),
        Version::V3 => Duration::from_millis(10),
    };
    let error = EncodeError::Interval { interval, version };
    if interval.is_zero()
        || interval > longest_interval(version)
        || !interval.as_nanos().is_multiple_of(unit.as_nanos())
    {
        return Err(error);
    }
    u16::try_from(interval.as_nanos() / unit.as_nanos()).map_err(|_| error)
}

pub(super) fn from_centiseconds(field: u16) -> Duration {
    Duration::from_millis(u64::from(field & MAX_CENTISECONDS) * 10)
}
