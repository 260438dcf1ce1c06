//! A running member of a cluster.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use openraft::impls::EmptyNode;
use openraft::{Config, SnapshotPolicy};
use parking_lot::{Mutex, RwLock};
use standfast_settings::Timing;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::contact::Contact;
use super::core::{Core, LEADER_PATIENCE};
use super::links::Links;
use super::network::Network;
use super::peers::Peers;
use super::store::{Applied, StoreError, open};
use super::types::Raft;
use super::wire::{LeaderAnswer, LeaderError, LeaderRequest};
use super::{elector, listener, membership, upkeep};
use crate::heartbeat::Support;
use crate::lease::{Term, Voters};
use crate::model::{Command, NodeId, Outcome, State};
use crate::pki::{Identity, IdentityFiles, PkiError, TlsIdentity};

/// How long the consensus may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// Why a member cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// This node belongs to no cluster.
    #[error(
        "this node belongs to no cluster yet; found one with `standfast init`, or join one with \
         `standfast join`"
    )]
    NoIdentity,
    /// Its log cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its certificates cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// It cannot listen.
    #[error(
        "cannot listen for the other nodes on {address}: {source}; if this node has another address \
         now, tell the others with `standfast join --address`, with a new token"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The consensus cannot start.
    #[error("the consensus cannot start: {0}")]
    Consensus(String),
}

/// Why a command was not agreed on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProposeError {
    /// It is refused, and nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// It cannot be agreed on now. It may still come to be: asking again does no harm.
    #[error("{0}")]
    Unavailable(String),
}

/// How a member runs. The defaults are for everybody but tests.
#[derive(Clone, Debug)]
pub struct MemberOptions {
    /// Links that a test can cut.
    pub links: Links,
    /// A snapshot is taken after this many entries.
    pub entries_per_snapshot: u64,
}

impl Default for MemberOptions {
    fn default() -> Self {
        Self { links: Links::default(), entries_per_snapshot: 500 }
    }
}

/// Who leads, as far as is known here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader.
    pub leader: Option<NodeId>,
    /// Its term; it grows with each election.
    pub term: u64,
    /// Whether it is this node.
    pub is_me: bool,
}

/// What heartbeats and leases go by: who leads for sure, and who votes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mandate {
    /// The term of the vote that was seen last.
    pub term: Term,
    /// Who leads it, once that is certain.
    pub leader: Option<NodeId>,
    /// This node leads, and has applied the first entry of its term: it knows all that was
    /// committed before.
    pub is_ready: bool,
    /// Who votes.
    pub voters: Voters,
}

/// A running member of a cluster.
pub struct Member {
    core: Arc<Core>,
    identity: Identity,
    listening: Vec<SocketAddr>,
    tasks: Mutex<JoinSet<()>>,
}

