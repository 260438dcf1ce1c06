//! The reply cache: a request that must not run twice is answered from here when it comes again.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// How much of a request goes into its checksum: enough to tell two requests apart that share
/// an xid, without reading all of a large write again.
const CHECKSUM_BYTES: usize = 1024;

/// How many copies of one request may wait for its reply; more are dropped.
const MAX_WAITING: usize = 8;

/// Number of independently locked parts.
const SHARDS: usize = 16;

/// What an entry costs beside its reply, in bytes: its places in the table and in the queue, and
/// that the reply lies in a buffer larger than itself.
const ENTRY_OVERHEAD: usize = 384;

/// Limits of the cache.
#[derive(Clone, Copy, Debug)]
pub struct CacheLimits {
    /// Most replies.
    pub entries: usize,
    /// Most bytes of replies and bookkeeping.
    pub bytes: usize,
    /// How long a reply is kept at most.
    pub age: Duration,
}

/// What makes two messages the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// Who sent it.
    pub client: IpAddr,
    /// Its transaction id.
    pub xid: u32,
    /// Its length in bytes.
    pub length: usize,
    /// Of its first part.
    pub checksum: u32,
}

impl RequestKey {
    /// The key of `message`, a whole call with its header, from `client`.
    ///
    /// The port is left out: a client that reconnects may come from another one.
    pub fn new(client: IpAddr, xid: u32, message: &[u8]) -> Self {
        let part = &message[..message.len().min(CHECKSUM_BYTES)];
        Self { client, xid, length: message.len(), checksum: crc32fast::hash(part) }
    }
}

enum Entry {
    /// It runs; these want the reply too, which may be known and not durable yet.
    Running(Vec<oneshot::Sender<Option<Bytes>>>, Option<Bytes>),
    /// It ran.
    Done { reply: Bytes, at: Instant },
}

#[derive(Default)]
struct Shard {
    entries: HashMap<RequestKey, Entry>,
    /// Finished entries, oldest first.
    order: VecDeque<RequestKey>,
    bytes: usize,
}

/// What the cache knows of a request.
pub enum Admission {
    /// Never seen: run it, and say what came out.
    New(Pending),
    /// It runs at this moment; the reply will come here (`None`: it came to none).
    Running(oneshot::Receiver<Option<Bytes>>),
    /// It ran; this was the reply.
    Done(Bytes),
    /// It runs, and enough copies wait for it already.
    Drop,
}

/// Keeps replies where they outlive the server.
pub trait ReplyLog: Send + Sync + 'static {
    /// Keeps the reply to a request, a record. It leaves when the future is done; `false`: never.
    fn keep(&self, key: &RequestKey, reply: &Bytes, change: Left) -> Keep;
}

/// A reply that is being kept.
pub type Keep = Pin<Box<dyn Future<Output = bool> + Send>>;

/// What a call whose reply is kept has left to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Left {
    /// Nothing was changed: if the reply is lost, the call may run again.
    #[default]
    Nothing,
    /// What was changed is stable: the reply must be, before it leaves.
    Reply,
    /// What was changed is not stable yet: names and attributes on the log's filesystem must be
    /// made so together with the reply.
    ReplyAndNames,
}

/// What a program tells of a call whose reply is kept.
#[derive(Debug)]
pub struct Keeping {
    request: RequestKey,
    left: AtomicU8,
}

impl Keeping {
    /// Of a call that begins.
    pub fn new(request: RequestKey) -> Self {
        Self { request, left: AtomicU8::new(Left::Nothing as u8) }
    }

    /// What its retransmissions are known by.
    pub fn request(&self) -> &RequestKey {
        &self.request
    }

    /// Something was changed.
    pub fn leave(&self, left: Left) {
        self.left.fetch_max(left as u8, Ordering::AcqRel);
    }

    fn left(&self) -> Left {
        let left = self.left.load(Ordering::Acquire);
        let known = [Left::Nothing, Left::Reply, Left::ReplyAndNames];
        known.get(usize::from(left)).copied().unwrap_or(Left::ReplyAndNames)
    }
}

/// A call whose reply is to be kept.
pub(crate) struct Kept {
    pub(crate) log: Arc<dyn ReplyLog>,
    pub(crate) keeping: Arc<Keeping>,
}

impl Kept {
    pub(crate) fn keep(&self, pending: &Pending, reply: &Bytes) -> Keep {
        // Whoever looks at the cache after the reply is in the log finds it there.
        pending.note(reply);
        self.log.keep(&pending.key, reply, self.keeping.left())
    }
}

/// The cache.
pub struct ReplyCache {
    limits: CacheLimits,
    shards: [Mutex<Shard>; SHARDS],
}

