//! What is wrong with a settings file, and where.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Dangerous, or probably not what was meant; the settings can be used.
    Warning,
    /// The settings cannot be used.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// A finding whose place is a byte range of the text it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// The bytes of the text it speaks of.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// The findings in one text, in the order in which they were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Issues(Vec<Issue>);

impl Issues {
    fn push(&mut self, severity: Severity, span: Range<usize>, message: String) -> &mut Issue {
        self.0.push(Issue { severity, span, message, help: None });
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    pub(crate) fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Issue {
        self.push(Severity::Error, span, message.into())
    }

    pub(crate) fn warn(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Issue {
        self.push(Severity::Warning, span, message.into())
    }

    pub(crate) fn note(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Issue {
        self.push(Severity::Note, span, message.into())
    }

    /// Takes the findings of a text that is a piece of this one; `place` turns a range of the
    /// piece into one of the whole.
    pub(crate) fn absorb(&mut self, piece: Issues, place: impl Fn(Range<usize>) -> Range<usize>) {
        self.0.extend(piece.0.into_iter().map(|mut issue| {
            issue.span = place(issue.span);
            issue
        }));
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.iter().any(|issue| issue.severity == Severity::Error)
    }

    /// Adds the findings of a later look, except at places that already have one: there the later
    /// look saw only what the first one made of a mistake.
    pub(crate) fn add_elsewhere(&mut self, later: Issues) {
        let places: Vec<usize> = self.0.iter().map(|issue| issue.span.start).collect();
        self.0.extend(later.0.into_iter().filter(|issue| !places.contains(&issue.span.start)));
    }

    pub(crate) fn into_vec(self) -> Vec<Issue> {
        self.0
    }

    /// Names file, line and column of each finding, in the order of the text.
    pub(crate) fn locate(mut self, source: &Source) -> Vec<Diagnostic> {
        self.0.sort_by_key(|issue| issue.span.start);
        let locate = |issue: Issue| Diagnostic {
            severity: issue.severity,
            place: Some(source.place(issue.span)),
            message: issue.message,
            help: issue.help,
        };
        self.0.into_iter().map(locate).collect()
    }
}

impl Issue {
    pub(crate) fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    /// As [`Self::help`], where there may be none.
    pub(crate) fn maybe_help(&mut self, help: Option<String>) {
        self.help = help;
    }
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// The file.
    #[serde(serialize_with = "as_shown")]
    pub file: Arc<Path>,
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// The bytes of the file.
    pub span: Range<usize>,
}

fn as_shown<S: Serializer>(file: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&file.display())
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// One finding about the settings. Its display is the form that compilers use:
/// `file:line:column: severity: message`, with the help in a second line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it is; nowhere if a file could not be read at all.
    #[serde(flatten)]
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error that has no place in a file.
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, place: None, message: message.into(), help: None }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}: {}", self.severity, self.message)?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// A file of settings as it was read.
#[derive(Clone, Debug)]
pub struct Source {
    file: Arc<Path>,
    bytes: Vec<u8>,
}

impl Source {
    /// A text and the name of the file it came from.
    pub fn new(file: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) -> Self {
        Self { file: Arc::from(file.into()), bytes: bytes.into() }
    }

    /// The name of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its bytes, into which [`Place::span`] points.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Line and column of a byte range.
    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        let before = self.bytes.get(..span.start).unwrap_or(&self.bytes);
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let column = String::from_utf8_lossy(&before[line_start..]).chars().count() + 1;
        Place { file: Arc::clone(&self.file), line, column, span }
    }
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub(crate) struct Placed<T> {
    pub(crate) value: T,
    pub(crate) place: Place,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_lines_and_characters_from_one() {
        let source = Source::new("f", "a\n  é x\n");
        let place = |span| source.place(span).to_string();
        assert_eq!(place(0..1), "f:1:1");
        assert_eq!(place(2..3), "f:2:1");
        assert_eq!(place(7..8), "f:2:5");
        assert_eq!(place(9..9), "f:3:1");
        assert_eq!(place(900..901), "f:3:1");
    }

    #[test]
    fn findings_come_in_the_order_of_the_text() {
        let mut issues = Issues::default();
        issues.warn(2..3, "second").help("do this");
        issues.error(0..1, "first");
        let lines: Vec<_> =
            issues.locate(&Source::new("f", "a\nb")).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["f:1:1: error: first", "f:2:1: warning: second\n  help: do this"]);
    }
}
