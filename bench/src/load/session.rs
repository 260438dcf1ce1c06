//! A connection on which one call is made at a time, to prepare a measurement.

use std::hash::{BuildHasher, RandomState};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::record::RecordReader;
use standfast_rpc::xdr::{Decode, Decoder, Encode, List, Opaque};

use super::{Field, Template};
use crate::Error;

/// Longest reply: 1 MiB of data and what is around it.
pub(super) const REPLY_LIMIT: usize = (1 << 20) + (64 << 10);
/// How long a server may take for any one reply.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Never used twice, on any connection, so that no server answers from its reply cache.
static NEXT_XID: LazyLock<AtomicU32> =
    LazyLock::new(|| AtomicU32::new(RandomState::new().hash_one(std::process::id()) as u32));

/// A transaction id that was not used before.
pub(super) fn fresh_xid() -> u32 {
    NEXT_XID.fetch_add(1, Ordering::Relaxed)
}

/// Who asks: root, as the machines that mount for everybody do.
#[must_use]
pub fn credential() -> OpaqueAuth {
    OpaqueAuth::sys(&AuthSys {
        stamp: 0,
        machine_name: Opaque::copy_from_slice(b"bench"),
        uid: 0,
        gid: 0,
        gids: List(vec![0]),
    })
}

/// A connection to an RPC server.
#[derive(Debug)]
pub struct Session {
    stream: TcpStream,
    reader: RecordReader,
    inbox: BytesMut,
}

impl Session {
    /// Connects, in the network of the calling thread.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn connect(address: SocketAddr) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .map_err(Error::io(format!("connect to {address}")))?;
        Ok(Self { stream, reader: RecordReader::new(REPLY_LIMIT), inbox: BytesMut::new() })
    }

    /// Calls `procedure` (program, version and number) and waits for its results.
    ///
    /// # Errors
    /// Those of the connection and of RPC; a status in the results is the caller's to read.
    pub fn call<R: Decode>(
        &mut self,
        procedure: (u32, u32, u32),
        arguments: &impl Encode,
    ) -> Result<R, Error> {
        let xid = fresh_xid();
        let mut call = BytesMut::new();
        let template = Template::new(procedure, arguments, Field::None);
        let tail = template.write(xid, 0, &mut call);
        call.extend_from_slice(tail);
        self.stream.write_all(&call).map_err(Error::io("send a call"))?;
        let reply = self.receive()?;
        let mut decoder = Decoder::new(&reply);
        match ReplyStatus::decode(&mut decoder)? {
            (of, _) if of != xid => Err(Error::UnknownXid(of)),
            (_, ReplyStatus::Success) => Ok(R::decode(&mut decoder)?),
            (_, refused) => Err(Error::Refused(refused)),
        }
    }

    /// The connection, for the load.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn receive(&mut self) -> Result<Bytes, Error> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(reply) = self.reader.next(&mut self.inbox)? {
                return Ok(reply);
            }
            match self.stream.read(&mut chunk).map_err(Error::io("receive a reply"))? {
                0 => return Err(Error::Closed),
                length => self.inbox.extend_from_slice(&chunk[..length]),
            }
        }
    }
}
