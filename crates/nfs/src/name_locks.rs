//! One request at a time for each name.
//!
//! What a request finds under a name before it changes it stays true until it has: so that, if the
//! server dies in between, what is there tells whether the change was made.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use standfast_vfs::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// Names of an export share a lock by their hash.
const STRIPES: usize = 1024;

/// The locks of all names of a service. Each export has its own: whoever waits for the storage of one
/// holds up nobody in another.
#[derive(Default)]
pub(crate) struct NameLocks(parking_lot::Mutex<HashMap<u64, Arc<Stripes>>>);

struct Stripes(Box<[Arc<Mutex<()>>]>);

/// One or two names that nobody else changes meanwhile.
pub(crate) struct NamesLocked {
    _first: OwnedMutexGuard<()>,
    _second: Option<OwnedMutexGuard<()>>,
}

/// A name in a directory of an export.
pub(crate) type PlaceOfName<'n> = (u64, &'n Handle, &'n [u8]);

impl Default for Stripes {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Arc::default()).collect())
    }
}

impl NameLocks {
    /// The lock of a name, and its place in the order of all.
    fn find(&self, name: PlaceOfName<'_>) -> ((u64, usize), Arc<Mutex<()>>) {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let (export, stripe) = (name.0, hasher.finish() as usize % STRIPES);
        let stripes = Arc::clone(self.0.lock().entry(export).or_default());
        ((export, stripe), Arc::clone(&stripes.0[stripe]))
    }

    /// Waits until nobody changes the name, and locks it.
    pub(crate) async fn lock(&self, name: PlaceOfName<'_>) -> NamesLocked {
        let (_, lock) = self.find(name);
        NamesLocked { _first: lock.lock_owned().await, _second: None }
    }

    /// The same for two names; always in one order, so that nobody waits in a circle.
    pub(crate) async fn lock_both(
        &self,
        one: PlaceOfName<'_>,
        other: PlaceOfName<'_>,
    ) -> NamesLocked {
        let (mut one, mut other) = (self.find(one), self.find(other));
        if other.0 < one.0 {
            std::mem::swap(&mut one, &mut other);
        }
        let first = one.1.lock_owned().await;
        let second = if one.0 == other.0 { None } else { Some(other.1.lock_owned().await) };
        NamesLocked { _first: first, _second: second }
    }
}
