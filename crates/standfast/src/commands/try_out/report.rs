//! The summary.

use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use standfast_drill::round::Round;

use crate::commands;

/// Writes the table.
pub(super) fn print(rounds: &[Round]) -> miette::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["what happened", "to", "pause", "operations", "violations", "errors seen"]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for round in rounds {
        table.add_row([
            round.fault.description().to_owned(),
            round.node.clone(),
            format!("{:.0} ms", round.pause_ms),
            round.operations.to_string(),
            round.violations.len().to_string(),
            round.findings.len().to_string(),
        ]);
    }
    commands::print(&format!("\n{table}\n{}\n", verdict(rounds)))
}

fn verdict(rounds: &[Round]) -> String {
    let failed = rounds.iter().filter(|round| !round.is_clean()).count();
    let operations: usize = rounds.iter().map(|round| round.operations).sum();
    match (rounds.is_empty(), failed) {
        (true, _) => "Nothing was tried.".into(),
        (false, 0) => format!(
            "All {operations} acknowledged operations are there, each happened once, no lock had \
             two holders, and\nno client saw an error."
        ),
        (false, failed) => format!("{failed} of {} rounds went wrong, see above.", rounds.len()),
    }
}

/// Writes all that was measured.
pub(super) fn print_json(rounds: &[Round]) -> miette::Result<()> {
    commands::print_json(&rounds)
}
