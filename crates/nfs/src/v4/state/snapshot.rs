//! The changes that rebuild the state.

use crate::locks::{Mode, Range};

use super::stateids::{Entry, Kind};
use super::{
    Base, Change, DelegationRecord, Holder, LockStateRecord, LockedRecord, OpenRecord,
    RevokedRecord, State,
};

impl<H: Holder> State<H> {
    /// The changes that rebuild this state from an empty one, in a fixed order. Those of the lock
    /// table's other users are not among them.
    pub fn snapshot(&self) -> Vec<Change> {
        let Self { instance, next, next_client, .. } = *self;
        let mut changes = vec![Change::Base(Base { instance, next, next_client })];
        changes.extend(self.clients.values().map(|client| Change::Client(client.record.clone())));
        for session in self.sessions.values() {
            changes.push(Change::Session(session.record.clone()));
            for slot in &session.slots {
                changes.extend(slot.recorded.clone().map(Change::Replied));
                changes.extend(slot.intents.iter().cloned().map(Change::Intended));
            }
        }
        for owner in self.owners.values() {
            changes.push(Change::Owner(owner.record.clone()));
            changes.extend(owner.recorded.clone().map(Change::OwnerReplied));
        }
        for (id, entry) in &self.states {
            self.snapshot_state(*id, entry, &mut changes);
        }
        changes
    }

    fn snapshot_state(&self, id: u64, entry: &Entry, changes: &mut Vec<Change>) {
        let file = (&entry.file).into();
        let (client, seqid) = (entry.client, entry.seqid);
        match entry.kind {
            Kind::Open { owner, access, deny, opened } => {
                let open = OpenRecord { id, seqid, owner, file, access, deny, opened };
                changes.push(Change::Open(open));
            }
            Kind::Lock { owner, open } => {
                changes.push(Change::LockState(LockStateRecord { id, seqid, owner, open }));
                let Some(holder) = self.holder(owner) else { return };
                for (range, mode) in self.locks.held_by(&entry.file, &holder, Range::ALL) {
                    let (first, last) = (range.first(), range.last());
                    let exclusive = mode == Mode::Exclusive;
                    let lock = LockedRecord { state: id, seqid, first, last, exclusive };
                    changes.push(Change::Locked(lock));
                }
            }
            Kind::Delegation { write, .. } => {
                changes.push(Change::Delegation(DelegationRecord { id, client, file, write }));
            }
            // What it was is not known any more, and makes no difference: it holds nothing.
            Kind::Closed { owner } => {
                let (access, deny, opened) = (0, 0, 0);
                let open = OpenRecord { id, seqid, owner, file, access, deny, opened };
                changes.extend([Change::Open(open), Change::Closed(id)]);
            }
            Kind::Revoked { why, delegation } => {
                let revoked = RevokedRecord { id, client, file, seqid, why, delegation };
                changes.push(Change::Revoked(revoked));
            }
        }
    }
}
