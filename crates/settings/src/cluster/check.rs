//! What contradicts itself in the settings of a cluster whose values are each right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ClusterSettings, ServiceSettings, Timing, is_name};
use crate::nearest::did_you_mean;
use crate::{format_duration, normal_path};

/// The table that a contradiction is in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Timing,
    Pool(String),
    Service(String),
}

/// Two settings that cannot both hold.
#[derive(Clone, Debug)]
pub(super) struct Contradiction {
    pub(super) table: Table,
    pub(super) key: &'static str,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

#[derive(Default)]
struct Found(Vec<Contradiction>);

impl Found {
    fn add(&mut self, table: Table, key: &'static str, message: String) -> &mut Option<String> {
        self.0.push(Contradiction { table, key, message, help: None });
        let last = self.0.len() - 1;
        &mut self.0[last].help
    }
}

impl ClusterSettings {
    /// Says why these settings cannot hold together; a file is refused for the same reasons, with
    /// their places.
    ///
    /// # Errors
    /// Every contradiction, as sentences for a person.
    pub fn check(&self) -> Result<(), Vec<String>> {
        let found: Vec<_> = contradictions(self).into_iter().map(|found| found.message).collect();
        if found.is_empty() { Ok(()) } else { Err(found) }
    }
}

pub(super) fn contradictions(settings: &ClusterSettings) -> Vec<Contradiction> {
    let mut found = Found::default();
    check_timing(&settings.timing, &mut found);
    for name in settings.pools.keys().filter(|name| !is_name(name)) {
        found.add(Table::Pool(name.clone()), "name", bad_name("pool", name));
    }
    for (name, pool) in &settings.pools {
        if let Err(error) = normal_path(&pool.path) {
            let message = format!("the path of the pool `{name}` cannot be one: {error}");
            found.add(Table::Pool(name.clone()), "path", message);
        }
    }
    for (name, service) in &settings.services {
        check_service(settings, name, service, &mut found);
    }
    check_addresses(settings, &mut found);
    check_overlap(settings, &mut found);
    check_together(settings, &mut found);
    found.0
}

fn bad_name(what: &str, name: &str) -> String {
    format!(
        "`{name}` cannot name a {what}: use letters, digits, `-`, `_` and `.`, 63 at most, and \
         begin with a letter or a digit"
    )
}

fn check_timing(timing: &Timing, found: &mut Found) {
    for (key, value, bounds) in timing.clone().bounded() {
        // A short life of certificates is no danger: a file is refused for it, to be of help.
        if !bounds.contains(value) && key != "certificate_lifetime" {
            let (least, greatest) =
                (format_duration(*bounds.start()), format_duration(*bounds.end()));
            let value = format_duration(*value);
            let message = format!("`{key}` ({value}) must be between {least} and {greatest}");
            found.add(Table::Timing, key, message);
        }
    }
    let mut at_least = |key, value: Duration, factor: u32, other: &str, of: Duration, why: &str| {
        let least = of * factor;
        if value < least {
            let message = format!(
                "`{key}` ({}) must be at least {factor} times `{other}` ({}): {why}",
                format_duration(value),
                format_duration(of),
            );
            *found.add(Table::Timing, key, message) =
                Some(format!("{key} = \"{}\"", format_duration(least)));
        }
    };
    let heartbeat = timing.heartbeat_interval;
    let lost = "a lost datagram must not look like a dead node";
    at_least("failure_timeout", timing.failure_timeout, 3, "heartbeat_interval", heartbeat, lost);
    let renewed = "a lease must outlive a lost renewal";
    at_least("lease_time", timing.lease_time, 3, "heartbeat_interval", heartbeat, renewed);
    let heard = "a late heartbeat must not begin an election";
    at_least(
        "election_timeout",
        timing.election_timeout,
        3,
        "consensus_heartbeat",
        timing.consensus_heartbeat,
        heard,
    );
}

fn check_service(
    settings: &ClusterSettings,
    name: &str,
    service: &ServiceSettings,
    found: &mut Found,
) {
    let table = || Table::Service(name.into());
    if !is_name(name) {
        found.add(table(), "name", bad_name("service", name));
    }
    check_pool(settings, name, service, found);
    for (key, others) in
        [("apart_from", &service.apart_from), ("together_with", &service.together_with)]
    {
        for other in others {
            if other == name {
                found.add(table(), key, format!("`{key}` of `{name}` names the service itself"));
            } else if !settings.services.contains_key(other) {
                let known = settings.services.keys().map(String::as_str);
                *found.add(table(), key, format!("there is no service `{other}`")) =
                    did_you_mean(other, known);
            }
        }
    }
    for node in &service.prefer {
        if !service.only.is_empty() && !service.only.contains(node) {
            let message = format!("`{name}` prefers `{node}`, which `only` does not let hold it");
            found.add(table(), "prefer", message);
        }
    }
}

fn check_pool(
    settings: &ClusterSettings,
    name: &str,
    service: &ServiceSettings,
    found: &mut Found,
) {
    let table = || Table::Service(name.into());
    let Some(pool_name) = &service.pool else {
        if !service.exports.is_empty() {
            let message = format!("`{name}` has exports but no `pool` to keep its state in");
            found.add(table(), "export", message);
        }
        return;
    };
    let Some(pool) = settings.pools.get(pool_name) else {
        let known = settings.pools.keys().map(String::as_str);
        *found.add(table(), "pool", format!("there is no pool `{pool_name}`")) =
            did_you_mean(pool_name, known);
        return;
    };
    check_exports(name, service, (pool_name, &pool.path), found);
}

/// The exports of one service, which are told apart by their paths and their identities.
fn check_exports(name: &str, service: &ServiceSettings, pool: (&str, &Path), found: &mut Found) {
    let (mut paths, mut ids) = (BTreeMap::new(), BTreeMap::new());
    let mut add = |message: String, help: Option<&str>| {
        *found.add(Table::Service(name.into()), "export", message) = help.map(str::to_owned);
    };
    for export in &service.exports {
        let shown = export.export_path.display();
        let wrong = [&export.path, &export.export_path].map(|path| normal_path(path).err());
        if let Some(error) = wrong.into_iter().flatten().next() {
            add(format!("`{name}` cannot export `{shown}`: {error}"), None);
        } else if !export.path.starts_with(pool.1) {
            let path = export.path.display();
            let message =
                format!("`{path}` is not in the pool `{}`, which is {}", pool.0, pool.1.display());
            add(message, None);
        }
        if paths.insert(&export.export_path, ()).is_some() {
            add(format!("`{name}` exports `{shown}` twice"), None);
        } else if let Some(other) = ids.insert(export.id(), &export.export_path) {
            let message =
                format!("`{shown}` of `{name}` has the same fsid as `{}`", other.display());
            add(message, Some("give each export an `fsid` of its own"));
        }
    }
}

/// Two services may be on two nodes, and neither knows of the other's locks and open files.
fn check_overlap(settings: &ClusterSettings, found: &mut Found) {
    let mut directories: Vec<_> = settings
        .services
        .iter()
        .flat_map(|(name, service)| service.exports.iter().map(move |export| (&export.path, name)))
        .collect();
    // What is inside a directory follows it.
    directories.sort();
    let mut outer: Option<(&PathBuf, &String)> = None;
    for (path, name) in directories {
        match outer {
            Some((around, other)) if path.starts_with(around) => {
                if other == name {
                    continue;
                }
                let message = format!(
                    "`{name}` exports `{}`, which `{other}` exports as well{}: locks in one would \
                     not hold in the other",
                    path.display(),
                    if path == around { String::new() } else { format!(" ({})", around.display()) },
                );
                *found.add(Table::Service(name.clone()), "export", message) =
                    Some("give one service the addresses of both".into());
            }
            _ => outer = Some((path, name)),
        }
    }
}

fn check_addresses(settings: &ClusterSettings, found: &mut Found) {
    let mut holders = BTreeMap::new();
    for (name, service) in &settings.services {
        for address in &service.addresses {
            let key = (address.address(), address.vlan);
            let message = match holders.insert(key, name) {
                Some(other) if other == name => {
                    format!("`{name}` has the address {} twice", address.address())
                }
                Some(other) => {
                    format!("`{name}` and `{other}` both have the address {}", address.address())
                }
                None => continue,
            };
            found.add(Table::Service(name.clone()), "addresses", message);
        }
    }
}

/// Services that must be together, also by way of others, must not be kept apart, and need a node
/// that all of them may be on.
fn check_together(settings: &ClusterSettings, found: &mut Found) {
    for (name, service) in &settings.services {
        let group = together(settings, name);
        for other in &service.apart_from {
            if other != name && group.contains(&other.as_str()) {
                let message =
                    format!("`{name}` must be both together with and apart from `{other}`");
                found.add(Table::Service(name.clone()), "apart_from", message);
            }
        }
        for other in group.iter().filter_map(|other| Some((other, settings.services.get(*other)?)))
        {
            let (other, other_settings) = other;
            let both = !service.only.is_empty() && !other_settings.only.is_empty();
            let meet = service.only.iter().any(|node| other_settings.only.contains(node));
            if both && !meet && *other > name.as_str() {
                let message = format!(
                    "`{name}` must be together with `{other}`, but `only` leaves no node for both"
                );
                found.add(Table::Service(name.clone()), "only", message);
            }
        }
    }
}

/// All services that must be where `name` is, itself among them.
fn together<'a>(settings: &'a ClusterSettings, name: &'a str) -> Vec<&'a str> {
    let mut group = vec![name];
    let mut looked_at = 0;
    while let Some(&current) = group.get(looked_at) {
        looked_at += 1;
        for (other, service) in &settings.services {
            let named =
                settings.services.get(current).is_some_and(|s| s.together_with.contains(other));
            let names = service.together_with.iter().any(|with| with == current);
            if (named || names) && !group.contains(&other.as_str()) {
                group.push(other);
            }
        }
    }
    group
}
