//! `standfast apply`, `plan` and `show`: the settings of the cluster.

use std::path::Path;
use std::process::ExitCode;

use miette::miette;
use standfast_api::{ClusterReply, ClusterRequest};
use standfast_settings::{
    ClusterSettings, Difference, Source, cluster_to_toml, load_cluster, load_cluster_source,
};

use super::enter::read_text;
use super::{request, unexpected};
use crate::cli::cluster::{Apply, Show};
use crate::commands::{findings, print, print_json};

pub(crate) fn plan(args: &Apply) -> miette::Result<ExitCode> {
    let Some(settings) = read(&args.file)? else { return Ok(ExitCode::FAILURE) };
    let reply = request(&args.socket, &ClusterRequest::Plan { settings: settings.into() })?;
    if let (ClusterReply::Differences { version, .. }, Some(expected)) = (&reply, args.expect)
        && *version != expected
    {
        return Err(miette!("the settings have version {version}, not {expected}"));
    }
    tell(args, reply, "would change")
}

pub(crate) fn apply(args: &Apply) -> miette::Result<ExitCode> {
    let Some(settings) = read(&args.file)? else { return Ok(ExitCode::FAILURE) };
    let order = ClusterRequest::Apply { settings: settings.into(), expected: args.expect };
    let reply = request(&args.socket, &order)?;
    tell(args, reply, "changed")
}

/// The settings of a file; what is wrong with it is told.
fn read(file: &Path) -> miette::Result<Option<ClusterSettings>> {
    let loaded = if file == Path::new("-") {
        load_cluster_source(Source::new("standard input", read_text(file)?))
    } else {
        load_cluster(file)
    };
    findings::print_cluster(&loaded);
    Ok(loaded.settings)
}

fn tell(args: &Apply, reply: ClusterReply, what: &str) -> miette::Result<ExitCode> {
    let ClusterReply::Differences { version, differences } = reply else {
        return Err(unexpected(&reply));
    };
    if args.json {
        print_json(&ClusterReply::Differences { version, differences })?;
    } else {
        print(&render(version, &differences, what))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(version: u64, differences: &[Difference], what: &str) -> String {
    if differences.is_empty() {
        return format!("nothing {what}; the settings have version {version}\n");
    }
    let tables: String = differences.iter().map(ToString::to_string).collect();
    let count = match differences.len() {
        1 => "1 table".to_owned(),
        count => format!("{count} tables"),
    };
    format!("{tables}{count} {what}; the settings have version {version}\n")
}

pub(crate) fn show(args: &Show) -> miette::Result<ExitCode> {
    let reply = request(&args.socket, &ClusterRequest::Settings)?;
    let ClusterReply::Settings { version, settings } = reply else {
        return Err(unexpected(&reply));
    };
    if args.json {
        print_json(&ClusterReply::Settings { version, settings })?;
    } else {
        print(&format!("# version {version}\n{}", cluster_to_toml(&settings)))?;
    }
    Ok(ExitCode::SUCCESS)
}
