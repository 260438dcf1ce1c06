//! Calls over a connection that is made again whenever it breaks, as `net/sunrpc/xprtsock.c` does:
//! at once after a reset, three seconds after a refusal, from the same port as before, and with
//! every call that has no answer sent once more under its own transaction id.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use socket2::{Domain, Protocol, Socket, Type};
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::message::{CallMessage, ReplyStatus, is_reply};
use standfast_rpc::record::{LAST_FRAGMENT, MARK_SIZE, RecordReader};
use standfast_rpc::xdr::{Decode, Decoder, Encode, Encoder, List, Opaque};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::Refusal;
use crate::history::{Finding, Recorder};

/// How long the kernel waits after a refusal.
const REFUSED_DELAY: Duration = Duration::from_secs(3);
/// How long a call may go without an answer before its connection is given up (`timeo=600`).
const SILENCE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// The longest reply that is read.
const REPLY_LIMIT: usize = 4 << 20;
/// The ports that clients with rights call from (`sunrpc.min_resvport`, `max_resvport`).
const RESERVED_PORTS: std::ops::Range<u16> = 665..1024;

/// Makes a TCP socket in the network where the client lives.
pub type NewSocket = Arc<dyn Fn(Domain) -> io::Result<Socket> + Send + Sync>;

/// A socket in the network of this thread.
pub fn here() -> NewSocket {
    Arc::new(|domain| Socket::new(domain, Type::STREAM, Some(Protocol::TCP)))
}

/// Where a client is and what it talks to.
#[derive(Clone)]
pub struct Place {
    /// The client's name.
    pub name: String,
    /// The server.
    pub server: SocketAddr,
    /// Where sockets are made.
    pub socket: NewSocket,
    /// Where findings go.
    pub recorder: Recorder,
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.name, self.server)
    }
}

impl Place {
    pub(super) fn find(&self, what: Finding) {
        self.recorder.find(&self.name, what);
    }
}

/// A connection that carries many calls. It ends when this is dropped.
#[derive(Debug)]
pub(super) struct Transport {
    place: Arc<Place>,
    calls: mpsc::UnboundedSender<Pending>,
    next_xid: AtomicU32,
    credential: OpaqueAuth,
    task: JoinHandle<()>,
}

/// A call without an answer.
#[derive(Debug)]
struct Pending {
    xid: u32,
    record: Bytes,
    reply: oneshot::Sender<Bytes>,
    sent: Instant,
}

/// By transaction id, and so in the order in which they were made.
type Table = Mutex<BTreeMap<u32, Pending>>;

