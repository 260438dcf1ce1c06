//! From settings to what runs: names become numbers, and what makes no sense is refused by name.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Instant;

use crate::instance::{Announcements, Config, ConfigError, Instance};
use crate::packet::{AH_REFUSAL, Authentication, Password, Version};
use crate::routers::{Member, TrackId};
use crate::settings::{
    AddressSettings, AuthenticationSettings, FileSettings, InitialState, InstanceSettings,
    MacSettings, NotifySettings, ProcessSettings, ScriptSettings, Settings, TrackKind,
    TrackSettings,
};
use crate::tracking::{Status, Weight};

/// Why settings cannot run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Something is wrong with a virtual router.
    #[error("vrrp instance `{name}`: {reason}")]
    Instance {
        /// The router.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Something is wrong with a group.
    #[error("vrrp group `{name}`: {reason}")]
    Group {
        /// The group.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A script, process or file is not well defined.
    #[error("vrrp {kind} `{name}`: {reason}")]
    Track {
        /// What it is.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// There is nothing to do.
    #[error("the settings name no [[vrrp.instance]]")]
    Empty,
}

/// A virtual router, ready to run.
#[derive(Clone, Debug)]
pub(super) struct RouterPlan {
    pub(super) name: String,
    pub(super) interface: String,
    pub(super) config: Config,
    pub(super) tracks: Vec<(TrackId, Weight)>,
    pub(super) addresses: Vec<AddressSettings>,
    pub(super) source: Option<IpAddr>,
    pub(super) accept: bool,
    pub(super) virtual_mac: bool,
    pub(super) track_own_interface: bool,
    pub(super) announce_count: u8,
    pub(super) notify: Vec<NotifySettings>,
}

/// A sync group, ready to run.
#[derive(Clone, Debug)]
pub(super) struct GroupPlan {
    pub(super) name: String,
    pub(super) members: Vec<usize>,
    pub(super) notify: Vec<NotifySettings>,
}

/// How a tracked thing is watched.
#[derive(Clone, Debug)]
pub(super) enum Tracker {
    Script(ScriptSettings),
    Interface,
    Process(ProcessSettings),
    File(FileSettings),
    Service,
}

/// A tracked thing.
#[derive(Clone, Debug)]
pub(super) struct TrackPlan {
    pub(super) kind: TrackKind,
    pub(super) name: String,
    pub(super) tracker: Tracker,
    pub(super) initial: Status,
    weight: Weight,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) routers: Vec<RouterPlan>,
    pub(super) groups: Vec<GroupPlan>,
    pub(super) tracks: Vec<TrackPlan>,
    pub(super) script_user: Option<String>,
    pub(super) notify_fifo: Option<PathBuf>,
    pub(super) notify_priority_changes: bool,
    pub(super) control_socket: Option<PathBuf>,
    pub(super) realtime_priority: Option<u8>,
}

impl Settings {
    /// Says whether these settings can run.
    ///
    /// # Errors
    /// The first thing that makes no sense, by name.
    pub fn check(&self) -> Result<(), PlanError> {
        Plan::new(self).map(|_| ())
    }
}

impl Plan {
    pub(super) fn new(settings: &Settings) -> Result<Self, PlanError> {
        if settings.instances.is_empty() {
            return Err(PlanError::Empty);
        }
        let mut tracks = Tracks::new(settings)?;
        let mut routers = Vec::new();
        let mut names = BTreeSet::new();
        for instance in &settings.instances {
            if !names.insert(&instance.name) {
                return Err(wrong(instance, "there is another one of this name"));
            }
            routers.push(router(settings, instance, &mut tracks)?);
        }
        check_identifiers(&routers)?;
        let groups = groups(settings, &mut routers, &mut tracks)?;
        Ok(Self {
            routers,
            groups,
            tracks: tracks.plans,
            script_user: settings.script_user.clone(),
            notify_fifo: settings.notify_fifo.clone(),
            notify_priority_changes: settings.notify_priority_changes,
            control_socket: settings.control_socket.clone(),
            realtime_priority: settings.realtime_priority,
        })
    }

    pub(super) fn members(&self, now: Instant) -> Vec<Member> {
        let member = |plan: &RouterPlan| Member {
            instance: Instance::new(plan.config.clone(), now),
            tracks: plan.tracks.clone(),
            usable: false,
        };
        self.routers.iter().map(member).collect()
    }
}

fn wrong(instance: &InstanceSettings, reason: impl Into<String>) -> PlanError {
    PlanError::Instance { name: instance.name.clone(), reason: reason.into() }
}

fn authentication(instance: &InstanceSettings) -> Result<Authentication, PlanError> {
    match &instance.authentication {
        None => Ok(Authentication::None),
        Some(AuthenticationSettings::Pass { password }) => {
            Ok(Authentication::Password(Password::new(password)))
        }
        Some(AuthenticationSettings::Ah { .. }) => {
            Err(wrong(instance, format!("{AH_REFUSAL}; use type = \"pass\", or none")))
        }
    }
}

fn check_peers(instance: &InstanceSettings) -> Result<(), PlanError> {
    let differs = |peer: &&IpAddr| {
        instance
            .addresses
            .iter()
            .any(|floating| floating.address.addr().is_ipv4() != peer.is_ipv4())
    };
    match instance.peers.iter().find(differs) {
        None => Ok(()),
        Some(peer) => Err(wrong(instance, format!("peer {peer} is not of the addresses' family"))),
    }
}

fn router(
    settings: &Settings,
    instance: &InstanceSettings,
    tracks: &mut Tracks,
) -> Result<RouterPlan, PlanError> {
    let version = match instance.version {
        2 => Version::V2,
        3 => Version::V3,
        other => return Err(wrong(instance, format!("version {other} is neither 2 nor 3"))),
    };
    let authentication = authentication(instance)?;
    check_peers(instance)?;
    let config = Config {
        version,
        router_id: instance.router_id,
        priority: instance.priority,
        interval: instance.advert_interval,
        addresses: instance.addresses.iter().map(|address| address.address.addr()).collect(),
        authentication,
        peers: instance.peers.clone(),
        peer_min_ttl: instance.peer_min_ttl,
        check_addresses: instance.check_addresses,
        preempt: instance.preempt,
        preempt_delay: instance.preempt_delay,
        startup_delay: settings.startup_delay,
        announcements: Announcements {
            again_after: instance.announce.again_after,
            refresh: instance.announce.refresh,
        },
        grouped: false,
    };
    config.check().map_err(|error: ConfigError| wrong(instance, error.to_string()))?;
    let weights = tracks.resolve(&instance.tracks).map_err(|reason| wrong(instance, reason))?;
    let addresses = instance.addresses.iter().chain(&instance.excluded_addresses);
    Ok(RouterPlan {
        name: instance.name.clone(),
        interface: instance.interface.clone(),
        config,
        tracks: weights,
        addresses: addresses.cloned().collect(),
        source: instance.source,
        accept: instance.accept || instance.priority == crate::packet::PRIORITY_OWNER,
        virtual_mac: instance.mac == MacSettings::Virtual,
        track_own_interface: instance.track_own_interface,
        announce_count: instance.announce.count,
        notify: instance.notify.clone(),
    })
}

/// Two routers of one identifier on one interface would hear each other's packets.
fn check_identifiers(routers: &[RouterPlan]) -> Result<(), PlanError> {
    for (index, router) in routers.iter().enumerate() {
        let same = |other: &&RouterPlan| {
            other.interface == router.interface
                && other.config.router_id == router.config.router_id
                && other.config.is_ipv4() == router.config.is_ipv4()
                && (other.config.peers.is_empty() == router.config.peers.is_empty())
                && (router.config.peers.is_empty()
                    || router.config.peers.iter().any(|peer| other.config.peers.contains(peer)))
        };
        if let Some(other) = routers[..index].iter().find(same) {
            return Err(PlanError::Instance {
                name: router.name.clone(),
                reason: format!(
                    "router id {} is taken on {} by instance `{}`",
                    router.config.router_id, router.interface, other.name
                ),
            });
        }
    }
    Ok(())
}

fn groups(
    settings: &Settings,
    routers: &mut [RouterPlan],
    tracks: &mut Tracks,
) -> Result<Vec<GroupPlan>, PlanError> {
    let mut plans = Vec::new();
    for group in &settings.groups {
        let wrong = |reason: String| PlanError::Group { name: group.name.clone(), reason };
        let weights = tracks.resolve(&group.tracks).map_err(wrong)?;
        let mut members = Vec::new();
        for name in &group.instances {
            let index = routers
                .iter()
                .position(|router| router.name == *name)
                .ok_or_else(|| wrong(format!("there is no instance `{name}`")))?;
            let router = &mut routers[index];
            if router.config.grouped {
                return Err(wrong(format!("instance `{name}` is in a group already")));
            }
            router.config.grouped = true;
            router.tracks.extend(&weights);
            members.push(index);
        }
        plans.push(GroupPlan { name: group.name.clone(), members, notify: group.notify.clone() });
    }
    Ok(plans)
}

/// The tracked things met so far. Scripts, processes and files are defined beforehand; interfaces
/// and services need no definition.
struct Tracks {
    plans: Vec<TrackPlan>,
    by_name: BTreeMap<(TrackKind, String), TrackId>,
}

impl Tracks {
    fn new(settings: &Settings) -> Result<Self, PlanError> {
        let mut tracks = Self { plans: Vec::new(), by_name: BTreeMap::new() };
        for script in &settings.scripts {
            let initial = match script.initial {
                InitialState::Wait => Status::Unknown,
                InitialState::Up => Status::Up,
                InitialState::Down => Status::Down,
            };
            let weight = Weight { value: script.weight, reverse: script.reverse };
            let tracker = Tracker::Script(script.clone());
            if script.command.first().is_none_or(|program| !program.starts_with('/')) {
                return Err(undefined("script", &script.name, "its command is no absolute path"));
            }
            if script.interval.is_zero() {
                return Err(undefined("script", &script.name, "its interval is zero"));
            }
            tracks.define(TrackKind::Script, &script.name, tracker, initial, weight)?;
        }
        for process in &settings.processes {
            let weight = Weight { value: process.weight, reverse: process.reverse };
            let tracker = Tracker::Process(process.clone());
            if process.interval.is_zero() {
                return Err(undefined("process", &process.name, "its interval is zero"));
            }
            tracks.define(TrackKind::Process, &process.name, tracker, Status::Unknown, weight)?;
        }
        for file in &settings.files {
            let weight = Weight { value: file.weight, reverse: file.reverse };
            let tracker = Tracker::File(file.clone());
            tracks.define(TrackKind::File, &file.name, tracker, Status::Unknown, weight)?;
        }
        Ok(tracks)
    }

    fn define(
        &mut self,
        kind: TrackKind,
        name: &str,
        tracker: Tracker,
        initial: Status,
        weight: Weight,
    ) -> Result<TrackId, PlanError> {
        let id = TrackId(self.plans.len());
        if self.by_name.insert((kind, name.into()), id).is_some() {
            return Err(undefined("track", name, "it is defined twice"));
        }
        self.plans.push(TrackPlan { kind, name: name.into(), tracker, initial, weight });
        Ok(id)
    }

    fn resolve(&mut self, tracks: &[TrackSettings]) -> Result<Vec<(TrackId, Weight)>, String> {
        tracks.iter().map(|track| self.resolve_one(track)).collect()
    }

    fn resolve_one(&mut self, track: &TrackSettings) -> Result<(TrackId, Weight), String> {
        let (kind, name) = track
            .target()
            .ok_or("a track names exactly one of script, interface, process, file and service")?;
        let known = self.by_name.get(&(kind, name.to_owned())).copied();
        let id = match (known, kind) {
            (Some(id), _) => id,
            (None, TrackKind::Interface | TrackKind::Service) => {
                let (tracker, initial) = match kind {
                    TrackKind::Interface => (Tracker::Interface, Status::Down),
                    _ => (Tracker::Service, Status::Unknown),
                };
                self.define(kind, name, tracker, initial, Weight::default())
                    .map_err(|error| error.to_string())?
            }
            (None, _) => return Err(format!("it tracks `{name}`, which is not defined")),
        };
        let default = self.plans.get(id.0).map(|plan| plan.weight).unwrap_or_default();
        let weight = track.weight(default);
        if kind != TrackKind::File && weight.value.abs() > 253 {
            return Err(format!("the weight {} of `{name}` is beyond 253", weight.value));
        }
        Ok((id, weight))
    }
}

fn undefined(kind: &'static str, name: &str, reason: &str) -> PlanError {
    PlanError::Track { kind, name: name.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests;
