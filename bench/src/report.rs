//! What was measured, and how it is printed.

mod number;
mod table;

use std::fs;
use std::thread;

use serde::Serialize;

use crate::filesystem::Filesystem;
use crate::load::Measurement;
use crate::rows::{Scene, Unit};
use crate::usage::Memory;
use number::median;

/// All rows.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where.
    pub machine: Machine,
    /// What its filesystem does alone.
    pub filesystem: Filesystem,
    /// Names of the servers; each is compared with the first.
    pub servers: Vec<&'static str>,
    /// In order.
    pub rows: Vec<Row>,
    /// What else must be said.
    pub notes: Vec<String>,
}

/// The machine that was measured on.
#[derive(Debug, Serialize)]
pub struct Machine {
    /// Processors.
    pub processors: usize,
    /// Their model.
    pub model: String,
    /// Memory in bytes.
    pub memory: u64,
    /// Version of the kernel.
    pub kernel: String,
}

/// One row.
#[derive(Debug, Serialize)]
pub struct Row {
    /// See [`Scene::label`].
    pub label: String,
    /// In what the rate is counted.
    pub unit: Unit,
    /// Of each server, of each round.
    pub samples: Vec<Vec<Sample>>,
    /// Why it does not count.
    pub failures: Vec<String>,
}

/// One measurement.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Sample {
    /// Units per second.
    pub rate: f64,
    /// Operations in all.
    pub operations: u64,
    /// Latency in microseconds: 50, 99 and 99.9 %.
    pub latency: [f64; 3],
    /// Processor time of the server in microseconds per operation, per name where names count.
    pub server_time: f64,
    /// How busy the generator was, of one processor.
    pub generator_load: f64,
    /// Resident memory of the server.
    pub memory: Memory,
}

/// The percentiles of [`Sample::latency`].
const PERCENTILES: [f64; 3] = [50.0, 99.0, 99.9];

impl Sample {
    /// Boils a measurement down.
    #[must_use]
    pub fn new(measurement: &Measurement, unit: Unit, memory: Memory) -> Self {
        let seconds = measurement.elapsed.as_secs_f64();
        let amount = |unit| match unit {
            Unit::Operations => measurement.operations as f64,
            Unit::Bytes | Unit::Names => measurement.units as f64,
        };
        let per = if unit == Unit::Names { Unit::Names } else { Unit::Operations };
        let percentile = |percent| measurement.latencies.value_at_percentile(percent) as f64 / 1e3;
        Self {
            rate: amount(unit) / seconds,
            operations: measurement.operations,
            latency: PERCENTILES.map(percentile),
            server_time: measurement.server_time.as_secs_f64() * 1e6 / amount(per),
            generator_load: measurement.generator_time.as_secs_f64() / seconds,
            memory,
        }
    }
}

impl Row {
    /// The rows of a scene, still without samples.
    #[must_use]
    pub fn of_scene(scene: &Scene, servers: usize) -> Vec<Self> {
        let row = |step: &crate::rows::Step| Self {
            label: scene.label(step),
            unit: step.action.unit(),
            samples: vec![Vec::new(); servers],
            failures: Vec::new(),
        };
        scene.steps.iter().map(row).collect()
    }

    /// The median over a server's rounds of what `of` takes from a sample.
    fn middle(&self, server: usize, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        median(self.samples[server].iter().map(of))
    }

    /// The first server's value over that of `server`, round by round: smallest, median, largest.
    fn ratio(&self, server: usize, of: impl Fn(&Sample) -> f64) -> Option<[f64; 3]> {
        let pairs = self.samples[0].iter().zip(&self.samples[server]);
        let ratios: Vec<f64> = pairs.map(|(ours, theirs)| of(ours) / of(theirs)).collect();
        let least = ratios.iter().copied().reduce(f64::min)?;
        let most = ratios.iter().copied().reduce(f64::max)?;
        Some([least, median(ratios)?, most])
    }
}

impl Report {
    /// Whether every row counts.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.rows.iter().all(|row| row.failures.is_empty())
    }
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        let line = |path: &str, key: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let found = text.lines().find(|line| line.starts_with(key)).map(str::to_owned);
            found
                .and_then(|line| Some(line.split_once(':')?.1.trim().to_owned()))
                .unwrap_or_default()
        };
        let memory = line("/proc/meminfo", "MemTotal");
        let kib = memory.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        Self {
            processors: thread::available_parallelism().map_or(1, usize::from),
            model: line("/proc/cpuinfo", "model name"),
            memory: kib.unwrap_or(0) << 10,
            kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_round_by_round() {
        let sample = |rate| Sample { rate, ..Sample::default() };
        let row = Row {
            label: "row".into(),
            unit: Unit::Operations,
            samples: vec![[2.0, 9.0, 4.0].map(sample).into(), [1.0, 3.0, 4.0].map(sample).into()],
            failures: Vec::new(),
        };
        assert_eq!(row.middle(0, |sample| sample.rate), Some(4.0));
        assert_eq!(row.ratio(1, |sample| sample.rate), Some([1.0, 2.0, 3.0]));
    }
}
