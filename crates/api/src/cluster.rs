//! What can be asked of a node about its cluster.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use standfast_settings::{ClusterSettings, Difference, ServiceSettings};

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum ClusterRequest {
    /// Who is there, who serves what, how it is.
    Status,
    /// What happened, from this number on.
    Events {
        /// The number of the first event that is wanted.
        after: u64,
    },
    /// The settings.
    Settings,
    /// What would change.
    Plan {
        /// The settings that would be.
        settings: Box<ClusterSettings>,
    },
    /// Takes these settings.
    Apply {
        /// The settings.
        settings: Box<ClusterSettings>,
        /// The version that they were made for; whatever is in force if there is none.
        expected: Option<u64>,
    },
    /// Makes a token.
    CreateToken {
        /// How long it is good for, in seconds.
        lifetime_seconds: u64,
        /// How many nodes it lets in; without a limit if there is none.
        uses: Option<u32>,
    },
    /// The tokens, without their secrets.
    Tokens,
    /// Takes a token back.
    RevokeToken {
        /// Its name.
        id: String,
    },
    /// A node gives its services away.
    Drain {
        /// Its name.
        node: String,
    },
    /// A drained node may serve again.
    Resume {
        /// Its name.
        node: String,
    },
    /// Removes a node.
    RemoveNode {
        /// Its name.
        node: String,
        /// Also if it holds services.
        force: bool,
    },
    /// Makes a service.
    CreateService {
        /// Its name.
        name: String,
        /// Its settings.
        service: Box<ServiceSettings>,
    },
    /// Deletes a service.
    DeleteService {
        /// Its name.
        name: String,
    },
    /// Moves a service.
    MoveService {
        /// Its name.
        name: String,
        /// Where it is to go.
        node: String,
    },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum ClusterReply {
    /// It is done.
    Done,
    /// Who is there, who serves what, how it is.
    Status(Box<ClusterStatus>),
    /// What happened.
    Events {
        /// The oldest first.
        events: Vec<EventStatus>,
    },
    /// The settings.
    Settings {
        /// Their version.
        version: u64,
        /// The settings.
        settings: Box<ClusterSettings>,
    },
    /// What changes.
    Differences {
        /// The version that is in force.
        version: u64,
        /// Each table that changes.
        differences: Vec<Difference>,
    },
    /// A token.
    Token {
        /// Its name, by which it is taken back.
        id: String,
        /// The token itself.
        token: String,
    },
    /// The tokens.
    Tokens {
        /// Each of them.
        tokens: Vec<TokenStatus>,
    },
}

/// Why it is not answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "error", rename_all = "snake_case")]
pub enum ClusterFailure {
    /// This node belongs to no cluster.
    #[error(
        "this node belongs to no cluster; found one with `standfast init`, or join one with \
         `standfast join`"
    )]
    NoCluster,
    /// It is refused, and nothing was changed.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
    },
    /// It cannot be done now.
    #[error("{message}")]
    Unavailable {
        /// Why.
        message: String,
    },
}

/// How a cluster is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// All is well.
    #[default]
    #[serde(rename = "HEALTH_OK")]
    Ok,
    /// It works, and something should be done.
    #[serde(rename = "HEALTH_WARN")]
    Warn,
    /// Something does not work.
    #[serde(rename = "HEALTH_ERR")]
    Err,
}

impl std::fmt::Display for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ok => "HEALTH_OK",
            Self::Warn => "HEALTH_WARN",
            Self::Err => "HEALTH_ERR",
        })
    }
}

/// A cluster, as a node knows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The identity of the cluster.
    pub cluster: String,
    /// How it is.
    pub health: Health,
    /// Why it is not well.
    pub reasons: Vec<String>,
    /// The node that says so.
    pub node: String,
    /// Who leads.
    pub leader: Option<String>,
    /// How many leaders there were.
    pub term: u64,
    /// How old what this node says may be, in milliseconds; not known if it never heard a leader.
    pub data_age_ms: Option<u64>,
    /// The version of the settings.
    pub settings_version: u64,
    /// The format of the cluster's state.
    pub format: u32,
    /// The nodes.
    pub nodes: Vec<NodeStatus>,
    /// The services.
    pub services: Vec<ServiceStatus>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// `full` or `witness`.
    pub role: String,
    /// `joining`, `active`, `draining` or `leaving`.
    pub state: String,
    /// Where the others reach it.
    pub addresses: Vec<String>,
    /// How long ago the leader heard it, in milliseconds.
    pub heard_ms: Option<u64>,
    /// The services that it holds.
    pub services: Vec<String>,
    /// The version of its program.
    pub version: String,
    /// When its certificate ends, seconds of the Unix epoch.
    pub certificate_ends: u64,
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Its exports, by the paths that clients use.
    pub exports: Vec<String>,
    /// Who holds it.
    pub holder: Option<String>,
    /// The epoch that it is in.
    pub epoch: u64,
    /// Since when, seconds of the Unix epoch.
    pub since: u64,
    /// Why it is there.
    pub reason: String,
    /// Where it is to go.
    pub moving_to: Option<String>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventStatus {
    /// Its number.
    pub sequence: u64,
    /// When, milliseconds of the Unix epoch.
    pub at_ms: u64,
    /// For people.
    pub text: String,
    /// The service that it is about, if it is about a change of holder.
    pub service: Option<String>,
    /// The steps of a change of holder, each with its milliseconds since the change began.
    #[serde(default)]
    pub steps: Vec<(String, u64)>,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenStatus {
    /// Its name.
    pub id: String,
    /// When it ends, seconds of the Unix epoch.
    pub ends: u64,
    /// How many more nodes it lets in.
    pub uses_left: Option<u32>,
}

/// What a node answers about its cluster.
pub type ClusterAnswer = Result<ClusterReply, ClusterFailure>;

/// The node's side.
pub trait ClusterControl: Send + Sync + 'static {
    /// Answers a question, or does what is ordered.
    fn ask(
        self: Arc<Self>,
        request: ClusterRequest,
    ) -> Pin<Box<dyn Future<Output = ClusterAnswer> + Send>>;
}
