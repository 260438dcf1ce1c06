//! Doing what changes say: for requests that have just been decided, and in a replay.

use std::time::Instant;

use crate::locks::{Access as ShareBits, Change as LockChange, FileKey, Mode, Range, Share};

use super::client::Client;
use super::ids::{client_number, session_number};
use super::owners::OwnerEntry;
use super::sessions::Session;
use super::slots::Slot;
use super::stateids::{Entry, Kind};
use super::{
    Base, Change, ClientRecord, DelegationRecord, Holder, LockHolder, LockStateRecord, OpenRecord,
    OwnerRecord, RevokedRecord, SessionRecord, State,
};

/// `OPEN4_SHARE_ACCESS_*` or `OPEN4_SHARE_DENY_*` as the lock table has it.
fn share_bits(bits: u32) -> ShareBits {
    ShareBits { read: bits & 1 != 0, write: bits & 2 != 0 }
}

/// A share reservation as the lock table has it.
pub(super) fn share(access: u32, deny: u32) -> Share {
    Share { access: share_bits(access), deny: share_bits(deny) }
}

impl<H: Holder> State<H> {
    /// Does what a change says, without asking whether it may: it was allowed when it was made.
    /// Leases begin `now`. What names something unknown changes nothing.
    pub fn apply(&mut self, change: &Change, now: Instant) {
        match change {
            Change::Base(base) => self.apply_base(base),
            Change::Client(record) => self.apply_client(record, now),
            Change::ClientRemoved(id) => self.apply_client_removed(*id),
            Change::Session(record) => self.apply_session(record),
            Change::SessionRemoved(id) => {
                if let Some(session) = self.sessions.remove(id)
                    && let Some(client) = self.clients.get_mut(&session.record.client)
                {
                    client.sessions.remove(id);
                }
            }
            Change::Intended(intent) => {
                if let Some(slot) = self.slot_mut(&intent.session, intent.slot) {
                    slot.intents.retain(|earlier| earlier.sequence == intent.sequence);
                    slot.intents.push(intent.clone());
                }
            }
            Change::Replied(reply) => {
                if let Some(slot) = self.slot_mut(&reply.session, reply.slot) {
                    slot.intents = Vec::new();
                    slot.recorded = Some(reply.clone());
                }
            }
            Change::Owner(record) => self.apply_owner(record, now),
            Change::OwnerReplied(reply) => {
                if let Some(owner) = self.owners.get_mut(&reply.owner) {
                    owner.set_recorded(reply);
                }
            }
            Change::OwnerRemoved(id) => self.apply_owner_removed(*id),
            Change::Open(record) => self.apply_open(record),
            Change::LockState(record) => self.apply_lock_state(record),
            Change::Locked(lock) => {
                let mode = if lock.exclusive { Mode::Exclusive } else { Mode::Shared };
                self.apply_range(lock.state, lock.seqid, (lock.first, lock.last), Some(mode));
            }
            Change::Unlocked(lock) => {
                self.apply_range(lock.state, lock.seqid, (lock.first, lock.last), None);
            }
            Change::Delegation(record) => self.apply_delegation(record),
            Change::Closed(id) => {
                let owner = self.states.get(id).and_then(|entry| entry.kind.owner());
                self.release(*id);
                if let Some((owner, entry)) = owner.zip(self.states.get_mut(id)) {
                    entry.kind = Kind::Closed { owner };
                }
            }
            Change::Revoked(record) => self.apply_revoked(record),
            Change::StateRemoved(id) => self.apply_state_removed(*id),
        }
    }

    fn apply_base(&mut self, base: &Base) {
        self.instance = base.instance;
        self.next = self.next.max(base.next);
        self.next_client = self.next_client.max(base.next_client);
    }

    /// A number was given out.
    fn used(&mut self, number: u64) {
        self.next = self.next.max(number.saturating_add(1));
    }

