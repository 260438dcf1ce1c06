//! The command that fences a node: a program with arguments, no shell, a limit.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Octets of what a command says that are kept, of each stream.
const MOST_SAID: usize = 4096;
/// Reads of a stream in turn, before the command is looked at again.
const MOST_READS: usize = 64;
const REST: Duration = Duration::from_millis(2);

/// A command that keeps a node from writing, called with the node's name as its last argument. Exit
/// status 0 says that it is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FenceCommand {
    program: PathBuf,
    arguments: Vec<String>,
    limit: Duration,
}

/// Why a command did not do it.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// There is none, or it is not a program.
    #[error("`{program}` cannot be run: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It took too long and was killed.
    #[error("`{program}` was not done after {limit:?} and was killed; it said: {said}")]
    Limit {
        /// The program.
        program: String,
        /// The limit.
        limit: Duration,
        /// What it said until then.
        said: String,
    },
    /// It failed.
    #[error("`{program}` ended with {status}; it said: {said}")]
    Failed {
        /// The program.
        program: String,
        /// How.
        status: ExitStatus,
        /// What it said.
        said: String,
    },
    /// The settings name none.
    #[error("`fence` names no program")]
    Empty,
    /// The program is named without its directory.
    #[error(
        "`fence` must name its program with the whole path, not `{0}`: what is found in PATH may change"
    )]
    Relative(String),
}

impl FenceCommand {
    /// From the words of the settings; the program with its whole path.
    ///
    /// # Errors
    /// If there is no program, or one without its path.
    pub fn new(words: &[String], limit: Duration) -> Result<Self, CommandError> {
        let (program, arguments) = words.split_first().ok_or(CommandError::Empty)?;
        if !program.starts_with('/') {
            return Err(CommandError::Relative(program.clone()));
        }
        Ok(Self { program: program.into(), arguments: arguments.to_vec(), limit })
    }

    /// Fences a node; waits until that is done.
    ///
    /// # Errors
    /// What went wrong, with what the command said.
    pub fn run(&self, node: &str) -> Result<(), CommandError> {
        let program = self.program.display().to_string();
        let start = |source| CommandError::Start { program: program.clone(), source };
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .arg(node)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(start)?;
        let streams =
            [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
        let mut streams = streams.map(Stream::new);
        let status = wait(&mut child, &mut streams, self.limit).map_err(start)?;
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
            streams.iter_mut().for_each(Stream::listen);
        }
        let said = streams.map(Stream::into_text).concat();
        let said = if said.trim().is_empty() { "nothing".into() } else { said.trim().to_owned() };
        match status {
            None => Err(CommandError::Limit { program, limit: self.limit, said }),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(CommandError::Failed { program, status, said }),
        }
    }
}

/// What a command says. It is read without waiting: something that the command left behind may keep
/// the stream open for ever, and what was said before the end of the command is there at its end.
struct Stream {
    file: Option<File>,
    said: Vec<u8>,
}

impl Stream {
    fn new(pipe: Option<OwnedFd>) -> Self {
        let pipe = pipe.filter(|pipe| rustix::io::ioctl_fionbio(pipe, true).is_ok());
        Self { file: pipe.map(File::from), said: Vec::new() }
    }

    /// Reads what is there. What is too much to be kept is not left in the command's way either.
    fn listen(&mut self) {
        let mut buffer = [0; MOST_SAID];
        for _ in 0..MOST_READS {
            let Some(file) = &mut self.file else { return };
            match file.read(&mut buffer) {
                Ok(0) => self.file = None,
                Ok(count) => {
                    let kept = count.min(MOST_SAID - self.said.len());
                    self.said.extend_from_slice(&buffer[..kept]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.file = None,
            }
        }
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.said).into_owned()
    }
}

fn wait(
    child: &mut Child,
    streams: &mut [Stream],
    limit: Duration,
) -> io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let last = Instant::now() >= deadline;
        let status = child.try_wait()?;
        streams.iter_mut().for_each(Stream::listen);
        if status.is_some() || last {
            return Ok(status);
        }
        thread::sleep(REST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str], limit: Duration) -> FenceCommand {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        FenceCommand::new(&words, limit).unwrap()
    }

    #[test]
    fn the_node_is_the_last_argument_and_no_shell_reads_it() {
        let long = Duration::from_secs(60);
        assert!(command(&["/usr/bin/test", "n1; false", "="], long).run("n1; false").is_ok());
    }

    #[test]
    fn a_failure_is_quoted() {
        let long = Duration::from_secs(60);
        let error = command(&["/bin/sh", "-c", "echo no such outlet >&2; exit 3"], long)
            .run("n1")
            .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("exit status: 3") && text.contains("no such outlet"), "{text}");
    }

    #[test]
    fn what_it_leaves_behind_holds_nothing_up_and_much_to_say_is_no_failure() {
        let long = Duration::from_secs(60);
        let script = "sleep 20 & head -c 1000000 /dev/zero; echo but; exit $((1 - $#))";
        // The first argument behind the script is `$0`, and the node's name the second.
        assert!(command(&["/bin/sh", "-c", script, "sh"], long).run("n1").is_ok());
    }

    #[test]
    fn a_command_that_hangs_is_killed() {
        let error = command(&["/bin/sh", "-c", "echo begun; exec sleep 600"], REST * 100)
            .run("n1")
            .unwrap_err();
        assert!(matches!(error, CommandError::Limit { .. }), "{error}");
    }

    #[test]
    fn a_program_needs_its_whole_path() {
        let relative = FenceCommand::new(&["fence".into()], REST).unwrap_err();
        assert!(relative.to_string().contains("whole path"));
        assert!(matches!(FenceCommand::new(&[], REST), Err(CommandError::Empty)));
        let missing = command(&["/no/such/program"], REST).run("n1").unwrap_err();
        assert!(missing.to_string().contains("/no/such/program"));
    }
}
