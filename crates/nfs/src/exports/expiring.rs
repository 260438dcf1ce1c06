//! A bounded map whose entries grow old.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

use parking_lot::RwLock;

#[derive(Debug)]
struct Entry<V> {
    value: V,
    made: Instant,
    until: Instant,
}

/// Answers that hold for a while. At most `capacity` are remembered.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: RwLock<HashMap<K, Entry<V>>>,
    capacity: usize,
}

impl<K: Hash + Eq, V: Clone> Expiring<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { entries: RwLock::default(), capacity }
    }

    /// An answer that still holds.
    pub(super) fn fresh(&self, key: &K, now: Instant) -> Option<V> {
        self.entries
            .read()
            .get(key)
            .filter(|entry| now < entry.until)
            .map(|entry| entry.value.clone())
    }

    /// An answer that was given at most `age` ago, whether it still holds or not.
    pub(super) fn stale(&self, key: &K, now: Instant, age: Duration) -> Option<V> {
        let recent = |entry: &&Entry<V>| now.saturating_duration_since(entry.made) <= age;
        self.entries.read().get(key).filter(recent).map(|entry| entry.value.clone())
    }

    /// Remembers an answer, instead of an older one if there is no room.
    pub(super) fn insert(&self, key: K, value: V, now: Instant, holds: Duration) {
        let mut entries = self.entries.write();
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            entries.retain(|_, entry| now < entry.until);
            // All of them hold: half of them are asked for again, which costs less than to look
            // for the oldest one at each new client.
            if entries.len() >= self.capacity {
                let mut keep = false;
                entries.retain(|_, _| {
                    keep = !keep;
                    keep
                });
            }
        }
        entries.insert(key, Entry { value, made: now, until: now + holds });
    }

    /// Lets an answer hold on, without making it younger.
    pub(super) fn prolong(&self, key: &K, now: Instant, holds: Duration) {
        if let Some(entry) = self.entries.write().get_mut(key) {
            entry.until = now + holds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn an_answer_holds_for_its_time_and_is_stale_after_it() {
        let cache = Expiring::new(8);
        let now = Instant::now();
        cache.insert(1, "one", now, 5 * SECOND);
        assert_eq!(cache.fresh(&1, now + 4 * SECOND), Some("one"));
        assert_eq!(cache.fresh(&1, now + 5 * SECOND), None);
        assert_eq!(cache.stale(&1, now + 60 * SECOND, 60 * SECOND), Some("one"));
        assert_eq!(cache.stale(&1, now + 61 * SECOND, 60 * SECOND), None);
        cache.prolong(&1, now + 50 * SECOND, 5 * SECOND);
        assert_eq!(cache.fresh(&1, now + 54 * SECOND), Some("one"));
        assert_eq!(cache.stale(&1, now + 61 * SECOND, 60 * SECOND), None);
    }

    #[test]
    fn it_never_grows_beyond_its_capacity() {
        let cache = Expiring::new(8);
        let now = Instant::now();
        for key in 0..1000 {
            cache.insert(key, key, now, SECOND);
            assert!(cache.entries.read().len() <= 8);
            assert_eq!(cache.fresh(&key, now), Some(key));
        }
    }
}
