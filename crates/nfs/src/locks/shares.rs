//! Share reservations: what an owner does with a file and what it denies to others.

/// Reading, writing, both or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Access {
    /// Reading.
    pub read: bool,
    /// Writing.
    pub write: bool,
}

impl Access {
    fn meets(self, other: Self) -> bool {
        self.read && other.read || self.write && other.write
    }
}

/// A share reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Share {
    /// What its owner does.
    pub access: Access,
    /// What others must not do.
    pub deny: Access,
}

impl Share {
    /// Whether two owners cannot have these at once.
    pub fn conflicts(self, other: Self) -> bool {
        self.access.meets(other.deny) || self.deny.meets(other.access)
    }
}

/// The share reservations of one file; each owner has at most one.
#[derive(Debug, Default)]
pub(super) struct Shares {
    list: Vec<(u32, Share)>,
}

impl Shares {
    /// Somebody else's reservation that does not allow `share`.
    pub(super) fn conflict(&self, owner: u32, share: Share) -> Option<(u32, Share)> {
        self.list.iter().copied().find(|(other, held)| *other != owner && held.conflicts(share))
    }

    /// Sets the owner's reservation; gives the one it had.
    pub(super) fn set(&mut self, owner: u32, share: Share) -> Option<Share> {
        match self.list.iter_mut().find(|(other, _)| *other == owner) {
            Some((_, held)) => Some(std::mem::replace(held, share)),
            None => {
                self.list.push((owner, share));
                None
            }
        }
    }

    /// Drops the owner's reservation; tells whether it had one.
    pub(super) fn remove(&mut self, owner: u32) -> bool {
        let before = self.list.len();
        self.list.retain(|(other, _)| *other != owner);
        self.list.len() != before
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, Share)> {
        self.list.iter().copied()
    }
}
