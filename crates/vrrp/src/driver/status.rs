//! What the virtual routers say of themselves.

use std::net::IpAddr;

use serde::Serialize;

use crate::instance::{Command, State};
use crate::settings::TrackKind;
use crate::statistics::{RouterStatistics, Statistics};
use crate::tracking::Status;

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The virtual routers.
    pub instances: Vec<InstanceStatus>,
    /// What they track.
    pub tracks: Vec<TrackReport>,
    /// Counters of the whole process.
    pub statistics: RouterStatistics,
}

/// A virtual router.
#[derive(Clone, Debug, Serialize)]
pub struct InstanceStatus {
    /// Its name.
    pub name: String,
    /// Its interface.
    pub interface: String,
    /// Its identifier.
    pub router_id: u8,
    /// Its state.
    pub state: State,
    /// The priority it advertises.
    pub priority: u8,
    /// The priority of the settings.
    pub base_priority: u8,
    /// The command in force.
    pub command: Option<Command>,
    /// The address it sends from.
    pub source: Option<IpAddr>,
    /// Its counters.
    pub statistics: Statistics,
}

/// A tracked thing.
#[derive(Clone, Debug, Serialize)]
pub struct TrackReport {
    /// Its kind.
    pub kind: TrackKind,
    /// Its name.
    pub name: String,
    /// What is known of it.
    pub status: Status,
}
