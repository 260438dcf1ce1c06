//! The `[vrrp]` section of the settings file.

mod address;
mod durations;
mod notify;
mod track;

pub use address::AddressSettings;
pub use durations::{optional as optional_duration, plain as duration};
pub use notify::NotifySettings;
pub use track::{
    FileSettings, InitialState, ParameterMatch, ProcessSettings, ScriptSettings, TrackKind,
    TrackSettings,
};

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A file of which only the section `[vrrp]` matters, for `standfast vrrp run`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct File {
    /// The section.
    #[serde(default)]
    pub vrrp: Settings,
}

/// Settings of all virtual routers of this node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long to stay silent after the start.
    #[serde(with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub startup_delay: Duration,
    /// Run the protocol's thread at this `SCHED_RR` priority (1 to 99).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_priority: Option<u8>,
    /// User of scripts that name none; `nobody` without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script_user: Option<String>,
    /// A FIFO to which each change of state is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_fifo: Option<PathBuf>,
    /// Whether changes of priority are written to the FIFO too.
    #[serde(skip_serializing_if = "is_false")]
    pub notify_priority_changes: bool,
    /// A Unix socket that takes commands: take over, hand back, tell the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_socket: Option<PathBuf>,
    /// Scripts whose exit status is tracked.
    #[serde(rename = "script", skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<ScriptSettings>,
    /// Processes whose presence is tracked.
    #[serde(rename = "process", skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<ProcessSettings>,
    /// Files whose number is tracked.
    #[serde(rename = "file", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileSettings>,
    /// The virtual routers.
    #[serde(rename = "instance", skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceSettings>,
    /// Groups of virtual routers that move together.
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<GroupSettings>,
}

/// One virtual router.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceSettings {
    /// Its name, for logs, notify scripts and commands.
    pub name: String,
    /// The interface it speaks on.
    pub interface: String,
    /// Virtual router identifier, 1 to 255, the same on all nodes.
    pub router_id: u8,
    /// 2 (RFC 3768) or 3 (RFC 9568).
    #[serde(default = "default_version")]
    pub version: u8,
    /// 1 to 254, or 255 for the owner of the addresses.
    #[serde(default = "default_priority")]
    pub priority: u8,
    /// Time between two advertisements: whole seconds in version 2, centiseconds in version 3.
    #[serde(default = "default_interval", with = "duration")]
    pub advert_interval: Duration,
    /// The floating addresses, of one family.
    pub addresses: Vec<AddressSettings>,
    /// Floating addresses that are not advertised, of any family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_addresses: Vec<AddressSettings>,
    /// Whether to take over from a master of lower priority.
    #[serde(default = "default_true")]
    pub preempt: bool,
    /// How much longer to wait before doing so.
    #[serde(default, with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub preempt_delay: Duration,
    /// Whether packets to the addresses are accepted, or only forwarded (`Accept_Mode`).
    #[serde(default = "default_true")]
    pub accept: bool,
    /// Whether the addresses are at the interface's own Ethernet address or at the virtual
    /// router's.
    #[serde(default)]
    pub mac: MacSettings,
    /// Authentication of version 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AuthenticationSettings>,
    /// The address to send from; else the first of the interface.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// The other routers, to send to each instead of to the multicast group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<IpAddr>,
    /// The least TTL of a packet from a peer: 255 unless routers are between, or a peer sends less.
    /// Keepalived sends 64 to IPv6 peers.
    #[serde(default = "default_peer_min_ttl", skip_serializing_if = "is_highest")]
    pub peer_min_ttl: u8,
    /// Whether to drop advertisements whose addresses differ from ours.
    #[serde(default, skip_serializing_if = "is_false")]
    pub check_addresses: bool,
    /// Whether the loss of the interface is a fault.
    #[serde(default = "default_true")]
    pub track_own_interface: bool,
    /// Announcements of a new master.
    #[serde(default)]
    pub announce: AnnounceSettings,
    /// What moves its priority.
    #[serde(default, rename = "track", skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackSettings>,
    /// Scripts that are told about its changes of state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<NotifySettings>,
}

/// Virtual routers that move together.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSettings {
    /// Its name.
    pub name: String,
    /// Names of its virtual routers.
    pub instances: Vec<String>,
    /// What moves the priority of all its routers.
    #[serde(default, rename = "track", skip_serializing_if = "Vec::is_empty")]
    pub tracks: Vec<TrackSettings>,
    /// Scripts that are told about its changes of state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<NotifySettings>,
}

/// At which Ethernet address the floating addresses are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MacSettings {
    /// The interface's own.
    #[default]
    Interface,
    /// The virtual router's `00:00:5e:00:01:ID` (`02` for IPv6), on a macvlan interface.
    Virtual,
}

/// Authentication of version 2.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AuthenticationSettings {
    /// A password in clear text, eight octets at most.
    Pass {
        /// The password.
        password: String,
    },
    /// IPsec AH, which is refused with the reason.
    Ah {
        /// The password.
        password: String,
    },
}

impl std::fmt::Debug for AuthenticationSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass { .. } => "Pass(..)",
            Self::Ah { .. } => "Ah(..)",
        })
    }
}

/// Gratuitous ARP and unsolicited neighbour advertisements of a new master.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnnounceSettings {
    /// Frames per address at once.
    pub count: u8,
    /// As many once more after this time; zero for never.
    #[serde(with = "duration")]
    pub again_after: Duration,
    /// And one each time this has passed.
    #[serde(with = "optional_duration", skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Duration>,
}

impl Default for AnnounceSettings {
    fn default() -> Self {
        Self { count: 5, again_after: Duration::from_secs(5), refresh: None }
    }
}

fn default_version() -> u8 {
    3
}

fn default_priority() -> u8 {
    100
}

fn default_interval() -> Duration {
    Duration::from_secs(1)
}

fn default_true() -> bool {
    true
}

fn default_peer_min_ttl() -> u8 {
    crate::packet::TTL
}

fn is_highest(ttl: &u8) -> bool {
    *ttl == crate::packet::TTL
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
