//! Who mounted what, as far as clients said: for `showmount -a`, and for nothing else.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;

use parking_lot::Mutex;

/// Entries that are kept; clients need not say that they unmount, so the oldest go.
const MAX_ENTRIES: usize = 16_384;

/// The list of mounts.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    known: BTreeSet<(IpAddr, Vec<u8>)>,
    in_order: VecDeque<(IpAddr, Vec<u8>)>,
}

impl Mounts {
    /// A client mounted a path.
    pub(super) fn add(&self, client: IpAddr, path: &[u8]) {
        let mut entries = self.entries.lock();
        if !entries.known.insert((client, path.to_vec())) {
            return;
        }
        entries.in_order.push_back((client, path.to_vec()));
        while entries.known.len() > MAX_ENTRIES
            && let Some(oldest) = entries.in_order.pop_front()
        {
            entries.known.remove(&oldest);
        }
    }

    /// A client unmounted a path, or with `None` everything.
    pub(super) fn remove(&self, client: IpAddr, path: Option<&[u8]>) {
        let mut entries = self.entries.lock();
        let gone = |entry: &(IpAddr, Vec<u8>)| {
            entry.0 == client && path.is_none_or(|path| entry.1 == path)
        };
        entries.known.retain(|entry| !gone(entry));
        entries.in_order.retain(|entry| !gone(entry));
    }

    /// All of them.
    pub(super) fn list(&self) -> Vec<(IpAddr, Vec<u8>)> {
        self.entries.lock().known.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_bounded_and_forgets_what_is_unmounted() {
        let mounts = Mounts::default();
        let client = |number: u32| IpAddr::from(number.to_be_bytes());
        (0..20_000).for_each(|number| mounts.add(client(number), b"/a"));
        assert_eq!(mounts.list().len(), MAX_ENTRIES);
        mounts.add(client(19_999), b"/b");
        mounts.remove(client(19_999), Some(b"/a"));
        assert!(mounts.list().contains(&(client(19_999), b"/b".to_vec())));
        mounts.remove(client(19_999), None);
        assert!(mounts.list().iter().all(|(address, _)| *address != client(19_999)));
    }
}
