//! Byte-range locks: LOCK, LOCKT, LOCKU, RELEASE_LOCKOWNER (RFC 8881 sections 18.10 to 18.12, RFC
//! 7530 section 16.37).

use std::time::Instant;

use crate::locks::{Conflict, FileKey, Mode, Outcome, Range, Request};

use super::super::protocol::{LockDenied, LockType, OwnerName, StateId, StateOwner, Status};
use super::ids::next_seqid;
use super::stateids::Kind;
use super::waiters::LockWaiter;
use super::{
    Change, Holder, LockHolder, LockStateRecord, LockedRecord, OwnerKind, Revocation, State,
    UnlockedRecord,
};

/// By which right and for whom to lock.
#[derive(Clone, Copy, Debug)]
pub enum LockBy<'a> {
    /// The owner's first lock by this open.
    Open {
        /// The open.
        open: StateId,
        /// The client's name of the lock owner.
        owner: &'a [u8],
    },
    /// It has locks here already.
    Locks(StateId),
}

/// A wish for a lock.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    /// The session's client; none in minor version 0.
    pub client: Option<u64>,
    /// By which right and for whom.
    pub by: LockBy<'a>,
    /// Which bytes.
    pub range: Range,
    /// How.
    pub mode: Mode,
    /// It was held before the state was lost.
    pub reclaim: bool,
    /// The client would wait (`READW_LT`, `WRITEW_LT`): it hears when the lock may be had.
    pub wait: bool,
}

/// Why a lock is not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockRefusal {
    /// Somebody holds it.
    Denied(LockDenied),
    /// Another reason.
    Status(Status),
}

impl From<Status> for LockRefusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// A wish for a lock, in the words of the table.
struct Wish {
    client: u64,
    open: u64,
    owner: u64,
    file: FileKey,
}

impl<H: Holder> State<H> {
    /// LOCK; it never waits. The stateid names the owner's locks by this open.
    ///
    /// # Errors
    /// See [`LockRefusal`]: those of stateids, `OPENMODE`, `GRACE`, `NO_GRACE`, `RECLAIM_BAD`,
    /// `RECLAIM_CONFLICT`; at a limit `DELAY`
    /// or (minor version 0) `RESOURCE`.
    pub fn lock(
        &mut self,
        request: &LockRequest<'_>,
        now: Instant,
    ) -> Result<StateId, LockRefusal> {
        let wish = self.lock_wish(request, now)?;
        let owner = self.owners.get(&wish.owner).map(|owner| owner.record.name.0.clone());
        let waiter = LockWaiter {
            client: wish.client,
            owner: owner.unwrap_or_default(),
            range: request.range,
            mode: request.mode,
            since: now,
        };
        if let Err(refusal) = self.lock_in_table(request, &wish, now) {
            self.settle_owner(wish.owner, now);
            return Err(match refusal {
                LockRefusal::Denied(_) if request.reclaim => Status::ReclaimConflict.into(),
                LockRefusal::Denied(_) if request.wait => {
                    self.wait_for_lock(wish.file, waiter);
                    refusal
                }
                _ => refusal,
            });
        }
        self.waits_no_more(&wish.file, &waiter);
        Ok(self.locked(request, &wish, now))
    }

    /// Notes a lock that is set in the table.
    fn locked(&mut self, request: &LockRequest<'_>, wish: &Wish, now: Instant) -> StateId {
        let state = match self.find_lock_state(wish.owner, wish.open) {
            Some(state) => state,
            None => {
                let (id, owner, open) = (self.next, wish.owner, wish.open);
                let record = LockStateRecord { id, seqid: 0, owner, open };
                self.commit(Change::LockState(record), now);
                id
            }
        };
        let seqid = self.states.get(&state).map_or(1, |entry| next_seqid(entry.seqid));
        let (first, last) = (request.range.first(), request.range.last());
        let exclusive = request.mode == Mode::Exclusive;
        self.commit(Change::Locked(LockedRecord { state, seqid, first, last, exclusive }), now);
        self.renew(wish.client, now);
        if request.mode == Mode::Shared {
            // It may have been exclusive.
            self.notify_waiters(&wish.file);
        }
        self.state_id(state)
    }

    /// Who wants to lock what, if they may.
    fn lock_wish(&mut self, request: &LockRequest<'_>, now: Instant) -> Result<Wish, Status> {
        let id = match &request.by {
            LockBy::Open { open, .. } => open,
            LockBy::Locks(locks) => locks,
        };
        let (number, entry) = self.lookup(request.client, id)?;
        let (client, file) = (entry.client, entry.file);
        self.check_reclaim(client, request.reclaim, now)?;
        let open = match (entry.kind, &request.by) {
            (Kind::Open { .. }, LockBy::Open { .. }) => number,
            (Kind::Lock { open, .. }, LockBy::Locks(_)) => open,
            _ => return Err(Status::BadStateId),
        };
        let needed = if request.mode == Mode::Exclusive { 2 } else { 1 };
        match self.states.get(&open).map(|open| open.kind) {
            Some(Kind::Open { access, .. }) if access & needed != 0 => {}
            Some(Kind::Open { .. }) => return Err(Status::OpenMode),
            _ => return Err(Status::BadStateId),
        }
        let owner = match (entry.kind, &request.by) {
            (Kind::Lock { owner, .. }, _) => owner,
            (_, LockBy::Open { owner, .. }) => {
                self.check_states(client)?;
                self.make_owner(client, OwnerKind::Lock, owner, now)?
            }
            _ => return Err(Status::BadStateId),
        };
        Ok(Wish { client, open, owner, file })
    }

