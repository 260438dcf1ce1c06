//! `standfast serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr, miette};
use standfast_settings::{ClientRule, ExportSettings, Rpcbind, Settings, normal_path};

use super::{default_run_dir, default_state_dir};
use crate::cli::{RpcbindMode, Serve};
use crate::daemon::{self, Announce, SettingsSource};

pub(super) fn run(args: Serve) -> miette::Result<ExitCode> {
    let settings = settings(args)?;
    daemon::run(settings, SettingsSource::CommandLine, Announce::MountCommand)?;
    Ok(ExitCode::SUCCESS)
}

/// The settings that the arguments stand for.
fn settings(args: Serve) -> miette::Result<Settings> {
    let directory = args
        .directory
        .canonicalize()
        .into_diagnostic()
        .wrap_err_with(|| format!("{} cannot be served", args.directory.display()))?;
    let mut export = ExportSettings::new(directory);
    if let Some(path) = &args.export {
        export.export_path = normal_path(path).map_err(|error| miette!("--export: {error}"))?;
    }
    export.cross_mounts = args.cross_mounts;
    export.clients = args.allow;
    if export.clients.is_empty() {
        export.clients.push("*:ro,insecure".parse::<ClientRule>().into_diagnostic()?);
    }
    let mut settings = Settings { exports: vec![export], ..Settings::default() };
    if !args.listen.is_empty() {
        settings.server.listen = args.listen;
    }
    settings.server.port = args.port;
    settings.server.udp = !args.no_udp;
    settings.server.rpcbind = match args.rpcbind {
        RpcbindMode::Auto => Rpcbind::Auto,
        RpcbindMode::Serve => Rpcbind::Serve,
        RpcbindMode::Register => Rpcbind::Register,
        RpcbindMode::Off => Rpcbind::Off,
    };
    settings.server.state_dir = args.state_dir.unwrap_or_else(default_state_dir);
    settings.server.run_dir = args.run_dir.unwrap_or_else(|| run_dir(args.port));
    settings.metrics.listen = args.metrics;
    settings.log.filter = args.log;
    Ok(settings)
}

/// A daemon on another port than the usual one leaves the usual control socket alone.
fn run_dir(port: u16) -> PathBuf {
    match port {
        2049 => default_run_dir(),
        other => default_run_dir().join(format!("port-{other}")),
    }
}
