//! `standfast service`.

use std::process::ExitCode;

use miette::{IntoDiagnostic, miette};
use standfast_api::{ClusterRequest, ServiceStatus};
use standfast_settings::{ExportSettings, Failback, ServiceSettings, normal_path};

use super::{ago, lines, or_dash, request, status, table};
use crate::cli::cluster::{FailbackArgument, Service, ServiceCommand, ServiceCreate};
use crate::commands::{print, print_json};

pub(crate) fn run(args: &Service) -> miette::Result<ExitCode> {
    match &args.command {
        ServiceCommand::Create(args) => {
            let name = args.name.clone();
            let order = ClusterRequest::CreateService { name, service: settings(args)?.into() };
            request(&args.socket, &order)?;
            print(&format!("`{}` is made; `standfast status` shows who serves it\n", args.name))?;
        }
        ServiceCommand::Move(args) => {
            let (name, node) = (args.name.clone(), args.node.clone());
            request(&args.socket, &ClusterRequest::MoveService { name, node })?;
            print(&format!("`{}` is to move to `{}`\n", args.name, args.node))?;
        }
        ServiceCommand::Delete(args) => {
            let name = args.name.clone();
            request(&args.socket, &ClusterRequest::DeleteService { name })?;
            print(&format!("`{}` is deleted; its data stays\n", args.name))?;
        }
        ServiceCommand::List(args) => {
            let services = status(&args.socket)?.services;
            if args.json {
                print_json(&services)?;
            } else {
                print(&render(&services))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(args: &ServiceCreate) -> miette::Result<ServiceSettings> {
    let exports = args.export.iter().map(|text| export(text, args));
    Ok(ServiceSettings {
        addresses: args.address.clone(),
        pool: args.pool.clone(),
        exports: exports.collect::<miette::Result<_>>()?,
        prefer: args.prefer.clone(),
        only: args.only.clone(),
        apart_from: args.apart_from.clone(),
        together_with: args.together_with.clone(),
        failback: match args.failback {
            FailbackArgument::Stay => Failback::Stay,
            FailbackArgument::Idle => Failback::Idle,
            FailbackArgument::Now => Failback::Now,
        },
    })
}

/// `DIRECTORY[=PATH]`.
fn export(text: &str, args: &ServiceCreate) -> miette::Result<ExportSettings> {
    let (directory, path) = match text.split_once('=') {
        Some((directory, path)) => (directory, Some(path)),
        None => (text, None),
    };
    let mut export = ExportSettings::new(normal_path(directory).into_diagnostic()?);
    if let Some(path) = path {
        export.export_path = normal_path(path).into_diagnostic()?;
    }
    export.clients = args.allow.clone();
    if export.clients.is_empty() {
        let everybody = "*:ro".parse();
        export.clients = vec![everybody.map_err(|error| miette!("{error}"))?];
    }
    Ok(export)
}

/// The services as a table.
pub(crate) fn render(services: &[ServiceStatus]) -> String {
    if services.is_empty() {
        return "  none\n".into();
    }
    let mut table = table(&["service", "node", "epoch", "since", "why", "addresses", "exports"]);
    for service in services {
        let node = match &service.moving_to {
            Some(to) => format!("{} -> {to}", or_dash(service.holder.as_deref())),
            None => or_dash(service.holder.as_deref()),
        };
        // It had no holder yet.
        let fresh = service.epoch == 0;
        let since = if fresh { "-".into() } else { ago(service.since) };
        let epoch = if fresh { "-".into() } else { service.epoch.to_string() };
        table.add_row(vec![
            service.name.clone(),
            node,
            epoch,
            since,
            or_dash(Some(&service.reason)),
            or_dash(Some(&service.addresses.join(" "))),
            or_dash(Some(&service.exports.join(" "))),
        ]);
    }
    lines(&table)
}
