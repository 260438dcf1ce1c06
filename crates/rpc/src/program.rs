//! What a program offers to the server that carries its calls.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::auth::{AuthStat, Credential};
use crate::message::ReplyStatus;
use crate::reply_cache::Keeping;
use crate::results::Results;
use crate::xdr::{Decode, Encode, from_bytes};

/// What carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A TCP connection.
    Tcp,
    /// A UDP datagram.
    Udp,
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The client's address; an IPv4 address is never written as an IPv6 one.
    pub address: SocketAddr,
    /// The address of ours that it was sent to.
    pub local: SocketAddr,
    /// What carried it.
    pub transport: Transport,
}

/// One call, ready to be run.
#[derive(Clone, Debug)]
pub struct Call {
    /// Transaction id.
    pub xid: u32,
    /// Program version.
    pub version: u32,
    /// Procedure number.
    pub procedure: u32,
    /// Who asks.
    pub credential: Credential,
    /// The arguments, encoded.
    pub arguments: Bytes,
    /// Where it came from.
    pub peer: Peer,
    /// The activity of its connection, for people to see.
    pub activity: Arc<crate::server::Activity>,
    /// Its reply is kept where it outlives the server ([`Program::outlives`]): the program says
    /// what it changed.
    pub keeping: Option<Arc<Keeping>>,
}

impl Call {
    /// The arguments; what cannot be decoded is answered with `GARBAGE_ARGS`.
    pub fn decode<T: Decode>(&self) -> Result<T, Reply> {
        from_bytes(&self.arguments).map_err(|_| Reply::status(ReplyStatus::GarbageArguments))
    }
}

/// What becomes of a call.
#[derive(Debug)]
pub enum Reply {
    /// It was run.
    Success(Results),
    /// It was not run.
    Refused(ReplyStatus),
    /// Silence: the client asks again.
    None,
}

impl Reply {
    /// Results of a call that was run.
    pub fn success<T: Encode + ?Sized>(results: &T) -> Self {
        Self::Success(Results::new(results))
    }

    /// A call that was not run.
    pub fn status(status: ReplyStatus) -> Self {
        Self::Refused(status)
    }

    /// A credential that is refused.
    pub fn auth_error(stat: AuthStat) -> Self {
        Self::Refused(ReplyStatus::AuthError(stat))
    }
}

/// A call that is under way. The server polls it once where it stands, so that what memory can
/// answer never changes threads.
pub type CallFuture = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// A program of ONC RPC (RFC 5531 section 7).
pub trait Program: Send + Sync + 'static {
    /// Its number.
    fn number(&self) -> u32;

    /// Its versions.
    fn versions(&self) -> RangeInclusive<u32>;

    /// Whether a retransmission of this call must be answered without running it again.
    fn runs_once(&self, _call: &Call) -> bool {
        false
    }

    /// Whether a retransmission of a call that runs once must be answered without running it
    /// again also after a restart of the server.
    fn outlives(&self, _call: &Call) -> bool {
        false
    }

    /// About how many bytes the reply will take at most: memory that the server sets aside
    /// before it lets the call run.
    fn reply_size(&self, _call: &Call) -> usize {
        1024
    }

    /// Runs a call.
    fn call(self: Arc<Self>, call: Call) -> CallFuture;
}
