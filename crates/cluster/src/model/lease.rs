//! Who holds a service.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Epoch, NodeId};

/// Why the holder of a service changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeReason {
    /// Nobody held it.
    Start,
    /// Its holder was not heard any more.
    Failure {
        /// What was seen.
        detail: String,
    },
    /// A person asked for it.
    Move,
    /// Its holder is being drained.
    Drain,
    /// A preferred node came back.
    Failback,
    /// The load was not even.
    Balance,
    /// The service was deleted.
    Deleted,
    /// Its holder gave it up.
    Released {
        /// Why it did.
        detail: String,
    },
}

impl fmt::Display for ChangeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("nobody held it"),
            Self::Failure { detail } => write!(f, "its holder failed: {detail}"),
            Self::Move => f.write_str("asked for"),
            Self::Drain => f.write_str("its node is drained"),
            Self::Failback => f.write_str("a preferred node is back"),
            Self::Balance => f.write_str("to even the load"),
            Self::Deleted => f.write_str("the service was deleted"),
            Self::Released { detail } => write!(f, "its holder gave it up: {detail}"),
        }
    }
}

/// Who holds a service, in which epoch. It stays after its service is deleted, so that an epoch is
/// never used twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseRecord {
    /// The holder.
    pub holder: Option<NodeId>,
    /// The node that held it last before, if another one: whom fencing keeps out.
    #[serde(default)]
    pub before: Option<NodeId>,
    /// A holder has come up with it, so there is a journal, or one is lost.
    #[serde(default)]
    pub served: bool,
    /// The run of the holder's daemon that holds it; a later run does not.
    #[serde(default)]
    pub incarnation: u64,
    /// Grows by one at each change of holder.
    pub epoch: Epoch,
    /// Since when, milliseconds of the Unix epoch.
    pub since_ms: u64,
    /// Why.
    pub reason: Option<ChangeReason>,
    /// How many changes of holder there had been of all services, this one included. It tells what a
    /// node can know that has seen so many.
    #[serde(default)]
    pub changed: u64,
    /// The node that gets ready to be the next holder.
    #[serde(default)]
    pub successor: Option<NodeId>,
}

/// A change of holder that a person asked for and that is not done yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMove {
    /// Where the service is to go.
    pub target: NodeId,
    /// When it was asked for, milliseconds of the Unix epoch.
    pub asked_ms: u64,
}
