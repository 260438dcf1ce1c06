//! Locks that were granted to waiting clients and are not known yet to have arrived.

use std::collections::HashMap;

use bytes::Bytes;

use super::host::LockOwner;
use crate::holder::ServiceHolder;
use crate::locks::{FileKey, LockTable, Mode, Range, Request, WaiterId};

/// A wish for a lock, and what it takes to tell the client of its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// The lock.
    pub(super) request: Request<FileKey, LockOwner>,
    /// The file as the client knows it.
    pub(super) handle: Bytes,
    /// The protocol version of the wish.
    pub(super) version: u32,
}

/// A lock that was granted to a waiting client, who must be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) waiter: WaiterId,
    pub(super) wish: Wish,
}

/// A wish that waits, or was granted without the client's knowing yet.
#[derive(Clone, Debug)]
struct Entry {
    waiter: WaiterId,
    wish: Wish,
    /// What the owner held in the range before.
    before: Vec<(Range, Mode)>,
}

/// Waiting wishes, and granted ones that are not confirmed.
#[derive(Debug, Default)]
pub(super) struct Grants {
    waiting: HashMap<WaiterId, Entry>,
    unconfirmed: HashMap<LockOwner, Vec<Entry>>,
}

impl Grants {
    /// The wish waits.
    pub(super) fn wait(&mut self, waiter: WaiterId, wish: Wish, before: Vec<(Range, Mode)>) {
        self.waiting.entry(waiter).or_insert(Entry { waiter, wish, before });
    }

    /// The wish waits no more, and nobody has to be told.
    pub(super) fn end_wait(&mut self, waiter: WaiterId) {
        self.waiting.remove(&waiter);
    }

    /// The wish was granted; tells whom to tell.
    pub(super) fn granted(&mut self, waiter: WaiterId) -> Option<Grant> {
        let entry = self.waiting.remove(&waiter)?;
        let grant = Grant { waiter, wish: entry.wish.clone() };
        let owner = entry.wish.request.owner.clone();
        self.unconfirmed.entry(owner).or_default().push(entry);
        Some(grant)
    }

    /// All grants that their clients may not know of.
    pub(super) fn unconfirmed(&self) -> impl Iterator<Item = Grant> {
        let entries = self.unconfirmed.values().flatten();
        entries.map(|entry| Grant { waiter: entry.waiter, wish: entry.wish.clone() })
    }

    /// Whether the client does not know of the grant yet.
    pub(super) fn is_unconfirmed(&self, grant: &Grant) -> bool {
        let entries = self.unconfirmed.get(&grant.wish.request.owner);
        entries.is_some_and(|entries| entries.iter().any(|entry| entry.waiter == grant.waiter))
    }

    /// The client knows of all its locks that `range` meets.
    pub(super) fn confirm(&mut self, file: &FileKey, owner: &LockOwner, range: Range) {
        self.take(owner, |entry| {
            let request = &entry.wish.request;
            request.file == *file && request.range.overlaps(range)
        });
    }

    /// The client released `range`: it does not get it back when a wish ends badly.
    pub(super) fn released(&mut self, file: &FileKey, owner: &LockOwner, range: Range) {
        for entry in self.waiting.values_mut() {
            if entry.wish.request.owner != *owner || entry.wish.request.file != *file {
                continue;
            }
            let keep = |(held, mode): (Range, Mode)| {
                [held.before(range), held.behind(range)]
                    .into_iter()
                    .flatten()
                    .map(move |r| (r, mode))
            };
            entry.before = std::mem::take(&mut entry.before).into_iter().flat_map(keep).collect();
        }
    }

    /// The answer to a grant came; for a denial, what is to be undone.
    pub(super) fn answered(&mut self, grant: &Grant) -> Option<Undo> {
        let entries = self.take(&grant.wish.request.owner, |entry| entry.waiter == grant.waiter);
        entries.into_iter().next().map(Undo::of)
    }

    /// The client does not want a lock any more that it does not know to be granted.
    pub(super) fn refused(&mut self, request: &Request<FileKey, LockOwner>) -> Option<Undo> {
        let entries = self.take(&request.owner, |entry| entry.wish.request == *request);
        entries.into_iter().next().map(Undo::of)
    }

    /// Forgets all of some owners.
    pub(super) fn forget(&mut self, gone: impl Fn(&LockOwner) -> bool) {
        self.waiting.retain(|_, entry| !gone(&entry.wish.request.owner));
        self.unconfirmed.retain(|owner, _| !gone(owner));
    }

    fn take(&mut self, owner: &LockOwner, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let Some(entries) = self.unconfirmed.get_mut(owner) else { return Vec::new() };
        let taken = entries.extract_if(.., |entry| which(entry)).collect();
        if entries.is_empty() {
            self.unconfirmed.remove(owner);
        }
        taken
    }
}

/// How to take back a lock that the client did not want: it keeps what it held before.
#[derive(Debug)]
pub(super) struct Undo {
    request: Request<FileKey, LockOwner>,
    before: Vec<(Range, Mode)>,
}

impl Undo {
    fn of(entry: Entry) -> Self {
        Self { request: entry.wish.request, before: entry.before }
    }

    /// Takes the lock back; gives what changed.
    pub(super) fn run(
        self,
        table: &mut LockTable<FileKey, ServiceHolder>,
    ) -> Vec<crate::locks::Change<FileKey, ServiceHolder>> {
        let Request { file, owner, range, .. } = self.request;
        let owner = ServiceHolder::from(owner);
        let mut changes = Vec::new();
        let mut rest = vec![range];
        for (held, mode) in self.before {
            rest = rest
                .into_iter()
                .flat_map(|range| [range.before(held), range.behind(held)])
                .flatten()
                .collect();
            let request = Request { file, owner: owner.clone(), range: held, mode };
            match table.lock(&request, false) {
                Ok((_, made)) => changes.extend(made),
                Err(limit) => tracing::warn!(%limit, "a lock stays as it was granted"),
            }
        }
        for range in rest {
            match table.unlock(file, &owner, range) {
                Ok(made) => changes.extend(made),
                Err(limit) => tracing::warn!(%limit, "a lock stays that nobody wants"),
            }
        }
        changes
    }
}
