//! Members in one process, over loopback, with real TLS and real files.

#![allow(dead_code, reason = "each test file uses a part")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use standfast_cluster::consensus::{
    Entrant, EntryError, Links, Member, MemberOptions, ProposeError, StartError, found, join,
    make_token,
};
use standfast_cluster::model::{Command, NodeId, Outcome, Role, State, Token};
use standfast_cluster::pki::{IdentityFiles, JoinToken};
use standfast_settings::{ClusterSettings, ServiceSettings, Timing};
use tempfile::TempDir;

/// Nothing here takes this long, unless it never ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// An address of loopback that no other process of these tests uses.
pub(crate) fn fresh_address() -> SocketAddr {
    let pid = std::process::id();
    let [_, a, b, c] = pid.to_be_bytes();
    let ip = Ipv4Addr::new(127, 1 + a % 250, b, c);
    let port = 20_000 + NEXT_PORT.fetch_add(1, Ordering::Relaxed);
    SocketAddr::new(ip.into(), port)
}

/// Times for a machine that does ten other things.
pub(crate) fn settings() -> ClusterSettings {
    let timing = Timing {
        consensus_heartbeat: Duration::from_millis(100),
        election_timeout: Duration::from_millis(900),
        ..Timing::default()
    };
    ClusterSettings { timing, ..ClusterSettings::default() }
}

/// No machine is late by that much: who takes it for the death of the leader was told so.
const CALM: Duration = Duration::from_secs(60);

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    assert!(waited.is_ok(), "it did not come to be: {what}");
}

/// Milliseconds of the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

/// A cluster whose nodes are directories and tasks.
pub(crate) struct Cluster {
    directory: TempDir,
    pub(crate) links: Links,
    pub(crate) entries_per_snapshot: u64,
    pub(crate) addresses: BTreeMap<String, SocketAddr>,
    pub(crate) members: BTreeMap<String, Arc<Member>>,
}

impl Cluster {
    /// A cluster of one node, `a`.
    pub(crate) async fn found() -> Self {
        Self::found_with(settings(), 500).await
    }

    pub(crate) async fn found_with(settings: ClusterSettings, entries_per_snapshot: u64) -> Self {
        let mut cluster = Self {
            directory: TempDir::new().expect("a directory"),
            links: Links::default(),
            entries_per_snapshot,
            addresses: BTreeMap::new(),
            members: BTreeMap::new(),
        };
        let entrant = cluster.entrant("a");
        found(&cluster.files("a"), &entrant, settings).expect("a cluster");
        cluster.start("a").await.expect("the first node starts");
        cluster.until_founded("a").await;
        cluster
    }

    /// A cluster of `a`, `b`, … that all vote.
    pub(crate) async fn of(nodes: usize) -> Self {
        Self::of_with(nodes, settings()).await
    }

