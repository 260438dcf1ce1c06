//! Open owners and lock owners, and the seqids by which minor version 0 tells their
//! retransmissions (RFC 7530 sections 9.1.7 to 9.1.9).

use std::collections::BTreeSet;
use std::time::Instant;

use super::super::protocol::{StateId, Status};
use super::clients::own;
use super::ids::state_number;
use super::stateids::Kind;
use super::{Change, Holder, Kept, OwnerKind, OwnerRecord, OwnerReply, State};

/// An owner.
#[derive(Debug)]
pub(super) struct OwnerEntry {
    pub(super) record: OwnerRecord,
    /// Minor version 0: the last reply that a successor must know.
    pub(super) recorded: Option<OwnerReply>,
    /// A later one, to a request that changed nothing.
    later: Option<OwnerReply>,
    /// Requests after the recorded one may have been answered before this run: those that
    /// changed nothing, whose seqid nobody wrote down.
    pub(super) restored: bool,
    /// Its states, closed ones included.
    pub(super) states: BTreeSet<u64>,
    used: Instant,
}

impl OwnerEntry {
    pub(super) fn new(record: OwnerRecord, now: Instant) -> Self {
        let (recorded, later) = (None, None);
        Self { record, recorded, later, restored: false, states: BTreeSet::new(), used: now }
    }

    pub(super) fn set_recorded(&mut self, reply: &OwnerReply) {
        (self.recorded, self.later) = (Some(reply.clone()), None);
        self.restored = false;
    }

    fn last(&self) -> Option<&OwnerReply> {
        self.later.as_ref().or(self.recorded.as_ref())
    }

    /// How far a seqid is ahead of the last one; one, if it is the next.
    fn ahead(&self, seqid: u32) -> u32 {
        let ahead = self.last().map_or(1, |last| seqid.wrapping_sub(last.seqid));
        let may_skip = self.restored && self.later.is_none();
        if may_skip && (1..=0x7fff_ffff).contains(&ahead) { 1 } else { ahead }
    }
}

/// What a request with a seqid is (minor version 0).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerRequest {
    /// A new one of this owner; to be answered with [`State::owner_replied`].
    New(u64),
    /// It was answered: the result.
    Replay(Kept),
}

/// Whether the seqid moves on with this result (RFC 7530 section 9.1.7).
fn advances(status: Status) -> bool {
    !matches!(
        status,
        Status::StaleClientId
            | Status::StaleStateId
            | Status::BadStateId
            | Status::BadSeqId
            | Status::BadXdr
            | Status::Resource
            | Status::NoFileHandle
            | Status::Moved
    )
}

impl<H: Holder> State<H> {
    /// The seqid of an OPEN (minor version 0). An owner that is not known is from now on; one that
    /// was never confirmed starts over.
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `BAD_SEQID`, `RESOURCE`.
    pub fn open_owner_request(
        &mut self,
        client: u64,
        name: &[u8],
        seqid: u32,
        fingerprint: u64,
        now: Instant,
    ) -> Result<OwnerRequest, Status> {
        self.check_client_v40(client)?;
        self.renew(client, now);
        let known = self.find_owner(client, OwnerKind::Open, name);
        if let Some(owner) = known.and_then(|id| self.owners.get(&id)) {
            let is_replay = owner.last().is_some_and(|last| last.seqid == seqid);
            if owner.record.confirmed || is_replay {
                return self.owner_request(owner.record.id, seqid, fingerprint, now);
            }
            let (id, states) = (owner.record.id, owner.states.clone());
            states.into_iter().for_each(|state| self.drop_state(state, now));
            self.commit(Change::OwnerRemoved(id), now);
        }
        let id = self.make_owner(client, OwnerKind::Open, name, now)?;
        Ok(OwnerRequest::New(id))
    }

    /// The seqid of a request that names a state of its owner (minor version 0): OPEN_CONFIRM,
    /// OPEN_DOWNGRADE, CLOSE, LOCK, LOCKU.
    ///
    /// # Errors
    /// `STALE_STATEID`, `BAD_STATEID`, `EXPIRED`, `BAD_SEQID`.
    pub fn state_owner_request(
        &mut self,
        id: &StateId,
        seqid: u32,
        fingerprint: u64,
        now: Instant,
    ) -> Result<OwnerRequest, Status> {
        let (instance, number) = state_number(id);
        let is_stale = instance != self.instance && !id.is_special();
        let unknown = if is_stale { Status::StaleStateId } else { Status::BadStateId };
        let entry = self.states.get(&number).filter(|_| instance == self.instance);
        let entry = entry.ok_or(unknown)?;
        let client = entry.client;
        match entry.kind.owner() {
            Some(owner) => {
                self.renew(client, now);
                self.owner_request(owner, seqid, fingerprint, now)
            }
            None => Err(self.lookup(None, id).err().unwrap_or(Status::BadStateId)),
        }
    }

