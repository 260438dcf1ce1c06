//! The leases as the cluster agreed on them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Epoch, Holder, NodeId, Revision, ServiceId};

/// Who holds a service, by the last commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Grows with each holder.
    pub epoch: Epoch,
    /// The holder, if there ever was one.
    pub holder: Option<Holder>,
    /// Where the service is about to move in an orderly way.
    pub successor: Option<NodeId>,
    /// The revision that the change of holder made.
    pub changed: Revision,
}

/// All leases, of services that were deleted too: their holders may not know yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseTable {
    /// How many changes of holder there were.
    pub revision: Revision,
    /// The lease of each service.
    pub leases: BTreeMap<ServiceId, Lease>,
}

/// A change of a lease, to be committed. Each names the epoch that it starts from and has no effect
/// if another change came first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new holder, in the epoch after `from`.
    Grant {
        /// The service.
        service: ServiceId,
        /// The epoch that ends.
        from: Epoch,
        /// Who holds it next.
        holder: Holder,
    },
    /// An orderly move is to begin, or not any more.
    Intend {
        /// The service.
        service: ServiceId,
        /// The epoch that this holds for.
        epoch: Epoch,
        /// Where it is to go.
        successor: Option<NodeId>,
    },
}

impl Change {
    /// The service it is about.
    pub fn service(&self) -> ServiceId {
        match self {
            Self::Grant { service, .. } | Self::Intend { service, .. } => *service,
        }
    }
}

impl LeaseTable {
    /// Applies a change; says whether it had an effect. As the replicated state does, for tests of
    /// what stands on it.
    #[cfg(any(test, feature = "simulation"))]
    pub fn apply(&mut self, change: &Change) -> bool {
        let Some(lease) = self.leases.get_mut(&change.service()) else { return false };
        match *change {
            Change::Grant { from, holder, .. } if lease.epoch == from => {
                self.revision.0 += 1;
                let changed = self.revision;
                *lease =
                    Lease { epoch: from.next(), holder: Some(holder), successor: None, changed };
                true
            }
            Change::Intend { epoch, successor, .. } if lease.epoch == epoch => {
                let differs = lease.successor != successor;
                lease.successor = successor;
                differs
            }
            Change::Grant { .. } | Change::Intend { .. } => false,
        }
    }

    /// The lease of a service.
    pub fn get(&self, service: ServiceId) -> Option<&Lease> {
        self.leases.get(&service)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Incarnation;

    #[test]
    fn a_change_from_a_past_epoch_has_no_effect() {
        let service = ServiceId(1);
        let mut table = LeaseTable::default();
        table.leases.insert(service, Lease::default());
        let grant = |from, node| Change::Grant {
            service,
            from: Epoch(from),
            holder: Holder { node: NodeId(node), incarnation: Incarnation(1) },
        };
        assert!(table.apply(&grant(0, 1)));
        assert!(!table.apply(&grant(0, 2)));
        let intend = Change::Intend { service, epoch: Epoch(1), successor: Some(NodeId(2)) };
        assert!(table.apply(&intend));
        let lease = *table.get(service).unwrap();
        assert_eq!((lease.epoch, lease.changed), (Epoch(1), Revision(1)));
        assert!(table.apply(&grant(1, 2)));
        let lease = *table.get(service).unwrap();
        assert_eq!((lease.epoch, lease.successor), (Epoch(2), None));
        assert_eq!(lease.holder.map(|holder| holder.node), Some(NodeId(2)));
    }
}