impl Transport {
    pub(super) fn open(place: Place) -> Self {
        let place = Arc::new(place);
        let (calls, inbox) = mpsc::unbounded_channel();
        let credential = OpaqueAuth::sys(&AuthSys {
            stamp: 0,
            machine_name: Opaque::copy_from_slice(place.name.as_bytes()),
            uid: 0,
            gid: 0,
            gids: List(Vec::new()),
        });
        Self {
            calls,
            // Transaction ids of a run do not wrap, so their order is that of the calls.
            next_xid: AtomicU32::new(random() >> 1),
            credential,
            task: tokio::spawn(carry(Arc::clone(&place), inbox)),
            place,
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Makes a call (program, version, procedure) and waits for its results, however long.
    pub(super) async fn call<A: Encode, R: Decode>(
        &self,
        procedure: (u32, u32, u32),
        arguments: &A,
    ) -> Result<R, Refusal> {
        let xid = self.next_xid.fetch_add(1, Ordering::Relaxed);
        let record = record(xid, procedure, &self.credential, arguments);
        let (reply, answer) = oneshot::channel();
        let lost = |_| Refusal::Other("the client ended".into());
        self.calls
            .send(Pending { xid, record, reply, sent: Instant::now() })
            .map_err(|_| Refusal::Other("the client ended".into()))?;
        let reply = answer.await.map_err(lost)?;
        read(&reply).map_err(|finding| {
            let refusal = Refusal::Other(finding.to_string());
            self.place.find(finding);
            refusal
        })
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn record<A: Encode>(
    xid: u32,
    procedure: (u32, u32, u32),
    credential: &OpaqueAuth,
    arguments: &A,
) -> Bytes {
    let mut encoder = Encoder::with_capacity(512);
    encoder.u32(0);
    CallMessage::encode_header(&mut encoder, xid, procedure, credential);
    arguments.encode(&mut encoder);
    let mark = (encoder.len() - MARK_SIZE) as u32 | LAST_FRAGMENT;
    encoder.set_at(0, &mark.to_be_bytes());
    encoder.into_segments().to_bytes()
}

fn read<R: Decode>(reply: &Bytes) -> Result<R, Finding> {
    let garbled = |error: standfast_rpc::xdr::DecodeError| Finding::Garbled(error.to_string());
    let mut decoder = Decoder::new(reply);
    match ReplyStatus::decode(&mut decoder).map_err(garbled)? {
        (_, ReplyStatus::Success) => R::decode(&mut decoder).map_err(garbled),
        (_, refused) => Err(Finding::Rpc(format!("{refused:?}"))),
    }
}

/// Carries calls over one connection after the other.
async fn carry(place: Arc<Place>, mut inbox: mpsc::UnboundedReceiver<Pending>) {
    let table = Table::default();
    let mut port = None;
    loop {
        let mut stream = connect(&place, &mut port).await;
        let (incoming, outgoing) = stream.split();
        let Err(_broken) = tokio::select! {
            // Replies first: an answered call is not sent again.
            biased;
            ended = take_replies(incoming, &table) => ended,
            ended = send_calls(outgoing, &mut inbox, &table) => ended,
            () = silence(&table) => {
                place.find(Finding::Silent);
                Err(ErrorKind::TimedOut.into())
            }
        };
    }
}

async fn take_replies(
    mut incoming: impl AsyncRead + Unpin,
    table: &Table,
) -> io::Result<Infallible> {
    let mut reader = RecordReader::new(REPLY_LIMIT);
    let mut buffer = BytesMut::new();
    loop {
        while let Some(reply) = reader.next(&mut buffer).map_err(io::Error::other)? {
            let xid = reply.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
            // Calls of the server are not for us: no callbacks were asked for.
            let pending = is_reply(&reply).then(|| table.lock().remove(&xid)).flatten();
            if let Some(pending) = pending {
                let _given_up = pending.reply.send(reply);
            }
        }
        if incoming.read_buf(&mut buffer).await? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
}

async fn send_calls(
    mut outgoing: impl AsyncWrite + Unpin,
    inbox: &mut mpsc::UnboundedReceiver<Pending>,
    table: &Table,
) -> io::Result<Infallible> {
    let again: Vec<Bytes> = {
        let mut table = table.lock();
        let now = Instant::now();
        table.values_mut().for_each(|pending| pending.sent = now);
        table.values().map(|pending| pending.record.clone()).collect()
    };
    for record in again {
        outgoing.write_all(&record).await?;
    }
    loop {
        // Nobody calls any more; the transport is about to be dropped.
        let Some(pending) = inbox.recv().await else { std::future::pending().await };
        let record = pending.record.clone();
        table.lock().insert(pending.xid, pending);
        outgoing.write_all(&record).await?;
    }
}

/// Ends when a call has gone without an answer for too long.
async fn silence(table: &Table) {
    loop {
        sleep(LOOK).await;
        if table.lock().values().any(|pending| pending.sent.elapsed() > SILENCE) {
            return;
        }
    }
}

/// Connects, however long it takes. `port` is the port to call from, kept from one connection to
/// the next: servers know a retransmission by it.
async fn connect(place: &Place, port: &mut Option<u16>) -> TcpStream {
    loop {
        let error = match timeout(SILENCE, try_connect(place, port)).await {
            Ok(Ok(stream)) => {
                place.recorder.connected();
                return stream;
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => ErrorKind::TimedOut.into(),
        };
        match error.kind() {
            // The port is still taken by the old connection.
            ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse => {
                *port = None;
                sleep(Duration::from_millis(1)).await;
                continue;
            }
            ErrorKind::ConnectionRefused => place.find(Finding::Refused),
            _ => place.find(Finding::Unreachable(error.to_string())),
        }
        sleep(REFUSED_DELAY).await;
    }
}

async fn try_connect(place: &Place, port: &mut Option<u16>) -> io::Result<TcpStream> {
    let (domain, any) = match place.server {
        SocketAddr::V4(_) => (Domain::IPV4, Ipv4Addr::UNSPECIFIED.into()),
        SocketAddr::V6(_) => (Domain::IPV6, Ipv6Addr::UNSPECIFIED.into()),
    };
    let socket = (place.socket)(domain)?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_nodelay(true)?;
    let wanted = *port.get_or_insert_with(|| {
        RESERVED_PORTS.start
            + (random() % u32::from(RESERVED_PORTS.end - RESERVED_PORTS.start)) as u16
    });
    match socket.bind(&SocketAddr::new(any, wanted).into()) {
        // Without rights to a reserved port, any will do.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            socket.bind(&SocketAddr::new(any, 0).into())?;
        }
        bound => bound?,
    }
    *port = socket.local_addr()?.as_socket().map(|own| own.port());
    TcpSocket::from_std_stream(socket.into()).connect(place.server).await
}

/// Different in each run and each call.
pub(super) fn random() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now()) as u32
}