    /// The seqid of an owner's request: in order, or the last one again.
    fn owner_request(
        &mut self,
        id: u64,
        seqid: u32,
        fingerprint: u64,
        now: Instant,
    ) -> Result<OwnerRequest, Status> {
        let owner = self.owners.get_mut(&id).ok_or(Status::BadStateId)?;
        owner.used = now;
        match (owner.ahead(seqid), owner.last()) {
            (0, Some(last)) if last.fingerprint == fingerprint => {
                return Ok(OwnerRequest::Replay(last.reply.clone()));
            }
            (1, _) => {}
            _ => return Err(Status::BadSeqId),
        }
        let states = owner.states.iter().copied();
        let is_closed = |state: &u64| {
            self.states.get(state).is_some_and(|entry| matches!(entry.kind, Kind::Closed { .. }))
        };
        let closed: Vec<u64> = states.filter(is_closed).collect();
        closed.into_iter().for_each(|state| self.commit(Change::StateRemoved(state), now));
        Ok(OwnerRequest::New(id))
    }

    /// The first seqid of a lock owner in a LOCK by an open (minor version 0): one that has locks on
    /// other files goes on with its seqids. One that has none starts over: a client forgets an owner
    /// that was denied its only lock, and gives its name to the next.
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `BAD_SEQID`.
    pub fn new_lock_owner(&self, client: u64, name: &[u8], seqid: u32) -> Result<(), Status> {
        self.check_client_v40(client)?;
        let known = self.find_owner(client, OwnerKind::Lock, name);
        let known = known.and_then(|id| self.owners.get(&id)).filter(|it| !it.states.is_empty());
        let ahead = known.map_or(1, |it| it.ahead(seqid));
        if ahead == 1 { Ok(()) } else { Err(Status::BadSeqId) }
    }

    /// Takes the result of an owner's request (minor version 0). A LOCK that brings a new lock
    /// owner is answered for the open owner and for the lock owner. One that failed changed
    /// nothing: a successor that runs it again does no harm.
    pub fn owner_replied(&mut self, reply: OwnerReply, status: Status, now: Instant) {
        let Some(owner) = self.owners.get_mut(&reply.owner).filter(|_| advances(status)) else {
            return;
        };
        if status == Status::Ok {
            self.commit(Change::OwnerReplied(reply), now);
        } else {
            owner.later = Some(reply);
        }
    }

    /// The number of an owner.
    pub fn find_owner(&self, client: u64, kind: OwnerKind, name: &[u8]) -> Option<u64> {
        self.owner_names.get(&(client, kind, own(name))).copied()
    }

    /// The number of an owner, which is known from now on.
    pub(super) fn make_owner(
        &mut self,
        client: u64,
        kind: OwnerKind,
        name: &[u8],
        now: Instant,
    ) -> Result<u64, Status> {
        if let Some(id) = self.find_owner(client, kind, name) {
            return Ok(id);
        }
        let known = self.clients.get(&client).ok_or(Status::StaleClientId)?;
        if known.owners.len() >= self.settings.owners_per_client {
            return Err(self.limit_status(client));
        }
        let id = self.next;
        let confirmed = known.record.has_sessions || kind == OwnerKind::Lock;
        let record = OwnerRecord { id, client, kind, name: own(name).into(), confirmed };
        self.commit(Change::Owner(record), now);
        Ok(id)
    }

    /// What a client is told that goes over a limit.
    pub(super) fn limit_status(&self, client: u64) -> Status {
        let client = self.clients.get(&client);
        match client.is_some_and(|client| client.record.has_sessions) {
            true => Status::Delay,
            false => Status::Resource,
        }
    }

    /// Forgets an owner that has no state and whose client has no seqids to be answered.
    pub(super) fn settle_owner(&mut self, id: u64, now: Instant) {
        let Some(owner) = self.owners.get(&id).filter(|owner| owner.states.is_empty()) else {
            return;
        };
        let client = self.clients.get(&owner.record.client);
        if client.is_some_and(|client| client.record.has_sessions) {
            self.commit(Change::OwnerRemoved(id), now);
        }
    }

    pub(super) fn forget_idle_owners(&mut self, now: Instant) {
        let lease = self.settings.lease;
        let idle = self.owners.iter().filter(|(_, owner)| {
            let mut states = owner.states.iter().filter_map(|id| self.states.get(id));
            now.saturating_duration_since(owner.used) > lease
                && states.all(|entry| matches!(entry.kind, Kind::Closed { .. }))
        });
        let idle: Vec<u64> = idle.map(|(id, _)| *id).collect();
        idle.into_iter().for_each(|id| self.commit(Change::OwnerRemoved(id), now));
    }
}
