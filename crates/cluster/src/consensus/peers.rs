//! The way to the other members: one connection to each, shared by all that is asked of it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::io::{ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::links::Links;
use super::store::Applied;
use super::wire::{MAX_FRAME, Reply, Request, UNASKED, encode, read_frame, write_frame};
use crate::model::{ClusterId, NodeId};
use crate::pki::{TlsIdentity, explain, server_name};

/// How long a connection may take to be made. A lost SYN would be sent again after a second only.
const CONNECT: Duration = Duration::from_millis(500);

/// How long the handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(3);

/// After a failed attempt, calls fail at once for this long.
const PAUSE: Duration = Duration::from_millis(100);

/// A connection on which nothing comes back for this long is made anew: TCP itself would wait
/// longer and longer after a link was cut.
const STALLED: Duration = Duration::from_millis(1500);

/// How long writing a message may take.
const WRITE: Duration = Duration::from_secs(5);

/// Calls that may wait for one connection.
const WAITING: usize = 256;

/// Why another member did not answer.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It did not answer in time.
    #[error("no answer in time")]
    Timeout,
    /// It does not speak to this node.
    #[error("{0}")]
    Refused(String),
}

struct Call {
    request: Vec<u8>,
    number: u64,
    reply: oneshot::Sender<Result<Reply, CallError>>,
}

/// The other members.
#[derive(Clone)]
pub(super) struct Peers(Arc<Shared>);

struct Shared {
    me: NodeId,
    cluster: ClusterId,
    tls: RwLock<TlsIdentity>,
    state: watch::Receiver<Applied>,
    links: Links,
    connections: Mutex<HashMap<NodeId, mpsc::Sender<Call>>>,
    heard: Mutex<BTreeMap<NodeId, Instant>>,
    refused: Mutex<Option<String>>,
    numbers: std::sync::atomic::AtomicU64,
}

impl Peers {
    pub(super) fn new(
        me: NodeId,
        cluster: ClusterId,
        tls: TlsIdentity,
        state: watch::Receiver<Applied>,
        links: Links,
    ) -> Self {
        Self(Arc::new(Shared {
            me,
            cluster,
            tls: RwLock::new(tls),
            state,
            links,
            connections: Mutex::default(),
            heard: Mutex::default(),
            refused: Mutex::default(),
            numbers: 1.into(),
        }))
    }

    /// Uses another certificate for connections that are made from now on.
    pub(super) fn set_tls(&self, tls: TlsIdentity) {
        *self.0.tls.write() = tls;
    }

    /// A member asked something.
    pub(super) fn note_heard(&self, node: NodeId) {
        self.0.heard.lock().insert(node, Instant::now());
    }

    /// When each member was heard last.
    pub(super) fn heard(&self) -> BTreeMap<NodeId, Instant> {
        self.0.heard.lock().clone()
    }

    /// Why the members do not speak to this node, if one said so.
    pub(super) fn refused(&self) -> Option<String> {
        self.0.refused.lock().clone()
    }

    /// Asks a member. It may have done what it was asked even if no answer comes.
    pub(super) async fn call(
        &self,
        node: NodeId,
        request: &Request,
        patience: Duration,
    ) -> Result<Reply, CallError> {
        let conversation = self.converse(node, request);
        timeout(patience, conversation).await.unwrap_or(Err(CallError::Timeout))
    }

    async fn converse(&self, node: NodeId, request: &Request) -> Result<Reply, CallError> {
        let shared = &self.0;
        shared.links.pass(shared.me, node).await;
        let number = shared.numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let request = encode(number, request);
        let request = request.map_err(|error| CallError::Unreachable(error.to_string()))?;
        let (reply, answer) = oneshot::channel();
        let gone = || CallError::Unreachable("too much waits for this member".into());
        let connection = self.connection(node);
        connection.try_send(Call { request, number, reply }).map_err(|_| gone())?;
        let reply = answer.await.unwrap_or_else(|_| Err(gone()))?;
        shared.links.pass(node, shared.me).await;
        self.note_heard(node);
        if let Reply::Refused(why) = reply {
            return Err(CallError::Refused(why));
        }
        *shared.refused.lock() = None;
        match reply {
            Reply::Failed(why) => Err(CallError::Unreachable(why)),
            reply => Ok(reply),
        }
    }

    fn connection(&self, node: NodeId) -> mpsc::Sender<Call> {
        let mut connections = self.0.connections.lock();
        let connection = connections.entry(node).or_insert_with(|| {
            let (sender, calls) = mpsc::channel(WAITING);
            tokio::spawn(serve_calls(Arc::downgrade(&self.0), node, calls));
            sender
        });
        connection.clone()
    }

    /// Ends the connections to nodes that are no members any more.
    pub(super) fn forget_strangers(&self) {
        let state = self.0.state.borrow().state.clone();
        let stays = |node: &NodeId| !state.was_removed(*node);
        self.0.connections.lock().retain(|node, _| stays(node));
        self.0.heard.lock().retain(|node, _| stays(node));
    }
}

impl Shared {
    fn addresses(&self, node: NodeId) -> Vec<SocketAddr> {
        let applied = self.state.borrow();
        applied.state.members.get(&node).map(|member| member.addresses.clone()).unwrap_or_default()
    }

    async fn connect(&self, node: NodeId) -> Result<TlsStream<TcpStream>, String> {
        let addresses = self.addresses(node);
        let mut why = "its address is not known".to_owned();
        for address in addresses {
            match self.connect_to(node, address).await {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("{address}: {error}"),
            }
        }
        Err(why)
    }

