//! When a node stands for election, and the leader's heartbeats.
//!
//! The consensus library would begin an election by its own timer. Here it does not: a node first
//! asks the others whether they would vote for it (pre-vote, section 9.6 of Ongaro's thesis), so
//! that one that was cut off does not end the term of a leader that all others hear; and a node that
//! serves nothing goes first, so that the death of a serving node is not the death of the leader as
//! well.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use openraft::ServerState;
use tokio::task::JoinSet;

use super::core::Core;
use super::wire::{Reply, Request};
use crate::model::NodeId;

/// Sends the leader's heartbeats, at the pace of the settings of now.
pub(super) async fn beat(core: Arc<Core>) {
    let mut metrics = core.raft.server_metrics();
    loop {
        if core.leads() {
            if !core.silent.load(Ordering::Relaxed) {
                let _sent = core.raft.trigger().heartbeat().await;
            }
            let interval = core.state().settings.timing.consensus_heartbeat;
            tokio::time::sleep(interval).await;
        } else if metrics.changed().await.is_err() {
            return;
        }
    }
}

/// Stands for election when there is no leader.
pub(super) async fn stand(core: Arc<Core>) {
    let mut metrics = core.raft.server_metrics();
    let mut ready = Instant::now();
    loop {
        let asked = tokio::select! {
            () = tokio::time::sleep_until(ready.into()) => false,
            () = core.stand.notified() => true,
        };
        let timeout = core.state().settings.timing.election_timeout;
        if asked {
            take_over(&core, timeout).await;
            ready = Instant::now() + timeout;
            continue;
        }
        let Some(voters) = votes(&core) else {
            // It leads, or has no vote; either may change at any time.
            metrics.mark_unchanged();
            tokio::select! {
                _ = metrics.changed() => {}
                () = tokio::time::sleep(timeout) => {}
                () = core.stand.notified() => core.stand.notify_one(),
            }
            continue;
        };
        let alone = voters.is_empty();
        let due = core.contact.last() + timeout + preference(&core, timeout);
        if !alone && due > Instant::now() {
            ready = due;
            continue;
        }
        if alone || wins_pre_vote(&core, &voters, timeout).await {
            let _begun = core.raft.trigger().elect().await;
            ready = Instant::now() + timeout / 2 + jitter(timeout / 2);
        } else {
            ready = Instant::now() + timeout / 4 + jitter(timeout / 4);
        }
    }
}

/// The other voters, if this node has a vote and does not lead.
fn votes(core: &Core) -> Option<Vec<NodeId>> {
    let metrics = core.raft.server_metrics();
    let metrics = metrics.borrow();
    let voters = metrics.membership_config.membership().voter_ids();
    let voters: Vec<_> = voters.map(NodeId).collect();
    let may = metrics.state != ServerState::Leader && voters.contains(&core.node);
    may.then(|| voters.into_iter().filter(|voter| *voter != core.node).collect())
}

/// Who serves nothing goes first.
fn preference(core: &Core, timeout: Duration) -> Duration {
    let serves = core.state().held_by(core.node).next().is_some();
    let wait = if serves { timeout / 4 } else { Duration::ZERO };
    wait + jitter(timeout / 8)
}

/// A random part of a duration. Without random numbers, nodes still differ.
fn jitter(most: Duration) -> Duration {
    let mut bytes = [0; 4];
    let random = match getrandom::fill(&mut bytes) {
        Ok(()) => u32::from_le_bytes(bytes),
        Err(_) => std::process::id().wrapping_mul(0x9e37_79b9),
    };
    most.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

async fn wins_pre_vote(core: &Arc<Core>, voters: &[NodeId], timeout: Duration) -> bool {
    if core.disk.problem().is_some() {
        return false;
    }
    let request = Arc::new(Request::PreVote { last_log_id: core.last_log() });
    let mut asked = JoinSet::new();
    for voter in voters.iter().copied() {
        let (core, request) = (Arc::clone(core), Arc::clone(&request));
        asked.spawn(async move {
            let reply = core.peers.call(voter, &request, timeout).await;
            matches!(reply, Ok(Reply::PreVote { granted: true }))
        });
    }
    let needed = voters.len().div_ceil(2);
    let mut granted = 0;
    while let Some(answer) = asked.join_next().await {
        granted += usize::from(answer.unwrap_or(false));
        if granted >= needed {
            return true;
        }
    }
    false
}

/// The leader asked this node to take over. It is silent now; votes are free once they have not
/// heard it for [`vote_lease`], which is before they stand themselves.
async fn take_over(core: &Core, timeout: Duration) {
    if votes(core).is_some() {
        tokio::time::sleep(vote_lease(timeout) + timeout / 16).await;
        let _begun = core.raft.trigger().elect().await;
    }
}

/// How long a voter keeps its vote for a leader that it heard.
pub(super) fn vote_lease(election_timeout: Duration) -> Duration {
    election_timeout * 3 / 4
}

/// Has another node lead, if this one serves and the other does not.
pub(super) async fn hand_over(core: &Core, to: NodeId) {
    let timeout = core.state().settings.timing.election_timeout;
    core.set_silent(true);
    let asked = core.peers.call(to, &Request::StandForElection, timeout).await;
    if asked.is_ok() {
        let mut metrics = core.raft.server_metrics();
        let lost = metrics.wait_for(|metrics| metrics.state != ServerState::Leader);
        let _lost = tokio::time::timeout(timeout * 4, lost).await;
    }
    core.set_silent(false);
}
