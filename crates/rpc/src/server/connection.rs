//! One TCP connection: records in, replies out, within its limits.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::stream::{FuturesUnordered, StreamExt};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::activity::Registration;
use super::dispatch::{Outgoing, Prepared};
use super::running::Running;
use super::{Activity, Server, silence};
use crate::budget::Share;
use crate::channel::{ChannelEnd, Unexpected};
use crate::message::is_reply;
use crate::program::Peer;
use crate::record::{RecordReader, RecordTooLong};

/// The receive buffer of a quiet connection, and of a busy one.
const READ_SMALL: usize = 4 << 10;
const READ_LARGE: usize = 256 << 10;

/// Less room than this in the receive buffer is not worth a system call.
const READ_LEAST: usize = 1 << 10;

/// Records up to this size are received without a share of the budget.
const UNBUDGETED_RECORD: usize = 16 << 10;

/// Replies are sent, rather than gathered further, from this size on.
const SEND_BATCH: usize = 256 << 10;

/// Segments that go into one system call.
const SEND_SEGMENTS: usize = 64;

/// How often the timeouts are looked at.
const CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("the client closed it")]
    ByClient,
    #[error("the server stops")]
    Shutdown,
    #[error("the service goes on elsewhere")]
    Silenced,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Record(#[from] RecordTooLong),
    #[error("a message that is no call")]
    NotACall,
    #[error("{0}")]
    Reply(#[from] Unexpected),
    #[error("no call for {}", humantime(.0))]
    Idle(Duration),
    #[error("a record did not arrive whole within {}", humantime(.0))]
    Stuck(Duration),
    #[error("replies were left unread for {}", humantime(.0))]
    Unread(Duration),
}

fn humantime(duration: &Duration) -> String {
    format!("{} s", duration.as_secs())
}

/// Memory that a request holds until its reply is with the kernel.
struct Held {
    _share: Share,
    size: usize,
}

pub(super) struct Connection {
    server: Arc<Server>,
    stream: TcpStream,
    peer: Peer,
    activity: Arc<Activity>,
    _registration: Registration,
    reader: RecordReader,
    /// What was received and not yet taken out.
    buffer: BytesMut,
    read_size: usize,
    /// Memory for a receive buffer that is larger than at first.
    reading: Option<Share>,
    /// Memory for the large record that is being received, until its call runs.
    receiving: Option<Share>,
    /// A call that waits for room.
    waiting: Option<Prepared>,
    in_flight: FuturesUnordered<InFlight>,
    /// Calls of ours to the client.
    calls: ChannelEnd,
    /// Bytes of requests and replies that this connection holds.
    held_bytes: usize,
    out: VecDeque<Bytes>,
    /// Bytes queued and bytes sent since the connection began.
    queued: u64,
    sent: u64,
    /// What to let go of when `sent` reaches the number.
    to_release: VecDeque<(u64, Held)>,
    end_of_stream: bool,
    record_since: Option<Instant>,
    send_progress: Instant,
}

/// A call that waits, and what it holds.
struct InFlight(Running, Option<Held>);

impl Future for InFlight {
    type Output = (Outgoing, Option<Held>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outgoing = ready!(Pin::new(&mut self.0).poll(context));
        Poll::Ready((outgoing, self.1.take()))
    }
}

impl Connection {
    pub(super) fn new(
        server: Arc<Server>,
        stream: TcpStream,
        activity: Arc<Activity>,
        registration: Registration,
        calls: ChannelEnd,
    ) -> Self {
        Self {
            _registration: registration,
            reader: RecordReader::new(server.limits().record_size),
            server,
            stream,
            peer: activity.peer(),
            activity,
            buffer: BytesMut::new(),
            read_size: READ_SMALL,
            reading: None,
            receiving: None,
            waiting: None,
            in_flight: FuturesUnordered::new(),
            calls,
            held_bytes: 0,
            out: VecDeque::new(),
            queued: 0,
            sent: 0,
            to_release: VecDeque::new(),
            end_of_stream: false,
            record_since: None,
            send_progress: Instant::now(),
        }
    }

    /// Serves until the connection ends. Calls that still run then are run to their end: they
    /// may have begun to change something, and a retransmission must find their result.
    pub(super) async fn serve(mut self, mut shutdown: watch::Receiver<bool>) -> Ended {
        let ended = match self.serve_loop(&mut shutdown).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        };
        if !self.server.gate.may_send() {
            silence::forsake(&self.stream);
        } else {
            // Somebody else may have a descriptor of it ([`super::SocketWatch`]): it ends all the same.
            let _ended = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
        }
        let mut in_flight = std::mem::take(&mut self.in_flight);
        if !in_flight.is_empty() {
            let server = Arc::clone(&self.server);
            tokio::spawn(async move {
                let ended = async { while in_flight.next().await.is_some() {} };
                tokio::select! {
                    () = ended => {}
                    () = server.forgets_calls() => {}
                }
            });
        }
        ended
    }

    async fn serve_loop(
        &mut self,
        shutdown: &mut watch::Receiver<bool>,
    ) -> Result<std::convert::Infallible, Ended> {
        let mut check = tokio::time::interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gate = Arc::clone(&self.server.gate);
        let mut draining = self.server.draining.subscribe();
        loop {
            let may_send = gate.may_send();
            // While the server drains, what has begun comes to its end, and nothing else begins.
            let may_begin = may_send && !*draining.borrow_and_update();
            if may_begin {
                self.start_calls()?;
                self.queue_own_calls();
            }
            if may_send {
                self.send()?;
            } else if self.end_of_stream || self.server.is_silenced() {
                return Err(Ended::Silenced);
            }
            let drained =
                self.in_flight.is_empty() && self.out.is_empty() && self.waiting.is_none();
            if self.end_of_stream && drained {
                return Err(if *shutdown.borrow() { Ended::Shutdown } else { Ended::ByClient });
            }
            // Behind a closed gate requests wait where they are, and so do replies.
            let interest = if may_send { self.interest(may_begin)? } else { None };
            let needs_memory = if may_begin { self.needs_memory()? } else { None };
            let budget = Arc::clone(match self.waiting {
                Some(_) => &self.server.budget,
                None => &self.server.receiving,
            });
            tokio::select! {
                biased;
                Some((reply, held)) = self.in_flight.next(), if !self.in_flight.is_empty() => {
                    self.queue(reply, held);
                    self.gather_finished();
                }
                ready = self.stream.ready(interest.unwrap_or(Interest::READABLE)),
                    if interest.is_some() =>
                {
                    if ready?.is_readable() && interest.is_some_and(Interest::is_readable) {
                        self.receive()?;
                    }
                }
                share = budget.take(needs_memory.unwrap_or(0)), if needs_memory.is_some() => {
                    self.got_memory(share);
                }
                () = self.calls.queued(), if may_begin && self.may_queue() => {}
                () = gate.opened(), if !may_send => {}
                Ok(()) = draining.changed() => {}
                _ = check.tick() => self.check_time(Instant::now(), (may_send, may_begin))?,
                Ok(()) = shutdown.changed(), if !self.end_of_stream => self.end_of_stream = true,
            }
        }
    }

    /// Takes calls out of the receive buffer and starts them, as far as the limits allow.
    fn start_calls(&mut self) -> Result<(), Ended> {
        if self.waiting.is_none() && self.buffer.is_empty() {
            return Ok(());
        }
        let scope = Arc::clone(&self.server.batch_scope);
        let _scope = scope();
        while self.may_queue() {
            let prepared = match self.waiting.take() {
                Some(prepared) => prepared,
                None => match self.next_call()? {
                    Some(prepared) => prepared,
                    None => break,
                },
            };
            let Some(held) = self.admit(&prepared) else {
                self.waiting = Some(prepared);
                break;
            };
            self.start(prepared, held);
        }
        Ok(())
    }

    /// Adds calls of ours to the replies that leave.
    fn queue_own_calls(&mut self) {
        while self.may_queue()
            && let Some(call) = self.calls.next_queued()
        {
            self.server.counters.callbacks.fetch_add(1, Ordering::Relaxed);
            self.queue_segments(Some(call));
        }
    }

    /// Whether there is room in what waits to be sent.
    fn may_queue(&self) -> bool {
        self.queued - self.sent < SEND_BATCH as u64
    }

    /// The next call of the receive buffer that has to run. Replies to calls of ours go where
    /// they are waited for.
    fn next_call(&mut self) -> Result<Option<Prepared>, Ended> {
        while let Some(record) = self.reader.next(&mut self.buffer)? {
            self.record_since = None;
            if is_reply(&record) {
                self.receiving = None;
                self.take_reply(&record)?;
                continue;
            }
            match self.server.prepare(record, self.peer, &self.activity) {
                None => return Err(Ended::NotACall),
                Some(Err(reply)) => {
                    self.receiving = None;
                    self.queue_segments(reply);
                }
                Some(Ok(prepared)) => return Ok(Some(prepared)),
            }
        }
        if self.reader.is_partial(&self.buffer) {
            self.record_since.get_or_insert_with(Instant::now);
        }
        Ok(None)
    }

    fn take_reply(&self, reply: &Bytes) -> Result<(), Ended> {
        self.calls.deliver(reply).map_err(|unexpected| {
            self.server.counters.malformed.fetch_add(1, Ordering::Relaxed);
            unexpected.into()
        })
    }

    /// Sets memory aside for a call; `None` if it has to wait.
    fn admit(&mut self, prepared: &Prepared) -> Option<Held> {
        let limits = self.server.limits();
        let size = prepared.size;
        let alone = self.held_bytes == 0;
        let fits = self.held_bytes + size <= limits.bytes_per_connection
            && self.in_flight.len() < limits.requests_per_connection;
        let share = (alone || fits).then(|| self.server.budget.try_take(size)).flatten();
        if share.is_none() {
            self.server.counters.paused.fetch_add(1, Ordering::Relaxed);
        }
        // Asked in this order: whoever drains either sees the memory taken or is seen here.
        let share = share.filter(|_| !self.server.is_draining());
        let held = Held { _share: share?, size };
        self.held_bytes += size;
        Some(held)
    }

    fn start(&mut self, prepared: Prepared, held: Held) {
        self.receiving = None;
        let mut running = self.server.run(prepared);
        match Pin::new(&mut running).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(reply) => self.queue(reply, Some(held)),
            Poll::Pending => self.in_flight.push(InFlight(running, Some(held))),
        }
    }

    /// Takes the replies that are ready by now, so that they leave together.
    fn gather_finished(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        while self.may_queue() {
            let Poll::Ready(Some((reply, held))) = self.in_flight.poll_next_unpin(&mut context)
            else {
                break;
            };
            self.queue(reply, held);
        }
    }

    fn queue(&mut self, reply: Outgoing, held: Option<Held>) {
        self.queue_segments(reply);
        self.to_release.extend(held.map(|held| (self.queued, held)));
    }

    fn queue_segments(&mut self, message: Outgoing) {
        let Some(segments) = message else { return };
        if self.out.is_empty() {
            self.send_progress = Instant::now();
        }
        self.queued += segments.len() as u64;
        self.out.push_back(segments.head);
        self.out.extend(segments.rest);
    }

    /// Sends what the socket takes.
    fn send(&mut self) -> Result<(), Ended> {
        while !self.out.is_empty() && self.server.gate.may_send() {
            let mut slices = [IoSlice::new(&[]); SEND_SEGMENTS];
            let mut count = 0;
            for (slice, segment) in slices.iter_mut().zip(&self.out) {
                *slice = IoSlice::new(segment);
                count += 1;
            }
            match self.stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.sent(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        while self.to_release.front().is_some_and(|(at, _)| *at <= self.sent) {
            if let Some((_, held)) = self.to_release.pop_front() {
                self.held_bytes -= held.size;
            }
        }
        Ok(())
    }

    fn sent(&mut self, mut written: usize) {
        self.sent += written as u64;
        self.send_progress = Instant::now();
        self.activity.sent.fetch_add(written as u64, Ordering::Relaxed);
        self.server.counters.bytes_sent.fetch_add(written as u64, Ordering::Relaxed);
        while let Some(segment) = self.out.front_mut() {
            if segment.len() > written {
                segment.advance(written);
                break;
            }
            written -= segment.len();
            self.out.pop_front();
        }
    }

    /// What to wait for at the socket.
    fn interest(&self, may_begin: bool) -> Result<Option<Interest>, Ended> {
        let readable = may_begin
            && !self.end_of_stream
            && self.waiting.is_none()
            && self.needs_memory()?.is_none()
            && self.may_queue();
        Ok(match (readable, !self.out.is_empty()) {
            (true, true) => Some(Interest::READABLE | Interest::WRITABLE),
            (true, false) => Some(Interest::READABLE),
            (false, true) => Some(Interest::WRITABLE),
            (false, false) => None,
        })
    }

    /// How many bytes of the shared budget the connection must have to go on, if any.
    fn needs_memory(&self) -> Result<Option<usize>, Ended> {
        if let Some(prepared) = &self.waiting {
            // With own calls under way, the end of one of them is the next chance.
            return Ok((self.held_bytes == 0).then_some(prepared.size));
        }
        if self.receiving.is_some() {
            return Ok(None);
        }
        let arriving = self.reader.arriving(&self.buffer)?;
        let whole = arriving.missing == 0 && arriving.size == arriving.most;
        Ok((arriving.size > UNBUDGETED_RECORD && !whole).then_some(arriving.most))
    }

    fn got_memory(&mut self, share: Share) {
        match self.waiting.take() {
            None => {
                self.receiving = Some(share);
                // The wait was ours, not the client's.
                self.record_since = Some(Instant::now());
            }
            Some(prepared) if self.server.is_draining() => self.waiting = Some(prepared),
            Some(prepared) => {
                self.held_bytes += prepared.size;
                let held = Held { _share: share, size: prepared.size };
                self.start(prepared, held);
            }
        }
    }

    /// Reads what the socket has.
    fn receive(&mut self) -> Result<(), Ended> {
        let room = self.buffer.capacity() - self.buffer.len();
        let missing = self.reader.arriving(&self.buffer)?.missing;
        if self.receiving.is_some() && missing > 0 {
            self.buffer.reserve(missing);
        } else if room < READ_LEAST {
            self.buffer.reserve(self.read_size);
        }
        match self.stream.try_read_buf(&mut self.buffer) {
            Ok(0) => self.end_of_stream = true,
            Ok(count) => {
                if count >= self.read_size {
                    self.read_more_at_once();
                }
                self.activity.received.fetch_add(count as u64, Ordering::Relaxed);
                self.server.counters.bytes_received.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Enlarges the receive buffer, if there is memory for more than the first one.
    fn read_more_at_once(&mut self) {
        if self.reading.is_none() {
            self.reading = self.server.read_buffers.try_take(READ_LARGE);
        }
        if self.reading.is_some() {
            self.read_size = (self.read_size * 4).min(READ_LARGE);
        }
    }

    /// Ends a connection that is idle or stuck, and gives memory back that a pause makes useless.
    fn check_time(
        &mut self,
        now: Instant,
        (may_send, may_begin): (bool, bool),
    ) -> Result<(), Ended> {
        if !may_begin {
            // The wait is ours, not the client's.
            self.record_since = self.record_since.map(|_| now);
        }
        if !may_send {
            self.send_progress = now;
            return Ok(());
        }
        let limits = self.server.limits();
        if !self.out.is_empty() && now.duration_since(self.send_progress) > limits.send_timeout {
            return Err(self.timed_out(Ended::Unread(limits.send_timeout)));
        }
        let quiet = self.in_flight.is_empty() && self.out.is_empty() && self.waiting.is_none();
        if !self.reader.is_partial(&self.buffer) {
            self.record_since = None;
            if quiet && may_begin {
                self.buffer = BytesMut::new();
                self.read_size = READ_SMALL;
                self.reading = None;
            }
        } else if self.waiting.is_none()
            && self.needs_memory()?.is_none()
            && self.record_since.is_some_and(|at| now.duration_since(at) > limits.record_timeout)
        {
            return Err(self.timed_out(Ended::Stuck(limits.record_timeout)));
        }
        if may_begin && quiet && self.activity.idle(now) > limits.idle_timeout {
            return Err(self.timed_out(Ended::Idle(limits.idle_timeout)));
        }
        Ok(())
    }

    fn timed_out(&self, ended: Ended) -> Ended {
        self.server.counters.timed_out.fetch_add(1, Ordering::Relaxed);
        ended
    }
}