    fn slot_mut(&mut self, session: &[u8; 16], slot: u32) -> Option<&mut Slot> {
        self.sessions.get_mut(session)?.slots.get_mut(slot as usize)
    }

    fn apply_client(&mut self, record: &ClientRecord, now: Instant) {
        self.next_client = self.next_client.max(client_number(record.id).saturating_add(1));
        self.used(record.confirm);
        record.pending.iter().for_each(|pending| self.used(pending.confirm));
        let names = self.client_names.entry(Client::name(record)).or_default();
        if record.confirmed {
            names.confirmed = Some(record.id);
            names.unconfirmed = names.unconfirmed.filter(|id| *id != record.id);
        } else {
            names.unconfirmed = Some(record.id);
        }
        match self.clients.get_mut(&record.id) {
            Some(client) => client.record = record.clone(),
            None => {
                self.clients.insert(record.id, Client::new(record.clone(), now));
            }
        }
    }

    fn apply_client_removed(&mut self, id: u64) {
        let Some(client) = self.clients.get(&id) else { return };
        let (states, owners) = (client.states.clone(), client.owners.clone());
        states.iter().rev().for_each(|state| self.apply_state_removed(*state));
        owners.iter().for_each(|owner| self.apply_owner_removed(*owner));
        let Some(client) = self.clients.remove(&id) else { return };
        for session in &client.sessions {
            self.sessions.remove(session);
        }
        let name = Client::name(&client.record);
        if let Some(names) = self.client_names.get_mut(&name) {
            names.confirmed = names.confirmed.filter(|other| *other != id);
            names.unconfirmed = names.unconfirmed.filter(|other| *other != id);
            if names.confirmed.or(names.unconfirmed).is_none() {
                self.client_names.remove(&name);
            }
        }
    }

    fn apply_session(&mut self, record: &SessionRecord) {
        self.used(session_number(&record.id));
        let Some(client) = self.clients.get_mut(&record.client) else { return };
        client.sessions.insert(record.id);
        let session = self.sessions.entry(record.id).or_insert_with(|| Session::new(record));
        session.set_record(record);
    }

    fn apply_owner(&mut self, record: &OwnerRecord, now: Instant) {
        self.used(record.id);
        let Some(client) = self.clients.get_mut(&record.client) else { return };
        client.owners.insert(record.id);
        let name = (record.client, record.kind, record.name.0.clone());
        self.owner_names.insert(name, record.id);
        match self.owners.get_mut(&record.id) {
            Some(owner) => owner.record = record.clone(),
            None => {
                self.owners.insert(record.id, OwnerEntry::new(record.clone(), now));
            }
        }
    }

    fn apply_owner_removed(&mut self, id: u64) {
        let Some(owner) = self.owners.remove(&id) else { return };
        for state in &owner.states {
            self.apply_state_removed(*state);
        }
        let OwnerRecord { client, kind, name, .. } = owner.record;
        self.owner_names.remove(&(client, kind, name.0));
        if let Some(client) = self.clients.get_mut(&client) {
            client.owners.remove(&id);
        }
    }

    /// The holder in the lock table that stands for an owner.
    pub(super) fn holder(&self, owner: u64) -> Option<H> {
        let client = self.owners.get(&owner)?.record.client;
        Some(H::from_v4(LockHolder { client, owner }))
    }

    fn insert_state(&mut self, id: u64, entry: Entry) {
        self.used(id);
        if let Some(client) = self.clients.get_mut(&entry.client) {
            client.states.insert(id);
            if matches!(entry.kind, Kind::Revoked { .. }) {
                client.revoked.insert(id);
            }
        }
        if let Some(owner) = entry.kind.owner().and_then(|owner| self.owners.get_mut(&owner)) {
            owner.states.insert(id);
        }
        self.files.entry(entry.file).or_default().insert(id);
        self.count_delegation(&entry, 1);
        if let Some(former) = self.states.insert(id, entry) {
            self.count_delegation(&former, -1);
        }
    }

