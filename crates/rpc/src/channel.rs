//! Calls of ours over a connection that stays: one that a client opened to us (the back channel of
//! NFSv4.1, RFC 8881 section 2.10.3.1) or one that we opened.
//!
//! A channel has two ends. Whoever wants to call has a [`CallChannel`], small and cloned freely; it
//! is dead once the connection is. The connection has the other end, takes out of it what is to be
//! sent and puts in the replies that arrive. What waits is bounded, and a peer that sends more
//! replies than it was asked for loses its connection.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::auth::OpaqueAuth;
use crate::client::{CallError, fresh_xid};
use crate::message::{CallMessage, ReplyStatus};
use crate::record::{LAST_FRAGMENT, MARK_SIZE};
use crate::xdr::{Decoder, Encode, Encoder, Segments};

/// The longest reply that is taken.
pub const REPLY_LIMIT: usize = 64 << 10;

/// Calls that wait for their replies on one connection of our own, at most.
pub const CALLS: usize = 64;

/// A peer sent a reply that it should not have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unexpected {
    /// More replies than calls.
    #[error("a reply to no call of ours")]
    Reply,
    /// A reply above [`REPLY_LIMIT`].
    #[error("a reply of {0} bytes to a call of ours")]
    TooLong(usize),
}

/// A way to call the peer of a connection.
#[derive(Clone, Debug)]
pub struct CallChannel(Arc<Shared>);

/// The connection's end of a [`CallChannel`]; the channel is dead when it is dropped.
#[derive(Debug)]
pub(crate) struct ChannelEnd(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    id: u64,
    limit: usize,
    table: Mutex<Table>,
    has_queued: AtomicBool,
    connection: AtomicWaker,
    closed: watch::Sender<bool>,
    attached: AtomicBool,
}

#[derive(Debug)]
struct Table {
    next_xid: u32,
    queued: VecDeque<Segments>,
    waiting: HashMap<u32, oneshot::Sender<Bytes>>,
    /// Calls whose reply has not come, those that nobody waits for any more included.
    unanswered: u64,
}

/// A call under way; dropped, it is given up.
#[derive(Debug)]
struct PendingCall {
    shared: Arc<Shared>,
    xid: u32,
    reply: oneshot::Receiver<Bytes>,
}

