//! The names that leases are given under.

use std::fmt;

use serde::{Deserialize, Serialize};

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
    /// A node; never given again once it was removed. Zero is no node.
    NodeId, "node"
);
number!(
    /// A service; never given again once it was removed.
    ServiceId, "service"
);
number!(
    /// One run of a node's daemon. It grows at each start and is durable before anything is sent,
    /// so of two the lower has surely ended.
    Incarnation, "incarnation"
);
number!(
    /// Grows by one at each change of a service's holder; the first is 1.
    Epoch, "epoch"
);
number!(
    /// A position in the log of what the cluster agreed on.
    Revision, "revision"
);
number!(
    /// A term of consensus: at most one leader each.
    Term, "term"
);

impl Epoch {
    /// The one after this.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
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
        write!(f, "{} ({})", self.node, self.incarnation)
    }
}
