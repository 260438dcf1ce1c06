//! Opens: share reservations, upgrades and downgrades (RFC 7530 sections 16.2, 16.16 to 16.19, RFC
//! 8881 section 18.16).

use std::time::Instant;

use crate::locks::FileKey;

use super::super::protocol::{StateId, Status};
use super::apply::share;
use super::ids::next_seqid;
use super::stateids::{Entry, Kind};
use super::{Change, Holder, OpenRecord, OwnerKind, OwnerRecord, State};

/// A wish to open a file that has been found or made.
#[derive(Clone, Copy, Debug)]
pub struct OpenRequest<'a> {
    /// The client.
    pub client: u64,
    /// Its name of the open owner.
    pub owner: &'a [u8],
    /// The file.
    pub file: FileKey,
    /// `OPEN4_SHARE_ACCESS_*`, without wishes for delegations.
    pub access: u32,
    /// `OPEN4_SHARE_DENY_*`.
    pub deny: u32,
    /// It was open before the state was lost.
    pub reclaim: bool,
}

/// A file that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Names the open.
    pub stateid: StateId,
    /// The owner must be confirmed (minor version 0).
    pub confirm: bool,
}

/// The bit of one pair of access and deny.
fn opened_bit(access: u32, deny: u32) -> u32 {
    1 << (4 * (access & 3) + (deny & 3))
}

/// The bits that all pairs in `opened` give, of those that fit inside the two.
fn reachable(opened: u32, access: u32, deny: u32) -> (u32, u32) {
    let pairs = (0..16).filter(|bit| opened >> bit & 1 == 1).map(|bit| (bit / 4, bit % 4));
    let fits = pairs.filter(|(one, two)| one & !access == 0 && two & !deny == 0);
    fits.fold((0, 0), |all, (one, two)| (all.0 | one, all.1 | two))
}

impl<H: Holder> State<H> {
    /// OPEN, once the file is known: a new open, or more access by one that the owner has.
    ///
    /// # Errors
    /// `INVAL`, `STALE_CLIENTID`, `SHARE_DENIED`, `GRACE`, `NO_GRACE`, `RECLAIM_BAD`,
    /// `RECLAIM_CONFLICT`, `DELAY` while a delegation
    /// is recalled or at a limit, `RESOURCE` at a limit (minor version 0).
    pub fn open(&mut self, request: &OpenRequest<'_>, now: Instant) -> Result<Opened, Status> {
        let &OpenRequest { client, owner, file, access, deny, reclaim } = request;
        if !(1..=3).contains(&access) || deny > 3 {
            return Err(Status::Inval);
        }
        self.may_open(client, reclaim, now)?;
        self.recall_for(&file, Some(client), access & 2 != 0 || deny & 1 != 0, now)?;
        let known = self.find_owner(client, OwnerKind::Open, owner);
        let open = known.and_then(|known| self.find_open(known, &file));
        match open {
            None => self.check_states(client)?,
            // An owner is bound by what it denies itself (RFC 7530 section 9.9).
            Some((_, Entry { kind: Kind::Open { access: had, deny: denied, .. }, .. }))
                if !reclaim && share(had, denied).conflicts(share(access, deny)) =>
            {
                return Err(Status::ShareDenied);
            }
            Some(_) => {}
        }
        let owner = self.make_owner(client, OwnerKind::Open, owner, now)?;
        let mut record = OpenRecord {
            id: self.next,
            seqid: 1,
            owner,
            file: (&file).into(),
            access,
            deny,
            opened: opened_bit(access, deny),
        };
        if let Some((id, Entry { seqid, kind: Kind::Open { access, deny, opened, .. }, .. })) = open
        {
            record.id = id;
            record.seqid = next_seqid(seqid);
            record.access |= access;
            record.deny |= deny;
            record.opened |= opened;
        }
        if let Err(status) = self.reserve(&record, file, now) {
            self.settle_owner(owner, now);
            let is_conflict = reclaim && status == Status::ShareDenied;
            return Err(if is_conflict { Status::ReclaimConflict } else { status });
        }
        let id = record.id;
        self.commit(Change::Open(record), now);
        self.renew(client, now);
        let confirm = self.owners.get(&owner).is_some_and(|owner| !owner.record.confirmed);
        Ok(Opened { stateid: self.state_id(id), confirm })
    }

    /// Whether a client may open anything now, before a file is made for it.
    ///
    /// # Errors
    /// `STALE_CLIENTID`, `GRACE`, `NO_GRACE`, `RECLAIM_BAD`.
    pub fn may_open(&self, client: u64, reclaim: bool, now: Instant) -> Result<(), Status> {
        let known = self.clients.get(&client).filter(|client| client.record.confirmed);
        known.ok_or(Status::StaleClientId)?;
        self.check_reclaim(client, reclaim, now)
    }

    /// Whether anybody has a file open, or holds a delegation of it.
    pub fn is_open(&self, file: &FileKey) -> bool {
        let states = self.files.get(file).into_iter().flatten();
        let mut kinds = states.filter_map(|id| self.states.get(id)).map(|entry| entry.kind);
        kinds.any(|kind| matches!(kind, Kind::Open { .. } | Kind::Delegation { .. }))
    }

