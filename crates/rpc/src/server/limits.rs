//! What the server allows, and what it counts.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::reply_cache::CacheLimits;

/// Entered on a thread before a batch of calls runs there; leaving is dropping what it returns.
pub type BatchScope = Arc<dyn Fn() -> Box<dyn Any> + Send + Sync>;

/// Limits of a server. Going over one slows the client down or ends its connection; it never
/// takes memory without end.
#[derive(Clone, Copy, Debug)]
pub struct ServerLimits {
    /// Most TCP connections at once; one more is closed as soon as it is accepted.
    pub connections: usize,
    /// Most calls of one connection that run at once.
    pub requests_per_connection: usize,
    /// Most calls of ours to the client of one connection that wait for their replies.
    pub callbacks_per_connection: usize,
    /// Most bytes of requests and replies that one connection has in flight.
    pub bytes_per_connection: usize,
    /// Most bytes of requests and replies in flight in all: half for calls that run and their
    /// replies, a quarter for large records that arrive, a quarter for receive buffers.
    pub bytes_in_flight: usize,
    /// Longest record.
    pub record_size: usize,
    /// How long a connection may be without any call.
    pub idle_timeout: Duration,
    /// How long a record may take to arrive once it has begun.
    pub record_timeout: Duration,
    /// How long a client may leave replies unread, or be silent while its host is gone.
    pub send_timeout: Duration,
    /// The reply cache.
    pub reply_cache: CacheLimits,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            requests_per_connection: 128,
            callbacks_per_connection: 64,
            bytes_per_connection: 4 << 20,
            bytes_in_flight: 256 << 20,
            record_size: (1 << 20) + (64 << 10),
            idle_timeout: Duration::from_secs(600),
            record_timeout: Duration::from_secs(10),
            send_timeout: Duration::from_secs(60),
            reply_cache: CacheLimits {
                entries: 1 << 16,
                bytes: 16 << 20,
                age: Duration::from_secs(900),
            },
        }
    }
}

/// What the server counts; each only grows.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub accepted: AtomicU64,
    /// Connections that were turned away because there were too many.
    pub refused: AtomicU64,
    /// Connections that were closed for being idle, stuck in a record or leaving replies unread.
    pub timed_out: AtomicU64,
    /// Messages that were neither calls nor replies to ours, or too long.
    pub malformed: AtomicU64,
    /// Calls of ours to clients.
    pub callbacks: AtomicU64,
    /// Calls that were begun.
    pub calls: AtomicU64,
    /// Retransmissions that were answered from the reply cache.
    pub reply_cache_hits: AtomicU64,
    /// Calls that ran under the reply cache.
    pub reply_cache_misses: AtomicU64,
    /// Times that reading paused because a limit was reached.
    pub paused: AtomicU64,
    /// Bytes that were received.
    pub bytes_received: AtomicU64,
    /// Bytes that were sent.
    pub bytes_sent: AtomicU64,
}
