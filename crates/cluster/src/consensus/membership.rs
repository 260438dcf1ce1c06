//! The leader brings the consensus' own members in line with the state, step by step.
//!
//! The state says who is a member and how far each is on its way in or out; the consensus knows who
//! has a vote. A crash between two steps is finished by the next leader, since both are agreed on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::impls::EmptyNode;
use openraft::{ChangeMembers, RaftMetrics};

use super::core::Core;
use super::wire::LeaderRequest;
use crate::model::{Command, FORMAT, Membership, NodeId, State};

/// A node that joins may be this many entries behind when it gets its vote.
const NEARLY: u64 = 50;

/// How often the leader looks if nothing tells it to.
const LOOK: Duration = Duration::from_secs(2);

/// How often it looks while something is on its way.
const SOON: Duration = Duration::from_millis(100);

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// Send the log to a node.
    Follow(NodeId),
    /// Give it a vote.
    GiveVote(NodeId),
    /// Say so in the state.
    MarkVoting(NodeId),
    /// Finish a change that another leader began.
    Settle(BTreeSet<u64>),
    /// Take its vote, and send it nothing any more.
    Drop(NodeId),
    /// Forget it.
    Forget(NodeId),
    /// Go on in the newest format that all know.
    RaiseFormat(u32),
    /// Wait for a node that catches up.
    Wait,
}

/// Does all steps while this node leads.
pub(super) async fn reconcile(core: Arc<Core>) {
    let mut state = core.watch();
    let mut metrics = core.raft.server_metrics();
    loop {
        let pending = core.leads() && take_steps(&core).await;
        let pause = if pending { SOON } else { LOOK };
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            changed = metrics.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether something is left to do.
async fn take_steps(core: &Core) -> bool {
    loop {
        let metrics = core.raft.metrics().borrow().clone();
        let Some(step) = next_step(&core.state(), &metrics) else { return false };
        if step == Step::Wait {
            return true;
        }
        if let Err(error) = take(core, &step).await {
            tracing::debug!(%error, ?step, "a change of members has to wait");
            return true;
        }
    }
}

fn next_step(state: &State, metrics: &RaftMetrics<u64, EmptyNode>) -> Option<Step> {
    if !state.is_founded() {
        return None;
    }
    let config = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = config.voter_ids().collect();
    if config.get_joint_config().len() > 1 {
        return Some(Step::Settle(config.get_joint_config().last().cloned().unwrap_or_default()));
    }
    let known: BTreeSet<u64> = config.nodes().map(|(id, _)| *id).collect();
    let mut waiting = None;
    for member in state.members.values() {
        let id = member.id;
        match member.membership {
            Membership::Leaving if known.contains(&id.0) => return Some(Step::Drop(id)),
            Membership::Leaving => return Some(Step::Forget(id)),
            _ if !known.contains(&id.0) => return Some(Step::Follow(id)),
            Membership::Joining if voters.contains(&id.0) => return Some(Step::MarkVoting(id)),
            Membership::Joining if has_caught_up(metrics, id) => return Some(Step::GiveVote(id)),
            Membership::Joining => waiting = Some(Step::Wait),
            Membership::Voting => {}
        }
    }
    // A node that was forgotten between two leaders.
    let gone = known.iter().find(|id| state.was_removed(NodeId(**id)));
    if let Some(id) = gone {
        return Some(Step::Drop(NodeId(*id)));
    }
    let common = state.members.values().map(|member| member.format).min().unwrap_or_default();
    if common.min(FORMAT) > state.format {
        return Some(Step::RaiseFormat(common.min(FORMAT)));
    }
    waiting
}

fn has_caught_up(metrics: &RaftMetrics<u64, EmptyNode>, node: NodeId) -> bool {
    let replicated = metrics.replication.as_ref().and_then(|all| all.get(&node.0).copied());
    let index = replicated.flatten().map_or(0, |id| id.index);
    index > 0 && index + NEARLY >= metrics.last_log_index.unwrap_or_default()
}

async fn take(core: &Core, step: &Step) -> Result<(), String> {
    let change = |changed: Result<_, _>| {
        changed.map(|_: openraft::raft::ClientWriteResponse<_>| ()).map_err(describe)
    };
    match step {
        Step::Follow(node) => change(core.raft.add_learner(node.0, EmptyNode {}, false).await),
        Step::GiveVote(node) => {
            let add = ChangeMembers::AddVoterIds([node.0].into());
            change(core.raft.change_membership(add, false).await)
        }
        Step::Settle(voters) => change(core.raft.change_membership(voters.clone(), false).await),
        Step::Drop(node) => {
            let is_voter = {
                let metrics = core.raft.metrics();
                let config = Arc::clone(&metrics.borrow().membership_config);
                config.membership().voter_ids().any(|voter| voter == node.0)
            };
            let remove = if is_voter {
                ChangeMembers::RemoveVoters([node.0].into())
            } else {
                ChangeMembers::RemoveNodes([node.0].into())
            };
            change(core.raft.change_membership(remove, false).await)
        }
        Step::MarkVoting(node) => propose(core, Command::MarkVoting { node: *node }).await,
        Step::Forget(node) => propose(core, Command::Forget { node: *node }).await,
        Step::RaiseFormat(format) => propose(core, Command::RaiseFormat { format: *format }).await,
        Step::Wait => Ok(()),
    }
}

async fn propose(core: &Core, command: Command) -> Result<(), String> {
    let asked = core.lead(LeaderRequest::Propose(Box::new(command))).await;
    asked.map(|_| ()).map_err(|error| error.to_string())
}

fn describe(error: impl std::fmt::Display) -> String {
    error.to_string()
}