impl Member {
    /// Starts the member whose identity is in these files. It is ready at once for local reads; a
    /// cluster of one can be written to some milliseconds later.
    ///
    /// # Errors
    /// It is no member, its files cannot be used, or it cannot listen.
    pub async fn start(
        files: IdentityFiles,
        options: MemberOptions,
    ) -> Result<Arc<Self>, StartError> {
        let identity = files.identity()?.ok_or(StartError::NoIdentity)?;
        let Identity { cluster, node, .. } = identity;
        let tls = TlsIdentity::load(&files)?;
        let store = open(&files.log(), &format!("node {node} of cluster {cluster}"))?;
        let mut listeners = Vec::new();
        for address in identity.listen.iter().copied() {
            let bound = listener::bind(address);
            listeners.push(bound.map_err(|source| StartError::Listen { address, source })?);
        }
        let applied = store.machine.watch();
        let peers = Peers::new(node, cluster, tls.clone(), applied.clone(), options.links.clone());
        let timing = identity.timing.clone().unwrap_or_default();
        let config = Arc::new(consensus_config(&timing, options.entries_per_snapshot)?);
        let network = Network(peers.clone());
        let raft = Raft::new(node.0, config, network, store.log.clone(), store.machine)
            .await
            .map_err(|error| StartError::Consensus(error.to_string()))?;
        let core = Arc::new(Core {
            node,
            cluster,
            files,
            raft,
            peers,
            contact: Contact::new(),
            applied,
            log: store.log,
            disk: store.health,
            tls: RwLock::new(tls),
            silent: AtomicBool::new(false),
            stand: Notify::new(),
        });
        let listening = listeners.iter().filter_map(|socket| socket.local_addr().ok()).collect();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(listener::listen(Arc::clone(&core), listener));
        }
        begin_founding(&core).await?;
        tasks.spawn(elector::stand(Arc::clone(&core)));
        tasks.spawn(elector::beat(Arc::clone(&core)));
        tasks.spawn(membership::reconcile(Arc::clone(&core)));
        tasks.spawn(upkeep::run(Arc::clone(&core), identity.clone()));
        Ok(Arc::new(Self { core, identity, listening, tasks: Mutex::new(tasks) }))
    }

    /// Who this node is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Where it listens for the others.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }

    /// Where its files are.
    pub fn files(&self) -> &IdentityFiles {
        &self.core.files
    }

    /// The state as it is known here, which may be older than that of others. It is there without a
    /// quorum, too.
    pub fn state(&self) -> Arc<State> {
        self.core.state()
    }

    /// The state and its changes.
    pub fn watch(&self) -> watch::Receiver<Applied> {
        self.core.watch()
    }

    /// The state, as new as any that was agreed on before this call.
    ///
    /// # Errors
    /// There is no leader with a quorum.
    pub async fn read(&self) -> Result<Arc<State>, ProposeError> {
        let answer = self.ask(LeaderRequest::ReadIndex).await?;
        let LeaderAnswer::Index(index) = answer else { return Err(unexpected()) };
        let mut applied = self.core.watch();
        let reached = applied.wait_for(|applied| applied.index >= index);
        match tokio::time::timeout(LEADER_PATIENCE, reached).await {
            Ok(Ok(applied)) => Ok(Arc::clone(&applied.state)),
            _ => Err(ProposeError::Unavailable("this node does not catch up in time".into())),
        }
    }

    /// Has a command agreed on, by way of the leader, wherever it is.
    ///
    /// # Errors
    /// It is refused, or there is no leader with a quorum. In the second case it may still come to
    /// be; commands can be asked for again without harm.
    pub async fn propose(&self, command: Command) -> Result<Outcome, ProposeError> {
        match self.ask(LeaderRequest::Propose(Box::new(command))).await? {
            LeaderAnswer::Outcome(outcome) => match *outcome {
                Outcome::Refused(refusal) => Err(ProposeError::Refused(refusal.to_string())),
                outcome => Ok(outcome),
            },
            _ => Err(unexpected()),
        }
    }

    /// As [`Self::propose`], with a refusal as an outcome, for those who act on its reason.
    ///
    /// # Errors
    /// There is no leader with a quorum.
    pub async fn decide(&self, command: Command) -> Result<Outcome, ProposeError> {
        match self.ask(LeaderRequest::Propose(Box::new(command))).await? {
            LeaderAnswer::Outcome(outcome) => Ok(*outcome),
            _ => Err(unexpected()),
        }
    }

    /// Asks the leader, wherever it is.
    ///
    /// # Errors
    /// It refuses, or there is none with a quorum.
    pub async fn ask(&self, request: LeaderRequest) -> Result<LeaderAnswer, ProposeError> {
        self.core.ask_leader(request, LEADER_PATIENCE).await.map_err(|error| match error {
            LeaderError::Refused(why) => ProposeError::Refused(why),
            other => ProposeError::Unavailable(other.to_string()),
        })
    }

    /// Who leads, as far as is known here.
    pub fn leadership(&self) -> Leadership {
        let metrics = self.core.raft.server_metrics();
        let metrics = metrics.borrow();
        Leadership {
            leader: metrics.current_leader.map(NodeId),
            term: metrics.vote.leader_id().term,
            is_me: metrics.state == openraft::ServerState::Leader,
        }
    }

    /// Returns when the leader or its term changes.
    pub async fn leadership_changed(&self, known: Leadership) -> Leadership {
        let mut metrics = self.core.raft.server_metrics();
        loop {
            let now = self.leadership();
            if now != known || metrics.changed().await.is_err() {
                return now;
            }
        }
    }

    /// The promise of this voter to leaders, which its votes and its heartbeats share.
    pub fn support(&self) -> Arc<Mutex<Support>> {
        self.core.log.support()
    }

    /// Who leads for sure and who votes, now.
    pub fn mandate(&self) -> Mandate {
        let metrics = self.core.raft.metrics();
        let metrics = metrics.borrow();
        let leader = metrics.vote.leader_id();
        let is_me = metrics.state == openraft::ServerState::Leader
            && metrics.current_leader == Some(self.core.node.0);
        let applied = metrics.last_applied.map(|log| *log.committed_leader_id());
        let is_ready = is_me
            && applied.is_some_and(|applied| {
                applied.term == leader.term && applied.node_id == leader.node_id
            });
        let voters = metrics.membership_config.membership().get_joint_config();
        let voters = voters.iter().map(|set| set.iter().copied().map(NodeId).collect());
        Mandate {
            term: Term::of_vote(leader.term, NodeId(leader.node_id)),
            leader: metrics.current_leader.map(NodeId),
            is_ready,
            voters: Voters(voters.collect()),
        }
    }

    /// Returns when [`Self::mandate`] is another one; never, if the consensus has ended.
    pub async fn mandate_changed(&self, known: &Mandate) -> Mandate {
        let mut metrics = self.core.raft.metrics();
        loop {
            let now = self.mandate();
            if now != *known {
                return now;
            }
            if metrics.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Whether this node leads and a majority answered it within a time.
    pub fn has_quorum(&self, within: Duration) -> bool {
        self.core.has_quorum(within)
    }

    /// How old the state may be that is known here: the time since the leader was heard.
    pub fn data_age(&self) -> Option<Duration> {
        if self.core.leads() {
            let metrics = self.core.raft.metrics();
            let age = metrics.borrow().millis_since_quorum_ack.map(Duration::from_millis);
            return Some(age.unwrap_or_default());
        }
        self.core.contact.ever().then(|| self.core.contact.last().elapsed())
    }

    /// When this node heard each other member last.
    pub fn heard(&self) -> impl Iterator<Item = (NodeId, Instant)> {
        self.core.peers.heard().into_iter()
    }

    /// What keeps the log from being written.
    pub fn disk_problem(&self) -> Option<String> {
        self.core.disk.problem()
    }

    /// Why the other members do not speak to this node, if they do not.
    pub fn refused(&self) -> Option<String> {
        self.core.peers.refused()
    }

    /// Has another node lead. Nothing happens if this one does not.
    pub async fn hand_over_leadership(&self, to: NodeId) {
        if self.core.leads() && to != self.core.node {
            elector::hand_over(&self.core, to).await;
        }
    }

    /// Stops: what is written is written, nothing more is said.
    pub async fn stop(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        tasks.abort_all();
        while tasks.join_next().await.is_some() {}
        // The consensus waits for the disk, which may be full: the disk is closed first then.
        if self.core.disk.problem().is_none() {
            let _stopped = tokio::time::timeout(STOP, self.core.raft.shutdown()).await;
        }
        self.core.log.close().await;
        let _stopped = tokio::time::timeout(STOP, self.core.raft.shutdown()).await;
    }
}

fn unexpected() -> ProposeError {
    ProposeError::Unavailable("the leader answered something else".into())
}

/// The first node begins the consensus; what the cluster begins with is then agreed on.
async fn begin_founding(core: &Core) -> Result<(), StartError> {
    if core.files.founding()?.is_none() {
        return Ok(());
    }
    let fail = |error: String| StartError::Consensus(error);
    if !core.raft.is_initialized().await.map_err(|error| fail(error.to_string()))? {
        let first = std::collections::BTreeMap::from([(core.node.0, EmptyNode {})]);
        core.raft.initialize(first).await.map_err(|error| fail(error.to_string()))?;
    }
    Ok(())
}

/// The consensus library's own times. Elections and heartbeats are begun elsewhere
/// ([`elector`]); what remains is how long a voter keeps its vote for a leader that it heard, which
/// must be over when an election begins, and how long a message may take.
fn consensus_config(timing: &Timing, entries: u64) -> Result<Config, StartError> {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let lease = ms(elector::vote_lease(timing.election_timeout)).max(20);
    let config = Config {
        cluster_name: "standfast".into(),
        heartbeat_interval: (lease / 2).max(5),
        election_timeout_min: lease - 1,
        election_timeout_max: lease,
        install_snapshot_timeout: 30_000,
        max_payload_entries: 64,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(entries),
        max_in_snapshot_log_to_keep: entries / 2,
        replication_lag_threshold: entries * 2,
        enable_heartbeat: false,
        enable_elect: false,
        ..Config::default()
    };
    config.validate().map_err(|error| StartError::Consensus(error.to_string()))
}
