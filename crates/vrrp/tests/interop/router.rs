//! This program as a router, started by the stories.

use std::path::Path;
use std::process::ExitCode;

use standfast_vrrp::driver;
use standfast_vrrp::settings::File;
use tokio::signal::unix::{SignalKind, signal};

/// Names the settings file.
pub(crate) const SETTINGS: &str = "STANDFAST_VRRP_SETTINGS";

/// Runs the virtual routers of a settings file until SIGTERM.
pub(crate) fn serve(path: &Path) -> ExitCode {
    tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::DEBUG).init();
    let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).unwrap();
        let stop = async {
            terminate.recv().await;
        };
        driver::run(&file.vrrp, stop).await
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the router stopped");
            ExitCode::FAILURE
        }
    }
}
