//! `standfast status`.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use miette::IntoDiagnostic;
use standfast_api::{ClientStatus, ExportStatus, LockStatus, ServerStatus, Status as Report};
use standfast_settings::format_duration;

use super::{ask, client, print, print_json};
use crate::cli::Status;

pub(super) fn run(args: &Status) -> miette::Result<ExitCode> {
    let client = client(&args.socket);
    let report = ask(async { client.status().await })?.into_diagnostic()?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&render(&report))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(report: &Report) -> String {
    let mut text = server(&report.server);
    let mut section = |title: &str, table: Table, empty: bool| {
        text += &format!("\n{title}\n");
        text += &if empty { "  none\n".to_owned() } else { format!("{}\n", trimmed(&table)) };
    };
    section("EXPORTS", exports(&report.exports), report.exports.is_empty());
    section("CLIENTS", clients(&report.clients), report.clients.is_empty());
    if !report.locks.is_empty() {
        section("LOCKS", locks(&report.locks), false);
    }
    text
}

fn server(server: &ServerStatus) -> String {
    let uptime = format_duration(Duration::from_secs(server.uptime_seconds));
    let mut text = format!(
        "standfast {} (pid {}), up {uptime}\nlistening on {}; rpcbind: {}\n\
         connections: {}, in flight: {}, cached replies: {}\n",
        server.version,
        server.pid,
        server.listening.join(", "),
        server.rpcbind,
        server.connections,
        size(server.bytes_in_flight as u64),
        server.cached_replies,
    );
    if let Some(problem) = &server.settings_problem {
        text += &format!("the settings file is not in force: {problem}\n");
    }
    text
}

fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(titles);
    table
}

/// Without the blanks that fill up the last column.
fn trimmed(table: &Table) -> String {
    let lines: Vec<_> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn number(value: impl ToString) -> Cell {
    Cell::new(value.to_string()).set_alignment(CellAlignment::Right)
}

fn exports(exports: &[ExportStatus]) -> Table {
    let titles = ["path", "directory", "clients", "operations", "errors", "read", "written"];
    let mut table = table(&titles);
    for export in exports {
        table.add_row(vec![
            Cell::new(&export.path),
            Cell::new(&export.directory),
            Cell::new(export.clients.join(" ")),
            number(export.operations),
            number(export.errors),
            number(size(export.read_bytes)),
            number(size(export.written_bytes)),
        ]);
    }
    table
}

fn clients(clients: &[ClientStatus]) -> Table {
    let titles = ["client", "via", "calls", "running", "last call", "idle", "received", "sent"];
    let mut table = table(&titles);
    for client in clients {
        table.add_row(vec![
            Cell::new(&client.address),
            Cell::new(&client.transport),
            number(client.calls),
            number(client.running),
            Cell::new(client.last_call.as_deref().unwrap_or("-")),
            number(format_duration(Duration::from_secs(client.idle_seconds))),
            number(size(client.received_bytes)),
            number(size(client.sent_bytes)),
        ]);
    }
    table
}

fn locks(locks: &[LockStatus]) -> Table {
    let mut table = table(&["client", "held", "waiting"]);
    for lock in locks {
        table.add_row(vec![Cell::new(&lock.client), number(lock.held), number(lock.waiting)]);
    }
    table
}

/// A number of bytes in three digits or so.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let power = (bytes.max(1).ilog2() / 10).min(UNITS.len() as u32 - 1);
    if power == 0 {
        return format!("{bytes} B");
    }
    format!("{:.1} {}", bytes as f64 / (1u64 << (power * 10)) as f64, UNITS[power as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        let cases = [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1 << 40, "1.0 TiB")];
        cases.iter().for_each(|(bytes, text)| assert_eq!(size(*bytes), *text));
    }
}
