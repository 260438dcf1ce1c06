//! The lab's own tests.

mod cleanup;
mod guests;
mod hosts;
mod nfs;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

/// Long enough for anything on a busy machine.
const SOON: Duration = Duration::from_secs(180);

fn main() -> ExitCode {
    if env::args().nth(1).as_deref() == Some(cleanup::HOLD) {
        return cleanup::hold();
    }
    let trials = [hosts::trials(), guests::trials(), nfs::trials(), cleanup::trials()];
    standfast_lab::trial::run(trials.into_iter().flatten().collect())
}
