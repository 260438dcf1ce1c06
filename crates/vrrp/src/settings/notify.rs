//! Who is told about changes of state.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::duration;

/// A script that is told about changes of state.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NotifySettings {
    /// Program and arguments; no shell is between.
    pub command: Vec<String>,
    /// The states it is told about: `master`, `backup`, `fault`, `stop`; all if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<String>,
    /// Whether type, name, state and priority are appended to the command.
    #[serde(default = "super::default_true")]
    pub arguments: bool,
    /// The user it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group it runs as; the user's without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// When to kill it.
    #[serde(default = "default_timeout", with = "duration")]
    pub timeout: Duration,
}

impl NotifySettings {
    /// Whether it is told about `state`, as Keepalived writes it.
    pub fn concerns(&self, state: &str) -> bool {
        self.on.is_empty() || self.on.iter().any(|word| word.eq_ignore_ascii_case(state))
    }
}

fn default_timeout() -> Duration {
    Duration::from_secs(60)
}
