//! Calls made by hand: the transaction id, the connection and every byte are the story's choice.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use bytes::Bytes;
use standfast_lab::Host;
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::message::{CallMessage, ReplyStatus};
use standfast_rpc::xdr::{Decode, Decoder, Encode, Encoder, List, Opaque};

use crate::{Result, SOON};

/// Marks the last fragment of a record (RFC 5531 section 11).
pub const LAST_FRAGMENT: u32 = 1 << 31;
/// Longest reply that is read.
const REPLY_LIMIT: usize = 8 << 20;

/// Program, version, procedure.
pub type Procedure = (u32, u32, u32);

/// A connection, or a socket for datagrams.
#[derive(Debug)]
enum Socket {
    Stream(TcpStream),
    Datagram(UdpSocket),
}

/// A client on a host of the lab.
#[derive(Debug)]
pub struct Wire {
    socket: Socket,
    credential: OpaqueAuth,
    xid: u32,
}

/// A credential of a user.
#[must_use]
pub fn user(uid: u32, gid: u32, gids: &[u32]) -> OpaqueAuth {
    OpaqueAuth::sys(&AuthSys {
        stamp: 0,
        machine_name: Opaque::copy_from_slice(b"story"),
        uid,
        gid,
        gids: List(gids.to_vec()),
    })
}

/// A call as it goes over the wire, without the mark of a record.
#[must_use]
pub fn message<A: Encode>(
    xid: u32,
    procedure: Procedure,
    credential: &OpaqueAuth,
    arguments: &A,
) -> Bytes {
    let mut encoder = Encoder::with_capacity(256);
    CallMessage::encode_header(&mut encoder, xid, procedure, credential);
    arguments.encode(&mut encoder);
    encoder.into_segments().to_bytes()
}

/// A message as one record.
#[must_use]
pub fn record(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32 | LAST_FRAGMENT).to_be_bytes()[..], message].concat()
}

/// A TCP connection from a host, with a time limit for each step.
///
/// # Errors
/// What connecting failed with.
pub fn connect(host: &Host, server: IpAddr, port: u16) -> Result<TcpStream> {
    let address = SocketAddr::new(server, port);
    let stream = host.enter(move || TcpStream::connect_timeout(&address, SOON))??;
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads one record, of any number of fragments.
///
/// # Errors
/// What the connection failed with, also for a record that is too long.
pub fn read_record(stream: &mut impl Read) -> io::Result<Bytes> {
    let mut record = Vec::new();
    loop {
        let mut mark = [0; 4];
        stream.read_exact(&mut mark)?;
        let mark = u32::from_be_bytes(mark);
        let (start, length) = (record.len(), (mark & !LAST_FRAGMENT) as usize);
        if start + length > REPLY_LIMIT {
            return Err(io::Error::other(format!("a reply of more than {REPLY_LIMIT} bytes")));
        }
        record.resize(start + length, 0);
        stream.read_exact(&mut record[start..])?;
        if mark & LAST_FRAGMENT != 0 {
            return Ok(record.into());
        }
    }
}

/// The results in a reply.
///
/// # Errors
/// If the call did not run, or the results are not of this type.
pub fn results<R: Decode>(reply: &Bytes) -> Result<R> {
    let mut decoder = Decoder::new(reply);
    match ReplyStatus::decode(&mut decoder)? {
        (_, ReplyStatus::Success) => Ok(R::decode(&mut decoder)?),
        (xid, refused) => Err(format!("call {xid:#x} did not run: {refused:?}").into()),
    }
}

impl Wire {
    /// Connects over TCP, as root.
    ///
    /// # Errors
    /// What connecting failed with.
    pub fn tcp(host: &Host, server: IpAddr, port: u16) -> Result<Self> {
        Ok(Self::new(Socket::Stream(connect(host, server, port)?)))
    }

    /// Binds a socket for datagrams, as root.
    ///
    /// # Errors
    /// What making the socket failed with.
    pub fn udp(host: &Host, server: IpAddr, port: u16) -> Result<Self> {
        let any: IpAddr = match server {
            IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = host.enter(move || UdpSocket::bind((any, 0)))??;
        socket.connect((server, port))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self::new(Socket::Datagram(socket)))
    }

    fn new(socket: Socket) -> Self {
        Self { socket, credential: user(0, 0, &[]), xid: 1 }
    }

    /// From now on, calls are a user's.
    pub fn become_user(&mut self, uid: u32, gid: u32, gids: &[u32]) {
        self.credential = user(uid, gid, gids);
    }

    /// Makes a call and waits for its results.
    ///
    /// # Errors
    /// What the network failed with; a call that did not run; results of another type.
    pub fn call<A: Encode, R: Decode>(&mut self, procedure: Procedure, arguments: &A) -> Result<R> {
        let xid = self.xid;
        self.xid = self.xid.wrapping_add(1);
        let message = message(xid, procedure, &self.credential, arguments);
        results(&self.exchange(xid, &message)?)
    }

    /// Sends a message, as a record or a datagram, and waits for nothing.
    ///
    /// # Errors
    /// What the network failed with.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Stream(stream) => stream.write_all(&record(message)),
            Socket::Datagram(socket) => socket.send(message).map(drop),
        }
    }

    /// Sends a message and waits for the reply with this transaction id.
    ///
    /// # Errors
    /// What the network failed with.
    pub fn exchange(&mut self, xid: u32, message: &[u8]) -> Result<Bytes> {
        match &mut self.socket {
            Socket::Stream(stream) => {
                stream.write_all(&record(message))?;
                loop {
                    let reply = read_record(stream)?;
                    if reply.starts_with(&xid.to_be_bytes()) {
                        return Ok(reply);
                    }
                }
            }
            Socket::Datagram(socket) => exchange_datagram(socket, xid, message),
        }
    }
}

/// Datagrams get lost: the call is sent again until its reply comes.
fn exchange_datagram(socket: &UdpSocket, xid: u32, message: &[u8]) -> Result<Bytes> {
    const TRIES: usize = 12;
    let mut buffer = vec![0; 64 << 10];
    for _ in 0..TRIES {
        socket.send(message)?;
        match socket.recv(&mut buffer) {
            Ok(length) if buffer[..length].starts_with(&xid.to_be_bytes()) => {
                return Ok(Bytes::copy_from_slice(&buffer[..length]));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(format!("no reply to datagram {xid:#x} in {TRIES} tries").into())
}
