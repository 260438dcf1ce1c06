//! What the parts of a member share, and how a member answers the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use openraft::{ServerState, Snapshot};
use parking_lot::RwLock;
use rustls::ServerConfig;
use tokio::sync::{Notify, watch};

use super::contact::Contact;
use super::peers::{CallError, Peers};
use super::store::{Applied, DiskHealth, LogStore};
use super::types::{LogId, Raft};
use super::wire::{JoinRequest, LeaderAnswer, LeaderError, LeaderRequest, Reply, Request};
use crate::model::{ClusterId, NodeId, State};
use crate::pki::{IdentityFiles, TlsIdentity};

/// How long the leader may take for what another member asks of it.
pub(super) const LEADER_PATIENCE: Duration = Duration::from_secs(5);

/// The way back for a node that was removed or replaced.
pub(super) const COME_AGAIN: &str = "stop its daemon, move the directory `cluster` out of its state \
    directory, and join again with a new token: it will be a new node";

/// Everything that runs for a member.
pub(super) struct Core {
    pub(super) node: NodeId,
    pub(super) cluster: ClusterId,
    pub(super) files: IdentityFiles,
    pub(super) raft: Raft,
    pub(super) peers: Peers,
    pub(super) contact: Contact,
    pub(super) applied: watch::Receiver<Applied>,
    pub(super) log: LogStore,
    pub(super) disk: DiskHealth,
    pub(super) tls: RwLock<TlsIdentity>,
    /// The leader gives way: no heartbeats for a while.
    pub(super) silent: AtomicBool,
    /// This node is to stand for election.
    pub(super) stand: Notify,
}

impl Core {
    pub(super) fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub(super) fn state(&self) -> Arc<State> {
        Arc::clone(&self.applied.borrow().state)
    }

    pub(super) fn watch(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    pub(super) fn tls_server(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.tls.read().server)
    }

    /// Whether this node leads.
    pub(super) fn leads(&self) -> bool {
        self.raft.server_metrics().borrow().state == ServerState::Leader
    }

    /// Who leads, as far as is known here.
    pub(super) fn leader(&self) -> Option<NodeId> {
        self.raft.server_metrics().borrow().current_leader.map(NodeId)
    }

    /// Where the log ends.
    pub(super) fn last_log(&self) -> Option<LogId> {
        self.log.last()
    }

    /// Answers a member.
    pub(super) async fn handle(&self, from: NodeId, request: Request) -> Reply {
        if self.state().members.contains_key(&from) {
            self.peers.note_heard(from);
        }
        if let Some(problem) = self.disk.problem()
            && matches!(request, Request::Append(_) | Request::Vote(_) | Request::Snapshot { .. })
        {
            // Nothing may pile up before a log that cannot be written.
            return Reply::Failed(problem);
        }
        match request {
            Request::Append(rpc) => {
                self.contact.heard(rpc.vote);
                reply(self.raft.append_entries(rpc).await, Reply::Append)
            }
            Request::Vote(rpc) => reply(self.raft.vote(rpc).await, Reply::Vote),
            Request::Snapshot { vote, meta, data } => {
                self.contact.heard(vote);
                let snapshot = Snapshot { meta, snapshot: Box::new(data.into_bytes()) };
                let installed = self.raft.install_full_snapshot(vote, snapshot).await;
                reply(installed, |response| Reply::Snapshot(response.vote))
            }
            Request::PreVote { last_log_id } => {
                Reply::PreVote { granted: self.would_vote(from, last_log_id) }
            }
            Request::StandForElection => {
                self.stand.notify_one();
                Reply::Standing
            }
            Request::Leader(request) => Reply::Leader(self.lead(request).await),
            Request::Join(request) => Reply::Leader(self.join(request).await),
        }
    }

    /// Whether this node would vote for another one: not while it hears a leader, not while it leads
    /// with a quorum, and not for one that knows less. So a node that was cut off does not disturb
    /// the others when it comes back.
    fn would_vote(&self, candidate: NodeId, last_log_id: Option<LogId>) -> bool {
        let state = self.state();
        if state.is_founded() && state.was_removed(candidate) {
            return false;
        }
        let timeout = state.settings.timing.election_timeout;
        if self.contact.ever() && self.contact.last().elapsed() < timeout {
            return false;
        }
        if self.leads() && self.has_quorum(timeout) {
            return false;
        }
        last_log_id >= self.last_log()
    }

