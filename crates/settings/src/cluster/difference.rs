//! What changes if other settings are applied.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ClusterSettings, cluster_to_toml};

/// One table that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is, such as `service vmstore`.
    pub subject: String,
    /// Its lines of now that will be gone.
    pub removed: Vec<String>,
    /// Its lines that will be new.
    pub added: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.subject)?;
        self.removed.iter().try_for_each(|line| writeln!(f, "  - {line}"))?;
        self.added.iter().try_for_each(|line| writeln!(f, "  + {line}"))
    }
}

/// What differs between two settings, table by table, in the lines of the file.
pub fn differences(old: &ClusterSettings, new: &ClusterSettings) -> Vec<Difference> {
    let mut found = Vec::new();
    let timing = |settings: &ClusterSettings| {
        lines(ClusterSettings { timing: settings.timing.clone(), ..ClusterSettings::default() })
    };
    compare("timing".into(), timing(old), timing(new), &mut found);
    for name in names(old.pools.keys(), new.pools.keys()) {
        let of = |settings: &ClusterSettings| {
            let pool = settings.pools.get_key_value(name)?;
            Some([(pool.0.clone(), pool.1.clone())].into())
        };
        let text = |settings| {
            of(settings).map_or_else(Vec::new, |pools| {
                tail(ClusterSettings { pools, ..ClusterSettings::default() })
            })
        };
        compare(format!("pool {name}"), text(old), text(new), &mut found);
    }
    for name in names(old.services.keys(), new.services.keys()) {
        let of = |settings: &ClusterSettings| {
            let service = settings.services.get_key_value(name)?;
            Some([(service.0.clone(), service.1.clone())].into())
        };
        let text = |settings| {
            of(settings).map_or_else(Vec::new, |services| {
                tail(ClusterSettings { services, ..ClusterSettings::default() })
            })
        };
        compare(format!("service {name}"), text(old), text(new), &mut found);
    }
    found
}

fn names<'a>(
    old: impl Iterator<Item = &'a String>,
    new: impl Iterator<Item = &'a String>,
) -> std::collections::BTreeSet<&'a String> {
    old.chain(new).collect()
}

fn lines(settings: ClusterSettings) -> Vec<String> {
    let text = cluster_to_toml(&settings);
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The lines after those of the timing, which every document begins with.
fn tail(settings: ClusterSettings) -> Vec<String> {
    let skip = lines(ClusterSettings::default()).len();
    lines(settings).split_off(skip)
}

fn compare(subject: String, old: Vec<String>, new: Vec<String>, found: &mut Vec<Difference>) {
    let without = |all: &[String], other: &[String]| -> Vec<String> {
        let mut other = other.to_vec();
        let mut rest = Vec::new();
        for line in all {
            match other.iter().position(|candidate| candidate == line) {
                Some(at) => _ = other.remove(at),
                None => rest.push(line.clone()),
            }
        }
        rest
    };
    let (removed, added) = (without(&old, &new), without(&new, &old));
    if !removed.is_empty() || !added.is_empty() {
        found.push(Difference { subject, removed, added });
    }
}
