//! One request at a time for each name.
//!
//! What a request finds under a name before it changes it stays true until it has: so that, if the
//! server dies in between, what is there tells whether the change was made.

use std::hash::{DefaultHasher, Hash, Hasher};

use standfast_vfs::Handle;
use tokio::sync::{Mutex, MutexGuard};

/// Names share a lock by their hash.
const STRIPES: usize = 1024;

/// The locks of all names of a service.
pub(crate) struct NameLocks(Box<[Mutex<()>]>);

/// One or two names that nobody else changes meanwhile.
pub(crate) struct NamesLocked<'a> {
    _first: MutexGuard<'a, ()>,
    _second: Option<MutexGuard<'a, ()>>,
}

/// A name in a directory of an export.
pub(crate) type PlaceOfName<'n> = (u64, &'n Handle, &'n [u8]);

impl Default for NameLocks {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Mutex::new(())).collect())
    }
}

fn stripe(name: PlaceOfName<'_>) -> usize {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish() as usize % STRIPES
}

impl NameLocks {
    /// Waits until nobody changes the name, and locks it.
    pub(crate) async fn lock(&self, name: PlaceOfName<'_>) -> NamesLocked<'_> {
        let stripe = stripe(name);
        NamesLocked { _first: self.0[stripe].lock().await, _second: None }
    }

    /// The same for two names; always in one order, so that nobody waits in a circle.
    pub(crate) async fn lock_both(
        &self,
        one: PlaceOfName<'_>,
        other: PlaceOfName<'_>,
    ) -> NamesLocked<'_> {
        let (one, other) = (stripe(one), stripe(other));
        let first = self.0[one.min(other)].lock().await;
        let second = if one == other { None } else { Some(self.0[one.max(other)].lock().await) };
        NamesLocked { _first: first, _second: second }
    }
}