    async fn connect_to(
        &self,
        node: NodeId,
        address: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, String> {
        let stream = timeout(CONNECT, TcpStream::connect(address)).await;
        let stream = stream.map_err(|_| "no answer")?.map_err(|error| error.to_string())?;
        // Without it a heartbeat would wait for the acknowledgement of the one before.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let name = server_name(self.cluster, node).ok_or("it has no name")?;
        let connector = TlsConnector::from(self.tls.read().client.clone());
        let stream = timeout(HANDSHAKE, connector.connect(name, stream)).await;
        stream.map_err(|_| "it does not finish the handshake")?.map_err(|error| explain(&error))
    }
}

/// Serves the calls to one member, until nobody holds the other end.
async fn serve_calls(
    shared: std::sync::Weak<Shared>,
    node: NodeId,
    mut calls: mpsc::Receiver<Call>,
) {
    let mut failed: Option<(Instant, CallError)> = None;
    while let Some(call) = calls.recv().await {
        if call.reply.is_closed() {
            continue;
        }
        if let Some((at, why)) = &failed
            && at.elapsed() < PAUSE
        {
            answer(call, Err(why.clone()));
            continue;
        }
        let Some(strong) = shared.upgrade() else { return };
        match strong.connect(node).await {
            Ok(stream) => {
                drop(strong);
                let ended = use_connection(&shared, stream, call, &mut calls).await;
                failed = ended.map(|why| (Instant::now(), why));
            }
            Err(why) => {
                let why = CallError::Unreachable(why);
                answer(call, Err(why.clone()));
                while let Ok(call) = calls.try_recv() {
                    answer(call, Err(why.clone()));
                }
                failed = Some((Instant::now(), why));
            }
        }
    }
}

fn answer(call: Call, with: Result<Reply, CallError>) {
    // Whoever asked may have lost patience.
    let _heard = call.reply.send(with);
}

/// Requests that wait for their replies, by number.
#[derive(Default)]
struct Pending {
    calls: BTreeMap<u64, (Instant, oneshot::Sender<Result<Reply, CallError>>)>,
    heard: Option<Instant>,
}

impl Pending {
    fn is_stalled(&self) -> bool {
        let oldest = self.calls.first_key_value().map(|(_, (at, _))| *at);
        let since = oldest.max(self.heard.filter(|heard| Some(*heard) > oldest));
        oldest.is_some() && since.is_some_and(|since| since.elapsed() > STALLED)
    }
}

/// Speaks over a connection until it breaks. Says why the other side hung up, if it did.
async fn use_connection(
    shared: &std::sync::Weak<Shared>,
    stream: TlsStream<TcpStream>,
    first: Call,
    calls: &mut mpsc::Receiver<Call>,
) -> Option<CallError> {
    let (reader, mut writer) = tokio::io::split(stream);
    let pending = Arc::new(Mutex::new(Pending::default()));
    let mut reading = tokio::spawn(read_replies(reader, Arc::clone(&pending)));
    let mut next = Some(first);
    let mut why = None;
    loop {
        if let Some(call) = next.take()
            && !send(&mut writer, &pending, call).await
        {
            break;
        }
        tokio::select! {
            call = timeout(STALLED, calls.recv()) => match call {
                Ok(Some(call)) => next = Some(call),
                Ok(None) => break,
                Err(_) => {}
            },
            ended = &mut reading => {
                why = ended.unwrap_or_default();
                break;
            }
        }
        if pending.lock().is_stalled() {
            break;
        }
    }
    reading.abort();
    if let (Some(shared), Some(why)) = (shared.upgrade(), &why) {
        *shared.refused.lock() = Some(why.clone());
    }
    let why = why.map(CallError::Refused);
    let lost = why.clone().unwrap_or_else(|| CallError::Unreachable("the connection broke".into()));
    let waiting = std::mem::take(&mut pending.lock().calls);
    for (_, (_, reply)) in waiting {
        let _heard = reply.send(Err(lost.clone()));
    }
    why
}

async fn send(
    writer: &mut WriteHalf<TlsStream<TcpStream>>,
    pending: &Mutex<Pending>,
    call: Call,
) -> bool {
    pending.lock().calls.insert(call.number, (Instant::now(), call.reply));
    matches!(timeout(WRITE, write_frame(writer, &call.request)).await, Ok(Ok(())))
}

/// Hands out replies until the connection ends; says why, if the other side said it.
async fn read_replies(
    mut reader: ReadHalf<TlsStream<TcpStream>>,
    pending: Arc<Mutex<Pending>>,
) -> Option<String> {
    loop {
        match read_frame::<Reply>(&mut reader, MAX_FRAME).await {
            Ok(Some((UNASKED, Reply::Refused(why)))) => return Some(why),
            Ok(Some((number, reply))) => {
                let mut pending = pending.lock();
                pending.heard = Some(Instant::now());
                if let Some((_, waiting)) = pending.calls.remove(&number) {
                    let _heard = waiting.send(Ok(reply));
                }
            }
            Ok(None) => return None,
            // In TLS 1.3 the client learns only now that its certificate was not accepted.
            Err(error) => {
                let refused = error.kind() == std::io::ErrorKind::InvalidData;
                return refused.then(|| explain(&error));
            }
        }
    }
}