    /// Locks of silent clients give way.
    fn lock_in_table(
        &mut self,
        request: &LockRequest<'_>,
        wish: &Wish,
        now: Instant,
    ) -> Result<(), LockRefusal> {
        let holder = LockHolder { client: wish.client, owner: wish.owner };
        let (file, range, mode) = (wish.file, request.range, request.mode);
        let wanted = Request { file, owner: H::from_v4(holder), range, mode };
        let mut obstacle = self.try_lock(&wanted, wish.client)?;
        if obstacle.is_some() && self.live_conflict(&wanted, now).is_none() {
            for conflict in self.conflicts(&wanted).collect::<Vec<_>>() {
                self.take_locks(&conflict, &file, now);
            }
            obstacle = self.try_lock(&wanted, wish.client)?;
        }
        match obstacle {
            Some(conflict) => Err(LockRefusal::Denied(self.denied(&conflict))),
            None => Ok(()),
        }
    }

    /// Sets a lock in the table, or tells what stands in the way.
    fn try_lock(
        &mut self,
        wanted: &Request<FileKey, H>,
        client: u64,
    ) -> Result<Option<Conflict<H>>, Status> {
        let result = self.locks.lock(wanted, false);
        let (outcome, changes) = result.map_err(|_| self.limit_status(client))?;
        self.effects.keep_others(changes);
        Ok(match outcome {
            Outcome::Denied(conflict) => Some(conflict),
            // It never waits.
            Outcome::Granted | Outcome::Waiting(_) => None,
        })
    }

    /// All that stands in the way of a lock.
    fn conflicts(&self, wanted: &Request<FileKey, H>) -> impl Iterator<Item = Conflict<H>> {
        let (owner, range, mode) = (wanted.owner.clone(), wanted.range, wanted.mode);
        self.locks.held(&wanted.file).into_iter().filter(move |held| {
            held.owner != owner && held.range.overlaps(range) && held.mode.conflicts(mode)
        })
    }

    /// What stands in the way of a lock and is not a silent client's.
    fn live_conflict(&self, wanted: &Request<FileKey, H>, now: Instant) -> Option<Conflict<H>> {
        self.conflicts(wanted).find(|conflict| {
            !conflict.owner.as_v4().is_some_and(|holder| self.is_expired(holder.client, now))
        })
    }

    /// Takes the locks of an owner on a file.
    fn take_locks(&mut self, conflict: &Conflict<H>, file: &FileKey, now: Instant) {
        let Some(holder) = conflict.owner.as_v4() else { return };
        for id in self.states_of(file) {
            let kind = self.states.get(&id).map(|entry| entry.kind);
            if matches!(kind, Some(Kind::Lock { owner, .. }) if owner == holder.owner) {
                self.revoke(id, Revocation::Expired, now);
            }
        }
    }

    /// LOCKT.
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `GRACE`, or who holds a conflicting lock.
    pub fn test_lock(
        &mut self,
        client: u64,
        owner: &[u8],
        file: &FileKey,
        range: Range,
        mode: Mode,
        now: Instant,
    ) -> Result<(), LockRefusal> {
        let known = self.clients.get(&client).filter(|client| client.record.confirmed);
        known.ok_or(Status::StaleClientId)?;
        self.renew(client, now);
        if self.is_in_grace(now) {
            return Err(Status::Grace.into());
        }
        // Owners that are not known have the number of nobody.
        let owner = self.find_owner(client, OwnerKind::Lock, owner).unwrap_or(0);
        let owner = H::from_v4(LockHolder { client, owner });
        let wanted = Request { file: *file, owner, range, mode };
        if self.locks.test(&wanted).is_none() {
            return Ok(());
        }
        match self.live_conflict(&wanted, now) {
            Some(conflict) => Err(LockRefusal::Denied(self.denied(&conflict))),
            None => Ok(()),
        }
    }

