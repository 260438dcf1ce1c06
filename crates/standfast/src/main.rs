//! Standfast: shared storage that stays up.

mod cli;
mod cluster;
mod collector;
mod commands;
mod control;
mod daemon;
mod keeper;
mod logging;
mod privileges;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli.command) {
        Ok(code) => code,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "errors of the command line go to a person")]
            {
                eprintln!("Error: {error:?}");
            }
            ExitCode::FAILURE
        }
    }
}
