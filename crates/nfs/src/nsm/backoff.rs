//! Trying again, less and less often.

use std::time::Duration;

/// How often and how long something is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// The first pause; each one after it is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// All pauses together are not longer.
    pub give_up_after: Duration,
}

impl Retry {
    /// The pauses between tries, one after the other.
    pub fn pauses(self) -> impl Iterator<Item = Duration> + Send {
        let mut left = self.give_up_after;
        let mut next = self.first_pause.max(Duration::from_millis(1));
        std::iter::from_fn(move || {
            let pause = next.min(self.longest_pause.max(Duration::from_millis(1)));
            left = left.checked_sub(pause)?;
            next = next.saturating_mul(2);
            Some(pause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let seconds = Duration::from_secs;
        let retry = Retry {
            first_pause: seconds(2),
            longest_pause: seconds(10),
            give_up_after: seconds(45),
        };
        let pauses: Vec<_> = retry.pauses().map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [2, 4, 8, 10, 10, 10]);
    }
}
