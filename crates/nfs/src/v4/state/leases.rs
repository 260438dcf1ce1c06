//! Leases: how long a client may be silent. One that is silent for longer keeps what it has until
//! somebody else needs it (a courteous server), and loses only that.

use std::time::{Duration, Instant};

use crate::locks::FileKey;

use super::stateids::{Entry, Kind};
use super::{Change, Holder, IntentRecord, Revocation, RevokedRecord, SlotName, State};

impl<H: Holder> State<H> {
    /// A client was heard of.
    pub(super) fn renew(&mut self, id: u64, now: Instant) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.renewed = now;
        }
    }

    /// Whether others may take what the client has.
    pub fn is_expired(&self, id: u64, now: Instant) -> bool {
        self.is_silent_for(id, self.settings.lease, now)
    }

    fn is_silent_for(&self, id: u64, duration: Duration, now: Instant) -> bool {
        let silent = |renewed| now.saturating_duration_since(renewed) > duration;
        self.clients.get(&id).is_some_and(|client| silent(client.renewed))
    }

    /// Ends a replay: leases begin now.
    pub fn resume(&mut self, now: Instant) {
        self.clients.values_mut().for_each(|client| client.renewed = now);
        let slots = self.sessions.values_mut().flat_map(|session| &mut session.slots);
        slots.for_each(|slot| slot.restored = true);
        self.owners.values_mut().for_each(|owner| owner.restored = true);
    }

    /// Requests whose steps are known and whose end is not: the server died in between, and the
    /// filesystem knows whether the last step happened.
    pub fn unfinished(&self) -> impl Iterator<Item = (SlotName, &[IntentRecord])> {
        self.sessions.iter().flat_map(|(session, entry)| {
            let slots = entry.slots.iter().zip(0..).filter(|(slot, _)| !slot.intents.is_empty());
            slots.map(|(it, slot)| (SlotName { session: *session, slot }, &it.intents[..]))
        })
    }

    /// What time brings: unconfirmed clients and idle owners of minor version 0 are forgotten
    /// after a lease, silent clients that hold nothing after [`super::Settings::forget_after`],
    /// and delegations that were not returned in time are revoked. To be called every few seconds.
    pub fn tick(&mut self, now: Instant) {
        let settings = self.settings;
        let forgettable = self.clients.iter().filter(|(_, client)| {
            let patience = match (client.record.confirmed, client.holds_state()) {
                (false, _) => settings.lease,
                (true, false) => settings.forget_after,
                (true, true) => return false,
            };
            now.saturating_duration_since(client.renewed) > patience
        });
        let forgettable: Vec<u64> = forgettable.map(|(id, _)| *id).collect();
        forgettable.into_iter().for_each(|id| self.remove_client(id, now));
        self.forget_idle_owners(now);
        self.forget_waiters(now);
        let is_late = |entry: &Entry| match entry.kind {
            Kind::Delegation { recalled: Some(at), .. } => {
                now.saturating_duration_since(at) > settings.lease
            }
            _ => false,
        };
        let late = self.states.iter().filter(|(_, entry)| is_late(entry));
        let late: Vec<u64> = late.map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.revoke(id, Revocation::Recall, now));
    }

    /// Takes what stands in the way on a file from silent clients, if it is nobody else's.
    pub(super) fn give_way(
        &mut self,
        file: &FileKey,
        in_way: impl Fn(&Entry) -> bool,
        now: Instant,
    ) -> Result<(), ()> {
        let mut silent = Vec::new();
        for id in self.states_of(file) {
            let Some(entry) = self.states.get(&id).filter(|entry| in_way(entry)) else { continue };
            if !self.is_expired(entry.client, now) {
                return Err(());
            }
            silent.push(id);
        }
        silent.into_iter().for_each(|id| self.revoke(id, Revocation::Expired, now));
        Ok(())
    }

    /// Takes a state from its client; the stateid stays, to tell why. What an open is revoked
    /// with are the locks made by it.
    pub(super) fn revoke(&mut self, id: u64, why: Revocation, now: Instant) {
        for state in self.with_locks(id) {
            self.free(state);
            let Some(entry) = self.states.get(&state) else { continue };
            let record = RevokedRecord {
                id: state,
                client: entry.client,
                file: (&entry.file).into(),
                seqid: entry.seqid,
                why,
                delegation: entry.is_delegation(),
            };
            self.commit(Change::Revoked(record), now);
        }
    }

    /// Takes all states of a client, as an administrator may.
    pub fn revoke_client(&mut self, id: u64, now: Instant) {
        let states = self.clients.get(&id).map(|client| client.states.clone());
        for state in states.unwrap_or_default() {
            if self.revocation(state).is_none() {
                self.revoke(state, Revocation::Administrator, now);
            }
        }
    }
}
