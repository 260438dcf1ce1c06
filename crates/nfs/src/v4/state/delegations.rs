//! Delegations: given with an open, recalled when somebody else needs the file (RFC 8881 section
//! 10.4).

use std::time::{Duration, Instant};

use crate::locks::FileKey;

use super::super::protocol::{StateId, Status};
use super::ids::state_number;
use super::stateids::{Entry, Kind};
use super::{Action, Change, DelegationRecord, Holder, Revocation, State};

/// How long a file gets no delegation after one was in the way: clients that take turns would wait
/// for a recall each time.
const COOL_DOWN: Duration = Duration::from_secs(30);

/// Files that are remembered for that.
const CONTENDED: usize = 4096;

/// A delegation that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegated {
    /// Names it.
    pub stateid: StateId,
    /// For writing.
    pub write: bool,
}

impl<H: Holder> State<H> {
    /// Gives a delegation along with an open, if that stands in nobody's way: one for writing if
    /// the open writes and no other client has the file open, one for reading if none writes.
    /// Whether the client can be called back is for the caller to know. A file that another
    /// client has locked gets none: with a delegation, its holder grants locks to itself.
    pub fn delegate(&mut self, open: &StateId, now: Instant) -> Option<Delegated> {
        let (_, number) = state_number(open);
        let entry = *self.states.get(&number)?;
        let Kind::Open { access, .. } = entry.kind else { return None };
        let (client, file, write) = (entry.client, entry.file, access & 2 != 0);
        let stands_in_way = |other: &Entry| match other.kind {
            Kind::Open { access, deny, .. } => {
                other.client != client && (write || access & 2 != 0 || deny & 1 != 0)
            }
            Kind::Delegation { write: writes, recalled } => {
                other.client == client || write || writes || recalled.is_some()
            }
            _ => false,
        };
        let states = self.states_of(&file);
        let mut others = states.iter().filter_map(|id| self.states.get(id));
        let is_locked = || {
            let mut held = self.locks.held(&file).into_iter();
            held.any(|lock| lock.owner.as_v4().is_none_or(|holder| holder.client != client))
        };
        let is_cool = self
            .contended
            .get(&file)
            .is_none_or(|at| now.saturating_duration_since(*at) >= COOL_DOWN);
        let allowed = self.settings.delegations
            && is_cool
            && self.check_states(client).is_ok()
            && !is_locked();
        if !allowed || others.any(stands_in_way) {
            return None;
        }
        let id = self.next;
        let record = DelegationRecord { id, client, file: (&file).into(), write };
        self.commit(Change::Delegation(record), now);
        Some(Delegated { stateid: self.state_id(id), write })
    }

    /// DELEGRETURN.
    ///
    /// # Errors
    /// Those of stateids.
    pub fn return_delegation(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        now: Instant,
    ) -> Result<(), Status> {
        let (number, entry) = self.lookup(client, id)?;
        if !entry.is_delegation() {
            return Err(Status::BadStateId);
        }
        self.renew(entry.client, now);
        self.drop_state(number, now);
        Ok(())
    }

    /// Recalls the delegations of other clients that stand in the way of reading (or, with
    /// `write`, changing) a file: also for requests of other protocols, which have no client here.
    /// Those of silent clients are revoked at once.
    ///
    /// # Errors
    /// `DELAY` while any stands in the way.
    pub fn recall_for(
        &mut self,
        file: &FileKey,
        client: Option<u64>,
        write: bool,
        now: Instant,
    ) -> Result<(), Status> {
        let mut result = Ok(());
        for id in self.states_of(file) {
            let Some(entry) = self.states.get(&id).copied() else { continue };
            let Kind::Delegation { write: writes, recalled } = entry.kind else { continue };
            if client == Some(entry.client) || !(write || writes) {
                continue;
            }
            if self.is_expired(entry.client, now) {
                self.revoke(id, Revocation::Expired, now);
                continue;
            }
            result = Err(Status::Delay);
            self.note_contended(*file, now);
            if recalled.is_none() {
                self.recall(id, writes, now);
            }
        }
        result
    }

    fn note_contended(&mut self, file: FileKey, now: Instant) {
        if self.contended.len() >= CONTENDED {
            self.contended.retain(|_, at| now.saturating_duration_since(*at) < COOL_DOWN);
        }
        if self.contended.len() < CONTENDED {
            self.contended.insert(file, now);
        }
    }

    /// How many delegations there are for reading, and for writing.
    pub fn delegations_given(&self) -> [usize; 2] {
        self.given
    }

    /// SETATTR by a stateid: what else than the size is set. The stateid must be of the file.
    ///
    /// # Errors
    /// Those of stateids; `DELAY` while a delegation is recalled.
    pub fn check_set_attributes(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        file: &FileKey,
        now: Instant,
    ) -> Result<(), Status> {
        let (_, entry) = self.lookup(client, id)?;
        if entry.file != *file {
            return Err(Status::BadStateId);
        }
        self.recall_for(file, Some(entry.client), true, now)
    }

    fn recall(&mut self, id: u64, write: bool, now: Instant) {
        let delegation = self.state_id(id);
        let Some(entry) = self.states.get_mut(&id) else { return };
        entry.kind = Kind::Delegation { write, recalled: Some(now) };
        let (client, file) = (entry.client, entry.file);
        self.effects.actions.push(Action::Recall { client, delegation, file });
    }
}
