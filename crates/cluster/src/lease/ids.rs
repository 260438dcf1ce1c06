//! The names that leases are given under.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::NodeId;

macro_rules! number {
    ($(#[$meta:meta])* $name:ident, $word:literal) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($word, " {}"), self.0)
            }
        }
    };
}

number!(
    /// A service, as datagrams name it: made from its name.
    ServiceId, "service"
);
number!(
    /// One run of a node's daemon. It grows at each start and is durable before anything is sent,
    /// so of two the lower has surely ended.
    Incarnation, "incarnation"
);
number!(
    /// How many changes of holder a node has seen, of all services.
    Revision, "revision"
);
number!(
    /// A term of consensus: at most one leader each.
    Term, "term"
);

impl Term {
    /// The term of a vote. openraft lets a second leader be elected in a term if its number is
    /// higher, so the number counts as well; below 65536 of them, which is more than ever join.
    pub fn of_vote(term: u64, node: NodeId) -> Self {
        Self(term << 16 | node.0 & 0xffff)
    }
}

impl ServiceId {
    /// The number of the service of a name: the first eight octets of the name's SHA-256. That two
    /// of some thousand names share one is as likely as a failure of the memory that holds them.
    pub fn of_name(name: &str) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, name.as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(first))
    }
}

/// Who holds a lease: a run of a node, for a run that ended holds nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Holder {
    /// The node.
    pub node: NodeId,
    /// Its run.
    pub incarnation: Incarnation,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} ({})", self.node, self.incarnation)
    }
}
