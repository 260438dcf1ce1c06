//! The subcommands about the cluster.

mod apply;
mod enter;
mod events;
mod node;
mod service;
mod token;

pub(super) use apply::{apply, plan, show};
pub(super) use enter::{init, join};
pub(super) use events::{events, failover};
pub(super) use node::{render as render_nodes, run as node};
pub(super) use service::{render as render_services, run as service};
pub(super) use token::run as token;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use miette::{IntoDiagnostic, miette};
use standfast_api::{ClusterReply, ClusterRequest, ClusterStatus};
use standfast_settings::format_duration;

use super::{ask, client};
use crate::cli::Socket;

/// Asks the daemon about the cluster; a refusal is an error with its reason.
fn request(socket: &Socket, request: &ClusterRequest) -> miette::Result<ClusterReply> {
    let client = client(socket);
    let answer = ask(async { client.cluster(request).await })?.into_diagnostic()?;
    answer.map_err(|failure| miette!("{failure}"))
}

fn status(socket: &Socket) -> miette::Result<ClusterStatus> {
    match request(socket, &ClusterRequest::Status)? {
        ClusterReply::Status(status) => Ok(*status),
        other => Err(unexpected(&other)),
    }
}

fn unexpected(reply: &ClusterReply) -> miette::Report {
    miette!("the daemon answered something else (is it of another version?): {reply:?}")
}

fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(titles);
    table
}

/// Without the blanks that fill up the last column.
fn lines(table: &Table) -> String {
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

/// An age as short as it is clear: in milliseconds below ten seconds, then in whole seconds.
pub(super) fn age(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{ms} ms"),
        ms => format_duration(Duration::from_secs(ms / 1000)),
    }
}

/// The time since then, in its largest units.
fn ago(since_seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format_duration(Duration::from_secs(now.as_secs().saturating_sub(since_seconds)))
}
