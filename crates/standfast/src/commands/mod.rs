//! The subcommands.

mod check;
mod cluster;
mod findings;
mod import;
mod journal;
mod reload;
mod run;
mod serve;
mod status;
mod try_out;
mod vrrp;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use miette::IntoDiagnostic;
use standfast_api::Client;

use crate::cli::{Command, Socket};

/// Runs a subcommand.
pub(crate) fn run(command: Command) -> miette::Result<ExitCode> {
    match command {
        Command::Try(args) => try_out::run(&args),
        Command::Serve(args) => serve::run(args),
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Reload(args) => reload::run(&args),
        Command::Vrrp(args) => vrrp::run(&args.command),
        Command::Import(args) => import::run(&args.of),
        Command::Journal(args) => journal::run(&args.command),
        Command::Init(args) => cluster::init(&args),
        Command::Join(args) => cluster::join(&args),
        Command::Plan(args) => cluster::plan(&args),
        Command::Apply(args) => cluster::apply(&args),
        Command::Show(args) => cluster::show(&args),
        Command::Service(args) => cluster::service(&args),
        Command::Node(args) => cluster::node(&args),
        Command::Token(args) => cluster::token(&args),
        Command::Events(args) => cluster::events(&args),
        Command::Failover(args) => cluster::failover(&args),
        Command::Keeper => crate::keeper::run().map(|()| ExitCode::SUCCESS),
    }
}

/// The name of the control socket in the run directory.
pub(crate) const CONTROL_SOCKET: &str = "control.sock";

/// Where things of a running daemon are kept: for root the system's, else the user's own.
pub(crate) fn default_run_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/run/standfast".into();
    }
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    base.unwrap_or_else(std::env::temp_dir).join("standfast")
}

/// Where things are kept that survive a restart.
fn default_state_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return "/var/lib/standfast".into();
    }
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
    let base = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("standfast")
}

/// The client of the daemon that the arguments mean.
fn client(socket: &Socket) -> Client {
    let path = socket.socket.clone();
    Client::new(&path.unwrap_or_else(|| default_run_dir().join(CONTROL_SOCKET)))
}

/// Runs a short conversation with the daemon.
fn ask<T>(conversation: impl Future<Output = T>) -> miette::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.into_diagnostic()?.block_on(conversation))
}

/// Writes to standard output; a reader that has seen enough is no error.
fn print(text: &str) -> miette::Result<()> {
    use std::io::Write;
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.into_diagnostic(),
    }
}

/// Writes a value as JSON to standard output.
fn print_json<T: serde::Serialize>(value: &T) -> miette::Result<()> {
    print(&(serde_json::to_string_pretty(value).into_diagnostic()? + "\n"))
}
