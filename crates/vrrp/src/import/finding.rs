//! What became of a line.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: Arc<PathBuf>,
    /// The number of the line, from 1.
    pub line: usize,
    /// The number of the line in the order in which all files are read.
    order: usize,
}

impl Place {
    pub(super) fn new(file: Arc<PathBuf>, line: usize, order: usize) -> Self {
        Self { file, line, order }
    }

    pub(super) fn order(&self) -> usize {
        self.order
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// The settings say the same.
    Mapped,
    /// The settings say nearly the same.
    Approximated,
    /// The settings do not say it.
    Refused,
    /// It is dangerous, here as there.
    Warning,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mapped => "mapped",
            Self::Approximated => "approximated",
            Self::Refused => "refused",
            Self::Warning => "warning",
        })
    }
}

/// What became of one line, or what is dangerous in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line.
    pub place: Place,
    /// What became of it.
    pub verdict: Verdict,
    /// What it says.
    pub line: String,
    /// What that means here.
    pub note: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.place, self.verdict, self.line)?;
        if self.note.is_empty() { Ok(()) } else { write!(f, ": {}", self.note) }
    }
}
