//! A model of opens and locks that is too simple to be wrong: one cell per byte, no table.

use std::collections::{BTreeMap, BTreeSet};

use super::super::super::protocol::Status;

/// Bytes of a file.
pub(super) const BYTES: u64 = 8;

/// What a stateid is known by.
pub(super) type Id = [u8; 12];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Op {
    /// Changes nothing.
    Nothing,
    Open {
        file: u8,
        owner: u8,
        access: u32,
        deny: u32,
    },
    Close {
        open: Id,
    },
    LockByOpen {
        open: Id,
        owner: u8,
        first: u64,
        last: u64,
        exclusive: bool,
    },
    Lock {
        locks: Id,
        first: u64,
        last: u64,
        exclusive: bool,
    },
    Unlock {
        locks: Id,
        first: u64,
        last: u64,
    },
    /// Must happen once.
    Append,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    State(Id),
    Done,
    Failed(Status),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    client: usize,
    owner: u8,
    file: u8,
    access: u32,
    deny: u32,
}

#[derive(Clone, Copy, Debug)]
struct Locks {
    client: usize,
    owner: u8,
    file: u8,
    open: Id,
}

/// Who holds a byte: client, owner, and whether for writing.
pub(super) type Cell = BTreeMap<(usize, u8), bool>;

#[derive(Clone, Debug, Default)]
pub(super) struct Reference {
    opens: BTreeMap<Id, Open>,
    locks: BTreeMap<Id, Locks>,
    revoked: BTreeMap<Id, usize>,
    seen: BTreeSet<Id>,
    pub(super) cells: BTreeMap<(u8, u64), Cell>,
}

impl Reference {
    /// What the answer must be; names of new states are taken from the one that was given.
    pub(super) fn run(
        &mut self,
        client: usize,
        op: &Op,
        given: &Answer,
        is_expired: impl Fn(usize) -> bool,
    ) -> Answer {
        let result = match *op {
            Op::Nothing | Op::Append => Ok(Answer::Done),
            Op::Open { file, owner, access, deny } => {
                let wish = Open { client, owner, file, access, deny };
                self.open(wish, given, is_expired)
            }
            Op::Close { open } => self.close(client, open),
            Op::LockByOpen { open, owner, first, last, exclusive } => {
                self.find_open(client, open).and_then(|found| {
                    let wish = Locks { client, owner, file: found.file, open };
                    self.lock(wish, (first, last), exclusive, given, is_expired)
                })
            }
            Op::Lock { locks, first, last, exclusive } => self
                .find_locks(client, locks)
                .and_then(|wish| self.lock(wish, (first, last), exclusive, given, is_expired)),
            Op::Unlock { locks, first, last } => self.find_locks(client, locks).map(|found| {
                self.set(&found, (first, last), None);
                Answer::State(locks)
            }),
        };
        result.unwrap_or_else(Answer::Failed)
    }

    fn unknown(&self, client: usize, id: Id) -> Status {
        match self.revoked.get(&id) == Some(&client) {
            true => Status::Expired,
            false => Status::BadStateId,
        }
    }

    fn find_open(&self, client: usize, id: Id) -> Result<Open, Status> {
        let open = self.opens.get(&id).filter(|open| open.client == client);
        open.copied().ok_or(self.unknown(client, id))
    }

    fn find_locks(&self, client: usize, id: Id) -> Result<Locks, Status> {
        let locks = self.locks.get(&id).filter(|locks| locks.client == client);
        locks.copied().ok_or(self.unknown(client, id))
    }

    fn new_state(&mut self, given: &Answer) -> Option<Id> {
        let Answer::State(id) = *given else { return None };
        self.seen.insert(id).then_some(id)
    }