    pub(crate) async fn of_with(nodes: usize, settings: ClusterSettings) -> Self {
        let mut cluster = Self::found_with(settings, 500).await;
        for name in ["b", "c", "d", "e"].into_iter().take(nodes - 1) {
            cluster.add(name).await;
        }
        cluster
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn files(&self, name: &str) -> IdentityFiles {
        IdentityFiles::new(self.path(name))
    }

    pub(crate) fn entrant(&mut self, name: &str) -> Entrant {
        let address = *self.addresses.entry(name.into()).or_insert_with(fresh_address);
        Entrant {
            name: name.into(),
            addresses: vec![address],
            listen: Vec::new(),
            role: Role::Full,
            replace: false,
        }
    }

    /// Starts a node's member, or starts it again.
    pub(crate) async fn start(&mut self, name: &str) -> Result<Arc<Member>, StartError> {
        let options = MemberOptions {
            links: self.links.clone(),
            entries_per_snapshot: self.entries_per_snapshot,
        };
        let member = Member::start(self.files(name), options).await?;
        self.members.insert(name.into(), Arc::clone(&member));
        Ok(member)
    }

    pub(crate) async fn stop(&mut self, name: &str) {
        let member = self.members.remove(name).expect("a running member");
        member.stop().await;
    }

    pub(crate) async fn until_founded(&self, name: &str) {
        let member = Arc::clone(&self.members[name]);
        let files = self.files(name);
        until("the cluster is founded", async || {
            let is_over = files.founding().expect("readable").is_none();
            is_over && member.state().is_founded()
        })
        .await;
    }

    pub(crate) async fn token(&self, uses: Option<u32>) -> JoinToken {
        self.token_until(uses, now_ms() + 3_600_000).await
    }

    pub(crate) async fn token_until(&self, uses_left: Option<u32>, ends_ms: u64) -> JoinToken {
        let member = self.any();
        let authority = member.state().keys.authority_certificate.clone();
        let hints = self.addresses.values().take(1).map(ToString::to_string).collect();
        let token = make_token(&authority, hints).expect("a token");
        let kept = Token { hash: token.hash(), ends_ms, uses_left };
        self.agree(Command::CreateToken { id: token.id(), token: kept }).await;
        token
    }

    pub(crate) fn any(&self) -> Arc<Member> {
        Arc::clone(self.members.values().next().expect("a running member"))
    }

    /// Lets a node in with a token of its own.
    pub(crate) async fn join(&mut self, name: &str) -> Result<(), EntryError> {
        let token = self.token(Some(1)).await;
        self.join_with(name, &token).await
    }

    pub(crate) async fn join_with(
        &mut self,
        name: &str,
        token: &JoinToken,
    ) -> Result<(), EntryError> {
        let entrant = self.entrant(name);
        let hints: Vec<_> =
            self.members.keys().map(|name| self.addresses[name].to_string()).collect();
        let_in(&self.files(name), &entrant, token, &hints).await
    }

    /// Lets a node in and waits until it votes.
    pub(crate) async fn add(&mut self, name: &str) {
        self.join(name).await.expect("it may join");
        self.start(name).await.expect("it starts");
        self.until_votes(name).await;
    }

    pub(crate) async fn until_votes(&self, name: &str) {
        let member = Arc::clone(&self.members[name]);
        until("the node votes", async || {
            use standfast_cluster::model::Membership;
            let state = member.state();
            state.member_by_name(name).is_some_and(|m| m.membership == Membership::Voting)
        })
        .await;
    }

    pub(crate) fn id(&self, name: &str) -> NodeId {
        self.files(name).identity().expect("readable").expect("a member").node
    }

    /// The running node that leads, once there is one that all of `names` know.
    pub(crate) async fn leader_of(&self, names: &[&str]) -> String {
        let mut leader = None;
        until("there is a leader", async || {
            let known: Vec<_> =
                names.iter().map(|name| self.members[*name].leadership().leader).collect();
            let led = names.iter().find(|name| self.members[**name].leadership().is_me);
            leader = led.map(|name| (*name).to_owned());
            let id = leader.as_deref().map(|name| self.id(name));
            id.is_some() && known.iter().all(|known| *known == id)
        })
        .await;
        leader.expect("a leader")
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.members.keys().map(String::as_str).collect()
    }

    pub(crate) async fn leader(&self) -> String {
        self.leader_of(&self.names()).await
    }

    /// Has a command agreed on, however long it takes.
    pub(crate) async fn agree(&self, command: Command) -> Outcome {
        agree(&self.any(), command).await
    }

    /// Adds something that can be looked for.
    pub(crate) async fn write(&self, name: &str) {
        agree(&self.any(), put(name)).await;
    }

    /// Waits until all running members know the same.
    pub(crate) async fn until_same(&self) {
        let newest = agree_on_state(&self.any()).await;
        until("all know the same", async || {
            let states: Vec<_> = self.members.values().map(|member| member.state()).collect();
            states.iter().all(|state| {
                state.settings_version >= newest.settings_version
                    && state.settings == states[0].settings
                    && state.members == states[0].members
            })
        })
        .await;
    }

    /// From now on none of these takes a late heartbeat for the death of the leader, which they
    /// have; gives it.
    pub(crate) async fn calm_down(&self, names: &[&str]) -> String {
        until("they know of the longer time", async || {
            if let Ok(state) = self.members[names[0]].read().await {
                let mut settings = Box::new(state.settings.clone());
                settings.timing.election_timeout = CALM;
                let expected = state.settings_version;
                let change = Command::ApplySettings { expected, settings };
                let _tried = self.members[names[0]].propose(change).await;
            }
            names
                .iter()
                .all(|name| self.members[*name].state().settings.timing.election_timeout == CALM)
        })
        .await;
        self.leader_of(names).await
    }
}

/// Lets a node in, however long it takes until there is somebody to do so.
pub(crate) async fn let_in(
    files: &IdentityFiles,
    entrant: &Entrant,
    token: &JoinToken,
    hints: &[String],
) -> Result<(), EntryError> {
    let mut result = None;
    until("somebody answers", async || {
        match join(files, entrant, token, hints).await {
            Err(EntryError::NobodyAnswers(_)) => {}
            answered => result = Some(answered.map(|_| ())),
        }
        result.is_some()
    })
    .await;
    result.expect("an answer")
}

/// The newest state, however long it takes.
pub(crate) async fn agree_on_state(member: &Member) -> Arc<State> {
    let mut state = None;
    until("the state can be read", async || {
        state = member.read().await.ok();
        state.is_some()
    })
    .await;
    state.expect("a state")
}

/// Has a command agreed on, however long it takes.
pub(crate) async fn agree(member: &Member, command: Command) -> Outcome {
    let mut outcome = None;
    until("the command is agreed on", async || {
        match member.propose(command.clone()).await {
            Ok(done) => outcome = Some(done),
            Err(ProposeError::Unavailable(_)) => {}
            Err(refused @ ProposeError::Refused(_)) => {
                assert!(refused.to_string().is_empty(), "refused: {refused}");
            }
        }
        outcome.is_some()
    })
    .await;
    outcome.expect("an outcome")
}

/// Something that can be looked for in the state.
pub(crate) fn put(name: &str) -> Command {
    let service = Box::new(ServiceSettings::default());
    Command::PutService { name: name.into(), service, create: false }
}
