//! How long each step of a start took.

use std::fmt;
use std::time::{Duration, Instant};

/// A step of a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The directories of the exports were opened.
    Storage,
    /// The journal was opened, and the holder before shut out.
    Journal,
    /// What the journal holds was made into the state again.
    Replay,
    /// The sockets were bound.
    Listen,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Storage => "storage",
            Self::Journal => "journal",
            Self::Replay => "replay",
            Self::Listen => "listen",
        })
    }
}

/// The steps of a start so far, in their order, and how long each took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings(Vec<(Step, Duration)>);

impl Timings {
    /// Runs a step and notes how long it took.
    pub(crate) fn time<T>(&mut self, step: Step, run: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        let result = run();
        self.0.push((step, begin.elapsed()));
        result
    }

    /// Each step with its time.
    pub fn steps(&self) -> &[(Step, Duration)] {
        &self.0
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (step, time)) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{step} {:.1} ms", time.as_secs_f64() * 1000.0)?;
        }
        Ok(())
    }
}
