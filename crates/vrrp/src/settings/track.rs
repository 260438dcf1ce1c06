//! What can be tracked.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{duration, is_false};
use crate::tracking::Weight;

/// A script whose exit status is tracked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptSettings {
    /// Its name.
    pub name: String,
    /// Program and arguments; no shell is between.
    pub command: Vec<String>,
    /// Time between two runs.
    #[serde(default = "one_second", with = "duration")]
    pub interval: Duration,
    /// When to kill it and count a failure; the interval without it.
    #[serde(default, with = "super::optional_duration", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Successes in a row until it is up.
    #[serde(default = "one")]
    pub rise: u32,
    /// Failures in a row until it is down.
    #[serde(default = "one")]
    pub fall: u32,
    /// Weight where a track names none.
    #[serde(default)]
    pub weight: i32,
    /// Whether that weight counts the other way round.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reverse: bool,
    /// What it is taken for before its first result.
    #[serde(default)]
    pub initial: InitialState,
    /// The user it runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The group it runs as; the user's without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What a script is taken for before its first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InitialState {
    /// Nothing: who tracks it without weight waits for the result.
    #[default]
    Wait,
    /// Up.
    Up,
    /// Down.
    Down,
}

/// A process whose presence is tracked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessSettings {
    /// Its name here.
    pub name: String,
    /// The process's name as in `/proc/PID/comm`, or its command line if there are parameters.
    pub process: String,
    /// The parameters that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Vec<String>>,
    /// How they are compared.
    #[serde(default)]
    pub parameter_match: ParameterMatch,
    /// Whether `process` is compared with the first word of the command line, path and all.
    #[serde(default, skip_serializing_if = "is_false")]
    pub full_command: bool,
    /// The fewest processes that count as up.
    #[serde(default = "one")]
    pub quorum: u32,
    /// The most processes that count as up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_max: Option<u32>,
    /// How long it must be well before it counts as up again.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub up_delay: Duration,
    /// How long it must be missing before it counts as down.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub down_delay: Duration,
    /// Time between two looks for new processes; the end of a known one is noticed at once.
    #[serde(default = "one_second", with = "duration")]
    pub interval: Duration,
    /// Weight where a track names none.
    #[serde(default)]
    pub weight: i32,
    /// Whether that weight counts the other way round.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reverse: bool,
}

/// How parameters of a process are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterMatch {
    /// The same ones.
    #[default]
    Exact,
    /// The same ones, and there may be more.
    Partial,
    /// As `Partial`, and the last one may be longer.
    Initial,
}

/// A file whose number is tracked.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FileSettings {
    /// Its name here.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// Weight where a track names none.
    #[serde(default = "weight_one")]
    pub weight: i32,
    /// Whether that weight counts the other way round.
    #[serde(default, skip_serializing_if = "is_false")]
    pub reverse: bool,
}

/// What a virtual router or a group tracks: exactly one of the five, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrackSettings {
    /// A script of `[[vrrp.script]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// A network interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// A process of `[[vrrp.process]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// A file of `[[vrrp.file]]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// A service of our own, whose health is reported from inside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The weight; else that of the script, process or file, and zero for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<i32>,
    /// Whether the weight counts the other way round.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reverse: Option<bool>,
}

/// The kinds of tracked things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrackKind {
    /// A script.
    Script,
    /// A network interface.
    Interface,
    /// A process.
    Process,
    /// A file.
    File,
    /// A service of our own.
    Service,
}

impl TrackSettings {
    /// What it names; `None` unless it is exactly one thing.
    pub fn target(&self) -> Option<(TrackKind, &str)> {
        let mut named = [
            (TrackKind::Script, &self.script),
            (TrackKind::Interface, &self.interface),
            (TrackKind::Process, &self.process),
            (TrackKind::File, &self.file),
            (TrackKind::Service, &self.service),
        ]
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, name.as_deref()?)));
        named.next().filter(|_| named.next().is_none())
    }

    /// The weight, where the tracked thing's own is `default`.
    pub fn weight(&self, default: Weight) -> Weight {
        Weight {
            value: self.weight.unwrap_or(default.value),
            reverse: self.reverse.unwrap_or(default.reverse),
        }
    }
}

fn one() -> u32 {
    1
}

fn weight_one() -> i32 {
    1
}

fn one_second() -> Duration {
    Duration::from_secs(1)
}
