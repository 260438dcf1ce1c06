//! Running commands, and saying so.

use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says something to the person who waits. Nobody to hear it is no reason to stop.
pub(crate) fn say(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _unheard = writeln!(stderr, "==> {text}");
}

/// Runs a command to its end and says how long it took.
pub(crate) fn run<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<(), Failed> {
    run_command(Command::new(program).args(arguments))
}

/// The same, of a command with more to it.
pub(crate) fn run_command(command: &mut Command) -> Result<(), Failed> {
    let line = format!("{command:?}").replace('"', "");
    say(&line);
    let begun = Instant::now();
    let status = command.status().map_err(|error| Failed(format!("{line}: {error}")))?;
    say(&format!("{:.0} s: {line}", begun.elapsed().as_secs_f64()));
    if status.success() { Ok(()) } else { Err(Failed(format!("{line}: {status}"))) }
}
