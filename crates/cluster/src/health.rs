//! How a cluster is, in one word, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Activity, Membership, NodeId, State};

/// A certificate that ends within this part of its lifetime was not renewed in time.
const OVERDUE: u32 = 6;

/// How bad it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// All is well.
    #[default]
    Ok,
    /// It works, and something should be done.
    Warn,
    /// Something does not work.
    Err,
}

/// What a node knows of its cluster.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The state.
    pub state: &'a State,
    /// Who leads.
    pub leader: Option<NodeId>,
    /// How old the state may be.
    pub data_age: Option<Duration>,
    /// How long ago the leader heard each member; empty if it could not be asked.
    pub heard: &'a BTreeMap<NodeId, Duration>,
    /// What keeps the log from being written.
    pub disk_problem: Option<String>,
    /// Why the members do not speak to this node.
    pub refused: Option<String>,
    /// Milliseconds of the Unix epoch.
    pub now_ms: u64,
}

/// How the cluster is, and each reason why it is not well, the worst first.
pub fn health(known: &Known<'_>) -> (Severity, Vec<String>) {
    let mut found = Vec::new();
    of_this_node(known, &mut found);
    of_consensus(known, &mut found);
    of_members(known, &mut found);
    of_services(known, &mut found);
    found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let worst = found.iter().map(|(severity, _)| *severity).max().unwrap_or_default();
    (worst, found.into_iter().map(|(_, reason)| reason).collect())
}

type Found = Vec<(Severity, String)>;

fn of_this_node(known: &Known<'_>, found: &mut Found) {
    let problems = [&known.refused, &known.disk_problem];
    found.extend(problems.into_iter().flatten().map(|why| (Severity::Err, why.clone())));
}

fn of_consensus(known: &Known<'_>, found: &mut Found) {
    let timeout = known.state.settings.timing.election_timeout;
    match known.leader {
        None => found.push((
            Severity::Err,
            "no leader: most voters are down or cannot be reached; what serves goes on only while \
             its lease lasts, and nothing can be changed"
                .into(),
        )),
        Some(_) => {
            if let Some(age) = known.data_age.filter(|age| *age > timeout * 4) {
                let ms = age.as_millis();
                found.push((
                    Severity::Warn,
                    format!("this node has not heard the leader for {ms} ms; what it says is old"),
                ));
            }
        }
    }
    let voting = |m: &&crate::model::Member| m.membership == Membership::Voting;
    let voters = known.state.members.values().filter(voting).count();
    if voters == 2 {
        found.push((
            Severity::Warn,
            "two nodes vote, and neither can go on without the other; add a third, a witness will \
             do: `standfast token create` here, then `standfast join --witness` there"
                .into(),
        ));
    }
}

fn of_members(known: &Known<'_>, found: &mut Found) {
    let state = known.state;
    let timing = &state.settings.timing;
    // Heartbeats of the consensus are rarer than those between nodes.
    let silent = timing.election_timeout.max(timing.failure_timeout) * 3;
    for member in state.members.values() {
        let name = &member.name;
        match member.membership {
            Membership::Joining => found.push((
                Severity::Warn,
                format!("{name} was let in and does not vote yet: is its daemon running?"),
            )),
            Membership::Leaving => {
                found.push((Severity::Warn, format!("{name} is being removed")));
                continue;
            }
            Membership::Voting => {}
        }
        if !known.heard.is_empty() && known.heard.get(&member.id).is_none_or(|age| *age > silent) {
            found.push((Severity::Warn, format!("{name} does not answer")));
        }
        if member.activity == Activity::Draining {
            found.push((
                Severity::Warn,
                format!("{name} is drained; `standfast node resume {name}` ends that"),
            ));
        }
        let lifetime = timing.certificate_lifetime.as_millis();
        let left = member.certificate_ends_ms.saturating_sub(known.now_ms);
        if u128::from(left) < lifetime / u128::from(OVERDUE) {
            found.push((
                Severity::Warn,
                format!("the certificate of {name} ends soon or has ended, and was not renewed"),
            ));
        }
    }
}

fn of_services(known: &Known<'_>, found: &mut Found) {
    for name in known.state.settings.services.keys() {
        let held = known.state.leases.get(name).is_some_and(|lease| lease.holder.is_some());
        if !held {
            found.push((Severity::Err, format!("nobody serves `{name}`")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LeaseRecord, Member, Role};

    fn state(voters: u64) -> State {
        let mut state = State { format: 1, ..State::default() };
        for id in 1..=voters {
            let member = Member {
                id: NodeId(id),
                name: format!("n{id}"),
                addresses: Vec::new(),
                role: Role::Full,
                activity: Activity::Active,
                membership: Membership::Voting,
                key_fingerprint: String::new(),
                certificate: id,
                least_certificate: 0,
                certificate_ends_ms: u64::MAX,
                since_ms: 0,
                format: 1,
                version: String::new(),
            };
            state.members.insert(NodeId(id), member);
        }
        state
    }

    fn look(state: &State, leader: Option<NodeId>, heard: &[u64]) -> (Severity, Vec<String>) {
        let heard = heard.iter().map(|id| (NodeId(*id), Duration::ZERO)).collect();
        health(&Known {
            state,
            leader,
            data_age: Some(Duration::ZERO),
            heard: &heard,
            disk_problem: None,
            refused: None,
            now_ms: 0,
        })
    }

    #[test]
    fn one_and_three_that_are_all_there_are_well() {
        assert_eq!(look(&state(1), Some(NodeId(1)), &[1]), (Severity::Ok, Vec::new()));
        assert_eq!(look(&state(3), Some(NodeId(1)), &[1, 2, 3]), (Severity::Ok, Vec::new()));
    }

    #[test]
    fn two_are_told_what_to_add() {
        let (severity, reasons) = look(&state(2), Some(NodeId(1)), &[1, 2]);
        assert_eq!(severity, Severity::Warn);
        assert!(reasons[0].contains("--witness"), "{reasons:?}");
    }

    #[test]
    fn the_worst_comes_first() {
        let mut state = state(3);
        state.settings.services.insert("s".into(), Default::default());
        let (severity, reasons) = look(&state, Some(NodeId(1)), &[1, 2]);
        assert_eq!(severity, Severity::Err);
        assert_eq!(reasons, ["nobody serves `s`", "n3 does not answer"]);
        let held = LeaseRecord { holder: Some(NodeId(1)), ..LeaseRecord::default() };
        state.leases.insert("s".into(), held);
        assert_eq!(look(&state, Some(NodeId(1)), &[1, 2]).0, Severity::Warn);
        assert_eq!(look(&state, None, &[]).0, Severity::Err);
    }
}