impl ChannelEnd {
    /// The connection's end of a new channel that carries at most `limit` calls at once.
    pub(crate) fn new(limit: usize) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(Arc::new(Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            limit,
            table: Mutex::new(Table {
                next_xid: fresh_xid(),
                queued: VecDeque::new(),
                waiting: HashMap::new(),
                unanswered: 0,
            }),
            has_queued: AtomicBool::new(false),
            connection: AtomicWaker::new(),
            closed: watch::Sender::new(false),
            attached: AtomicBool::new(false),
        }))
    }

    /// The other end.
    pub(crate) fn channel(&self) -> CallChannel {
        CallChannel(Arc::clone(&self.0))
    }

    /// The next call to send, as a record.
    pub(crate) fn next_queued(&self) -> Option<Segments> {
        if !self.0.has_queued.load(Ordering::Acquire) {
            return None;
        }
        let mut table = self.0.table.lock();
        let next = table.queued.pop_front();
        self.0.has_queued.store(!table.queued.is_empty(), Ordering::Release);
        next
    }

    /// Waits until there is a call to send.
    pub(crate) async fn queued(&self) {
        std::future::poll_fn(|context| {
            if !self.0.has_queued.load(Ordering::Acquire) {
                self.0.connection.register(context.waker());
            }
            match self.0.has_queued.load(Ordering::Acquire) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// Takes a reply that arrived. One that nobody waits for any more is dropped.
    ///
    /// # Errors
    /// The connection is of no more use.
    pub(crate) fn deliver(&self, reply: &Bytes) -> Result<(), Unexpected> {
        if reply.len() > REPLY_LIMIT {
            return Err(Unexpected::TooLong(reply.len()));
        }
        let mut table = self.0.table.lock();
        table.unanswered = table.unanswered.checked_sub(1).ok_or(Unexpected::Reply)?;
        let xid = reply.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        if let Some(waiting) = table.waiting.remove(&xid) {
            // Not a slice of the receive buffer, which would stay as long as the reply does.
            let _given_up = waiting.send(Bytes::copy_from_slice(reply));
        }
        Ok(())
    }
}

impl Drop for ChannelEnd {
    fn drop(&mut self) {
        self.0.closed.send_replace(true);
        let mut table = self.0.table.lock();
        table.queued.clear();
        table.waiting.clear();
    }
}

impl CallChannel {
    /// Tells it from all others of this process.
    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// Whether this is the first time that this is asked: for one who has to do something once
    /// for each connection that is used in some way.
    pub fn attach(&self) -> bool {
        !self.0.attached.load(Ordering::Relaxed) && !self.0.attached.swap(true, Ordering::Relaxed)
    }

    /// Whether the connection is gone.
    pub fn is_closed(&self) -> bool {
        *self.0.closed.borrow()
    }

    /// Waits until the connection is gone.
    pub async fn closed(&self) {
        let mut closed = self.0.closed.subscribe();
        // The sender lives as long as `self`.
        let _never_fails = closed.wait_for(|closed| *closed).await;
    }

    /// Calls a procedure (program, version, procedure) of the peer and gives its results, still
    /// encoded. There is no time limit; dropping the future gives the call up.
    ///
    /// # Errors
    /// `Closed`, `Busy` if too many calls wait, `Refused`, `Decode`.
    pub fn call<A: Encode>(
        &self,
        procedure: (u32, u32, u32),
        credential: &OpaqueAuth,
        arguments: &A,
    ) -> impl Future<Output = Result<Bytes, CallError>> + Send + use<A> {
        let pending = self.enqueue(procedure, credential, arguments);
        async move {
            let reply = pending?.await?;
            let mut decoder = Decoder::new(&reply);
            match ReplyStatus::decode(&mut decoder)? {
                (_, ReplyStatus::Success) => Ok(decoder.rest()),
                (_, refused) => Err(CallError::Refused(refused)),
            }
        }
    }

    fn enqueue<A: Encode>(
        &self,
        procedure: (u32, u32, u32),
        credential: &OpaqueAuth,
        arguments: &A,
    ) -> Result<PendingCall, CallError> {
        let (sender, reply) = oneshot::channel();
        let shared = &self.0;
        let mut table = shared.table.lock();
        if self.is_closed() {
            return Err(CallError::Closed);
        }
        // Given up or not, a call counts until its reply comes: that bounds what a peer that
        // never answers is sent.
        if table.unanswered >= shared.limit as u64 {
            return Err(CallError::Busy);
        }
        let xid = table.next_xid;
        table.next_xid = xid.wrapping_add(1);
        table.unanswered += 1;
        table.waiting.insert(xid, sender);
        table.queued.push_back(call_record(xid, procedure, credential, arguments));
        shared.has_queued.store(true, Ordering::Release);
        drop(table);
        shared.connection.wake();
        Ok(PendingCall { shared: Arc::clone(shared), xid, reply })
    }
}

impl Future for PendingCall {
    type Output = Result<Bytes, CallError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.reply).poll(context));
        Poll::Ready(reply.map_err(|_| CallError::Closed))
    }
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.shared.table.lock().waiting.remove(&self.xid);
    }
}

fn call_record<A: Encode>(
    xid: u32,
    procedure: (u32, u32, u32),
    credential: &OpaqueAuth,
    arguments: &A,
) -> Segments {
    let mut encoder = Encoder::with_capacity(256);
    encoder.u32(0);
    CallMessage::encode_header(&mut encoder, xid, procedure, credential);
    arguments.encode(&mut encoder);
    let mark = (encoder.len() - MARK_SIZE) as u32 | LAST_FRAGMENT;
    encoder.set_at(0, &mark.to_be_bytes());
    encoder.into_segments()
}
