//! Scripts whose exit status is tracked.

use tokio::time::{MissedTickBehavior, interval};

use super::Reporter;
use crate::driver::script;
use crate::driver::user::Identity;
use crate::settings::ScriptSettings;
use crate::tracking::Status;

/// Successes and failures in a row. The first result counts at once, as Keepalived has it: nobody
/// should wait for `rise` runs before anything is known.
#[derive(Debug)]
struct Streak {
    status: Status,
    rise: u32,
    fall: u32,
    against: u32,
}

impl Streak {
    fn new(initial: Status, rise: u32, fall: u32) -> Self {
        Self { status: initial, rise: rise.max(1), fall: fall.max(1), against: 0 }
    }

    /// Counts one result; returns the status after it.
    fn count(&mut self, success: bool) -> Status {
        let result = if success { Status::Up } else { Status::Down };
        if self.status == result || self.status == Status::Unknown {
            self.status = result;
            self.against = 0;
            return self.status;
        }
        self.against += 1;
        let needed = if success { self.rise } else { self.fall };
        if self.against >= needed {
            self.status = result;
            self.against = 0;
        }
        self.status
    }
}

/// Runs the script again and again.
pub(super) async fn watch(
    settings: ScriptSettings,
    identity: Identity,
    initial: Status,
    reporter: Reporter,
) {
    let limit = settings.timeout.unwrap_or(settings.interval);
    let mut streak = Streak::new(initial, settings.rise, settings.fall);
    let mut told = streak.status;
    let mut ticks = interval(settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let run = script::run(&settings.command, &identity, limit).await;
        let status = streak.count(run.outcome.is_success());
        if status != told {
            let (name, outcome) = (&settings.name, &run.outcome);
            tracing::info!(script = name, ?status, %outcome, said = run.said, "a script turned");
            told = status;
        }
        // Also when nothing changed: an order that was lost is made up for.
        reporter.report(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_rise_successes_and_fall_failures() {
        let mut streak = Streak::new(Status::Down, 2, 3);
        let mut statuses = |results: &[bool]| -> Vec<bool> {
            results.iter().map(|result| streak.count(*result) == Status::Up).collect()
        };
        assert_eq!(statuses(&[true, true]), [false, true]);
        assert_eq!(statuses(&[false, false, true]), [true, true, true]);
        assert_eq!(statuses(&[false, false, false]), [true, true, false]);
        assert_eq!(statuses(&[true, false, true, true]), [false, false, false, true]);
    }

    #[test]
    fn the_first_result_counts_at_once() {
        assert_eq!(Streak::new(Status::Unknown, 3, 3).count(true), Status::Up);
        assert_eq!(Streak::new(Status::Unknown, 3, 3).count(false), Status::Down);
        assert_eq!(Streak::new(Status::Up, 3, 3).count(false), Status::Up);
    }
}
