//! What a member says of its cluster.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use standfast_api::{ClusterStatus, EventStatus, Health, NodeStatus, ServiceStatus};
use standfast_cluster::consensus::{LeaderAnswer, LeaderRequest, Member};
use standfast_cluster::health::{Known, Seen, Severity, health};
use standfast_cluster::model::{self, Activity, EventKind, Membership, NodeId, Role, State};
use standfast_settings::ServiceSettings;

/// How long the leader is asked what it hears.
const PATIENCE: Duration = Duration::from_millis(700);

/// How the cluster is, as far as this node knows.
pub(super) async fn cluster(member: &Member, seen: &Seen) -> ClusterStatus {
    let heard = heard(member).await;
    let state = member.state();
    let leadership = member.leadership();
    let data_age = member.data_age();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let known = Known {
        me: member.identity().node,
        state: &state,
        leader: leadership.leader,
        data_age,
        heard: &heard,
        disk_problem: member.disk_problem(),
        refused: member.refused(),
        seen,
        now_ms: ms(now),
    };
    let (severity, reasons) = health(&known);
    ClusterStatus {
        cluster: member.identity().cluster.to_string(),
        health: match severity {
            Severity::Ok => Health::Ok,
            Severity::Warn => Health::Warn,
            Severity::Err => Health::Err,
        },
        reasons,
        node: member.identity().name.clone(),
        leader: known.leads().map(|leader| state.name_of(leader)),
        term: leadership.term,
        data_age_ms: data_age.map(ms),
        settings_version: state.settings_version,
        format: state.format,
        nodes: state.members.values().map(|of| node(&state, of, &heard)).collect(),
        services: state
            .settings
            .services
            .iter()
            .map(|(name, of)| service(&state, name, of))
            .collect(),
    }
}

/// How long ago the leader heard each node; nothing if it cannot be asked.
async fn heard(member: &Member) -> BTreeMap<NodeId, Duration> {
    let asked = tokio::time::timeout(PATIENCE, member.ask(LeaderRequest::Heard)).await;
    match asked {
        Ok(Ok(LeaderAnswer::Heard(heard))) => {
            heard.into_iter().map(|(node, age)| (node, Duration::from_millis(age))).collect()
        }
        _ => BTreeMap::new(),
    }
}

fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn node(state: &State, of: &model::Member, heard: &BTreeMap<NodeId, Duration>) -> NodeStatus {
    NodeStatus {
        id: of.id.0,
        name: of.name.clone(),
        role: match of.role {
            Role::Full => "full".into(),
            Role::Witness => "witness".into(),
        },
        state: match (of.membership, of.activity) {
            (Membership::Joining, _) => "joining".into(),
            (Membership::Leaving, _) => "leaving".into(),
            (Membership::Voting, Activity::Draining) => "draining".into(),
            (Membership::Voting, Activity::Active) => "active".into(),
        },
        addresses: of.addresses.iter().map(ToString::to_string).collect(),
        heard_ms: heard.get(&of.id).copied().map(ms),
        services: state.held_by(of.id).cloned().collect(),
        version: of.version.clone(),
        certificate_ends: of.certificate_ends_ms / 1000,
    }
}

fn service(state: &State, name: &str, of: &ServiceSettings) -> ServiceStatus {
    let lease = state.leases.get(name).cloned().unwrap_or_default();
    let path =
        |export: &standfast_settings::ExportSettings| export.export_path.display().to_string();
    ServiceStatus {
        name: name.into(),
        addresses: of.addresses.iter().map(ToString::to_string).collect(),
        exports: of.exports.iter().map(path).collect(),
        holder: lease.holder.map(|holder| state.name_of(holder)),
        epoch: lease.epoch.0,
        since: lease.since_ms / 1000,
        reason: lease.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        moving_to: state.moves.get(name).map(|planned| state.name_of(planned.target)),
    }
}

/// What happened, from a number on.
pub(super) fn events(state: &State, after: u64) -> Vec<EventStatus> {
    let wanted = state.events.iter().filter(|event| event.sequence >= after);
    let of_one = |event: &model::Event| {
        let (service, steps) = match &event.kind {
            EventKind::Timeline { service, steps, .. } => (Some(service.clone()), steps.clone()),
            EventKind::Holder { service, .. } => (Some(service.clone()), Vec::new()),
            _ => (None, Vec::new()),
        };
        let text = event.kind.to_string();
        EventStatus { sequence: event.sequence, at_ms: event.at_ms, text, service, steps }
    };
    wanted.map(of_one).collect()
}
