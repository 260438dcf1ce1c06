//! Child processes: waiting with a time limit, signals, captured output.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::output::Output;
use crate::wait::wait_for;
use crate::{Cell, Error};

/// Locks, also after a panic elsewhere: a lab has to clean up then, too.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child process that its machine and its user both hold.
#[derive(Debug, Clone)]
pub(crate) struct Process(Arc<Mutex<Child>>);

impl Process {
    pub(crate) fn new(child: Child) -> Self {
        Self(Arc::new(Mutex::new(child)))
    }

    pub(crate) fn id(&self) -> u32 {
        locked(&self.0).id()
    }

    pub(crate) fn try_wait(&self) -> Result<Option<ExitStatus>, Error> {
        locked(&self.0).try_wait().map_err(Error::io("wait for a process"))
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.try_wait(), Ok(None))
    }

    pub(crate) fn wait_within(&self, limit: Duration, what: &str) -> Result<ExitStatus, Error> {
        wait_for(limit, what, || self.try_wait())
    }

    /// Waits for a process that has been killed.
    pub(crate) fn reap(&self) {
        let _ = locked(&self.0).wait();
    }

    /// Signals the process alone. One that has ended gets nothing: its number may be another's.
    pub(crate) fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.deliver(signal, nix::sys::signal::kill)
    }

    /// Signals the process and those of its process group, which it leads.
    pub(crate) fn signal_group(&self, signal: Signal) -> Result<(), Error> {
        self.deliver(signal, killpg)
    }

    fn deliver(
        &self,
        signal: Signal,
        send: impl FnOnce(Pid, Option<Signal>) -> nix::Result<()>,
    ) -> Result<(), Error> {
        let mut child = locked(&self.0);
        if child.try_wait().map_err(Error::io("wait for a process"))?.is_some() {
            return Ok(());
        }
        let pid = Pid::from_raw(child.id().cast_signed());
        send(pid, Some(signal)).map_err(Error::io(format!("send {signal} to process {pid}")))
    }
}

/// The exit status as a shell counts it.
pub(crate) fn shell_status(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// Runs a command in a machine to its end, for at most `limit`, then kills its process group.
pub(crate) fn run(
    cell: &Cell,
    mut command: Command,
    input: &str,
    limit: Duration,
) -> Result<Output, Error> {
    let name = describe(&command);
    // Files and not pipes: a daemon that the command leaves behind would hold a pipe open.
    let files = (scratch("")?, scratch("")?);
    let handle = |file: &File| file.try_clone().map_err(Error::io("duplicate a descriptor"));
    command
        .stdin(Stdio::from(scratch(input)?))
        .stdout(Stdio::from(handle(&files.0)?))
        .stderr(Stdio::from(handle(&files.1)?))
        .process_group(0);
    let process = cell.spawn(command)?;
    let ended = process.wait_within(limit, &name);
    if ended.is_err() {
        process.signal_group(Signal::SIGKILL)?;
        process.reap();
    }
    let (stdout, stderr) = (read_back(files.0)?, read_back(files.1)?);
    match ended {
        Ok(status) => Ok(Output { command: name, status: shell_status(status), stdout, stderr }),
        Err(Error::TimedOut { what, limit, .. }) => {
            Err(Error::TimedOut { what, limit, said: said(&stdout, &stderr) })
        }
        Err(other) => Err(other),
    }
}

/// What a command had printed, as the tail of a message.
pub(crate) fn said(stdout: &str, stderr: &str) -> String {
    let text = format!("{stdout}{stderr}");
    if text.trim().is_empty() { String::new() } else { format!("; it had said: {}", text.trim()) }
}

/// The command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// An unnamed file with `content`, to be read from its start.
fn scratch(content: &str) -> Result<File, Error> {
    let memory =
        nix::sys::memfd::memfd_create(c"standfast-lab", nix::sys::memfd::MFdFlags::MFD_CLOEXEC)
            .map_err(Error::io("make a memory file"))?;
    let mut file = File::from(memory);
    let write = |file: &mut File| -> io::Result<()> {
        io::Write::write_all(file, content.as_bytes())?;
        file.rewind()
    };
    write(&mut file).map_err(Error::io("write a memory file"))?;
    Ok(file)
}

fn read_back(mut file: File) -> Result<String, Error> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(Error::io("read a command's output"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file's text, empty if there is none yet.
pub(crate) fn text_of(path: &Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