    fn count_delegation(&mut self, entry: &Entry, change: isize) {
        if let Kind::Delegation { write, .. } = entry.kind {
            let count = &mut self.given[usize::from(write)];
            *count = count.saturating_add_signed(change);
        }
    }

    fn apply_open(&mut self, record: &OpenRecord) {
        let &OpenRecord { id, seqid, owner, access, deny, opened, .. } = record;
        let Some((file, holder)) = record.file.key().zip(self.holder(owner)) else { return };
        let Some(client) = self.owners.get(&owner).map(|owner| owner.record.client) else { return };
        let kind = Kind::Open { owner, access, deny, opened };
        self.insert_state(id, Entry { client, file, seqid, kind });
        self.locks.apply(&LockChange::Shared { file, owner: holder, share: share(access, deny) });
    }

    fn apply_lock_state(&mut self, record: &LockStateRecord) {
        let &LockStateRecord { id, seqid, owner, open } = record;
        let Some(entry) = self.states.get(&open) else { return };
        let (client, file) = (entry.client, entry.file);
        self.insert_state(id, Entry { client, file, seqid, kind: Kind::Lock { owner, open } });
    }

    fn apply_delegation(&mut self, record: &DelegationRecord) {
        let &DelegationRecord { id, client, write, .. } = record;
        let Some(file) = record.file.key() else { return };
        let kind = Kind::Delegation { write, recalled: None };
        self.insert_state(id, Entry { client, file, seqid: 1, kind });
    }

    fn apply_range(&mut self, id: u64, seqid: u32, bytes: (u64, u64), mode: Option<Mode>) {
        let Some(entry) = self.states.get_mut(&id) else { return };
        entry.seqid = seqid;
        let (file, owner) = (entry.file, entry.kind.owner());
        let Some(holder) = owner.and_then(|owner| self.holder(owner)) else { return };
        let Some(range) = Range::between(bytes.0, bytes.1) else { return };
        self.locks.apply(&match mode {
            Some(mode) => LockChange::Granted { file, owner: holder, range, mode, waiter: None },
            None => LockChange::Released { file, owner: holder, range },
        });
    }

    fn apply_revoked(&mut self, record: &RevokedRecord) {
        let &RevokedRecord { id, client, seqid, why, delegation, .. } = record;
        let Some(file) = record.file.key() else { return };
        self.apply_state_removed(id);
        self.insert_state(
            id,
            Entry { client, file, seqid, kind: Kind::Revoked { why, delegation } },
        );
    }

    fn apply_state_removed(&mut self, id: u64) {
        self.release(id);
        let Some(entry) = self.states.remove(&id) else { return };
        self.count_delegation(&entry, -1);
        if let Some(client) = self.clients.get_mut(&entry.client) {
            client.states.remove(&id);
            client.revoked.remove(&id);
        }
        self.forget_in_file(&entry.file, id);
        if let Some(owner) = entry.kind.owner().and_then(|owner| self.owners.get_mut(&owner)) {
            owner.states.remove(&id);
        }
    }

    fn forget_in_file(&mut self, file: &FileKey, id: u64) {
        if let Some(states) = self.files.get_mut(file) {
            states.remove(&id);
            if states.is_empty() {
                self.files.remove(file);
            }
        }
    }

    /// Drops what a state holds in the lock table.
    fn release(&mut self, id: u64) {
        let Some(entry) = self.states.get(&id) else { return };
        let file = entry.file;
        let Some(holder) = entry.kind.owner().and_then(|owner| self.holder(owner)) else { return };
        match entry.kind {
            Kind::Open { .. } => {
                self.locks.apply(&LockChange::Unshared { file, owner: holder });
            }
            Kind::Lock { .. } if self.holds_alone(id) => {
                self.locks.apply(&LockChange::Released { file, owner: holder, range: Range::ALL });
            }
            _ => {}
        }
    }
}
