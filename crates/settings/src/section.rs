//! One table of a TOML file: what is asked of it is known, everything else is named as unknown.

use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Issues;
use crate::nearest::did_you_mean;
use crate::settings::SECTIONS;
use crate::value::{Bounded, Value, wrong_type};

/// A table that is being read.
pub(crate) struct Section<'t, 'b> {
    /// As it is written: `[limits]`, `[[export]]`; empty for the top of the file.
    title: &'static str,
    table: Option<&'t DeTable<'t>>,
    asked: Vec<&'static str>,
    pub(crate) issues: &'b mut Issues,
}

impl<'t, 'b> Section<'t, 'b> {
    /// A table, or its absence, which is as good as an empty one.
    pub(crate) fn new(
        title: &'static str,
        table: Option<&'t DeTable<'t>>,
        issues: &'b mut Issues,
    ) -> Self {
        Self { title, table, asked: Vec::new(), issues }
    }

    /// A table that must be one, if it is there.
    pub(crate) fn of_value(
        title: &'static str,
        value: Option<&'t Spanned<DeValue<'t>>>,
        issues: &'b mut Issues,
    ) -> Self {
        let table = value.and_then(|value| value.get_ref().as_table());
        if let (Some(value), None) = (value, table) {
            wrong_type(value, &format!("a table, {title}"), issues);
        }
        Self::new(title, table, issues)
    }

    /// The raw value of a key, which is known from now on.
    pub(crate) fn raw(&mut self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.asked.push(key);
        self.table?.get(key)
    }

    /// The value of a key, if it is there and right.
    pub(crate) fn get<T: Value>(&mut self, key: &'static str) -> Option<T> {
        let value = self.raw(key)?;
        T::read(value, self.issues)
    }

    /// The value of a key, in its place, if it is there and right.
    pub(crate) fn set<T: Value>(&mut self, key: &'static str, target: &mut T) {
        if let Some(value) = self.get(key) {
            *target = value;
        }
    }

    /// As [`Self::set`], for a value that has bounds.
    pub(crate) fn set_within<T: Value + Bounded>(
        &mut self,
        key: &'static str,
        target: &mut T,
        bounds: RangeInclusive<T>,
    ) {
        let Some(value) = self.get::<T>(key) else { return };
        if bounds.contains(&value) {
            *target = value;
            return;
        }
        let (least, greatest) = (bounds.start().show(), bounds.end().show());
        let message = format!("`{key}` must be between {least} and {greatest}");
        if let Some(span) = self.span(key) {
            self.issues.error(span, message);
        }
    }

    /// Where the value of a key is.
    pub(crate) fn span(&self, key: &str) -> Option<Range<usize>> {
        self.table?.get(key).map(Spanned::span)
    }

    /// Names every key that nobody asked for.
    pub(crate) fn finish(self) {
        let Some(table) = self.table else { return };
        for (key, _) in table.iter() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let message = match self.title {
                "" => format!("unknown setting `{name}`"),
                title => format!("unknown setting `{name}` in {title}"),
            };
            let help = elsewhere(self.title, name)
                .or_else(|| did_you_mean(name, self.asked.iter().copied()));
            self.issues.error(key.span(), message).maybe_help(help);
        }
    }
}

/// Where a key belongs that was written in the wrong section.
fn elsewhere(title: &str, key: &str) -> Option<String> {
    let (home, _) = SECTIONS.iter().find(|(home, keys)| *home != title && keys.contains(&key))?;
    Some(match *home {
        "" => format!("`{key}` belongs at the top of the file, above the first [section]"),
        home => format!("`{key}` belongs in {home}"),
    })
}
