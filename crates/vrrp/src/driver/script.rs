//! Running a program: without a shell, as its user, with an empty environment and a time limit.

use std::fmt;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::user::Identity;

/// Where programs are looked for by scripts.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_millis(200);
/// Octets of what a program says that are kept for the log.
const MOST_SAID: u64 = 4096;

/// How a program ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// By itself.
    Exited(ExitStatus),
    /// It took too long and was killed.
    TimedOut,
    /// It could not be started.
    Failed(io::Error),
}

impl Outcome {
    pub(super) fn is_success(&self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => status.fmt(f),
            Self::TimedOut => f.write_str("it took too long and was killed"),
            Self::Failed(error) => write!(f, "it cannot be run: {error}"),
        }
    }
}

/// What a program did.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) outcome: Outcome,
    /// What it wrote to its standard error, cut off.
    pub(super) said: String,
}

/// Runs a program with arguments to its end, or kills it and all that it started after `limit`.
pub(super) async fn run(command: &[String], identity: &Identity, limit: Duration) -> Run {
    let Some((program, arguments)) = command.split_first() else {
        let error = io::Error::new(io::ErrorKind::InvalidInput, "the command is empty");
        return Run { outcome: Outcome::Failed(error), said: String::new() };
    };
    let mut process = Command::new(program);
    process
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("HOME", &identity.home)
        .env("USER", &identity.name)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if nix::unistd::geteuid().is_root() {
        // The standard library drops the supplementary groups with the user.
        process.uid(identity.uid).gid(identity.gid);
    }
    let mut child = match process.spawn() {
        Ok(child) => child,
        Err(error) => return Run { outcome: Outcome::Failed(error), said: String::new() },
    };
    let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let errors = child.stderr.take();
    let mut said = String::new();
    let finished = timeout(limit, async {
        said = read_some(errors).await;
        child.wait().await
    })
    .await;
    let outcome = match finished {
        Ok(Ok(status)) => Outcome::Exited(status),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => {
            end(&mut child, group).await;
            Outcome::TimedOut
        }
    };
    Run { outcome, said }
}

/// The beginning of what it says; the rest is read and dropped, so that it is not held up.
async fn read_some(errors: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut errors) = errors else { return String::new() };
    let mut kept = Vec::new();
    let mut dropped = tokio::io::sink();
    // What cannot be read is not worth failing for.
    let _ = (&mut errors).take(MOST_SAID).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut errors, &mut dropped).await;
    String::from_utf8_lossy(&kept).trim().to_owned()
}

async fn end(child: &mut Child, group: Option<Pid>) {
    let signal = |signal| {
        if let Some(group) = group {
            // It may be gone already.
            let _ = killpg(group, signal);
        }
    };
    signal(Signal::SIGTERM);
    let graceful = timeout(GRACE, child.wait()).await;
    signal(Signal::SIGKILL);
    if graceful.is_err() {
        let _ = child.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Identity {
        Identity {
            uid: nix::unistd::geteuid().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
            home: "/".into(),
            name: "test".into(),
        }
    }

    async fn outcome(command: &[&str], limit: Duration) -> Run {
        let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
        run(&command, &own(), limit).await
    }

    #[tokio::test]
    async fn success_and_failure_are_told_apart() {
        let long = Duration::from_secs(20);
        assert!(outcome(&["/bin/true"], long).await.outcome.is_success());
        assert!(!outcome(&["/bin/false"], long).await.outcome.is_success());
        assert!(matches!(outcome(&["/no/such"], long).await.outcome, Outcome::Failed(_)));
        assert!(matches!(outcome(&[], long).await.outcome, Outcome::Failed(_)));
        let run = outcome(&["/bin/ls", "/no/such"], long).await;
        assert!(run.said.contains("/no/such"), "{}", run.said);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed() {
        let run = outcome(&["/bin/sleep", "1000"], Duration::from_millis(50)).await;
        assert!(matches!(run.outcome, Outcome::TimedOut));
    }
}
