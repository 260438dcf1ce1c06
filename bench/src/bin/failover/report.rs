//! What came of all rounds.

use std::collections::BTreeMap;
use std::fmt;

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;
use standfast_drill::fault::Fault;
use standfast_drill::round::Round;

/// All rounds of all set-ups.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    rounds: Vec<Entry>,
    failures: Vec<Failure>,
}

#[derive(Debug, Serialize)]
struct Entry {
    set_up: String,
    #[serde(flatten)]
    round: Round,
}

/// A round that came to no end.
#[derive(Debug, Serialize)]
struct Failure {
    set_up: String,
    fault: Fault,
    why: String,
}

impl Report {
    pub(crate) fn add(&mut self, set_up: &str, round: Round) {
        self.rounds.push(Entry { set_up: set_up.into(), round });
    }

    pub(crate) fn fail(&mut self, set_up: &str, fault: Fault, why: String) {
        self.failures.push(Failure { set_up: set_up.into(), fault, why });
    }

    /// Whether no client of this set-up saw anything but a pause.
    pub(crate) fn is_clean(&self, set_up: &str) -> bool {
        let mut rounds = self.rounds.iter().filter(|entry| entry.set_up == set_up);
        rounds.all(|entry| entry.round.is_clean())
            && self.failures.iter().all(|failure| failure.set_up != set_up)
    }

    /// The rounds of each set-up and fault.
    fn groups(&self) -> BTreeMap<(&str, Fault), Vec<&Round>> {
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for entry in &self.rounds {
            let key = (entry.set_up.as_str(), entry.round.fault);
            groups.entry(key).or_default().push(&entry.round);
        }
        groups
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pauses =
            table(&["set-up", "fault", "runs", "min", "median", "p99", "max", "clean", "unharmed"]);
        let mut steps = table(&["fault", "step", "median", "max"]);
        for ((set_up, fault), rounds) in self.groups() {
            let mut sorted: Vec<f64> = rounds.iter().map(|round| round.pause_ms).collect();
            sorted.sort_by(f64::total_cmp);
            let clean = rounds.iter().filter(|round| round.is_clean()).count();
            let mut row = vec![set_up.to_owned(), fault.to_string(), rounds.len().to_string()];
            row.extend([0.0, 0.5, 0.99, 1.0].map(|part| milliseconds(quantile(&sorted, part))));
            let unharmed = rounds.iter().filter(|round| round.violations.is_empty()).count();
            row.extend([clean.to_string(), unharmed.to_string()]);
            pauses.add_row(row);
            for (name, times) in split(&rounds) {
                let row = [fault.to_string(), name, milliseconds(quantile(&times, 0.5))];
                let last = milliseconds(quantile(&times, 1.0));
                steps.add_row(row.into_iter().chain([last]));
            }
        }
        writeln!(f, "The longest pause of any client, in milliseconds\n{pauses}")?;
        if !steps.is_empty() {
            writeln!(f, "How long each step took, in milliseconds, as the cluster tells\n{steps}")?;
        }
        for failure in &self.failures {
            writeln!(f, "{} {}: {}", failure.set_up, failure.fault, failure.why)?;
        }
        Ok(())
    }
}

/// What each step of these rounds took, in the order of the steps, each list sorted.
fn split(rounds: &[&Round]) -> Vec<(String, Vec<f64>)> {
    let mut steps: Vec<(String, Vec<f64>)> = Vec::new();
    for round in rounds {
        let mut before = 0;
        for step in &round.steps {
            let took = step.at_ms.saturating_sub(before) as f64;
            before = step.at_ms;
            match steps.iter_mut().find(|(name, _)| *name == step.name) {
                Some((_, times)) => times.push(took),
                None => steps.push((step.name.clone(), vec![took])),
            }
        }
    }
    steps.iter_mut().for_each(|(_, times)| times.sort_by(f64::total_cmp));
    steps
}

/// The smallest value that this part of the sorted values does not exceed.
fn quantile(sorted: &[f64], part: f64) -> f64 {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

fn milliseconds(value: f64) -> String {
    format!("{value:.0}")
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=50).map(f64::from).collect();
        assert_eq!(
            [0.0, 0.5, 0.99, 1.0].map(|part| quantile(&values, part)),
            [1.0, 25.0, 50.0, 50.0]
        );
        assert!(quantile(&[], 0.5).is_nan());
    }
}
