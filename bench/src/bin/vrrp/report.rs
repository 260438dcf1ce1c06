//! What came out.

use std::io::{self, Write as _};
use std::time::Duration;

use standfast_vrrp::packet::Version;
use standfast_vrrp::timers::master_down_interval;

/// Times of one side.
#[derive(Debug, Default)]
pub(crate) struct Series(Vec<Duration>);

impl Series {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time);
        self.0.sort();
    }

    /// The time below which this part of all times is.
    fn quantile(&self, part: f64) -> Duration {
        let last = self.0.len().saturating_sub(1);
        let place = (last as f64 * part).round() as usize;
        self.0.get(place).copied().unwrap_or_default()
    }

    fn spread(&self) -> Duration {
        self.quantile(0.9).saturating_sub(self.quantile(0.1))
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Prints one interval: each side's times and what is between them.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn print(interval: Duration, backup: u8, series: &[Series; 2]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let bound = master_down_interval(Version::V3, backup, interval);
    writeln!(
        out,
        "adverts every {interval:?}; the master-down interval of the backup is {bound:?}; {} runs each",
        series[0].0.len()
    )?;
    writeln!(out, "  ms           least     10 %   median     90 %     most   spread (10-90 %)")?;
    for (name, side) in ["standfast", "keepalived"].into_iter().zip(series) {
        write!(out, "  {name:10}")?;
        for part in [0.0, 0.1, 0.5, 0.9, 1.0] {
            write!(out, " {:8.2}", milliseconds(side.quantile(part)))?;
        }
        writeln!(out, " {:8.2}", milliseconds(side.spread()))?;
    }
    let ratio = |of: &dyn Fn(&Series) -> Duration| {
        of(&series[0]).as_secs_f64() / of(&series[1]).as_secs_f64().max(1e-6)
    };
    let late = |side: &Series| side.quantile(0.5).saturating_sub(bound);
    writeln!(
        out,
        "  standfast / keepalived: median {:.4}, spread {:.2}; beyond the interval: {:.2} ms, {:.2} ms\n",
        ratio(&|side| side.quantile(0.5)),
        ratio(&Series::spread),
        milliseconds(late(&series[0])),
        milliseconds(late(&series[1])),
    )
}
