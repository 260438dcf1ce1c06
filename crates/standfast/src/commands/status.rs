//! `standfast status`.

use std::process::ExitCode;
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use miette::{IntoDiagnostic, miette};
use standfast_api::{
    ClientStatus, ClusterFailure, ClusterReply, ClusterRequest, ClusterStatus, ExportStatus,
    Health, LockStatus, ServerStatus, Status as Report,
};
use standfast_settings::format_duration;

use super::cluster::{age, render_nodes, render_services};
use super::{ask, client, print, print_json};
use crate::cli::Status;

pub(super) fn run(args: &Status) -> miette::Result<ExitCode> {
    let client = client(&args.socket);
    let report = ask(async { client.status().await })?.into_diagnostic()?;
    let cluster = match ask(async { client.cluster(&ClusterRequest::Status).await })? {
        Ok(Ok(ClusterReply::Status(status))) => Some(*status),
        // A node outside of any cluster has no such section.
        Ok(Err(ClusterFailure::NoCluster)) => None,
        // What is served here is still to be seen.
        Ok(Err(failure)) => Some(ClusterStatus {
            health: Health::Err,
            reasons: vec![failure.to_string()],
            ..ClusterStatus::default()
        }),
        Ok(Ok(_)) => return Err(miette!("the daemon answered something else")),
        Err(error) => return Err(error).into_diagnostic(),
    };
    if args.json {
        print_json(&Whole { report, cluster })?;
    } else {
        let cluster = cluster.as_ref().map(of_cluster).unwrap_or_default();
        print(&(cluster + &render(&report)))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The report of a node, with what it says of its cluster.
#[derive(serde::Serialize)]
struct Whole {
    #[serde(flatten)]
    report: Report,
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<ClusterStatus>,
}

fn of_cluster(status: &ClusterStatus) -> String {
    let mut text = format!("{}\n", status.health);
    status.reasons.iter().for_each(|reason| text += &format!("  {reason}\n"));
    if status.cluster.is_empty() {
        return text + "\n";
    }
    let old = status.data_age_ms.map_or_else(|| "unknown".into(), age);
    let leader = status.leader.as_deref().unwrap_or("nobody");
    text += &format!(
        "cluster {}, led by {leader} (term {}); settings version {}; as {} knows it, {old} old\n",
        status.cluster, status.term, status.settings_version, status.node
    );
    text += &format!("\nNODES\n{}", render_nodes(&status.nodes, status.leader.as_deref()));
    text + &format!("\nSERVICES\n{}\n", render_services(&status.services))
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
    if let Some(problem) = &server.journal_problem {
        text += &format!("{problem}\n");
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
