//! The project's chores.
//!
//! `cargo xtask test` runs everything that must pass before a change is done; `cargo xtask
//! packages` installs the Debian packages that it needs.

mod packages;
mod run;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's chores
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Formatting, lints, unit, property, lab and end-to-end tests
    Test {
        /// Only these steps: fmt, clippy, unit, doc, lab, vrrp, stories
        #[arg(value_name = "STEP")]
        steps: Vec<String>,
    },
    /// Install the Debian packages that the tests need (as root)
    Packages {
        /// Only say what is missing
        #[arg(long)]
        list: bool,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Test { steps } => test::run_steps(&steps),
        Chore::Packages { list } => packages::run(list),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            run::say(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
