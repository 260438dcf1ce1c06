//! Leases as the replicated state has them.

use super::{Change, Epoch, Holder, Incarnation, Lease, LeaseTable, Revision, ServiceId};
use crate::model::{ChangeReason, Command, LeaseRecord, State};

impl From<&LeaseRecord> for Lease {
    fn from(record: &LeaseRecord) -> Self {
        let incarnation = Incarnation(record.incarnation);
        Self {
            epoch: record.epoch,
            holder: record.holder.map(|node| Holder { node, incarnation }),
            successor: record.successor,
            changed: Revision(record.changed),
        }
    }
}

impl From<&State> for LeaseTable {
    /// All leases; a service that nobody held yet is in epoch 0.
    fn from(state: &State) -> Self {
        let fresh =
            state.settings.services.keys().map(|name| (ServiceId::of_name(name), Lease::default()));
        let known = state
            .leases
            .iter()
            .map(|(name, record)| (ServiceId::of_name(name), Lease::from(record)));
        Self { revision: Revision(state.lease_changes), leases: fresh.chain(known).collect() }
    }
}

impl Change {
    /// The command that has it committed, for the service of this name.
    pub fn into_command(self, name: String, reason: ChangeReason) -> Command {
        match self {
            Self::Grant { from, holder, .. } => Command::ChangeHolder {
                service: name,
                expected: from,
                holder: Some(holder.node),
                incarnation: holder.incarnation.0,
                reason,
            },
            Self::Intend { epoch, successor, .. } => {
                Command::NameSuccessor { service: name, epoch, successor }
            }
        }
    }

    /// The epoch that it must start from.
    pub fn epoch(&self) -> Epoch {
        match self {
            Self::Grant { from, .. } => *from,
            Self::Intend { epoch, .. } => *epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::NodeId;

    #[test]
    fn a_service_that_nobody_held_has_a_lease_too() {
        let mut state = State { lease_changes: 7, ..State::default() };
        state.settings.services.insert("new".into(), Default::default());
        let record = LeaseRecord {
            holder: Some(NodeId(2)),
            incarnation: 5,
            epoch: Epoch(3),
            changed: 6,
            ..LeaseRecord::default()
        };
        state.leases.insert("old".into(), record);
        let table = LeaseTable::from(&state);
        assert_eq!(table.revision, Revision(7));
        assert_eq!(table.get(ServiceId::of_name("new")), Some(&Lease::default()));
        let old = table.get(ServiceId::of_name("old")).unwrap();
        let holder = Holder { node: NodeId(2), incarnation: Incarnation(5) };
        assert_eq!((old.holder, old.changed), (Some(holder), Revision(6)));
    }
}
