//! What happened in the cluster, for people.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ChangeReason, Epoch, NodeId};

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with each event, so that a reader sees if it missed some.
    pub sequence: u64,
    /// When, milliseconds of the Unix epoch, by the leader's clock.
    pub at_ms: u64,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// The cluster was founded.
    Founded {
        /// The first node.
        node: String,
    },
    /// A node was admitted.
    Joined {
        /// Its name.
        node: String,
        /// Its number.
        id: NodeId,
    },
    /// A node of that name came in the place of the old one.
    Replaced {
        /// Its name.
        node: String,
        /// Its number.
        id: NodeId,
    },
    /// A node votes.
    Voting {
        /// Its name.
        node: String,
    },
    /// A node is being removed.
    Leaving {
        /// Its name.
        node: String,
        /// Without asking it.
        forced: bool,
    },
    /// A node was removed.
    Removed {
        /// Its name.
        node: String,
        /// Its number.
        id: NodeId,
    },
    /// A node gives its services away.
    Draining {
        /// Its name.
        node: String,
    },
    /// A drained node may hold services again.
    Resumed {
        /// Its name.
        node: String,
    },
    /// The settings changed.
    Settings {
        /// Their new version.
        version: u64,
        /// What changed.
        changed: Vec<String>,
    },
    /// A service changed its holder.
    Holder {
        /// The service.
        service: String,
        /// Who held it.
        from: Option<String>,
        /// Who holds it.
        to: Option<String>,
        /// The new epoch.
        epoch: Epoch,
        /// Why.
        reason: ChangeReason,
    },
    /// A planned change of holder was asked for.
    MoveAsked {
        /// The service.
        service: String,
        /// Where it is to go.
        to: String,
    },
    /// The steps of a change of holder, each with its time.
    Timeline {
        /// The service.
        service: String,
        /// The epoch that began.
        epoch: Epoch,
        /// Each step and its milliseconds since the change began.
        steps: Vec<(String, u64)>,
    },
    /// The cluster goes on in a newer format.
    Format {
        /// The format.
        format: u32,
    },
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nobody = || "nobody".to_owned();
        match self {
            Self::Founded { node } => write!(f, "cluster founded by {node}"),
            Self::Joined { node, id } => write!(f, "{node} joined as node {id}"),
            Self::Replaced { node, id } => write!(f, "{node} (node {id}) was replaced"),
            Self::Voting { node } => write!(f, "{node} votes"),
            Self::Leaving { node, forced: false } => write!(f, "{node} is being removed"),
            Self::Leaving { node, forced: true } => write!(f, "{node} is being forced out"),
            Self::Removed { node, id } => write!(f, "{node} (node {id}) was removed"),
            Self::Draining { node } => write!(f, "{node} is being drained"),
            Self::Resumed { node } => write!(f, "{node} may hold services again"),
            Self::Settings { version, changed } => {
                write!(f, "settings {version}: {}", changed.join(", "))
            }
            Self::Holder { service, from, to, epoch, reason } => write!(
                f,
                "{service}: {} -> {} (epoch {epoch}): {reason}",
                from.clone().unwrap_or_else(nobody),
                to.clone().unwrap_or_else(nobody)
            ),
            Self::MoveAsked { service, to } => write!(f, "{service} is to move to {to}"),
            Self::Timeline { service, epoch, steps } => {
                let steps: Vec<_> =
                    steps.iter().map(|(step, ms)| format!("{step} {ms} ms")).collect();
                write!(f, "{service} (epoch {epoch}): {}", steps.join(", "))
            }
            Self::Format { format } => write!(f, "the cluster goes on in format {format}"),
        }
    }
}
