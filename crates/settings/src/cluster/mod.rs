//! The settings of a cluster: one document, the same on every node.
//!
//! A file (`apply`, `plan`) is read with its places, so that what contradicts itself is named where
//! it stands; what is kept and sent between nodes are these values, in a form that names each field.

mod address;
mod check;
mod difference;
mod export_form;
mod read;
mod write;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use address::{AddressError, FloatingAddress};
pub use difference::{Difference, differences};
pub use read::{LoadedCluster, load_cluster, load_cluster_source};
pub use write::cluster_to_toml;

use crate::ExportSettings;

/// What the nodes of a cluster agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterSettings {
    /// How fast failures are noticed.
    pub timing: Timing,
    /// Where volumes and exports live, by name.
    pub pools: BTreeMap<String, PoolSettings>,
    /// What is served, by name.
    pub services: BTreeMap<String, ServiceSettings>,
}

/// How fast failures are noticed. The relations between these are checked when a file is read and
/// again before they are agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Timing {
    /// How often each node tells the others that it lives (a datagram).
    pub heartbeat_interval: Duration,
    /// A node is taken for dead after this long without a heartbeat, on all links.
    pub failure_timeout: Duration,
    /// How long a node may serve after the last renewal that it asked for.
    pub lease_time: Duration,
    /// How often the leader of the consensus is heard by the others.
    pub consensus_heartbeat: Duration,
    /// An election begins after this long without the leader.
    pub election_timeout: Duration,
    /// How long a certificate of a node is valid. It is renewed after two thirds of it.
    pub certificate_lifetime: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat_interval: Duration::from_millis(50),
            failure_timeout: Duration::from_millis(250),
            lease_time: Duration::from_millis(350),
            consensus_heartbeat: Duration::from_millis(50),
            election_timeout: Duration::from_millis(200),
            certificate_lifetime: Duration::from_secs(90 * 24 * 3600),
        }
    }
}

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Timing {
    /// Each time with its name and what it may be.
    fn bounded(&mut self) -> [(&'static str, &mut Duration, RangeInclusive<Duration>); 6] {
        [
            ("heartbeat_interval", &mut self.heartbeat_interval, 5 * MS..=1000 * MS),
            ("failure_timeout", &mut self.failure_timeout, 50 * MS..=60_000 * MS),
            ("lease_time", &mut self.lease_time, 50 * MS..=60_000 * MS),
            ("consensus_heartbeat", &mut self.consensus_heartbeat, 10 * MS..=1000 * MS),
            ("election_timeout", &mut self.election_timeout, 50 * MS..=60_000 * MS),
            ("certificate_lifetime", &mut self.certificate_lifetime, HOUR..=24 * 3650 * HOUR),
        ]
    }
}

/// An engine with its settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// What keeps the bytes.
    pub engine: Engine,
    /// The directory that every node mounts.
    pub path: PathBuf,
    /// A command that keeps a node from writing, called with the node's name as its last argument.
    #[serde(default)]
    pub fence: Vec<String>,
}

/// What keeps the bytes of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// A directory that every node mounts.
    #[default]
    Directory,
}

/// The unit of failover.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServiceSettings {
    /// Its floating addresses.
    pub addresses: Vec<FloatingAddress>,
    /// Where its state and its exports live.
    pub pool: Option<String>,
    /// What it offers over NFS.
    #[serde(with = "export_form::list")]
    pub exports: Vec<ExportSettings>,
    /// Nodes that should hold it, the best first.
    pub prefer: Vec<String>,
    /// Nodes that may hold it; any if empty.
    pub only: Vec<String>,
    /// Services that should not be on the same node.
    pub apart_from: Vec<String>,
    /// Services that must be on the same node.
    pub together_with: Vec<String>,
    /// What happens when a preferred node comes back.
    pub failback: Failback,
}

/// What happens when a node comes back that is preferred to the one that holds a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Failback {
    /// Nothing: the service stays where it is.
    #[default]
    Stay,
    /// It returns when its clients are idle.
    Idle,
    /// It returns at once, as a planned move.
    Now,
}

impl std::fmt::Display for Failback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stay => "stay",
            Self::Idle => "idle",
            Self::Now => "now",
        })
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Directory => "directory",
        })
    }
}

/// Whether a text can name a node, a pool or a service: letters, digits, `-`, `_` and `.`, at most
/// 63, the first a letter or a digit.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=63).contains(&text.len())
        && text.bytes().all(allowed)
        && text.as_bytes()[0].is_ascii_alphanumeric()
}
