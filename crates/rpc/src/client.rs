//! Calls that we make ourselves: to rpcbind, to a client's lock and status services.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::auth::OpaqueAuth;
use crate::channel::{CALLS, CallChannel, ChannelEnd, REPLY_LIMIT};
use crate::gate::ReplyGate;
use crate::message::{CallMessage, ReplyStatus};
use crate::program::Transport;
use crate::record::{LAST_FRAGMENT, MARK_SIZE, RecordReader, RecordTooLong};
use crate::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

/// The longest reply that is read on a connection for one call.
const SINGLE_REPLY_LIMIT: usize = 1 << 20;

/// How often a datagram is sent before the call counts as failed.
const DATAGRAM_TRIES: u32 = 3;

/// The reserved ports that programs take for calls of their own.
const PRIVILEGED_PORTS: Range<u16> = 665..1024;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The network.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// An answer that cannot be read.
    #[error("the answer cannot be read: {0}")]
    Decode(#[from] DecodeError),
    /// An answer that is too long.
    #[error("the answer is too long: {0}")]
    TooLong(#[from] RecordTooLong),
    /// The server did not run the call.
    #[error("the server refused the call: {0:?}")]
    Refused(ReplyStatus),
    /// The connection ended; whether the call was run is not known.
    #[error("the connection ended")]
    Closed,
    /// Too many calls wait for their answers.
    #[error("too many calls wait for their answers on the connection")]
    Busy,
    /// Nothing was sent: the service has no right to speak now.
    #[error("the lease of the service has run out")]
    Silent,
}

/// Which procedure to call, and how.
#[derive(Clone, Debug)]
pub struct Target {
    /// Where the program listens.
    pub address: SocketAddr,
    /// The address of ours to call from; `None`: whichever the system takes. A service that was
    /// asked on one of several addresses calls back from that one, by which it is known.
    pub source: Option<IpAddr>,
    /// What carries the call.
    pub transport: Transport,
    /// Program, version and procedure.
    pub procedure: (u32, u32, u32),
    /// Who asks.
    pub credential: OpaqueAuth,
    /// Bind to a port below 1024, as services do that trust nobody else.
    pub privileged: bool,
    /// How long to wait for the answer in all.
    pub timeout: Duration,
    /// Calls leave only while it is open.
    pub gate: Arc<ReplyGate>,
}

impl Target {
    /// Makes the call.
    pub async fn call<A: Encode, R: Decode>(&self, arguments: &A) -> Result<R, CallError> {
        let (xid, message) = call_message(self.procedure, &self.credential, arguments);
        let reply = timeout(self.timeout, self.exchange(&message, xid))
            .await
            .map_err(|_| CallError::Timeout(self.timeout))??;
        read_reply(&reply)
    }

    /// Opens a connection for many calls to the program; which procedure is called, and as whom,
    /// is then said with each. `timeout` is for connecting.
    ///
    /// # Errors
    /// The connection cannot be made.
    pub async fn open(&self) -> Result<OwnChannel, CallError> {
        let stream = timeout(self.timeout, self.connect())
            .await
            .map_err(|_| CallError::Timeout(self.timeout))??;
        stream.set_nodelay(true)?;
        socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(self.timeout))?;
        let end = ChannelEnd::new(CALLS);
        let channel = end.channel();
        let gate = Arc::clone(&self.gate);
        Ok(OwnChannel { channel, task: tokio::spawn(carry(stream, end, gate)) })
    }

    async fn exchange(&self, message: &[u8], xid: u32) -> Result<Bytes, CallError> {
        match self.transport {
            Transport::Tcp => {
                exchange_record(self.connect().await?, (message, xid), &self.gate).await
            }
            Transport::Udp => self.exchange_datagram(message, xid).await,
        }
    }

    async fn exchange_datagram(&self, message: &[u8], xid: u32) -> Result<Bytes, CallError> {
        let socket = self.bind_datagram().await?;
        socket.connect(self.address).await?;
        let mut buffer = vec![0; 64 << 10];
        let wait = self.timeout / DATAGRAM_TRIES;
        loop {
            may_send(&self.gate)?;
            socket.send(message).await?;
            match timeout(wait, receive_reply(&socket, &mut buffer, xid)).await {
                Ok(received) => return Ok(Bytes::copy_from_slice(&buffer[..received?])),
                // The outer timeout ends this.
                Err(_elapsed) => {}
            }
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        for address in self.own_addresses() {
            let socket = match address {
                SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
                SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
            };
            match socket.bind(address) {
                Ok(()) => return socket.connect(self.address).await,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    async fn bind_datagram(&self) -> io::Result<UdpSocket> {
        for address in self.own_addresses() {
            match UdpSocket::bind(address).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                bound => return bound,
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The addresses to call from: the first one that is free is taken.
    fn own_addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let any: IpAddr = match self.address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let own = self.source.unwrap_or(any);
        let ports = if self.privileged { PRIVILEGED_PORTS } else { 0..1 };
        ports.rev().map(move |port| SocketAddr::new(own, port))
    }
}

/// A connection of ours that carries many calls. It ends when this is dropped.
#[derive(Debug)]
pub struct OwnChannel {
    channel: CallChannel,
    task: JoinHandle<()>,
}

impl OwnChannel {
    /// To call with.
    pub fn channel(&self) -> &CallChannel {
        &self.channel
    }
}

impl Drop for OwnChannel {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries calls and replies until the connection ends, or the peer breaks the protocol.
async fn carry(mut stream: TcpStream, end: ChannelEnd, gate: Arc<ReplyGate>) {
    let (incoming, outgoing) = stream.split();
    let ended = tokio::select! {
        Err(ended) = take_replies(incoming, &end) => ended,
        Err(ended) = send_calls(outgoing, &end, &gate) => ended,
    };
    tracing::debug!(reason = %ended, "a connection for calls ended");
}

async fn take_replies(
    mut incoming: impl AsyncRead + Unpin,
    end: &ChannelEnd,
) -> Result<Infallible, CallError> {
    let mut reader = RecordReader::new(REPLY_LIMIT);
    let mut buffer = BytesMut::new();
    loop {
        while let Some(reply) = reader.next(&mut buffer)? {
            end.deliver(&reply).map_err(io::Error::other)?;
        }
        if incoming.read_buf(&mut buffer).await? == 0 {
            return Err(CallError::Closed);
        }
    }
}

async fn send_calls(
    mut outgoing: impl AsyncWrite + Unpin,
    end: &ChannelEnd,
    gate: &ReplyGate,
) -> Result<Infallible, CallError> {
    loop {
        end.queued().await;
        while let Some(record) = end.next_queued() {
            while !gate.may_send() {
                gate.opened().await;
            }
            outgoing.write_all(&record.to_bytes()).await?;
        }
    }
}

/// Which procedure of a service of this machine to call, over its socket in the filesystem: the
/// service sees which user asks.
#[derive(Clone, Debug)]
pub struct LocalTarget {
    /// The socket.
    pub path: PathBuf,
    /// Program, version and procedure.
    pub procedure: (u32, u32, u32),
    /// How long to wait for the answer.
    pub timeout: Duration,
}

impl LocalTarget {
    /// Makes the call.
    pub async fn call<A: Encode, R: Decode>(&self, arguments: &A) -> Result<R, CallError> {
        let (xid, message) = call_message(self.procedure, &OpaqueAuth::none(), arguments);
        let exchange = async {
            let stream = UnixStream::connect(&self.path).await?;
            exchange_record(stream, (&message, xid), &ReplyGate::default()).await
        };
        let reply = timeout(self.timeout, exchange)
            .await
            .map_err(|_| CallError::Timeout(self.timeout))??;
        read_reply(&reply)
    }
}

/// A call with a new transaction id.
fn call_message<A: Encode>(
    procedure: (u32, u32, u32),
    credential: &OpaqueAuth,
    arguments: &A,
) -> (u32, Bytes) {
    let xid = fresh_xid();
    let mut encoder = Encoder::with_capacity(256);
    CallMessage::encode_header(&mut encoder, xid, procedure, credential);
    arguments.encode(&mut encoder);
    (xid, encoder.into_segments().to_bytes())
}

/// The results of a call that was run.
fn read_reply<R: Decode>(reply: &Bytes) -> Result<R, CallError> {
    let mut decoder = Decoder::new(reply);
    match ReplyStatus::decode(&mut decoder)? {
        (_, ReplyStatus::Success) => Ok(R::decode(&mut decoder)?),
        (_, refused) => Err(CallError::Refused(refused)),
    }
}

fn may_send(gate: &ReplyGate) -> Result<(), CallError> {
    if gate.may_send() { Ok(()) } else { Err(CallError::Silent) }
}

/// Sends a call on a new stream and waits for its reply.
async fn exchange_record(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    (message, xid): (&[u8], u32),
    gate: &ReplyGate,
) -> Result<Bytes, CallError> {
    let mut record = BytesMut::with_capacity(MARK_SIZE + message.len());
    record.extend_from_slice(&(message.len() as u32 | LAST_FRAGMENT).to_be_bytes());
    record.extend_from_slice(message);
    may_send(gate)?;
    stream.write_all(&record).await?;
    let mut reader = RecordReader::new(SINGLE_REPLY_LIMIT);
    let mut buffer = BytesMut::new();
    loop {
        while let Some(reply) = reader.next(&mut buffer)? {
            if reply.starts_with(&xid.to_be_bytes()) {
                return Ok(reply);
            }
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn receive_reply(socket: &UdpSocket, buffer: &mut [u8], xid: u32) -> io::Result<usize> {
    loop {
        let length = socket.recv(buffer).await?;
        if buffer[..length].starts_with(&xid.to_be_bytes()) {
            return Ok(length);
        }
    }
}

/// A transaction id that an earlier run of ours did not use lately.
pub(crate) fn fresh_xid() -> u32 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) as u32
}