impl ReplyCache {
    /// An empty cache.
    pub fn new(limits: CacheLimits) -> Self {
        Self { limits, shards: std::array::from_fn(|_| Mutex::default()) }
    }

    /// Looks a request up and, if it is new, notes that it runs.
    pub fn admit(self: &Arc<Self>, key: RequestKey, now: Instant) -> Admission {
        let mut shard = self.shard(&key).lock();
        match shard.entries.get_mut(&key) {
            Some(Entry::Done { reply, at }) if now.duration_since(*at) < self.limits.age => {
                Admission::Done(reply.clone())
            }
            Some(Entry::Running(waiting, _)) if waiting.len() >= MAX_WAITING => Admission::Drop,
            Some(Entry::Running(waiting, _)) => {
                let (sender, receiver) = oneshot::channel();
                waiting.push(sender);
                Admission::Running(receiver)
            }
            Some(Entry::Done { .. }) | None => {
                shard.forget(&key);
                shard.entries.insert(key, Entry::Running(Vec::new(), None));
                Admission::New(Pending { cache: Arc::clone(self), key, finished: false })
            }
        }
    }

    /// Remembers a reply of an earlier run, which is so old.
    pub fn restore(&self, key: RequestKey, reply: Bytes, age: Duration, now: Instant) {
        let Some(at) = now.checked_sub(age).filter(|_| age < self.limits.age) else { return };
        let mut shard = self.shard(&key).lock();
        shard.forget(&key);
        shard.bytes += reply.len() + ENTRY_OVERHEAD;
        shard.entries.insert(key, Entry::Done { reply, at });
        shard.order.push_back(key);
        shard.shrink(&self.limits, now);
    }

    /// All replies that are known, with their age.
    pub fn replies(&self, now: Instant) -> Vec<(RequestKey, Bytes, Duration)> {
        let mut replies = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for (key, entry) in &shard.entries {
                match entry {
                    Entry::Done { reply, at } => {
                        replies.push((*key, reply.clone(), now.saturating_duration_since(*at)));
                    }
                    Entry::Running(_, Some(reply)) => {
                        replies.push((*key, reply.clone(), Duration::ZERO));
                    }
                    Entry::Running(_, None) => {}
                }
            }
        }
        replies
    }

    /// Number of requests that are remembered, and the bytes that they take.
    pub fn usage(&self) -> (usize, usize) {
        self.shards.iter().map(Mutex::lock).fold((0, 0), |(entries, bytes), shard| {
            (entries + shard.entries.len(), bytes + shard.bytes)
        })
    }

    fn shard(&self, key: &RequestKey) -> &Mutex<Shard> {
        &self.shards[(key.checksum ^ key.xid) as usize % SHARDS]
    }
}

impl ReplyCache {
    fn note(&self, key: &RequestKey, reply: &Bytes) {
        if let Some(Entry::Running(_, known)) = self.shard(key).lock().entries.get_mut(key) {
            *known = Some(reply.clone());
        }
    }

    fn finish(&self, key: RequestKey, reply: Option<Bytes>, now: Instant) {
        let mut shard = self.shard(&key).lock();
        let Some(Entry::Running(waiting, _)) = shard.entries.remove(&key) else { return };
        for waiter in waiting {
            // A waiter whose connection is gone needs no reply.
            let _gone = waiter.send(reply.clone());
        }
        if let Some(reply) = reply {
            shard.bytes += reply.len() + ENTRY_OVERHEAD;
            shard.entries.insert(key, Entry::Done { reply, at: now });
            shard.order.push_back(key);
            shard.shrink(&self.limits, now);
        }
    }
}

impl Shard {
    /// Drops a finished entry.
    fn forget(&mut self, key: &RequestKey) {
        if let Some(Entry::Done { reply, .. }) = self.entries.remove(key) {
            self.bytes -= reply.len() + ENTRY_OVERHEAD;
            self.order.retain(|other| other != key);
        }
    }

    /// Drops the oldest finished entries until the rest fits.
    fn shrink(&mut self, limits: &CacheLimits, now: Instant) {
        let (bytes, entries) = (limits.bytes / SHARDS, limits.entries.div_ceil(SHARDS));
        let oldest = now.checked_sub(limits.age);
        while let Some(key) = self.order.front().copied() {
            let Some(Entry::Done { reply, at }) = self.entries.get(&key) else {
                self.order.pop_front();
                continue;
            };
            let fits = self.bytes <= bytes && self.order.len() <= entries;
            if fits && oldest.is_none_or(|oldest| *at >= oldest) {
                return;
            }
            self.bytes -= reply.len() + ENTRY_OVERHEAD;
            self.entries.remove(&key);
            self.order.pop_front();
        }
    }
}

