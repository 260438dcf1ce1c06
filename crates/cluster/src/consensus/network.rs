//! What the consensus sends through.

use std::io;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::impls::EmptyNode;
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, RaftNetwork, RaftNetworkFactory, Snapshot};

use super::peers::{CallError, Peers};
use super::types::{TypeConfig, Vote};
use super::wire::{Reply, Request};
use crate::model::NodeId;

/// How long to wait before an unreachable member is tried again.
const BACKOFF: std::time::Duration = std::time::Duration::from_millis(100);

type Failure = RPCError<u64, EmptyNode, RaftError<u64>>;

/// Makes the ways to the other members.
pub(super) struct Network(pub(super) Peers);

/// The way to one of them.
pub(super) struct ToPeer {
    peers: Peers,
    target: NodeId,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = ToPeer;

    async fn new_client(&mut self, target: u64, _: &EmptyNode) -> ToPeer {
        ToPeer { peers: self.0.clone(), target: NodeId(target) }
    }
}

fn failed(error: &CallError) -> Failure {
    match error {
        CallError::Timeout => RPCError::Network(NetworkError::new(error)),
        _ => RPCError::Unreachable(Unreachable::new(error)),
    }
}

fn nonsense() -> Failure {
    RPCError::Network(NetworkError::new(&io::Error::other("the answer is to something else")))
}

impl RaftNetwork<TypeConfig> for ToPeer {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failure> {
        let request = Request::Append(rpc);
        match self.peers.call(self.target, &request, option.hard_ttl()).await {
            Ok(Reply::Append(response)) => Ok(response),
            Ok(_) => Err(nonsense()),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot<TypeConfig>,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let data = String::from_utf8(*snapshot.snapshot)
            .map_err(|error| NetworkError::new(&io::Error::other(error)))?;
        let request = Request::Snapshot { vote, meta: snapshot.meta, data };
        let sent = self.peers.call(self.target, &request, option.hard_ttl());
        let reply = tokio::select! {
            reply = sent => reply,
            closed = cancel => return Err(closed.into()),
        };
        match reply {
            Ok(Reply::Snapshot(vote)) => Ok(SnapshotResponse { vote }),
            Ok(_) => Err(NetworkError::new(&io::Error::other("no answer to a snapshot")).into()),
            Err(CallError::Timeout) => Err(NetworkError::new(&CallError::Timeout).into()),
            Err(error) => Err(Unreachable::new(&error).into()),
        }
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failure> {
        match self.peers.call(self.target, &Request::Vote(rpc), option.hard_ttl()).await {
            Ok(Reply::Vote(response)) => Ok(response),
            Ok(_) => Err(nonsense()),
            Err(error) => Err(failed(&error)),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(BACKOFF))
    }
}