    /// Whether a majority answered this leader within a time.
    pub(super) fn has_quorum(&self, within: Duration) -> bool {
        let metrics = self.raft.metrics();
        let metrics = metrics.borrow();
        let alone = metrics.membership_config.membership().voter_ids().count() <= 1;
        let heard = metrics.millis_since_quorum_ack.map(Duration::from_millis);
        // The figure is as old as the last report of it, which comes with each answer.
        metrics.state == ServerState::Leader && (alone || heard.is_some_and(|age| age <= within))
    }

    /// Asks the leader, wherever it is.
    pub(super) async fn ask_leader(
        &self,
        request: LeaderRequest,
        patience: Duration,
    ) -> Result<LeaderAnswer, LeaderError> {
        let until = Instant::now() + patience;
        let mut why = LeaderError::NotLeader(None);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.explain_leaderless(why));
            }
            let answer = match self.leader() {
                Some(leader) if leader == self.node => {
                    let answer = tokio::time::timeout(left, self.lead(request.clone())).await;
                    answer.unwrap_or_else(|_| Err(LeaderError::Unavailable(no_quorum())))
                }
                Some(leader) => self.ask_peer(leader, request.clone(), left).await,
                None => Err(LeaderError::NotLeader(None)),
            };
            match answer {
                Err(LeaderError::NotLeader(leader)) => why = LeaderError::NotLeader(leader),
                Err(LeaderError::Unavailable(reason)) => why = LeaderError::Unavailable(reason),
                decided => return decided,
            }
            // A new leader is announced by a change; the old one may still be named for a while.
            let mut metrics = self.raft.server_metrics();
            metrics.mark_unchanged();
            let _changed = tokio::time::timeout(Duration::from_millis(50), metrics.changed()).await;
        }
    }

    async fn ask_peer(
        &self,
        leader: NodeId,
        request: LeaderRequest,
        patience: Duration,
    ) -> Result<LeaderAnswer, LeaderError> {
        match self.peers.call(leader, &Request::Leader(request), patience).await {
            Ok(Reply::Leader(answer)) => answer,
            Ok(_) => Err(LeaderError::Unavailable("the leader answered something else".into())),
            Err(CallError::Refused(why)) => Err(LeaderError::Refused(why)),
            Err(error) => Err(LeaderError::Unavailable(format!(
                "the leader, {}, does not answer: {error}; nothing can be changed until it is back or \
                 most voters have elected another one",
                self.state().name_of(leader)
            ))),
        }
    }

    fn explain_leaderless(&self, why: LeaderError) -> LeaderError {
        if let Some(problem) = self.disk.problem() {
            return LeaderError::Unavailable(problem);
        }
        if let Some(refused) = self.peers.refused() {
            return LeaderError::Refused(refused);
        }
        match why {
            LeaderError::NotLeader(_) => LeaderError::Unavailable(
                "the cluster has no leader: most of its voters are down or cannot be reached; \
                 nothing can be changed until they are back"
                    .into(),
            ),
            why => why,
        }
    }

    /// Lets a node in, or has the leader do it.
    pub(super) async fn join(&self, request: JoinRequest) -> Result<LeaderAnswer, LeaderError> {
        self.ask_leader(LeaderRequest::Join(request), LEADER_PATIENCE).await
    }

    /// Does not lead any more for a moment, so that another one can.
    pub(super) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }
}

fn reply<T, E: std::fmt::Display>(result: Result<T, E>, make: impl FnOnce(T) -> Reply) -> Reply {
    match result {
        Ok(value) => make(value),
        Err(error) => Reply::Failed(error.to_string()),
    }
}

pub(super) fn no_quorum() -> String {
    "not enough voters answer; nothing can be changed until they are back".into()
}

/// Milliseconds of the Unix epoch.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
