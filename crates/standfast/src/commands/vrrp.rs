//! `standfast vrrp`.

use std::path::Path;
use std::process::ExitCode;

use miette::{IntoDiagnostic, LabeledSpan, MietteDiagnostic, NamedSource, Report, WrapErr};
use standfast_settings::LogFormat;
use standfast_vrrp::driver::{self, Request};
use standfast_vrrp::settings::{File, Settings};
use tokio::signal::unix::{SignalKind, signal};

use super::{ask, print_json};
use crate::cli::{VrrpCommand, VrrpConfig, VrrpInstance, VrrpSocket};
use crate::logging;

pub(super) fn run(command: &VrrpCommand) -> miette::Result<ExitCode> {
    match command {
        VrrpCommand::Run(config) => run_routers(config),
        VrrpCommand::Status(socket) => request(socket, &Request::Status),
        VrrpCommand::TakeOver(of) => of_instance(of, |instance| Request::TakeOver { instance }),
        VrrpCommand::HandBack(of) => of_instance(of, |instance| Request::HandBack { instance }),
        VrrpCommand::Release(of) => of_instance(of, |instance| Request::Release { instance }),
    }
}

fn run_routers(config: &VrrpConfig) -> miette::Result<ExitCode> {
    let settings = read(&config.config)?;
    let _log = logging::begin(&config.log, LogFormat::Auto)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .into_diagnostic()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).into_diagnostic()?;
        let mut interrupt = signal(SignalKind::interrupt()).into_diagnostic()?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        driver::run(&settings, stop).await.into_diagnostic()
    })?;
    Ok(ExitCode::SUCCESS)
}

fn read(file: &Path) -> miette::Result<Settings> {
    let text = std::fs::read_to_string(file)
        .into_diagnostic()
        .wrap_err_with(|| format!("cannot read the settings {}", file.display()))?;
    match toml::from_str::<File>(&text) {
        Ok(file) => Ok(file.vrrp),
        Err(error) => {
            let mut diagnostic = MietteDiagnostic::new(error.message());
            if let Some(span) = error.span() {
                diagnostic = diagnostic.with_label(LabeledSpan::at(span, "here"));
            }
            let source = NamedSource::new(file.display().to_string(), text);
            Err(Report::new(diagnostic).with_source_code(source))
        }
    }
}

fn of_instance(
    args: &VrrpInstance,
    make: impl FnOnce(String) -> Request,
) -> miette::Result<ExitCode> {
    request(&args.socket, &make(args.instance.clone()))
}

fn request(socket: &VrrpSocket, request: &Request) -> miette::Result<ExitCode> {
    let report = ask(driver::request(&socket.socket, request))?.into_diagnostic()?;
    print_json(&report)?;
    Ok(ExitCode::SUCCESS)
}
