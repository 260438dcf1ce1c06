//! `standfast run`.

use std::process::ExitCode;

use standfast_settings::{SystemProbe, load};

use super::findings;
use crate::cli::Run;
use crate::daemon::{self, Announce, SettingsSource};

pub(super) fn run(args: &Run) -> miette::Result<ExitCode> {
    let loaded = load(&args.config, &SystemProbe);
    findings::print(&loaded);
    let Some(settings) = loaded.settings else {
        return Ok(ExitCode::FAILURE);
    };
    daemon::run(settings, SettingsSource::File(args.config.clone()), Announce::Quiet)?;
    Ok(ExitCode::SUCCESS)
}
