//! Links between nodes that a test can cut.

use std::collections::BTreeSet;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::model::NodeId;

/// Which messages are lost. Nothing is, unless somebody says so.
#[derive(Clone, Debug, Default)]
pub struct Links(Arc<Mutex<BTreeSet<(NodeId, NodeId)>>>);

impl Links {
    /// From now on, what `from` says does not reach `to`.
    pub fn cut(&self, from: NodeId, to: NodeId) {
        self.0.lock().insert((from, to));
    }

    /// From now on, everything arrives.
    pub fn heal(&self) {
        self.0.lock().clear();
    }

    /// Cuts all links between the nodes of two sides, both ways.
    pub fn part(&self, one: &[NodeId], other: &[NodeId]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    pub(super) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.0.lock().contains(&(from, to))
    }

    /// Returns at once if a message arrives, and never if it is lost.
    pub(super) async fn pass(&self, from: NodeId, to: NodeId) {
        if self.is_cut(from, to) {
            std::future::pending::<()>().await;
        }
    }
}
