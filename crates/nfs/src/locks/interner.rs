//! Small numbers for large keys.

use std::collections::HashMap;
use std::hash::Hash;

/// Gives each key a small number and keeps a value for it, so that a lock need not carry its
/// owner's name.
#[derive(Debug)]
pub(super) struct Interner<K, V> {
    numbers: HashMap<K, u32>,
    entries: Vec<Option<(K, V)>>,
    free: Vec<u32>,
}

impl<K, V> Default for Interner<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), entries: Vec::new(), free: Vec::new() }
    }
}

impl<K: Clone + Eq + Hash, V: Default> Interner<K, V> {
    /// Number of keys.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The number of a key that is known.
    pub(super) fn find(&self, key: &K) -> Option<u32> {
        self.numbers.get(key).copied()
    }

    /// The number of a key, which is known from now on.
    pub(super) fn intern(&mut self, key: &K) -> u32 {
        if let Some(number) = self.find(key) {
            return number;
        }
        let entry = Some((key.clone(), V::default()));
        let number = match self.free.pop() {
            Some(number) => {
                self.entries[number as usize] = entry;
                number
            }
            None => {
                self.entries.push(entry);
                // The limits of the table stay far below this.
                u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
            }
        };
        self.numbers.insert(key.clone(), number);
        number
    }

    /// The key and value behind a number; only numbers that are in use may be asked for.
    pub(super) fn entry(&self, number: u32) -> Option<&(K, V)> {
        self.entries.get(number as usize)?.as_ref()
    }

    /// The value behind a number.
    pub(super) fn get(&self, number: u32) -> Option<&V> {
        self.entry(number).map(|(_, value)| value)
    }

    /// The value behind a number.
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut V> {
        self.entries.get_mut(number as usize)?.as_mut().map(|(_, value)| value)
    }

    /// The key behind a number.
    pub(super) fn key(&self, number: u32) -> Option<&K> {
        self.entry(number).map(|(key, _)| key)
    }

    /// Forgets a number and its key.
    pub(super) fn forget(&mut self, number: u32) {
        if let Some((key, _)) = self.entries.get_mut(number as usize).and_then(Option::take) {
            self.numbers.remove(&key);
            self.free.push(number);
        }
    }

    /// All keys with their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = &(K, V)> {
        self.entries.iter().flatten()
    }
}