    /// LOCKU.
    ///
    /// # Errors
    /// Those of stateids; at a limit (unlocking the middle of a lock leaves two) `DELAY` or (minor
    /// version 0) `RESOURCE`.
    pub fn unlock(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        range: Range,
        now: Instant,
    ) -> Result<StateId, Status> {
        let (state, entry) = self.lookup(client, id)?;
        let Kind::Lock { owner, .. } = entry.kind else { return Err(Status::BadStateId) };
        let holder = self.holder(owner).ok_or(Status::BadStateId)?;
        let changes = self.locks.unlock(entry.file, &holder, range);
        let changes = changes.map_err(|_| self.limit_status(entry.client))?;
        self.effects.keep_others(changes);
        let (seqid, first, last) = (next_seqid(entry.seqid), range.first(), range.last());
        self.commit(Change::Unlocked(UnlockedRecord { state, seqid, first, last }), now);
        self.notify_waiters(&entry.file);
        self.renew(entry.client, now);
        Ok(self.state_id(state))
    }

    /// RELEASE_LOCKOWNER (minor version 0).
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `LOCKS_HELD`.
    pub fn release_lock_owner(
        &mut self,
        client: u64,
        name: &[u8],
        now: Instant,
    ) -> Result<(), Status> {
        self.check_client_v40(client)?;
        self.renew(client, now);
        let Some(owner) = self.find_owner(client, OwnerKind::Lock, name) else { return Ok(()) };
        let states = self.owners.get(&owner).map(|owner| owner.states.clone()).unwrap_or_default();
        if states.iter().any(|state| self.holds_locks(*state)) {
            return Err(Status::LocksHeld);
        }
        self.commit(Change::OwnerRemoved(owner), now);
        Ok(())
    }

    fn denied(&self, conflict: &Conflict<H>) -> LockDenied {
        let v4 = conflict.owner.as_v4();
        let record = v4.and_then(|holder| self.owners.get(&holder.owner)).map(|it| &it.record);
        let owner = match record {
            Some(record) => {
                StateOwner { client: record.client, name: OwnerName::clone(&record.name) }
            }
            None => conflict.owner.describe(),
        };
        LockDenied {
            offset: conflict.range.first(),
            length: match conflict.range.length() {
                0 => u64::MAX,
                length => length,
            },
            kind: match conflict.mode {
                Mode::Shared => LockType::Read,
                Mode::Exclusive => LockType::Write,
            },
            owner,
        }
    }

    fn find_lock_state(&self, owner: u64, open: u64) -> Option<u64> {
        let mut states = self.owners.get(&owner)?.states.iter().copied();
        states.find(|id| {
            let kind = self.states.get(id).map(|entry| entry.kind);
            matches!(kind, Some(Kind::Lock { open: other, .. }) if other == open)
        })
    }

    /// Whether a lock state's owner holds anything on its file.
    pub(super) fn holds_locks(&self, id: u64) -> bool {
        let Some(entry) = self.states.get(&id) else { return false };
        let Kind::Lock { owner, .. } = entry.kind else { return false };
        let held = self.holder(owner).map(|it| self.locks.held_by(&entry.file, &it, Range::ALL));
        held.is_some_and(|held| !held.is_empty())
    }

    /// Whether no other lock state has the same owner and file: two opens of a file share the
    /// locks of one lock owner.
    pub(super) fn holds_alone(&self, id: u64) -> bool {
        let Some(entry) = self.states.get(&id) else { return false };
        let Some(owner) = entry.kind.owner().and_then(|owner| self.owners.get(&owner)) else {
            return false;
        };
        let others = owner.states.iter().filter(|other| **other != id);
        let mut others = others.filter_map(|other| self.states.get(other));
        !others.any(|other| other.file == entry.file)
    }

    /// A state, behind the lock states that hang on it.
    pub(super) fn with_locks(&self, id: u64) -> Vec<u64> {
        let Some(entry) = self.states.get(&id) else { return Vec::new() };
        let hangs_on = |other: &u64| {
            let kind = self.states.get(other).map(|entry| entry.kind);
            matches!(kind, Some(Kind::Lock { open, .. }) if open == id)
        };
        let mut states = self.states_of(&entry.file);
        states.retain(hangs_on);
        states.push(id);
        states
    }

    /// Frees in the lock table what a state holds, so that those who wait get it.
    pub(super) fn free(&mut self, id: u64) {
        let Some(entry) = self.states.get(&id) else { return };
        let file = entry.file;
        if matches!(entry.kind, Kind::Open { .. } | Kind::Delegation { .. }) {
            self.effects.closed.push(file);
        }
        let Some(holder) = entry.kind.owner().and_then(|owner| self.holder(owner)) else { return };
        let changes = match entry.kind {
            Kind::Open { .. } => self.locks.unshare(file, &holder),
            Kind::Lock { .. } if self.holds_alone(id) => {
                // Unlocking everything never needs room.
                self.locks.unlock(file, &holder, Range::ALL).unwrap_or_default()
            }
            _ => return,
        };
        self.effects.keep_others(changes);
        self.notify_waiters(&file);
    }

    /// Removes a state, and its owner with its last one.
    pub(super) fn drop_state(&mut self, id: u64, now: Instant) {
        self.free(id);
        let owner = self.states.get(&id).and_then(|entry| entry.kind.owner());
        self.commit(Change::StateRemoved(id), now);
        if let Some(owner) = owner {
            self.settle_owner(owner, now);
        }
    }
}
