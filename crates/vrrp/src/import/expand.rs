//! Conditions (`@id`) and parameters (`$NAME`), as keepalived.conf(5) has them.

use std::collections::{BTreeSet, HashMap};

use super::accounts::Accounts;
use super::finding::Verdict;
use super::read::Line;

/// How often a parameter may expand to another.
const MOST_DEPTH: usize = 32;
/// What makes many lines of one, which nobody writes by hand.
const GENERATORS: [&str; 2] = ["~SEQ(", "~LST("];
/// Octets of one line after expansion.
const MOST_OCTETS: usize = 1 << 20;

/// The ids that conditions name.
pub(super) fn ids(lines: &[Line]) -> BTreeSet<String> {
    let condition = |line: &Line| {
        let (word, _) = split(&line.text);
        word.strip_prefix('@').map(|id| id.trim_start_matches('^').to_owned())
    };
    lines.iter().filter_map(condition).filter(|id| !id.is_empty()).collect()
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

/// What is left of a line after its conditions; `None` if one of them does not hold.
fn conditioned<'a>(text: &'a str, id: Option<&str>) -> Option<&'a str> {
    let mut text = text;
    while let (word, rest) = split(text)
        && let Some(condition) = word.strip_prefix('@')
    {
        let holds = match condition.strip_prefix('^') {
            Some(other) => id != Some(other),
            None => id == Some(condition),
        };
        if !holds {
            return None;
        }
        text = rest;
    }
    Some(text)
}

/// The name and the value of a definition.
fn definition(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.strip_prefix('$')?.split_once('=')?;
    is_name(name).then_some((name, value))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

struct Expander<'a> {
    id: Option<&'a str>,
    parameters: HashMap<String, String>,
    /// The name and the lines so far of a definition that goes on.
    open: Option<(String, Vec<String>)>,
    lines: Vec<Line>,
}

/// Applies conditions and parameters to all lines.
pub(super) fn expand(lines: &[Line], id: Option<&str>, accounts: &mut Accounts) -> Vec<Line> {
    let parameters = HashMap::new();
    let mut expander = Expander { id, parameters, open: None, lines: Vec::new() };
    for line in lines {
        expander.take(line, accounts);
    }
    expander.lines
}

impl Expander<'_> {
    fn take(&mut self, line: &Line, accounts: &mut Accounts) {
        let text = line.text.trim();
        let (text, goes_on) = match text.strip_suffix('\\') {
            Some(text) => (text.trim_end(), true),
            None => (text, false),
        };
        if let Some((name, mut parts)) = self.open.take() {
            parts.push(text.into());
            self.define(name, parts, goes_on);
            return accounts.add(&line.place, Verdict::Mapped, text, "a part of a parameter");
        }
        let Some(text) = conditioned(text, self.id) else {
            return accounts.add(&line.place, Verdict::Mapped, &line.text, "it is for another id");
        };
        if let Some((name, value)) = definition(text) {
            let parts = if value.is_empty() { Vec::new() } else { vec![value.to_owned()] };
            self.define(name.into(), parts, goes_on);
            return accounts.add(&line.place, Verdict::Mapped, text, "a parameter");
        }
        if GENERATORS.iter().any(|generator| text.contains(generator)) {
            let note = "~SEQ and ~LST are not expanded; write the lines out";
            return accounts.add(&line.place, Verdict::Refused, text, note);
        }
        let Some(expanded) = self.substitute(text, 0, &line.place.file) else {
            let note = "its parameters expand without end";
            return accounts.add(&line.place, Verdict::Refused, text, note);
        };
        for part in expanded.lines() {
            if let Some(part) = conditioned(part, self.id)
                && !part.is_empty()
            {
                self.lines.push(Line { place: line.place.clone(), text: part.into() });
            }
        }
    }

    fn define(&mut self, name: String, parts: Vec<String>, goes_on: bool) {
        if goes_on {
            self.open = Some((name, parts));
        } else {
            self.parameters.insert(name, parts.join("\n"));
        }
    }

    fn value(&self, name: &str, file: &std::path::Path) -> Option<String> {
        match name {
            "_PWD" => file.parent().map(|parent| parent.display().to_string()),
            _ => self.parameters.get(name).cloned(),
        }
    }

    /// Replaces `${NAME}`, and `$NAME` before white space or the end, until nothing is left to
    /// replace.
    fn substitute(&self, text: &str, depth: usize, file: &std::path::Path) -> Option<String> {
        if depth > MOST_DEPTH || text.len() > MOST_OCTETS {
            return None;
        }
        let mut result = String::new();
        let mut rest = text;
        let mut replaced = false;
        while let Some(at) = rest.find('$') {
            let (before, after) = rest.split_at(at);
            result.push_str(before);
            let (name, end) = reference(after);
            match name.and_then(|name| self.value(name, file)) {
                Some(value) => {
                    result.push_str(&value);
                    replaced = true;
                }
                None => result.push_str(after.get(..end).unwrap_or("$")),
            }
            rest = after.get(end..).unwrap_or_default();
            if result.len() > MOST_OCTETS {
                return None;
            }
        }
        result.push_str(rest);
        if replaced { self.substitute(&result, depth + 1, file) } else { Some(result) }
    }
}

