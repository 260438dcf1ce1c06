//! Who is connected and what they do, for people to see.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::channel::CallChannel;
use crate::program::Peer;

/// What one connection (or, for UDP, one socket) does.
#[derive(Debug)]
pub struct Activity {
    peer: Peer,
    channel: Option<CallChannel>,
    since: SystemTime,
    opened: Instant,
    last_call: AtomicU64,
    /// Calls so far.
    pub calls: AtomicU64,
    /// Calls that run now.
    pub running: AtomicU64,
    /// Bytes received.
    pub received: AtomicU64,
    /// Bytes sent.
    pub sent: AtomicU64,
    last: AtomicU64,
}

/// A look at an [`Activity`].
#[derive(Clone, Debug)]
pub struct ActivityReport {
    /// Who.
    pub peer: Peer,
    /// Connected since.
    pub since: SystemTime,
    /// How long ago the last call came.
    pub idle: Duration,
    /// Calls so far.
    pub calls: u64,
    /// Calls that run now.
    pub running: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Program, version and procedure of the last call, if there was one.
    pub last: Option<(u32, u32, u32)>,
}

impl Activity {
    /// A connection that has just been made, over which nobody is called back.
    pub fn new(peer: Peer) -> Self {
        Self {
            peer,
            channel: None,
            since: SystemTime::now(),
            opened: Instant::now(),
            last_call: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            running: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    /// A connection that has just been made, over which the client can be called.
    pub(super) fn with_channel(peer: Peer, channel: CallChannel) -> Self {
        Self { channel: Some(channel), ..Self::new(peer) }
    }

    /// A way to call the client over its connection; none over UDP.
    pub fn channel(&self) -> Option<&CallChannel> {
        self.channel.as_ref()
    }

    /// Who.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Notes that a call began.
    pub fn begin(&self, program: u32, version: u32, procedure: u32, now: Instant) {
        let packed = (u64::from(program) << 32)
            | (u64::from(version & 0xff) << 16)
            | u64::from(procedure & 0xffff);
        self.last.store(packed, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        let elapsed = now.saturating_duration_since(self.opened).as_millis();
        self.last_call.store(u64::try_from(elapsed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Notes that a call ended.
    pub fn end(&self) {
        self.running.fetch_sub(1, Ordering::Relaxed);
    }

    /// How long ago the last call came, or the connection was made.
    pub fn idle(&self, now: Instant) -> Duration {
        let last = self.opened + Duration::from_millis(self.last_call.load(Ordering::Relaxed));
        now.saturating_duration_since(last)
    }

    fn report(&self, now: Instant) -> ActivityReport {
        let packed = self.last.load(Ordering::Relaxed);
        ActivityReport {
            peer: self.peer,
            since: self.since,
            idle: self.idle(now),
            calls: self.calls.load(Ordering::Relaxed),
            running: self.running.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            last: (packed != 0).then_some((
                (packed >> 32) as u32,
                (packed >> 16 & 0xff) as u32,
                (packed & 0xffff) as u32,
            )),
        }
    }
}

/// All connections of a server.
#[derive(Debug, Default)]
pub struct Registry {
    next: AtomicU64,
    entries: Mutex<HashMap<u64, Arc<Activity>>>,
}

/// A place in the registry; it is vacated when dropped.
#[derive(Debug)]
pub(super) struct Registration {
    registry: Arc<Registry>,
    id: u64,
}

impl Registry {
    /// Number of connections.
    pub fn len(&self) -> usize {
        self.entries.lock().len()
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What everybody does.
    pub fn report(&self) -> Vec<ActivityReport> {
        let now = Instant::now();
        self.entries.lock().values().map(|activity| activity.report(now)).collect()
    }

    pub(super) fn register(self: &Arc<Self>, activity: Arc<Activity>) -> Registration {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.entries.lock().insert(id, activity);
        Registration { registry: Arc::clone(self), id }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.entries.lock().remove(&self.id);
    }
}