/// The duty to say what came of a new request. Dropped without a reply, it forgets the request.
pub struct Pending {
    cache: Arc<ReplyCache>,
    key: RequestKey,
    finished: bool,
}

impl Pending {
    /// The reply is known, and may not be told yet.
    fn note(&self, reply: &Bytes) {
        self.cache.note(&self.key, reply);
    }

    /// Remembers the reply, as a record; without one, forgets that the
    /// request was ever made.
    pub fn finish(mut self, reply: Option<Bytes>) {
        self.finished = true;
        self.cache.finish(self.key, reply, Instant::now());
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.finished {
            self.cache.finish(self.key, None, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(bytes: usize) -> Arc<ReplyCache> {
        limited_cache(bytes, usize::MAX)
    }

    fn limited_cache(bytes: usize, entries: usize) -> Arc<ReplyCache> {
        let age = Duration::from_secs(60);
        Arc::new(ReplyCache::new(CacheLimits { entries, bytes, age }))
    }

    fn key(xid: u32) -> RequestKey {
        RequestKey::new(IpAddr::from([127, 0, 0, 1]), xid, b"a request")
    }

    fn run(cache: &Arc<ReplyCache>, xid: u32, now: Instant) {
        match cache.admit(key(xid), now) {
            Admission::New(pending) => pending.finish(Some(Bytes::from_static(b"done"))),
            _ => panic!("request {xid} ran before"),
        }
    }

    #[test]
    fn a_finished_request_is_answered_and_not_run() {
        let (cache, now) = (cache(1 << 20), Instant::now());
        run(&cache, 1, now);
        assert!(matches!(cache.admit(key(1), now), Admission::Done(reply) if reply == "done"));
        let other = RequestKey::new(IpAddr::from([127, 0, 0, 1]), 1, b"something else");
        assert!(matches!(cache.admit(other, now), Admission::New(_)));
    }

    #[test]
    fn a_copy_waits_for_the_one_that_runs() {
        let (cache, now) = (cache(1 << 20), Instant::now());
        let Admission::New(pending) = cache.admit(key(1), now) else { panic!("not new") };
        let Admission::Running(mut copy) = cache.admit(key(1), now) else { panic!("not running") };
        for _ in 1..MAX_WAITING {
            assert!(matches!(cache.admit(key(1), now), Admission::Running(_)));
        }
        assert!(matches!(cache.admit(key(1), now), Admission::Drop));
        pending.finish(Some(Bytes::from_static(b"done")));
        assert_eq!(copy.try_recv(), Ok(Some(Bytes::from_static(b"done"))));
    }

    #[test]
    fn a_request_that_came_to_nothing_may_run_again() {
        let (cache, now) = (cache(1 << 20), Instant::now());
        drop(cache.admit(key(1), now));
        run(&cache, 1, now);
    }

    #[test]
    fn old_replies_make_room() {
        let (cache, now) = (cache(64 * 1024), Instant::now());
        (0..10_000).for_each(|xid| run(&cache, xid, now));
        let (entries, bytes) = cache.usage();
        assert!(bytes <= 64 * 1024, "{bytes}");
        assert!(entries > 100, "{entries}");
        assert!(matches!(cache.admit(key(9_999), now), Admission::Done(_)));
    }

    #[test]
    fn there_are_no_more_replies_than_allowed() {
        let (cache, now) = (limited_cache(1 << 30, 160), Instant::now());
        (0..10_000).for_each(|xid| run(&cache, xid, now));
        assert_eq!(cache.usage().0, 160);
    }

    #[test]
    fn replies_of_an_earlier_run_are_known_until_they_are_too_old() {
        let (earlier, now) = (cache(1 << 20), Instant::now());
        run(&earlier, 1, now);
        let Admission::New(pending) = earlier.admit(key(2), now) else { panic!("not new") };
        pending.note(&Bytes::from_static(b"not durable yet"));
        let _running = earlier.admit(key(3), now);
        let later = cache(1 << 20);
        for (key, reply, age) in earlier.replies(now) {
            later.restore(key, reply, age, now);
        }
        later.restore(key(4), Bytes::new(), Duration::from_secs(60), now);
        assert!(matches!(later.admit(key(1), now), Admission::Done(reply) if reply == "done"));
        assert!(matches!(later.admit(key(2), now), Admission::Done(_)));
        assert!(matches!(later.admit(key(3), now), Admission::New(_)));
        assert!(matches!(later.admit(key(4), now), Admission::New(_)));
    }

    #[test]
    fn an_expired_reply_is_forgotten() {
        let (cache, now) = (cache(1 << 20), Instant::now());
        run(&cache, 1, now);
        run(&cache, 1, Instant::now() + Duration::from_secs(61));
        assert_eq!(cache.usage().0, 1);
    }
}
