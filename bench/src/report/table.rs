//! The table.

use std::fmt;

use comfy_table::Table;
use comfy_table::presets::ASCII_MARKDOWN;

use super::number::{short, three};
use super::{Report, Row, Sample};
use crate::rows::Unit;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{} processors ({}), {:.0} GiB of memory, Linux {}. {} Where there are several \
             values: {}.\n",
            machine.processors,
            machine.model,
            machine.memory as f64 / f64::from(1 << 30),
            machine.kernel,
            self.filesystem,
            self.servers.join(" / "),
        )?;
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        table.set_header(HEADER);
        for row in &self.rows {
            table.add_row(cells(row));
        }
        writeln!(f, "{table}")?;
        for note in self.notes.iter().chain(self.rows.iter().flat_map(|row| &row.failures)) {
            writeln!(f, "\n{note}")?;
        }
        Ok(())
    }
}

const HEADER: [&str; 10] = [
    "row",
    "rate /s",
    "ratio",
    "(min–max)",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "CPU µs/op",
    "CPU ratio",
    "RSS (peak) MiB",
];

fn cells(row: &Row) -> Vec<String> {
    let unit = match row.unit {
        Unit::Operations => "",
        Unit::Bytes => " B",
        Unit::Names => " names",
    };
    let latency = |index: usize| each(row, |sample| sample.latency[index], three);
    let ratios = compared(row, |sample| sample.rate);
    let joined = |text: fn(&[f64; 3]) -> String| join(ratios.iter().map(text));
    vec![
        row.label.clone(),
        format!("{}{unit}", each(row, |sample| sample.rate, short)),
        joined(|[_, middle, _]| three(*middle)),
        joined(|[least, _, most]| format!("{least:.2}–{most:.2}")),
        latency(0),
        latency(1),
        latency(2),
        each(row, |sample| sample.server_time, three),
        join(compared(row, |sample| sample.server_time).iter().map(|ratio| three(ratio[1]))),
        format!(
            "{} ({})",
            each(row, |sample| sample.memory.current as f64, mebibytes),
            each(row, |sample| sample.memory.peak as f64, mebibytes)
        ),
    ]
}

/// A value of every server.
fn each(row: &Row, of: impl Fn(&Sample) -> f64, text: fn(f64) -> String) -> String {
    let value = |server| row.middle(server, &of).map_or_else(|| "failed".into(), text);
    join((0..row.samples.len()).map(value))
}

/// The first server's value over that of every other.
fn compared(row: &Row, of: impl Fn(&Sample) -> f64) -> Vec<[f64; 3]> {
    (1..row.samples.len()).filter_map(|server| row.ratio(server, &of)).collect()
}

fn mebibytes(bytes: f64) -> String {
    three(bytes / f64::from(1 << 20))
}

fn join(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(" / ")
}
