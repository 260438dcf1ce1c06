//! The result of a command.

use std::fmt;

use crate::Error;

/// What a command printed and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// Its exit status as a shell counts it: 128 + signal when a signal ended it.
    pub status: i32,
    /// What it printed; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// What it printed to stderr, likewise.
    pub stderr: String,
}

impl Output {
    /// Whether the command ended with status 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// What the command printed, if it succeeded.
    ///
    /// # Errors
    /// [`Error::Failed`] with the whole output for any other status than 0.
    pub fn ok(self) -> Result<String, Error> {
        if self.success() { Ok(self.stdout) } else { Err(Error::Failed(Box::new(self))) }
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ended with status {}", self.command, self.status)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.trim().is_empty() {
                write!(f, "\n  {name}: {}", text.trim_end())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(status: i32) -> Output {
        Output { command: "mount x".into(), status, stdout: "out\n".into(), stderr: "bad\n".into() }
    }

    #[test]
    fn success_gives_stdout() {
        assert_eq!(output(0).ok().unwrap(), "out\n");
    }

    #[test]
    fn failure_quotes_command_and_stderr() {
        let message = output(32).ok().unwrap_err().to_string();
        assert_eq!(message, "`mount x` ended with status 32\n  stdout: out\n  stderr: bad");
    }
}