    fn open(
        &mut self,
        mut wish: Open,
        given: &Answer,
        is_expired: impl Fn(usize) -> bool,
    ) -> Result<Answer, Status> {
        let key = |open: &Open| (open.client, open.owner, open.file);
        let known = self.opens.iter().find(|(_, open)| key(open) == key(&wish));
        let known = known.map(|(id, open)| (*id, *open));
        if let Some((_, open)) = known {
            if open.access & wish.deny != 0 || open.deny & wish.access != 0 {
                return Err(Status::ShareDenied);
            }
            wish.access |= open.access;
            wish.deny |= open.deny;
        }
        let in_way = self.opens.iter().filter(|(_, open)| {
            let conflict = open.access & wish.deny != 0 || open.deny & wish.access != 0;
            open.file == wish.file && key(open) != key(&wish) && conflict
        });
        let in_way: Vec<_> = in_way.map(|(id, open)| (*id, *open)).collect();
        if in_way.iter().any(|(_, open)| !is_expired(open.client)) {
            return Err(Status::ShareDenied);
        }
        for (id, open) in in_way {
            self.revoke_locks(|locks| locks.open == id);
            self.opens.remove(&id);
            self.revoked.insert(id, open.client);
        }
        let id = known.map(|(id, _)| id).or_else(|| self.new_state(given));
        let id = id.ok_or(Status::ServerFault)?;
        self.opens.insert(id, wish);
        Ok(Answer::State(id))
    }

    fn close(&mut self, client: usize, id: Id) -> Result<Answer, Status> {
        self.find_open(client, id)?;
        self.drop_locks(|locks| locks.open == id);
        self.opens.remove(&id);
        Ok(Answer::Done)
    }

    fn lock(
        &mut self,
        wish: Locks,
        bytes: (u64, u64),
        exclusive: bool,
        given: &Answer,
        is_expired: impl Fn(usize) -> bool,
    ) -> Result<Answer, Status> {
        let needed = if exclusive { 2 } else { 1 };
        if self.opens.get(&wish.open).is_none_or(|open| open.access & needed == 0) {
            return Err(Status::OpenMode);
        }
        let me = (wish.client, wish.owner);
        let cells = (bytes.0..=bytes.1).filter_map(|byte| self.cells.get(&(wish.file, byte)));
        let holders = cells.flatten().filter(|(who, mode)| **who != me && (exclusive || **mode));
        let in_way: BTreeSet<_> = holders.map(|(who, _)| *who).collect();
        if in_way.iter().any(|(client, _)| !is_expired(*client)) {
            return Err(Status::Denied);
        }
        self.revoke_locks(|locks| {
            locks.file == wish.file && in_way.contains(&(locks.client, locks.owner))
        });
        let same = |locks: &Locks| locks.open == wish.open && (locks.client, locks.owner) == me;
        let known = self.locks.iter().find(|(_, locks)| same(locks)).map(|(id, _)| *id);
        let id = known.or_else(|| self.new_state(given)).ok_or(Status::ServerFault)?;
        self.locks.insert(id, wish);
        self.set(&wish, bytes, Some(exclusive));
        Ok(Answer::State(id))
    }

    fn set(&mut self, locks: &Locks, bytes: (u64, u64), mode: Option<bool>) {
        for byte in bytes.0..=bytes.1 {
            let cell = self.cells.entry((locks.file, byte)).or_default();
            let who = (locks.client, locks.owner);
            match mode {
                Some(exclusive) => cell.insert(who, exclusive),
                None => cell.remove(&who),
            };
        }
    }

    fn drop_locks(&mut self, gone: impl Fn(&Locks) -> bool) -> Vec<(Id, Locks)> {
        let dropped: Vec<_> =
            self.locks.iter().filter(|(_, it)| gone(it)).map(|(id, it)| (*id, *it)).collect();
        for (id, locks) in &dropped {
            self.locks.remove(id);
            let key = |it: &Locks| (it.client, it.owner, it.file);
            if !self.locks.values().any(|other| key(other) == key(locks)) {
                self.set(locks, (0, BYTES - 1), None);
            }
        }
        dropped
    }

    fn revoke_locks(&mut self, gone: impl Fn(&Locks) -> bool) {
        for (id, locks) in self.drop_locks(gone) {
            self.revoked.insert(id, locks.client);
        }
    }
}
