//! What a new settings file changes, and when.

use std::fmt;

use serde::Serialize;

use crate::{ExportSettings, Settings};

/// When a change of a setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Applies {
    /// At once, on a reload.
    Live,
    /// After a restart.
    Restart,
}

/// A setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The setting: `limits.connections`, or `export /srv/data`.
    pub key: String,
    /// When the change holds.
    pub applies: Applies,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.applies {
            Applies::Live => f.write_str(&self.key),
            Applies::Restart => write!(f, "{} (after a restart)", self.key),
        }
    }
}

/// Every setting that differs between `old` and `new`. Exports are added, changed and removed
/// live; which files they come from is no change in itself.
pub fn changes(old: &Settings, new: &Settings) -> Vec<Change> {
    let mut changes = old.section_changes(new);
    let live = |export: &ExportSettings| Change {
        key: format!("export {}", export.export_path.display()),
        applies: Applies::Live,
    };
    let same_name =
        |one: &ExportSettings, other: &ExportSettings| one.export_path == other.export_path;
    let added_or_changed = new.exports.iter().filter(|export| !old.exports.contains(export));
    changes.extend(added_or_changed.map(live));
    let removed =
        old.exports.iter().filter(|gone| !new.exports.iter().any(|export| same_name(gone, export)));
    changes.extend(removed.map(live));
    changes
}