/// The name that a `$` refers to, and where the reference ends.
fn reference(text: &str) -> (Option<&str>, usize) {
    let after = text.get(1..).unwrap_or_default();
    if let Some(braced) = after.strip_prefix('{') {
        return match braced.find('}') {
            Some(end) => (braced.get(..end).filter(|name| is_name(name)), end + 3),
            None => (None, 1),
        };
    }
    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(after.len());
    let name = after.get(..end).filter(|name| is_name(name));
    let ends = after.get(end..).unwrap_or_default().chars().next().is_none_or(char::is_whitespace);
    if ends { (name, end + 1) } else { (None, 1) }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use super::super::finding::Place;
    use super::*;

    fn expanded(text: &str, id: Option<&str>) -> Vec<String> {
        let file = Arc::new(PathBuf::from("/etc/keepalived/x.conf"));
        let lines: Vec<Line> = text
            .lines()
            .enumerate()
            .map(|(n, text)| Line { place: Place::new(file.clone(), n + 1, n), text: text.into() })
            .collect();
        let lines = expand(&lines, id, &mut Accounts::default());
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn conditions_choose_lines() {
        let text = "@a x\n@b y\n@^a z\nw";
        assert_eq!(expanded(text, Some("a")), ["x", "w"]);
        assert_eq!(expanded(text, Some("b")), ["y", "z", "w"]);
        assert_eq!(expanded(text, None), ["z", "w"]);
    }

    #[test]
    fn parameters_are_replaced_when_they_are_used() {
        let text = "$BASE=10.2.${SUB}\n$SUB=0\n${BASE}.100/32\n$SUB=10\n${BASE}.100/32";
        assert_eq!(expanded(text, None), ["10.2.0.100/32", "10.2.10.100/32"]);
        assert_eq!(expanded("@a $P=240\n@b $P=200\npriority $P", Some("b")), ["priority 200"]);
        assert_eq!(expanded("x $UNKNOWN ${UNKNOWN} $1 $", None), ["x $UNKNOWN ${UNKNOWN} $1 $"]);
        assert_eq!(expanded("file ${_PWD}/y", None), ["file /etc/keepalived/y"]);
        assert_eq!(expanded("$IF=@main\n$IF priority 1", Some("main")), ["priority 1"]);
    }

    #[test]
    fn definitions_may_have_many_lines() {
        let text = "$I= \\\nvrrp_instance V${N} { \\\n @high priority 130 \\\n @low priority 120 \\\n}\n\
                    $N=0\n$I\n$N=1\n$I";
        let expected =
            ["vrrp_instance V0 {", "priority 120", "}", "vrrp_instance V1 {", "priority 120", "}"];
        assert_eq!(expanded(text, Some("low")), expected);
    }

    #[test]
    fn endless_parameters_are_refused() {
        assert!(expanded("$A=${A}${A}\nx ${A}", None).is_empty());
    }
}
