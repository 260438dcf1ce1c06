//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::{Duration, Instant};

use crate::Error;

/// How long to rest between two looks at a condition.
const REST: Duration = Duration::from_millis(5);

/// Looks at `condition` until it gives a value, for at most `limit`; `what` is for the message.
///
/// # Errors
/// [`Error::TimedOut`] when `limit` has passed, or what `condition` failed with.
pub fn wait_for<T>(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<Option<T>, Error>,
) -> Result<T, Error> {
    let deadline = Instant::now() + limit;
    loop {
        // The last look comes after the deadline: a slow machine is not a failure.
        let last = Instant::now() >= deadline;
        if let Some(value) = condition()? {
            return Ok(value);
        }
        if last {
            return Err(Error::TimedOut { what: what.into(), limit, said: String::new() });
        }
        thread::sleep(REST);
    }
}

/// Looks at `condition` until it is true, for at most `limit`; `what` is for the message.
///
/// # Errors
/// [`Error::TimedOut`] when `limit` has passed.
pub fn wait_until(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) -> Result<(), Error> {
    wait_for(limit, what, || Ok(condition().then_some(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_when_true() {
        let mut looks = 0;
        wait_until(Duration::from_secs(10), "three looks", || {
            looks += 1;
            looks == 3
        })
        .unwrap();
        assert_eq!(looks, 3);
    }

    #[test]
    fn says_what_did_not_happen() {
        let error = wait_until(Duration::ZERO, "the moon", || false).unwrap_err();
        assert_eq!(error.to_string(), "the moon: not within 0ns");
    }
}
