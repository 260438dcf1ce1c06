//! Host names with wildcards, as exports(5) has them.

use std::fmt;

/// A pattern of `*` (any characters, dots too), `?` (one character) and classes such as `[a-z]`
/// or `[!0-9]`, compared without regard to case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wildcard {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Part {
    Anything,
    OneByte,
    Byte(u8),
    Class { negated: bool, ranges: Vec<(u8, u8)> },
}

impl Part {
    fn matches(&self, byte: u8) -> bool {
        match self {
            Self::Anything | Self::OneByte => true,
            Self::Byte(wanted) => *wanted == byte,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&byte)) != *negated
            }
        }
    }
}

impl Wildcard {
    /// Reads a pattern; a class without its `]` is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let mut rest = lower.as_bytes();
        let mut parts = Vec::new();
        while let [first, after @ ..] = rest {
            rest = after;
            let part = match first {
                b'*' => Part::Anything,
                b'?' => Part::OneByte,
                b'[' => class(&mut rest)?,
                byte => Part::Byte(*byte),
            };
            if part != Part::Anything || parts.last() != Some(&Part::Anything) {
                parts.push(part);
            }
        }
        Some(Self { text: text.into(), parts })
    }

    /// Whether the whole name fits the pattern. The time is bounded by the product of both
    /// lengths.
    pub fn matches(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let name = name.as_bytes();
        let (mut at, mut part) = (0, 0);
        // Where to go on if what follows the latest `*` does not fit: the `*` takes one byte more.
        let mut retry: Option<(usize, usize)> = None;
        while at < name.len() {
            match self.parts.get(part) {
                Some(Part::Anything) => {
                    retry = Some((part + 1, at));
                    part += 1;
                }
                Some(other) if other.matches(name[at]) => {
                    at += 1;
                    part += 1;
                }
                _ => {
                    let Some((after_star, taken)) = retry else { return false };
                    retry = Some((after_star, taken + 1));
                    part = after_star;
                    at = taken + 1;
                }
            }
        }
        self.parts.get(part..).is_some_and(|rest| rest.iter().all(|part| *part == Part::Anything))
    }
}

/// Reads a class after its `[` and moves `rest` behind its `]`.
fn class(rest: &mut &[u8]) -> Option<Part> {
    let negated = matches!(rest.first(), Some(b'!' | b'^'));
    let inner = rest.get(usize::from(negated)..)?;
    // A `]` that comes first is a member.
    let end = 1 + inner.get(1..)?.iter().position(|&byte| byte == b']')?;
    let (mut members, after) = (inner.get(..end)?, inner.get(end + 1..)?);
    let mut ranges = Vec::new();
    loop {
        match members {
            [first, b'-', last, more @ ..] => {
                ranges.push((*first, *last));
                members = more;
            }
            [first, more @ ..] => {
                ranges.push((*first, *first));
                members = more;
            }
            [] => break,
        }
    }
    *rest = after;
    Some(Part::Class { negated, ranges })
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        Wildcard::parse(pattern).unwrap().matches(name)
    }

    #[test]
    fn wildcards_match_whole_names() {
        for (pattern, name, expected) in [
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", "a.example.org.evil", false),
            ("*.Example.org", "A.EXAMPLE.ORG", true),
            ("host?", "host1", true),
            ("host?", "host", false),
            ("host?", "host12", false),
            ("build[0-9].lan", "build7.lan", true),
            ("build[0-9].lan", "buildx.lan", false),
            ("build[!0-9].lan", "buildx.lan", true),
            ("[]a]x", "]x", true),
            ("[a-]x", "-x", true),
            ("a**b*c", "axxbyyc", true),
            ("a**b*c", "axxbyyd", false),
            ("*", "", true),
            ("?*", "", false),
            ("*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn an_open_class_is_no_pattern() {
        for text in ["[", "[]", "[a", "[!", "[!]", "x[a-z"] {
            assert!(Wildcard::parse(text).is_none(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_input_makes_it_panic(pattern: String, name: String) {
            if let Some(pattern) = Wildcard::parse(&pattern) {
                pattern.matches(&name);
            }
        }
    }
}
