//! Who belongs to the cluster.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::NodeId;

/// What a member is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It votes, stores and serves.
    #[default]
    Full,
    /// It votes, and stores and serves nothing.
    Witness,
}

/// Whether a member may hold services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activity {
    /// It may.
    #[default]
    Active,
    /// It gives its services away and gets no new ones.
    Draining,
}

/// How far the way into or out of the cluster is. The leader finishes what is begun, whoever began
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Membership {
    /// It was admitted and does not vote yet.
    #[default]
    Joining,
    /// It votes.
    Voting,
    /// It is being removed; once it has no vote any more, it is forgotten.
    Leaving,
}

/// A node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number.
    pub id: NodeId,
    /// Its name, which no other member has.
    pub name: String,
    /// Where the others reach it (TCP for the consensus, UDP for heartbeats), the best first.
    pub addresses: Vec<SocketAddr>,
    /// What it is for.
    #[serde(default)]
    pub role: Role,
    /// Whether it may hold services.
    #[serde(default)]
    pub activity: Activity,
    /// How far it is on its way in or out.
    #[serde(default)]
    pub membership: Membership,
    /// SHA-256 of its public key, in hexadecimal.
    pub key_fingerprint: String,
    /// The number of its newest certificate.
    pub certificate: u64,
    /// Certificates with a smaller number are refused. It grows when the node is replaced.
    #[serde(default)]
    pub least_certificate: u64,
    /// When the newest certificate ends, milliseconds of the Unix epoch.
    #[serde(default)]
    pub certificate_ends_ms: u64,
    /// When it joined, milliseconds of the Unix epoch.
    #[serde(default)]
    pub since_ms: u64,
    /// The newest format of the state that it knows.
    #[serde(default)]
    pub format: u32,
    /// The version of its program.
    #[serde(default)]
    pub version: String,
}

impl Member {
    /// Whether it may hold a service.
    pub fn can_serve(&self) -> bool {
        self.role == Role::Full
            && self.activity == Activity::Active
            && self.membership != Membership::Leaving
    }
}
