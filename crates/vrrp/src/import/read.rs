//! The lines of a configuration and of all files that it includes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::Place;

/// How deep files may include each other.
const MOST_DEPTH: usize = 16;
/// Lines of all files together.
const MOST_LINES: usize = 200_000;
/// Octets of one file.
const MOST_OCTETS: u64 = 16 << 20;

/// A line, without comments.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) place: Place,
    pub(super) text: String,
}

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A file cannot be read.
    #[error("cannot read {path}{}: {source}", included(from))]
    Io {
        /// The file.
        path: PathBuf,
        /// Where it is included.
        from: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// Files include each other without end.
    #[error("{0} is included more than {MOST_DEPTH} files deep; a file seems to include itself")]
    Depth(PathBuf),
    /// It is too large.
    #[error(
        "the configuration is too large: more than {MOST_LINES} lines, or a file of {MOST_OCTETS} octets"
    )]
    Size,
}

fn included(from: &Option<String>) -> String {
    from.as_ref().map(|from| format!(", which {from} includes")).unwrap_or_default()
}

/// Reads a configuration and what it includes.
pub(super) fn lines(path: &Path) -> Result<Vec<Line>, ReadError> {
    let mut lines = Vec::new();
    read(path, None, 0, &mut lines)?;
    Ok(lines)
}

fn read(
    path: &Path,
    from: Option<&Place>,
    depth: usize,
    lines: &mut Vec<Line>,
) -> Result<(), ReadError> {
    if depth > MOST_DEPTH {
        return Err(ReadError::Depth(path.into()));
    }
    let failed =
        |source| ReadError::Io { path: path.into(), from: from.map(ToString::to_string), source };
    if fs::metadata(path).map_err(failed)?.len() > MOST_OCTETS {
        return Err(ReadError::Size);
    }
    let bytes = fs::read(path).map_err(failed)?;
    let file = Arc::new(path.to_owned());
    for (index, text) in String::from_utf8_lossy(&bytes).lines().enumerate() {
        if lines.len() >= MOST_LINES {
            return Err(ReadError::Size);
        }
        let place = Place::new(file.clone(), index + 1, lines.len());
        let text = without_comment(text).trim();
        match included_path(text) {
            Some(pattern) => {
                for included in matching(path, pattern).map_err(failed)? {
                    read(&included, Some(&place), depth + 1, lines)?;
                }
            }
            None if text.is_empty() => {}
            None => lines.push(Line { place, text: text.into() }),
        }
    }
    Ok(())
}

/// Cuts off what follows `#` or `!`, unless a quote or a backslash holds it.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in line.char_indices() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', _) => escaped = true,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            ('#' | '!', None) => return &line[..index],
            _ => {}
        }
    }
    line
}

fn included_path(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    let is_include =
        matches!(word, "include" | "includer" | "includem" | "includew" | "includeb" | "includea");
    is_include.then(|| rest.trim().trim_matches(['"', '\'']))
}

/// The files that a pattern names, relative to the file it stands in. Only the last part may have
/// wildcards other than whole directories.
fn matching(from: &Path, pattern: &str) -> io::Result<Vec<PathBuf>> {
    let base = from.parent().unwrap_or(Path::new("."));
    let mut found = vec![base.join("")];
    for part in Path::new(pattern).components() {
        let part = part.as_os_str();
        let text = part.to_string_lossy();
        if !text.contains(['*', '?']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut deeper = Vec::new();
        for path in &found {
            let Ok(entries) = fs::read_dir(path) else { continue };
            for entry in entries {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                let hidden = name.starts_with('.') && !text.starts_with('.');
                if !hidden && is_match(text.as_bytes(), name.as_bytes()) {
                    deeper.push(entry.path());
                }
            }
        }
        deeper.sort();
        found = deeper;
    }
    Ok(found)
}

/// Matches `*` and `?`.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_lines_but_not_in_quotes() {
        assert_eq!(without_comment("a b # c"), "a b ");
        assert_eq!(without_comment("! all of it"), "");
        assert_eq!(without_comment("auth_pass \"a#b!c\" ! d"), "auth_pass \"a#b!c\" ");
        assert_eq!(without_comment("a\\#b"), "a\\#b");
    }

    #[test]
    fn wildcards_match() {
        let matches = |pattern: &str, name: &str| is_match(pattern.as_bytes(), name.as_bytes());
        assert!(matches("*.conf", "a.conf") && matches("*", "x") && matches("a?c*", "abcd"));
        assert!(!matches("*.conf", "a.conf.bak") && !matches("?", "") && matches("*a*b", "xaab"));
    }

    #[test]
    fn a_file_that_includes_itself_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.conf");
        fs::write(&path, "include a.conf\n").unwrap();
        assert!(matches!(lines(&path), Err(ReadError::Depth(_))));
        fs::write(&path, "include b.conf\n").unwrap();
        let error = lines(&path).unwrap_err().to_string();
        assert!(error.contains("b.conf") && error.contains("a.conf:1"), "{error}");
    }
}
