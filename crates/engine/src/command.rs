//! The command that fences a node: a program with arguments, no shell, a limit.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Octets of what a command says that are kept, of each stream.
const MOST_SAID: u64 = 4096;
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
        source: std::io::Error,
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
        let listeners = [listen(child.stdout.take()), listen(child.stderr.take())];
        let status = wait(&mut child, self.limit).map_err(start)?;
        if status.is_none() {
            let _ = child.kill();
            let _ = child.wait();
        }
        // A grandchild may keep the pipes open for ever; what is said until now is enough.
        let said = listeners.into_iter().flatten().map(heard).collect::<String>();
        let said = if said.trim().is_empty() { "nothing".into() } else { said.trim().to_owned() };
        match status {
            None => Err(CommandError::Limit { program, limit: self.limit, said }),
            Some(status) if status.success() => Ok(()),
            Some(status) => Err(CommandError::Failed { program, status, said }),
        }
    }
}

type Listener = thread::JoinHandle<String>;

fn listen(stream: Option<impl std::io::Read + Send + 'static>) -> Option<Listener> {
    let stream = stream?;
    let read = move || {
        let mut said = Vec::new();
        let _ = stream.take(MOST_SAID).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    };
    thread::Builder::new().name("fence output".into()).spawn(read).ok()
}

/// What a listener has, unless something keeps its stream open.
fn heard(listener: Listener) -> String {
    let deadline = Instant::now() + Duration::from_millis(500);
    while !listener.is_finished() && Instant::now() < deadline {
        thread::sleep(REST);
    }
    if listener.is_finished() { listener.join().unwrap_or_default() } else { String::new() }
}

fn wait(child: &mut Child, limit: Duration) -> std::io::Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        let last = Instant::now() >= deadline;
        let status = child.try_wait()?;
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