    /// Sets the share reservation of an open. Those of silent clients give way, if nobody else's
    /// stands in the way.
    fn reserve(&mut self, record: &OpenRecord, file: FileKey, now: Instant) -> Result<(), Status> {
        let holder = self.holder(record.owner).ok_or(Status::ServerFault)?;
        let client = holder.as_v4().map_or(0, |holder| holder.client);
        let wanted = share(record.access, record.deny);
        let in_way = |entry: &Entry| match entry.kind {
            Kind::Open { owner, access, deny, .. } => {
                owner != record.owner && share(access, deny).conflicts(wanted)
            }
            _ => false,
        };
        self.give_way(&file, in_way, now).map_err(|()| Status::ShareDenied)?;
        match self.locks.share(file, &holder, wanted) {
            Ok(Ok(_)) => Ok(()),
            // Another protocol's.
            Ok(Err(_)) => Err(Status::ShareDenied),
            Err(_) => Err(self.limit_status(client)),
        }
    }

    /// Whether a client may have one more state.
    pub(super) fn check_states(&self, client: u64) -> Result<(), Status> {
        let states = self.clients.get(&client).map_or(0, |client| client.states.len());
        if states < self.settings.states_per_client {
            return Ok(());
        }
        Err(self.limit_status(client))
    }

    /// An owner's open of a file.
    fn find_open(&self, owner: u64, file: &FileKey) -> Option<(u64, Entry)> {
        let states = self.owners.get(&owner)?.states.iter();
        let mut entries = states.filter_map(|id| Some((*id, *self.states.get(id)?)));
        entries.find(|(_, it)| it.file == *file && matches!(it.kind, Kind::Open { .. }))
    }

    /// OPEN_CONFIRM (minor version 0).
    ///
    /// # Errors
    /// Those of stateids.
    pub fn confirm_open(&mut self, id: &StateId, now: Instant) -> Result<StateId, Status> {
        let (number, entry) = self.lookup_open(None, id)?;
        let owner = entry.kind.owner().and_then(|owner| self.owners.get(&owner));
        let record = owner.ok_or(Status::BadStateId)?.record.clone();
        if record.confirmed {
            return Err(Status::BadStateId);
        }
        self.commit(Change::Owner(OwnerRecord { confirmed: true, ..record }), now);
        Ok(self.set_open(number, &entry, |_| {}, now))
    }

    /// OPEN_DOWNGRADE: to what some of the opens that were made would have given.
    ///
    /// # Errors
    /// Those of stateids; `INVAL`.
    pub fn downgrade(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        access: u32,
        deny: u32,
        now: Instant,
    ) -> Result<StateId, Status> {
        let (number, entry) = self.lookup_open(client, id)?;
        let Kind::Open { opened, .. } = entry.kind else { return Err(Status::BadStateId) };
        if access == 0 || reachable(opened, access, deny) != (access, deny) {
            return Err(Status::Inval);
        }
        let fits = (0..16_u32).filter(|bit| (bit / 4) & !access == 0 && (bit % 4) & !deny == 0);
        let kept = fits.fold(0, |all, bit| all | 1 << bit) & opened;
        let change = |record: &mut OpenRecord| {
            (record.access, record.deny, record.opened) = (access, deny, kept);
        };
        Ok(self.set_open(number, &entry, change, now))
    }

    /// CLOSE: the locks that were made by this open go with it.
    ///
    /// # Errors
    /// Those of stateids.
    pub fn close(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        now: Instant,
    ) -> Result<StateId, Status> {
        let (number, entry) = self.lookup_open(client, id)?;
        self.renew(entry.client, now);
        for state in self.with_locks(number).into_iter().filter(|state| *state != number) {
            self.drop_state(state, now);
        }
        if client.is_some() {
            self.drop_state(number, now);
            return Ok(StateId::INVALID);
        }
        self.free(number);
        self.commit(Change::Closed(number), now);
        Ok(StateId { seqid: next_seqid(entry.seqid), ..*id })
    }

    fn lookup_open(&self, client: Option<u64>, id: &StateId) -> Result<(u64, Entry), Status> {
        let (number, entry) = self.lookup(client, id)?;
        match entry.kind {
            Kind::Open { .. } => Ok((number, entry)),
            _ => Err(Status::BadStateId),
        }
    }

    fn set_open(
        &mut self,
        id: u64,
        entry: &Entry,
        change: impl FnOnce(&mut OpenRecord),
        now: Instant,
    ) -> StateId {
        if let Kind::Open { owner, access, deny, opened } = entry.kind {
            let (seqid, file) = (next_seqid(entry.seqid), (&entry.file).into());
            let mut record = OpenRecord { id, seqid, owner, file, access, deny, opened };
            change(&mut record);
            self.commit(Change::Open(record), now);
        }
        self.renew(entry.client, now);
        self.state_id(id)
    }
}
