//! Who holds how much, and where.

use std::collections::HashSet;

use super::Owner;
use super::interner::Interner;

/// What a client or an owner has in the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Locks held.
    pub held: usize,
    /// Requests that wait.
    pub waiting: usize,
    /// Share reservations.
    pub shares: usize,
}

impl Usage {
    /// Locks, requests and reservations together.
    pub fn total(&self) -> usize {
        self.held + self.waiting + self.shares
    }

    fn add(&mut self, delta: Delta) {
        self.held = self.held.saturating_add_signed(delta.held);
        self.waiting = self.waiting.saturating_add_signed(delta.waiting);
        self.shares = self.shares.saturating_add_signed(delta.shares);
    }
}

/// A change of a [`Usage`].
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delta {
    pub(super) held: isize,
    pub(super) waiting: isize,
    pub(super) shares: isize,
}

impl Delta {
    fn total(self) -> isize {
        self.held + self.waiting + self.shares
    }
}

#[derive(Debug, Default)]
struct OwnerEntry {
    client: u32,
    usage: Usage,
    /// The files on which the owner has anything, and how many.
    files: Vec<(u32, usize)>,
}

#[derive(Debug, Default)]
struct ClientEntry {
    usage: Usage,
    owners: HashSet<u32>,
}

/// All owners and clients that have anything in the table.
#[derive(Debug)]
pub(super) struct Owners<O: Owner> {
    owners: Interner<O, OwnerEntry>,
    clients: Interner<O::Client, ClientEntry>,
    total: Usage,
}

impl<O: Owner> Default for Owners<O> {
    fn default() -> Self {
        Self { owners: Interner::default(), clients: Interner::default(), total: Usage::default() }
    }
}

impl<O: Owner> Owners<O> {
    pub(super) fn find(&self, owner: &O) -> Option<u32> {
        self.owners.find(owner)
    }

    /// The owner's number. An owner that ends up with nothing must be given to
    /// [`Owners::settle`].
    pub(super) fn intern(&mut self, owner: &O) -> u32 {
        if let Some(number) = self.owners.find(owner) {
            return number;
        }
        let number = self.owners.intern(owner);
        let client = self.clients.intern(owner.client());
        if let Some(entry) = self.owners.get_mut(number) {
            entry.client = client;
        }
        if let Some(entry) = self.clients.get_mut(client) {
            entry.owners.insert(number);
        }
        number
    }

    /// Forgets an owner, and its client, that have nothing.
    pub(super) fn settle(&mut self, owner: u32) {
        let Some(entry) = self.owners.get(owner) else { return };
        if entry.usage.total() > 0 {
            return;
        }
        let client = entry.client;
        self.owners.forget(owner);
        if let Some(entry) = self.clients.get_mut(client) {
            entry.owners.remove(&owner);
            if entry.owners.is_empty() {
                self.clients.forget(client);
            }
        }
    }

    pub(super) fn name(&self, owner: u32) -> Option<&O> {
        self.owners.key(owner)
    }

    pub(super) fn total(&self) -> Usage {
        self.total
    }

    /// Whether the owner holds any lock at all.
    pub(super) fn holds_locks(&self, owner: u32) -> bool {
        self.owners.get(owner).is_some_and(|entry| entry.usage.held > 0)
    }

    /// Whether the owner waits for any lock at all.
    pub(super) fn waits(&self, owner: u32) -> bool {
        self.owners.get(owner).is_some_and(|entry| entry.usage.waiting > 0)
    }

    /// What the owner's client has.
    pub(super) fn client_usage_of(&self, owner: u32) -> Usage {
        let client = self.owners.get(owner).and_then(|entry| self.clients.get(entry.client));
        client.map(|client| client.usage).unwrap_or_default()
    }

    /// What a client has.
    pub(super) fn client_usage(&self, client: &O::Client) -> Usage {
        let entry = self.clients.find(client).and_then(|number| self.clients.get(number));
        entry.map(|entry| entry.usage).unwrap_or_default()
    }

    /// All clients that have anything.
    pub(super) fn clients(&self) -> impl Iterator<Item = (&O::Client, Usage)> {
        self.clients.iter().map(|(client, entry)| (client, entry.usage))
    }

    /// The owners of a client.
    pub(super) fn owners_of(&self, client: &O::Client) -> Vec<u32> {
        let entry = self.clients.find(client).and_then(|number| self.clients.get(number));
        let owners = entry.into_iter().flat_map(|entry| &entry.owners);
        let mut owners: Vec<u32> = owners.copied().collect();
        owners.sort_unstable();
        owners
    }

    /// The files on which an owner has anything.
    pub(super) fn files_of(&self, owner: u32) -> Vec<u32> {
        let entry = self.owners.get(owner);
        entry.map(|entry| entry.files.iter().map(|(file, _)| *file).collect()).unwrap_or_default()
    }

    /// Counts what `owner` got or gave on `file`.
    pub(super) fn count(&mut self, owner: u32, file: u32, delta: Delta) {
        self.total.add(delta);
        let Some(entry) = self.owners.get_mut(owner) else { return };
        entry.usage.add(delta);
        match entry.files.iter_mut().position(|(other, _)| *other == file) {
            Some(position) => {
                let uses = &mut entry.files[position].1;
                *uses = uses.saturating_add_signed(delta.total());
                if *uses == 0 {
                    entry.files.swap_remove(position);
                }
            }
            None if delta.total() > 0 => entry.files.push((file, delta.total().unsigned_abs())),
            None => {}
        }
        let client = entry.client;
        if let Some(entry) = self.clients.get_mut(client) {
            entry.usage.add(delta);
        }
    }
}
