//! A daemon that is stopped gives its services away first, as planned moves, and has them back
//! within reach at its next start.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use standfast_cluster::consensus::Member;
use standfast_cluster::model::{Command, NodeId, State};

/// How long the moves may take; who stops a daemon waits for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts to say that this node is back.
const AGAIN: Duration = Duration::from_secs(1);

/// It is there while the node is drained because its daemon was stopped, and not by a person.
const NOTE: &str = "stopped";

fn note(member: &Member) -> PathBuf {
    member.files().directory().join(NOTE)
}

/// Whether this node holds something that another one could.
fn has_to_give(state: &State, me: NodeId) -> bool {
    let can_serve = |id: &NodeId| state.members.get(id).is_some_and(|one| one.can_serve());
    let others = state.members.keys().filter(|id| **id != me && can_serve(id)).count();
    can_serve(&me) && others > 0 && state.held_by(me).next().is_some()
}

/// Gives the services of this node away, as far as that is possible in time.
pub(super) async fn give_away(member: &Member) {
    let me = member.identity().node;
    if !has_to_give(&member.state(), me) {
        return;
    }
    if let Err(error) = fs::write(note(member), b"") {
        tracing::warn!(%error, "the services are not moved away before the end");
        return;
    }
    let moved = async {
        // Whoever begins to serve needs a leader that stays.
        hand_over(member).await;
        member.propose(Command::Drain { node: me }).await?;
        let mut applied = member.watch();
        let empty = applied.wait_for(|applied| applied.state.held_by(me).next().is_none()).await;
        drop(empty);
        Ok::<_, standfast_cluster::consensus::ProposeError>(())
    };
    match tokio::time::timeout(PATIENCE, moved).await {
        Ok(Ok(())) => tracing::info!("the services of this node are elsewhere"),
        Ok(Err(error)) => tracing::warn!(%error, "the services cannot be moved away"),
        Err(_) => tracing::warn!("not all services could be moved away in time"),
    }
}

/// Lets the node lead that was heard last, if this one does.
async fn hand_over(member: &Member) {
    let known = member.leadership();
    let newest = member.heard().max_by_key(|(_, at)| *at);
    let Some((successor, _)) = newest.filter(|_| known.is_me) else { return };
    member.hand_over_leadership(successor).await;
    let mut now = member.leadership();
    while now.is_me || now.leader.is_none() {
        now = member.leadership_changed(now).await;
    }
}

/// The node is back: it may hold services again, if it was drained for its stop alone.
pub(super) async fn come_back(member: &Member) {
    let me = member.identity().node;
    let note = note(member);
    while note.exists() {
        match member.propose(Command::Resume { node: me }).await {
            Ok(_) => match fs::remove_file(&note) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return tracing::warn!(%error, note = %note.display(), "cannot be removed");
                }
                _ => tracing::info!("this node may hold services again"),
            },
            Err(error) => {
                tracing::debug!(%error, "cannot say yet that this node is back");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use standfast_cluster::model::{Activity, LeaseRecord, Member, Membership, Role};

    use super::*;

    fn state(nodes: u64) -> State {
        let member = |id| {
            let member = Member {
                id: NodeId(id),
                name: format!("n{id}"),
                addresses: Vec::new(),
                role: Role::Full,
                activity: Activity::Active,
                membership: Membership::Voting,
                key_fingerprint: String::new(),
                certificate: 1,
                least_certificate: 0,
                certificate_ends_ms: 0,
                since_ms: 0,
                format: 1,
                version: String::new(),
            };
            (NodeId(id), member)
        };
        let mut state = State { members: (1..=nodes).map(member).collect(), ..State::default() };
        let lease = LeaseRecord { holder: Some(NodeId(1)), ..LeaseRecord::default() };
        state.leases.insert("vm".into(), lease);
        state
    }

    #[test]
    fn only_what_somebody_else_can_hold_is_given_away() {
        assert!(has_to_give(&state(2), NodeId(1)));
        assert!(!has_to_give(&state(2), NodeId(2)), "it holds nothing");
        assert!(!has_to_give(&state(1), NodeId(1)), "there is nobody else");
        let mut drained = state(2);
        drained.members.get_mut(&NodeId(2)).unwrap().activity = Activity::Draining;
        assert!(!has_to_give(&drained, NodeId(1)), "the other one gives its own away");
    }
}
