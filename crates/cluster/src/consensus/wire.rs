//! What nodes say to each other: frames of a length, a number and JSON.
//!
//! JSON names its fields, so a node of the next version can add some and this one still reads the
//! rest. Little is said here: commits are rare, and a heartbeat is some two hundred bytes.

use std::io;
use std::net::SocketAddr;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, VoteRequest, VoteResponse};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::types::{LogId, SnapshotMeta, TypeConfig, Vote};
use crate::model::{ClusterId, Command, NodeId, Outcome, Role, Secret};

/// The longest frame between members: a snapshot of the whole state.
pub(super) const MAX_FRAME: usize = 64 << 20;

/// The longest frame of a node that is not a member yet.
pub(super) const MAX_STRANGER_FRAME: usize = 64 << 10;

/// Number of a frame that answers no request: the other side says why it hangs up.
pub(super) const UNASKED: u64 = 0;

/// What a member asks of another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Of the consensus: entries, or a heartbeat.
    Append(AppendEntriesRequest<TypeConfig>),
    /// Of the consensus: a vote.
    Vote(VoteRequest<u64>),
    /// Of the consensus: the whole state.
    Snapshot { vote: Vote, meta: SnapshotMeta, data: String },
    /// Whether a vote would be given; it commits nobody to anything.
    PreVote { last_log_id: Option<LogId> },
    /// Stand for election: the leader gives way.
    StandForElection,
    /// For the leader.
    Leader(LeaderRequest),
    /// From a node that is no member yet.
    Join(JoinRequest),
}

/// What only the leader can do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LeaderRequest {
    /// Have a command agreed on.
    Propose(Box<Command>),
    /// The index that the state must have reached to be as new as any.
    ReadIndex,
    /// Make a new certificate for a member.
    Renew {
        /// The member.
        node: NodeId,
        /// The number of the certificate that it has.
        expected: u64,
        /// The request (PEM).
        request: String,
    },
    /// Let a node in.
    Join(JoinRequest),
    /// How long ago the leader heard each member, in milliseconds.
    Heard,
}

/// What a node says of itself that wants to join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The secret of its token, in hexadecimal.
    pub secret: Secret,
    /// The name that it wants.
    pub name: String,
    /// Where the others will reach it.
    pub addresses: Vec<SocketAddr>,
    /// What it is for.
    pub role: Role,
    /// The request for its certificate (PEM).
    pub request: String,
    /// Whether it takes the place of the member of its name.
    pub replace: bool,
    /// The number that it has, if it is a member that wants a new certificate.
    #[serde(default)]
    pub member: Option<NodeId>,
    /// The newest format that it knows.
    pub format: u32,
    /// The version of its program.
    pub version: String,
}

/// What a node is told that may join.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JoinAnswer {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its number.
    pub node: NodeId,
    /// Its certificate (PEM).
    pub certificate: String,
    /// The authority's certificate (PEM).
    pub authority: String,
}

/// What the leader answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LeaderAnswer {
    /// What became of a command.
    Outcome(Box<Outcome>),
    /// An index of the log.
    Index(u64),
    /// A certificate (PEM).
    Certificate(String),
    /// A node may join.
    Joined(Box<JoinAnswer>),
    /// How long ago each member was heard, in milliseconds.
    Heard(Vec<(NodeId, u64)>),
}

/// Why the leader does not do what it is asked.
#[derive(Clone, Debug, Serialize, Deserialize, thiserror::Error)]
pub enum LeaderError {
    /// This node does not lead.
    #[error("this node does not lead")]
    NotLeader(Option<u64>),
    /// What was asked is refused.
    #[error("{0}")]
    Refused(String),
    /// It cannot be done now.
    #[error("{0}")]
    Unavailable(String),
}

/// What a member answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(Vote),
    PreVote {
        granted: bool,
    },
    Standing,
    Leader(Result<LeaderAnswer, LeaderError>),
    /// The request could not be handled; for people.
    Failed(String),
    /// The other side does not speak to this node; for people. It hangs up.
    Refused(String),
}

/// Reads one frame. `None` at the end of the stream.
pub(super) async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
    limit: usize,
) -> io::Result<Option<(u64, T)>> {
    let mut header = [0; 12];
    match stream.read_exact(&mut header[..1]).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        first => first?,
    };
    stream.read_exact(&mut header[1..]).await?;
    let [a, b, c, d, number @ ..] = header;
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > limit {
        let message = format!("a frame of {length} bytes is longer than {limit}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    // Memory grows with what arrives, not with what is announced.
    let mut body = Vec::new();
    stream.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let value = serde_json::from_slice(&body)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((u64::from_be_bytes(number), value)))
}

/// A message as a frame.
pub(super) fn encode<T: Serialize>(number: u64, message: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 12];
    serde_json::to_writer(&mut frame, message)?;
    let length = frame.len() - 12;
    if length > MAX_FRAME {
        let message = format!("a message of {length} bytes is longer than {MAX_FRAME}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    frame[..4].copy_from_slice(&(length as u32).to_be_bytes());
    frame[4..12].copy_from_slice(&number.to_be_bytes());
    Ok(frame)
}

/// Writes one frame.
pub(super) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &[u8],
) -> io::Result<()> {
    stream.write_all(frame).await?;
    stream.flush().await
}
