//! The replicated state.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use standfast_settings::ClusterSettings;

use super::{
    ClusterId, Event, EventKind, LeaseRecord, Member, NodeId, PlannedMove, Secret, Token, TokenId,
};

/// Events that are kept; the oldest make room.
pub const MAX_EVENTS: usize = 1000;

/// Tokens that can be there at once.
pub const MAX_TOKENS: usize = 100;

/// Members that a cluster can have.
pub(super) const MAX_MEMBERS: usize = 64;

/// Secrets that all members share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// The certificate of the cluster's authority (PEM).
    pub authority_certificate: String,
    /// Its private key (PKCS#8, PEM).
    pub authority_key: Secret,
    /// The key that signs file handles, in hexadecimal (16 bytes).
    pub file_handles: Secret,
    /// The key that authenticates heartbeats, in hexadecimal (32 bytes).
    pub heartbeats: Secret,
}

/// All that the nodes agree on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The format that it is written in; zero before the cluster is founded.
    pub format: u32,
    /// The identity of the cluster.
    pub cluster: ClusterId,
    /// Secrets that all members share.
    pub keys: Keys,
    /// The members.
    pub members: BTreeMap<NodeId, Member>,
    /// The number of the next member. A smaller one that is no member was removed.
    pub next_node: u64,
    /// The number of the next certificate.
    pub next_certificate: u64,
    /// The version of the settings; it grows by one with each change.
    pub settings_version: u64,
    /// The settings.
    pub settings: ClusterSettings,
    /// Who holds which service.
    pub leases: BTreeMap<String, LeaseRecord>,
    /// How many changes of holder there have been.
    #[serde(default)]
    pub lease_changes: u64,
    /// Changes of holder that a person asked for and that are not done yet.
    #[serde(default)]
    pub moves: BTreeMap<String, PlannedMove>,
    /// Who may join.
    #[serde(default)]
    pub tokens: BTreeMap<TokenId, Token>,
    /// What happened lately, the oldest first.
    #[serde(default)]
    pub events: VecDeque<Event>,
    /// The number of the next event.
    #[serde(default)]
    pub next_event: u64,
}

impl State {
    /// Whether the cluster exists.
    pub fn is_founded(&self) -> bool {
        self.format > 0
    }

    /// The member of a name.
    pub fn member_by_name(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == name)
    }

    /// The name of a node, for people; also of one that was removed.
    pub fn name_of(&self, node: NodeId) -> String {
        match self.members.get(&node) {
            Some(member) => member.name.clone(),
            None => format!("node {node}"),
        }
    }

    /// Whether a node was a member and is none any more. A node that this state has not heard of
    /// yet is not: it may have been admitted a moment ago.
    pub fn was_removed(&self, node: NodeId) -> bool {
        node.0 < self.next_node && !self.members.contains_key(&node)
    }

    /// Whether a certificate of a member was made for a node that was replaced since.
    pub fn was_replaced(&self, node: NodeId, certificate: u64) -> bool {
        self.members.get(&node).is_some_and(|member| certificate < member.least_certificate)
    }

    /// The services that a node holds.
    pub fn held_by(&self, node: NodeId) -> impl Iterator<Item = &String> {
        self.leases
            .iter()
            .filter(move |(_, lease)| lease.holder == Some(node))
            .map(|(service, _)| service)
    }

    pub(crate) fn record(&mut self, at_ms: u64, kind: EventKind) {
        let sequence = self.next_event;
        self.next_event += 1;
        self.events.push_back(Event { sequence, at_ms, kind });
        while self.events.len() > MAX_EVENTS {
            self.events.pop_front();
        }
    }
}
