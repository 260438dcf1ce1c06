//! Stateids: what they name, and whether they may be used (RFC 8881 section 8.2).

use std::time::Instant;

use crate::locks::FileKey;

use super::super::protocol::{StateId, Status};
use super::ids::{state_id, state_number};
use super::{Holder, Revocation, State};

/// What is done with a file's data: the bits of share reservations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// READ and its like.
    Read = 1,
    /// WRITE and its like, SETATTR of the size.
    Write = 2,
}

/// What a stateid names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) client: u64,
    pub(super) file: FileKey,
    pub(super) seqid: u32,
    pub(super) kind: Kind,
}

impl Entry {
    pub(super) fn is_delegation(&self) -> bool {
        matches!(self.kind, Kind::Delegation { .. } | Kind::Revoked { delegation: true, .. })
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Open {
        owner: u64,
        access: u32,
        deny: u32,
        opened: u32,
    },
    Lock {
        owner: u64,
        open: u64,
    },
    Delegation {
        write: bool,
        /// Since when it is being recalled.
        recalled: Option<Instant>,
    },
    /// A closed open, for the retransmission of CLOSE in minor version 0.
    Closed {
        owner: u64,
    },
    Revoked {
        why: Revocation,
        delegation: bool,
    },
}

impl Kind {
    pub(super) fn owner(&self) -> Option<u64> {
        match self {
            Self::Open { owner, .. } | Self::Lock { owner, .. } | Self::Closed { owner } => {
                Some(*owner)
            }
            Self::Delegation { .. } | Self::Revoked { .. } => None,
        }
    }
}

impl<H: Holder> State<H> {
    /// The stateid of a state as it is now.
    pub(super) fn state_id(&self, number: u64) -> StateId {
        let seqid = self.states.get(&number).map_or(0, |entry| entry.seqid);
        state_id(self.instance, number, seqid)
    }

    /// What a stateid names, if it may be used. `client` is the session's client; minor version 0
    /// has none.
    pub(super) fn lookup(&self, client: Option<u64>, id: &StateId) -> Result<(u64, Entry), Status> {
        let (instance, number) = state_number(id);
        if instance != self.instance && client.is_none() && !id.is_special() {
            return Err(Status::StaleStateId);
        }
        let entry = self.states.get(&number).filter(|_| instance == self.instance);
        let entry = *entry.ok_or(Status::BadStateId)?;
        let has_sessions = self.clients.get(&entry.client).is_some_and(|it| it.record.has_sessions);
        if client.unwrap_or(entry.client) != entry.client || has_sessions != client.is_some() {
            return Err(Status::BadStateId);
        }
        match entry.kind {
            Kind::Revoked { why: Revocation::Administrator, .. } => {
                return Err(Status::AdminRevoked);
            }
            Kind::Revoked { delegation: true, .. } if has_sessions => {
                return Err(Status::DelegRevoked);
            }
            Kind::Revoked { .. } => return Err(Status::Expired),
            Kind::Closed { .. } => return Err(Status::BadStateId),
            _ => {}
        }
        if has_sessions && id.seqid == 0 {
            return Ok((number, entry));
        }
        match id.seqid.wrapping_sub(entry.seqid) as i32 {
            0 => Ok((number, entry)),
            ..0 => Err(Status::OldStateId),
            1.. => Err(Status::BadStateId),
        }
    }

    /// Why a state was revoked, if it was.
    pub(super) fn revocation(&self, number: u64) -> Option<Revocation> {
        match self.states.get(&number)?.kind {
            Kind::Revoked { why, .. } => Some(why),
            _ => None,
        }
    }

    /// Whether the data of a file may be read or written by this stateid. The special ones are
    /// known; the current stateid is the caller's to replace.
    ///
    /// # Errors
    /// Those of stateids; `OPENMODE`; `GRACE`; `LOCKED` if a share reservation forbids it to those who have
    /// not opened the file; `DELAY` while a delegation is recalled.
    pub fn check_access(
        &mut self,
        client: Option<u64>,
        id: &StateId,
        file: &FileKey,
        access: Access,
        now: Instant,
    ) -> Result<(), Status> {
        let is_bypass = *id == StateId::BYPASS;
        if is_bypass || *id == StateId::ANONYMOUS {
            if self.is_in_grace(now) {
                return Err(Status::Grace);
            }
            self.recall_for(file, client, access == Access::Write, now)?;
            if is_bypass && access == Access::Read {
                return Ok(());
            }
            let denies = |entry: &Entry| match entry.kind {
                Kind::Open { deny, .. } => deny & access as u32 != 0,
                _ => false,
            };
            return self.give_way(file, denies, now).map_err(|()| Status::Locked);
        }
        let (_, entry) = self.lookup(client, id)?;
        if entry.file != *file {
            return Err(Status::BadStateId);
        }
        self.renew(entry.client, now);
        if self.access_of(&entry) & access as u32 == 0 {
            return Err(Status::OpenMode);
        }
        if entry.is_delegation() {
            return Ok(());
        }
        self.recall_for(file, Some(entry.client), access == Access::Write, now)
    }

    /// The access that a state gives.
    fn access_of(&self, entry: &Entry) -> u32 {
        match entry.kind {
            Kind::Open { access, .. } => access,
            Kind::Lock { open, .. } => match self.states.get(&open).map(|open| open.kind) {
                Some(Kind::Open { access, .. }) => access,
                _ => 0,
            },
            Kind::Delegation { write, .. } => {
                if write {
                    3
                } else {
                    1
                }
            }
            Kind::Closed { .. } | Kind::Revoked { .. } => 0,
        }
    }

    pub(super) fn states_of(&self, file: &FileKey) -> Vec<u64> {
        self.files.get(file).into_iter().flatten().copied().collect()
    }

    /// TEST_STATEID for one stateid.
    pub fn test_state(&self, client: u64, id: &StateId) -> Status {
        self.lookup(Some(client), id).err().unwrap_or(Status::Ok)
    }

    /// FREE_STATEID.
    ///
    /// # Errors
    /// `BAD_STATEID`, `OLD_STATEID`, `LOCKS_HELD`.
    pub fn free_state(&mut self, client: u64, id: &StateId, now: Instant) -> Result<(), Status> {
        let (instance, number) = state_number(id);
        let known = self.states.get(&number).filter(|it| it.client == client);
        let known = known.filter(|_| instance == self.instance).ok_or(Status::BadStateId)?;
        if !matches!(known.kind, Kind::Revoked { .. }) {
            self.lookup(Some(client), id)?;
        }
        match known.kind {
            Kind::Open { .. } | Kind::Delegation { .. } => return Err(Status::LocksHeld),
            Kind::Lock { .. } if self.holds_locks(number) => return Err(Status::LocksHeld),
            _ => {}
        }
        self.drop_state(number, now);
        Ok(())
    }

    /// The file of a stateid that may be used.
    ///
    /// # Errors
    /// Those of stateids.
    pub fn file_of(&self, client: Option<u64>, id: &StateId) -> Result<FileKey, Status> {
        self.lookup(client, id).map(|(_, entry)| entry.file)
    }
}
