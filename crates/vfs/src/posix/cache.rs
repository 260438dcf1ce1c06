//! The objects that are held open, by handle.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::node::Node;
use crate::Handle;

/// How long an unused object stays open.
const IDLE: Duration = Duration::from_secs(10);
/// How long one with data that was not flushed does: the kernel has written it back by then, and
/// who holds it open hears of an error.
const IDLE_DIRTY: Duration = Duration::from_secs(60);

const SHARDS: usize = 16;

/// Used since the last search for an object to let go.
const REFERENCED: u8 = 1;
/// Used since the last sweep.
const USED: u8 = 2;

/// The open objects: bounded, and in shards so that threads do not wait for each other.
pub(super) struct NodeCache {
    shards: [Mutex<Shard>; SHARDS],
}

/// Entries in a circle, in which a hand looks for one that was not used since it last came by.
#[derive(Default)]
struct Shard {
    places: HashMap<Handle, usize>,
    entries: Vec<Entry>,
    hand: usize,
}

struct Entry {
    node: Arc<Node>,
    /// The last sweep that found it used.
    used: Option<Instant>,
}

impl NodeCache {
    pub(super) fn new() -> Self {
        Self { shards: std::array::from_fn(|_| Mutex::default()) }
    }

    fn shard(&self, handle: &Handle) -> &Mutex<Shard> {
        &self.shards[stripe(handle, SHARDS)]
    }

    /// The open object of a handle.
    pub(super) fn get(&self, handle: &Handle) -> Option<Arc<Node>> {
        let shard = self.shard(handle).lock();
        let node = &shard.entries.get(*shard.places.get(handle)?)?.node;
        node.marks.store(REFERENCED | USED, Ordering::Relaxed);
        Some(Arc::clone(node))
    }

    /// Keeps `node`; gives the one to use, which is another if the object is held already.
    pub(super) fn insert(&self, node: Arc<Node>) -> Arc<Node> {
        let mut shard = self.shard(&node.handle).lock();
        if let Some(held) = shard.places.get(&node.handle).and_then(|&at| shard.entries.get(at)) {
            return Arc::clone(&held.node);
        }
        node.marks.store(REFERENCED | USED, Ordering::Relaxed);
        let place = shard.entries.len();
        shard.places.insert(node.handle, place);
        shard.entries.push(Entry { node: Arc::clone(&node), used: None });
        node
    }

    /// Lets the object of a handle go.
    pub(super) fn remove(&self, handle: &Handle) -> Option<Arc<Node>> {
        let mut shard = self.shard(handle).lock();
        let place = *shard.places.get(handle)?;
        Some(shard.take(place))
    }

    /// Lets objects go that were not used lately, near `handle` in the cache, while `is_full`.
    pub(super) fn make_room(&self, handle: &Handle, is_full: impl Fn() -> bool) {
        let start = stripe(handle, SHARDS);
        for shard in self.shards[start..].iter().chain(&self.shards[..start]) {
            // Each entry is passed twice at most: once to take its mark, once to let it go.
            let mut steps = 2 * shard.lock().entries.len();
            while is_full() && steps > 0 {
                steps -= 1;
                // Closing may take its time, so not under the lock.
                let victim = shard.lock().step();
                drop(victim);
            }
            if !is_full() {
                return;
            }
        }
    }

    /// Lets objects go that were idle for long.
    pub(super) fn sweep(&self, now: Instant) {
        for shard in &self.shards {
            let idle = shard.lock().idle(now);
            drop(idle);
        }
    }

    /// Lets everything go.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            let all = std::mem::take(&mut *shard.lock());
            drop(all);
        }
    }
}

impl Shard {
    /// Takes the entry at `place` out.
    fn take(&mut self, place: usize) -> Arc<Node> {
        let Entry { node, .. } = self.entries.swap_remove(place);
        self.places.remove(&node.handle);
        if let Some(moved) = self.entries.get(place) {
            self.places.insert(moved.node.handle, place);
        }
        node
    }

    /// Moves the hand on by one entry, and takes that out if nobody uses it.
    fn step(&mut self) -> Option<Arc<Node>> {
        if self.hand >= self.entries.len() {
            self.hand = 0;
        }
        let node = &self.entries.get(self.hand)?.node;
        let referenced = node.marks.fetch_and(!REFERENCED, Ordering::Relaxed) & REFERENCED != 0;
        if referenced || Arc::strong_count(node) > 1 {
            self.hand += 1;
            return None;
        }
        Some(self.take(self.hand))
    }

    /// Takes out what was idle for long.
    fn idle(&mut self, now: Instant) -> Vec<Arc<Node>> {
        let mut idle = Vec::new();
        let mut place = 0;
        while let Some(Entry { node, used }) = self.entries.get_mut(place) {
            let touched = node.marks.fetch_and(!USED, Ordering::Relaxed) & USED != 0;
            let since = if touched { used.insert(now) } else { used.get_or_insert(now) };
            let limit = if node.is_dirty() { IDLE_DIRTY } else { IDLE };
            if now.saturating_duration_since(*since) >= limit {
                idle.push(self.take(place));
            } else {
                place += 1;
            }
        }
        idle
    }
}

/// One of `count` stripes for a handle, evenly spread; `count` is a power of two.
pub(super) fn stripe(handle: &Handle, count: usize) -> usize {
    // The multiplier of Fibonacci hashing.
    const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = handle.bytes().chunks(8).fold(handle.filesystem(), |mixed, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        (mixed ^ u64::from_le_bytes(word)).wrapping_mul(SPREAD).rotate_left(29)
    });
    (mixed >> 17) as usize & (count - 1)
}
