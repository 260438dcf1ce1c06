//! The settings of a cluster as a file that gives them when it is read.

use std::fmt::{Display, Write};

use super::{ClusterSettings, PoolSettings, ServiceSettings, Timing};
use crate::format_duration;
use crate::to_toml::export_table;

/// The settings as TOML. What is as by default is left out, except the timing, which people look
/// for.
pub fn cluster_to_toml(settings: &ClusterSettings) -> String {
    let mut parts = vec![timing(&settings.timing)];
    parts.extend(settings.pools.iter().map(|(name, settings)| pool(name, settings)));
    parts.extend(settings.services.iter().map(|(name, settings)| service(name, settings)));
    parts.join("\n")
}

fn timing(timing: &Timing) -> String {
    let mut text = String::from("[timing]\n");
    for (key, value) in [
        ("heartbeat_interval", timing.heartbeat_interval),
        ("failure_timeout", timing.failure_timeout),
        ("lease_time", timing.lease_time),
        ("consensus_heartbeat", timing.consensus_heartbeat),
        ("election_timeout", timing.election_timeout),
        ("certificate_lifetime", timing.certificate_lifetime),
    ] {
        line(&mut text, key, quoted(format_duration(value)));
    }
    text
}

fn pool(name: &str, pool: &PoolSettings) -> String {
    let mut text = String::from("[[pool]]\n");
    line(&mut text, "name", quoted(name));
    line(&mut text, "engine", quoted(pool.engine));
    line(&mut text, "path", quoted(pool.path.display()));
    list(&mut text, "fence", &pool.fence);
    text
}

fn service(name: &str, service: &ServiceSettings) -> String {
    let mut text = String::from("[[service]]\n");
    line(&mut text, "name", quoted(name));
    list(&mut text, "addresses", &service.addresses);
    if let Some(pool) = &service.pool {
        line(&mut text, "pool", quoted(pool));
    }
    list(&mut text, "prefer", &service.prefer);
    list(&mut text, "only", &service.only);
    list(&mut text, "apart_from", &service.apart_from);
    list(&mut text, "together_with", &service.together_with);
    if service.failback != Default::default() {
        line(&mut text, "failback", quoted(service.failback));
    }
    for export in &service.exports {
        text += &format!("\n{}", export_table("[[service.export]]", export));
    }
    text
}

fn line(text: &mut String, key: &str, value: String) {
    // Writing to a string does not fail.
    let _written = writeln!(text, "{key} = {value}");
}

fn list(text: &mut String, key: &str, values: &[impl Display]) {
    if !values.is_empty() {
        let values: Vec<_> = values.iter().map(quoted).collect();
        line(text, key, format!("[{}]", values.join(", ")));
    }
}

fn quoted(value: impl Display) -> String {
    toml::Value::from(value.to_string()).to_string()
}
