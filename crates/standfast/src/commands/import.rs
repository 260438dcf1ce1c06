//! `standfast import`.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use miette::{IntoDiagnostic, WrapErr};
use standfast_vrrp::import::{Import, Options, Verdict, import};

use super::print;
use crate::cli::{ImportKeepalived, ImportOf};

pub(super) fn run(of: &ImportOf) -> miette::Result<ExitCode> {
    match of {
        ImportOf::Keepalived(args) => keepalived(args),
    }
}

fn keepalived(args: &ImportKeepalived) -> miette::Result<ExitCode> {
    let options = Options { config_id: args.config_id.clone() };
    let imported = import(&args.file, &options).into_diagnostic()?;
    account(&imported);
    let settings = imported.to_toml().into_diagnostic()?;
    match &args.output {
        None => print(&settings)?,
        Some(file) => write_new(file, &settings)
            .into_diagnostic()
            .wrap_err_with(|| format!("cannot write {}", file.display()))?,
    }
    let refused = imported.verdicts().contains(&Verdict::Refused);
    Ok(if refused { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Tells a person what became of each line.
fn account(imported: &Import) {
    #[expect(clippy::print_stderr, reason = "the account goes to a person")]
    for finding in &imported.findings {
        eprintln!("{finding}");
    }
}

/// The settings may hold a password: nobody else may read them.
fn write_new(file: &Path, settings: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(settings.as_bytes())
}
