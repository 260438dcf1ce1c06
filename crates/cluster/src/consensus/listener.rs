//! Connections that come in.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::core::{COME_AGAIN, Core};
use super::wire::{
    MAX_FRAME, MAX_STRANGER_FRAME, Reply, Request, UNASKED, encode, read_frame, write_frame,
};
use crate::model::NodeId;
use crate::pki::{PeerIdentity, explain, peer_identity};

/// Connections at once. More wait to be accepted.
const CONNECTIONS: usize = 512;

/// Requests of one connection that are worked on at once.
const REQUESTS: usize = 64;

/// How long a handshake may take, and how long a node that is no member may stay.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the other side may take to hang up after the last words.
const LINGER: Duration = Duration::from_secs(1);

/// How long writing a reply may take.
const WRITE: Duration = Duration::from_secs(5);

/// Listens on an address, also right after another process did.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Accepts connections for ever.
pub(super) async fn listen(core: Arc<Core>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let core = Arc::clone(&core);
                connections.spawn(async move {
                    if let Err(error) = serve(core, stream, place).await {
                        tracing::debug!(%from, "a connection of the cluster ended: {}", explain(&error));
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection of the cluster");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(core: Arc<Core>, stream: TcpStream, _place: OwnedSemaphorePermit) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(core.tls_server());
    let stream = timeout(PATIENCE, acceptor.accept(stream)).await??;
    let (_, session) = stream.get_ref();
    match session.peer_certificates() {
        None => timeout(PATIENCE, serve_stranger(core, stream)).await?,
        certificates => match peer_identity(certificates) {
            Some(peer) => serve_member(core, stream, peer).await,
            None => Err(io::Error::other("the certificate names no node")),
        },
    }
}

/// A node without a certificate may ask to join.
async fn serve_stranger(core: Arc<Core>, mut stream: TlsStream<TcpStream>) -> io::Result<()> {
    let Some((number, request)) = read_frame(&mut stream, MAX_STRANGER_FRAME).await? else {
        return Ok(());
    };
    let reply = match request {
        Request::Join(request) => Reply::Leader(core.join(request).await),
        _ => Reply::Refused("only a member may ask this; join the cluster first".into()),
    };
    write_frame(&mut stream, &encode(number, &reply)?).await?;
    stream.shutdown().await
}

async fn serve_member(
    core: Arc<Core>,
    stream: TlsStream<TcpStream>,
    peer: PeerIdentity,
) -> io::Result<()> {
    let (reader, writer) = tokio::io::split(stream);
    let (frames, mut requests) = mpsc::channel(1);
    // A task of its own: reading half a frame must not be given up for something else.
    let reading = tokio::spawn(read_requests(reader, frames));
    let (replies, queue) = mpsc::channel(REQUESTS);
    let mut writing = tokio::spawn(write_replies(writer, queue));
    let permits = Arc::new(Semaphore::new(REQUESTS));
    // What runs for a connection ends with it.
    let mut running = JoinSet::new();
    let mut state = core.watch();
    let result = loop {
        if let Some(why) = core.refusal(&peer) {
            let _told = replies.send((UNASKED, Reply::Refused(why))).await;
            break Ok(());
        }
        let frame = tokio::select! {
            frame = requests.recv() => frame,
            // Whoever is removed is hung up on at once.
            _ = refused(&core, &mut state, &peer) => continue,
            _ = &mut writing => break Ok(()),
        };
        let (number, request) = match frame {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => break Err(error),
            None => break Ok(()),
        };
        while running.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break Ok(()) };
        let (core, replies) = (Arc::clone(&core), replies.clone());
        running.spawn(async move {
            let reply = core.handle(peer.node, request).await;
            let _sent = replies.send((number, reply)).await;
            drop(permit);
        });
    };
    drop(replies);
    running.abort_all();
    while running.join_next().await.is_some() {}
    if !writing.is_finished() {
        let _flushed = timeout(WRITE, writing).await;
    }
    // What was sent and not read would make a reset of the end, and take the last words with it.
    let drain = async { while requests.recv().await.is_some() {} };
    let _drained = timeout(LINGER, drain).await;
    reading.abort();
    result
}

async fn read_requests(
    mut reader: ReadHalf<TlsStream<TcpStream>>,
    frames: mpsc::Sender<io::Result<(u64, Request)>>,
) {
    loop {
        let frame = read_frame(&mut reader, MAX_FRAME).await.transpose();
        let Some(frame) = frame else { return };
        let broken = frame.is_err();
        if frames.send(frame).await.is_err() || broken {
            return;
        }
    }
}

/// Returns when the state says that this peer is not spoken to any more.
async fn refused(
    core: &Core,
    state: &mut tokio::sync::watch::Receiver<super::store::Applied>,
    peer: &PeerIdentity,
) {
    loop {
        if core.refusal(peer).is_some() {
            return;
        }
        if state.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn write_replies(
    mut writer: WriteHalf<TlsStream<TcpStream>>,
    mut queue: mpsc::Receiver<(u64, Reply)>,
) {
    while let Some((number, reply)) = queue.recv().await {
        let Ok(frame) = encode(number, &reply) else { continue };
        if !matches!(timeout(WRITE, write_frame(&mut writer, &frame)).await, Ok(Ok(()))) {
            return;
        }
    }
    let _closed = timeout(WRITE, writer.shutdown()).await;
}

impl Core {
    /// Why a peer with a valid certificate is not spoken to.
    pub(super) fn refusal(&self, peer: &PeerIdentity) -> Option<String> {
        let state = self.state();
        if peer.cluster != self.cluster() {
            return Some(format!(
                "this is cluster {}, your certificate is of cluster {}",
                self.cluster(),
                peer.cluster
            ));
        }
        let advice = COME_AGAIN;
        let NodeId(id) = peer.node;
        if state.was_removed(peer.node) {
            return Some(format!("node {id} was removed from the cluster; {advice}"));
        }
        if state.was_replaced(peer.node, peer.certificate) {
            return Some(format!("node {id} was replaced by another machine; {advice}"));
        }
        None
    }
}
