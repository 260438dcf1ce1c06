//! `standfast reload`.

use std::process::ExitCode;

use miette::IntoDiagnostic;
use standfast_api::ReloadReport;

use super::{ask, client, print, print_json};
use crate::cli::Reload;

pub(super) fn run(args: &Reload) -> miette::Result<ExitCode> {
    let client = client(&args.socket);
    let report = ask(async { client.reload().await })?.into_diagnostic()?;
    if args.json {
        print_json(&report)?;
    } else {
        print(&render(&report))?;
    }
    Ok(if report.errors.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn render(report: &ReloadReport) -> String {
    let mut text = String::new();
    let mut list = |title: &str, items: &[String]| {
        if !items.is_empty() {
            text += title;
            text.push('\n');
            items.iter().for_each(|item| text += &format!("  {item}\n"));
        }
    };
    list("Not reloaded; the old settings stay in force:", &report.errors);
    list("Warnings:", &report.warnings);
    list("In force now:", &report.applied);
    list("In force after a restart:", &report.needs_restart);
    if text.is_empty() { "Nothing has changed.\n".into() } else { text }
}
