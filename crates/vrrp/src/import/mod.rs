//! Reads a configuration of Keepalived and makes settings of it, with an account of every line.

mod accounts;
mod addresses;
mod danger;
mod expand;
mod finding;
mod global;
mod group;
mod instance;
mod read;
mod script;
mod tracks;
mod tree;
mod words;

pub use finding::{Finding, Place, Verdict};
pub use read::ReadError;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::settings::{File, Settings};
use accounts::Accounts;
use tree::Node;

/// How to read a configuration.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What `keepalived --config-id` is given: the lines that begin with `@ID` belong to it.
    pub config_id: Option<String>,
}

/// Settings made of a configuration.
#[derive(Clone, Debug)]
pub struct Import {
    /// The settings.
    pub settings: Settings,
    /// What became of each line, in the order of the lines, and what is dangerous.
    pub findings: Vec<Finding>,
}

/// Why a configuration cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It has lines for several machines.
    #[error(
        "{path} has lines for the configuration ids {}; say whose settings are wanted with \
         --config-id", ids.join(", ")
    )]
    ConfigId {
        /// The configuration.
        path: String,
        /// The ids in it.
        ids: Vec<String>,
    },
    /// The settings cannot be written as TOML.
    #[error("cannot write the settings: {0}")]
    Write(#[from] toml::ser::Error),
}

/// Imports the configuration at `path`: the body of `standfast import keepalived FILE`.
///
/// # Errors
/// If it cannot be read, or has `@id` lines and `options` name no id. What is in it is never an
/// error but a [`Finding`].
pub fn import(path: &Path, options: &Options) -> Result<Import, ImportError> {
    let lines = read::lines(path)?;
    let ids = expand::ids(&lines);
    if !ids.is_empty() && options.config_id.is_none() {
        let path = path.display().to_string();
        return Err(ImportError::ConfigId { path, ids: ids.into_iter().collect() });
    }
    let mut import = of_lines(&lines, options.config_id.as_deref());
    danger::compare_ids(&lines, &ids, options.config_id.as_deref(), &mut import);
    import.findings.sort_by_key(|finding| finding.place.order());
    Ok(import)
}

/// Reads lines as the machine `id` does.
fn of_lines(lines: &[read::Line], id: Option<&str>) -> Import {
    let mut accounts = Accounts::default();
    let nodes = tree::parse(&expand::expand(lines, id, &mut accounts), &mut accounts);
    let settings = settings(&nodes, &mut accounts);
    danger::look(&nodes, &settings, &mut accounts);
    if let (Err(error), Some(line)) = (settings.check(), lines.last()) {
        let note = format!("the settings do not run as they are: {error}");
        accounts.add(&line.place, Verdict::Warning, &line.text, &note);
    }
    Import { settings, findings: accounts.findings }
}

fn settings(nodes: &[Node], accounts: &mut Accounts) -> Settings {
    let mut settings = Settings::default();
    let mut defaults = global::Defaults::default();
    for node in nodes.iter().filter(|node| node.keyword() == "global_defs") {
        global::map(node, &mut settings, &mut defaults, accounts);
    }
    for node in nodes {
        match node.keyword() {
            "global_defs" => {}
            "vrrp_script" => script::map(node, &mut settings, accounts),
            "track_file" | "vrrp_track_file" => tracks::map_file(node, &mut settings, accounts),
            "vrrp_track_process" => tracks::map_process(node, &mut settings, accounts),
            "vrrp_instance" => instance::map(node, &defaults, &mut settings, accounts),
            "vrrp_sync_group" => group::map(node, &mut settings, accounts),
            "virtual_server" | "virtual_server_group" => accounts.refuse_all(
                node,
                "load balancing with LVS is not a part of Standfast; keep it in Keepalived, or use a \
                 proxy",
            ),
            "static_ipaddress" | "static_routes" | "static_rules" => accounts.refuse_all(
                node,
                "addresses, routes and rules that stay belong to the system's network settings",
            ),
            other => {
                let reason = format!("`{other}` has no counterpart here");
                accounts.refuse_all(node, &reason);
            }
        }
    }
    group::zero_weights(nodes, &mut settings, accounts);
    settings
}

impl Import {
    /// The settings as a file, with what was refused and what is dangerous as comments at its head.
    ///
    /// # Errors
    /// If they cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, ImportError> {
        let mut text = String::from("# Made of a configuration of Keepalived.\n");
        for finding in &self.findings {
            if matches!(finding.verdict, Verdict::Refused | Verdict::Warning) {
                // Writing to a string does not fail.
                let _ = writeln!(text, "# {finding}");
            }
        }
        text.push('\n');
        text.push_str(&toml::to_string(&File { vrrp: self.settings.clone() })?);
        Ok(text)
    }

    /// The names of the verdicts that were given.
    pub fn verdicts(&self) -> BTreeSet<Verdict> {
        self.findings.iter().map(|finding| finding.verdict).collect()
    }
}

#[cfg(test)]
mod tests;
