//! Reading the values of a TOML file into their types.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use crate::diagnostic::Issues;
use crate::nearest::did_you_mean;
use crate::{ByteSize, Fsid, SecurityFlavour, Squash, format_duration, parse_duration};

/// What a setting can be.
pub(crate) trait Value: Sized {
    /// Reads the value, or says why it is none of this type.
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self>;
}

/// A value that has a least and a greatest one.
pub(crate) trait Bounded: PartialOrd {
    /// The value as a person writes it.
    fn show(&self) -> String;
}

/// A value that is one of a few words.
pub(crate) trait Keyword: Copy + 'static {
    /// Each word and what it means.
    const WORDS: &'static [(&'static str, Self)];
}

/// Says what was expected and what is there instead.
pub(crate) fn wrong_type(value: &Spanned<DeValue<'_>>, expected: &str, issues: &mut Issues) {
    let found = match value.get_ref() {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    issues.error(value.span(), format!("expected {expected}, found {found}"));
}

/// Reads a string and parses it.
pub(crate) fn read_text<T, E: std::fmt::Display>(
    value: &Spanned<DeValue<'_>>,
    expected: &str,
    issues: &mut Issues,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    let Some(text) = value.get_ref().as_str() else {
        wrong_type(value, expected, issues);
        return None;
    };
    let parsed = parse(text);
    parsed.map_err(|error| _ = issues.error(value.span(), error.to_string())).ok()
}

/// The number in its own base; `None` if it is beyond every type of ours.
fn integer(number: &DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Value for $type {
            fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
                let Some(number) = value.get_ref().as_integer() else {
                    wrong_type(value, "a whole number", issues);
                    return None;
                };
                let fitting = integer(number).and_then(|number| Self::try_from(number).ok());
                if fitting.is_none() {
                    let message = format!("{number} must be between 0 and {}", Self::MAX);
                    issues.error(value.span(), message);
                }
                fitting
            }
        }

        impl Bounded for $type {
            fn show(&self) -> String {
                self.to_string()
            }
        }
    )*};
}
integers!(u16, u32, usize);

impl Value for bool {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        let read = value.get_ref().as_bool();
        if read.is_none() {
            wrong_type(value, "true or false", issues);
        }
        read
    }
}

impl Value for String {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "a string", issues, str::parse)
    }
}

impl Value for PathBuf {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "a path", issues, |text| crate::normal_path(text))
    }
}

impl Value for IpAddr {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "an IP address", issues, |text| {
            text.parse().map_err(|_| format!("`{text}` is not an IP address"))
        })
    }
}

impl Value for SocketAddr {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "an address with a port", issues, |text| {
            text.parse().map_err(|_| {
                format!(
                    "`{text}` is not an address with a port, such as 127.0.0.1:9469 or [::1]:9469"
                )
            })
        })
    }
}

impl Value for Duration {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "a duration such as \"10s\"", issues, parse_duration)
    }
}

impl Bounded for Duration {
    fn show(&self) -> String {
        format_duration(*self)
    }
}

impl Value for ByteSize {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        read_text(value, "a size such as \"4MiB\"", issues, str::parse)
    }
}

impl Bounded for ByteSize {
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for Fsid {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => u32::read(value, issues).map(Self::Number),
            _ => read_text(value, "a number or a UUID", issues, str::parse),
        }
    }
}

impl<T: Value> Value for Option<T> {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        T::read(value, issues).map(Some)
    }
}

/// A list; one value alone is a list of one.
impl<T: Value> Value for Vec<T> {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        match value.get_ref().as_array() {
            // Each element is read, so that all that is wrong is said.
            Some(elements) => {
                let read: Vec<_> = elements.iter().map(|value| T::read(value, issues)).collect();
                read.into_iter().collect()
            }
            None => T::read(value, issues).map(|value| vec![value]),
        }
    }
}

impl<T: Keyword> Value for T {
    fn read(value: &Spanned<DeValue<'_>>, issues: &mut Issues) -> Option<Self> {
        let names = || T::WORDS.iter().map(|(name, _)| *name);
        let choice = || names().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        let Some(text) = value.get_ref().as_str() else {
            wrong_type(value, &format!("one of {}", choice()), issues);
            return None;
        };
        let word = T::WORDS.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        if word.is_none() {
            let message = format!("`{text}` is not one of {}", choice());
            issues.error(value.span(), message).maybe_help(did_you_mean(text, names()));
        }
        word
    }
}

impl Keyword for Squash {
    const WORDS: &'static [(&'static str, Self)] =
        &[("root", Self::Root), ("all", Self::All), ("none", Self::None)];
}

impl Keyword for SecurityFlavour {
    const WORDS: &'static [(&'static str, Self)] = &[("sys", Self::Sys)];
}

/// Whether a client may write, as it is written in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    ReadOnly,
    ReadWrite,
}

impl Keyword for Mode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("ro", Self::ReadOnly), ("rw", Self::ReadWrite)];
}
