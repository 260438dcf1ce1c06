//! How a cluster is, in one word, and why.

use std::collections::BTreeMap;
use std::time::Duration;

use standfast_settings::format_duration;

use crate::model::{
    Activity, ChangeReason, Epoch, EventKind, Member, Membership, NodeId, Role, State,
};
use crate::placement::{self, failover_advice};

/// A certificate that ends within this part of its lifetime was not renewed in time.
const OVERDUE: u32 = 6;

/// A leader that was not heard for this many election timeouts leads no more: there were several
/// chances to elect another one.
const PATIENCE: u32 = 5;

/// Services that are named in one reason.
const SHOWN: usize = 5;

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

/// What the daemon of a node sees besides the agreed state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Why a service that nobody holds can be nowhere, by its name. Only the leader knows.
    pub homeless: BTreeMap<String, String>,
    /// What this node failed to do for a service, by its name, and in which epoch.
    pub failures: BTreeMap<String, (Epoch, String)>,
    /// What else is not well, by what it is about (`pool shared`), so that it goes when it is well
    /// again.
    pub findings: BTreeMap<String, (Severity, String)>,
}

/// What a node knows of its cluster.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The node.
    pub me: NodeId,
    /// The state.
    pub state: &'a State,
    /// Who led last, as far as the node knows.
    pub leader: Option<NodeId>,
    /// How long ago it heard the leader; if it is the leader, a majority.
    pub data_age: Option<Duration>,
    /// How long ago the leader heard each member; empty if it could not be asked.
    pub heard: &'a BTreeMap<NodeId, Duration>,
    /// What keeps the log from being written.
    pub disk_problem: Option<String>,
    /// Why the members do not speak to this node.
    pub refused: Option<String>,
    /// What its daemon sees.
    pub seen: &'a Seen,
    /// Milliseconds of the Unix epoch.
    pub now_ms: u64,
}

impl Known<'_> {
    /// Who leads with a majority behind it, as far as the node knows.
    pub fn leads(&self) -> Option<NodeId> {
        let patience = self.state.settings.timing.election_timeout * PATIENCE;
        self.leader.filter(|_| self.data_age.is_some_and(|age| age <= patience))
    }
}

/// How the cluster is, and each reason why it is not well, the worst first.
pub fn health(known: &Known<'_>) -> (Severity, Vec<String>) {
    let mut found = Vec::new();
    of_this_node(known, &mut found);
    // Of a cluster that does not speak to this node, all that it knows is old.
    if known.refused.is_none() {
        of_consensus(known, &mut found);
        of_members(known, &mut found);
        of_services(known, &mut found);
        of_failures(known, &mut found);
    }
    found.sort_by_key(|(severity, _)| std::cmp::Reverse(*severity));
    let worst = found.iter().map(|(severity, _)| *severity).max().unwrap_or_default();
    (worst, found.into_iter().map(|(_, reason)| reason).collect())
}

type Found = Vec<(Severity, String)>;

fn of_this_node(known: &Known<'_>, found: &mut Found) {
    let problems = [&known.refused, &known.disk_problem];
    found.extend(problems.into_iter().flatten().map(|why| (Severity::Err, why.clone())));
    let seen = known.seen.findings.iter();
    found.extend(seen.map(|(subject, (severity, why))| (*severity, format!("{subject}: {why}"))));
}

fn of_consensus(known: &Known<'_>, found: &mut Found) {
    if known.leads().is_none() {
        let last = match (known.leader, known.data_age) {
            (Some(leader), Some(age)) if leader == known.me => {
                format!("this node leads, and a majority has not answered it for {}", whole(age))
            }
            (Some(leader), Some(age)) => {
                let name = known.state.name_of(leader);
                format!("{name}, which led, has not been heard for {}", whole(age))
            }
            _ => "this node has heard no leader yet".into(),
        };
        found.push((
            Severity::Err,
            format!(
                "no quorum: {last}; most voters are down, or this node is cut off from them: what \
                 serves goes on only while its lease lasts, and nothing can be changed until they \
                 are back"
            ),
        ));
    }
    let stays = known.state.members.values().filter(|m| m.membership != Membership::Leaving);
    let (servers, witnesses): (Vec<_>, Vec<_>) = stays.partition(|m| m.role == Role::Full);
    let members = placement::Membership { servers: servers.len(), witnesses: witnesses.len() };
    // One node is a cluster of one and needs nothing else; more than two survive the loss of one.
    if servers.is_empty() || servers.len() + witnesses.len() == 2 {
        found.extend(failover_advice(members).map(|advice| (Severity::Warn, advice)));
    }
}

fn of_members(known: &Known<'_>, found: &mut Found) {
    of_voters(known, found);
    let timing = &known.state.settings.timing;
    for member in known.state.members.values() {
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
        if member.activity == Activity::Draining {
            found.push((
                Severity::Warn,
                format!("{name} is drained; `standfast node resume {name}` ends that"),
            ));
        }
        let lifetime = timing.certificate_lifetime.as_millis();
        let left = member.certificate_ends_ms.saturating_sub(known.now_ms);
        if left == 0 {
            found.push((
                Severity::Warn,
                format!(
                    "the certificate of {name} has expired; `standfast token create` here, then \
                     `standfast join` there: it stays the node that it is"
                ),
            ));
        } else if u128::from(left) < lifetime / u128::from(OVERDUE) {
            let left = whole(Duration::from_millis(left));
            found.push((
                Severity::Warn,
                format!(
                    "the certificate of {name} ends in {left} and was not renewed: is its daemon \
                     running, and are the clocks right?"
                ),
            ));
        }
    }
}

/// Voters that the leader does not hear.
fn of_voters(known: &Known<'_>, found: &mut Found) {
    let timing = &known.state.settings.timing;
    // Heartbeats of the consensus are rarer than those between nodes.
    let silent = timing.election_timeout.max(timing.failure_timeout) * 3;
    let voters = known.state.members.values().filter(|m| m.membership == Membership::Voting);
    let (up, down): (Vec<_>, Vec<_>) =
        voters.partition(|m| known.heard.get(&m.id).is_some_and(|age| *age <= silent));
    // Without an answer of the leader nothing is known about them.
    if known.heard.is_empty() || down.is_empty() {
        return;
    }
    let missing = |member: &&Member| match known.heard.get(&member.id) {
        Some(age) => format!("{} (not heard for {})", member.name, whole(*age)),
        None => format!("{} (not heard by this leader)", member.name),
    };
    let missing: Vec<_> = down.iter().map(missing).collect();
    let quorum: Vec<_> = up.iter().map(|member| member.name.as_str()).collect();
    let all = down.len() + up.len();
    let quorum = match quorum.len() * 2 > all {
        true => format!("; quorum: {}", quorum.join(", ")),
        false => String::new(),
    };
    found.push((
        Severity::Warn,
        format!("{}/{all} voters down: {}{quorum}", down.len(), missing.join(", ")),
    ));
}

fn of_services(known: &Known<'_>, found: &mut Found) {
    let held = |name: &String| known.state.leases.get(name).is_some_and(|l| l.holder.is_some());
    // Services that share a reason share a line: all of them may be without a holder.
    let mut by_reason: BTreeMap<Option<&String>, Vec<&String>> = BTreeMap::new();
    for name in known.state.settings.services.keys().filter(|name| !held(name)) {
        by_reason.entry(known.seen.homeless.get(name)).or_default().push(name);
    }
    for (why, names) in by_reason {
        let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
        let more = match names.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        found.push((Severity::Err, format!("nobody serves {}{more}{why}", shown.join(", "))));
    }
}

/// Why a service changed its holder whose node could not serve it.
pub(crate) fn unable() -> ChangeReason {
    ChangeReason::Failure { detail: "its node cannot serve it".into() }
}

/// Services that have a holder and do not come up.
fn of_failures(known: &Known<'_>, found: &mut Found) {
    let state = known.state;
    for (name, lease) in &state.leases {
        let up_in = state.events.iter().filter_map(|event| match &event.kind {
            EventKind::Timeline { service, epoch, .. } if service == name => Some(*epoch),
            _ => None,
        });
        // The timeline of a change is written when the service is up.
        let up_in = up_in.max().unwrap_or_default();
        if !state.settings.services.contains_key(name) || up_in >= lease.epoch {
            continue;
        }
        if let Some((_, why)) = known.seen.failures.get(name).filter(|(epoch, _)| *epoch > up_in) {
            found.push((Severity::Err, format!("this node could not serve `{name}`: {why}")));
        } else if let (Some(holder), true) = (lease.holder, lease.reason == Some(unable())) {
            let holder = state.name_of(holder);
            found.push((
                Severity::Err,
                format!(
                    "`{name}` does not come up: the node before could not serve it, {holder} tries; \
                     `standfast status` on each says why"
                ),
            ));
        }
    }
}

/// A time for people: whole seconds, or milliseconds below ten of them.
fn whole(time: Duration) -> String {
    let most = if time < Duration::from_secs(10) {
        u64::try_from(time.as_millis()).map(Duration::from_millis)
    } else {
        Ok(Duration::from_secs(time.as_secs()))
    };
    format_duration(most.unwrap_or(time))
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
        look_with(state, leader, &heard, |_| {})
    }

    fn look_with(
        state: &State,
        leader: Option<NodeId>,
        heard: &BTreeMap<NodeId, Duration>,
        change: impl FnOnce(&mut Known<'_>),
    ) -> (Severity, Vec<String>) {
        look_at(state, leader, heard, &Seen::default(), change)
    }

    fn look_at(
        state: &State,
        leader: Option<NodeId>,
        heard: &BTreeMap<NodeId, Duration>,
        seen: &Seen,
        change: impl FnOnce(&mut Known<'_>),
    ) -> (Severity, Vec<String>) {
        let mut known = Known {
            me: NodeId(1),
            state,
            leader,
            data_age: Some(Duration::ZERO),
            heard,
            disk_problem: None,
            refused: None,
            seen,
            now_ms: 0,
        };
        change(&mut known);
        health(&known)
    }

    fn all_heard() -> BTreeMap<NodeId, Duration> {
        (1..=3).map(|id| (NodeId(id), Duration::ZERO)).collect()
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
        let mut with_witness = state(2);
        with_witness.members.get_mut(&NodeId(2)).unwrap().role = Role::Witness;
        let (_, reasons) = look(&with_witness, Some(NodeId(1)), &[1, 2]);
        assert!(reasons[0].contains("nobody takes over"), "{reasons:?}");
    }

    #[test]
    fn the_worst_comes_first() {
        let mut state = state(3);
        state.settings.services.insert("s".into(), Default::default());
        let (severity, reasons) = look(&state, Some(NodeId(1)), &[1, 2]);
        assert_eq!(severity, Severity::Err);
        assert_eq!(
            reasons,
            ["nobody serves `s`", "1/3 voters down: n3 (not heard by this leader); quorum: n1, n2"]
        );
        let held = LeaseRecord { holder: Some(NodeId(1)), ..LeaseRecord::default() };
        state.leases.insert("s".into(), held);
        assert_eq!(look(&state, Some(NodeId(1)), &[1, 2]).0, Severity::Warn);
        assert_eq!(look(&state, None, &[]).0, Severity::Err);
    }

    #[test]
    fn a_voter_that_is_silent_is_named_with_its_age() {
        let mut heard = all_heard();
        heard.insert(NodeId(2), Duration::from_millis(83_400));
        let (severity, reasons) = look_with(&state(3), Some(NodeId(1)), &heard, |_| {});
        assert_eq!(severity, Severity::Warn);
        assert_eq!(reasons, ["1/3 voters down: n2 (not heard for 1m23s); quorum: n1, n3"]);
    }

    #[test]
    fn no_quorum_says_what_still_goes_on() {
        let (severity, reasons) = look(&state(3), None, &[]);
        assert_eq!((severity, reasons.len()), (Severity::Err, 1));
        assert!(reasons[0].starts_with("no quorum: this node has heard no leader yet; "));
        assert!(reasons[0].contains("lease"));
        // One that led and is gone, and one that leads and is alone.
        let old = Some(Duration::from_millis(1792));
        let (severity, reasons) =
            look_with(&state(3), Some(NodeId(2)), &BTreeMap::new(), |known| known.data_age = old);
        assert_eq!((severity, reasons.len()), (Severity::Err, 1));
        assert!(reasons[0].contains("n2, which led, has not been heard for 1s792ms"));
        let mut heard = all_heard();
        heard.insert(NodeId(2), Duration::from_secs(20));
        heard.insert(NodeId(3), Duration::from_secs(30));
        let (severity, reasons) =
            look_with(&state(3), Some(NodeId(1)), &heard, |known| known.data_age = old);
        assert_eq!(severity, Severity::Err);
        assert!(reasons[0].contains("this node leads, and a majority has not answered"));
        let down = "2/3 voters down: n2 (not heard for 20s), n3 (not heard for 30s)";
        assert_eq!(reasons[1..], [down]);
    }

    #[test]
    fn what_the_daemon_sees_is_told() {
        let mut state = state(3);
        state.settings.services.insert("s".into(), Default::default());
        let seen = Seen {
            homeless: [("s".into(), "every node is drained".into())].into(),
            findings: [("pool shared".into(), (Severity::Warn, "it is nearly full".into()))].into(),
            ..Seen::default()
        };
        let (severity, reasons) = look_at(&state, Some(NodeId(1)), &all_heard(), &seen, |_| {});
        assert_eq!(severity, Severity::Err);
        assert_eq!(
            reasons,
            ["nobody serves `s`: every node is drained", "pool shared: it is nearly full"]
        );
    }

    #[test]
    fn a_service_that_does_not_come_up_is_told_until_it_does() {
        let mut state = state(3);
        state.settings.services.insert("s".into(), Default::default());
        let lease = LeaseRecord {
            holder: Some(NodeId(2)),
            epoch: Epoch(4),
            reason: Some(unable()),
            ..LeaseRecord::default()
        };
        state.leases.insert("s".into(), lease);
        let failed = |epoch| Seen {
            failures: [("s".into(), (Epoch(epoch), "address: no such interface".into()))].into(),
            ..Seen::default()
        };
        let told = |state: &State, seen: &Seen| {
            let (severity, reasons) = look_at(state, Some(NodeId(1)), &all_heard(), seen, |_| {});
            (severity, reasons.join("; "))
        };
        let (severity, reasons) = told(&state, &failed(3));
        assert_eq!(severity, Severity::Err);
        assert_eq!(reasons, "this node could not serve `s`: address: no such interface");
        let (severity, reasons) = told(&state, &Seen::default());
        assert_eq!(severity, Severity::Err);
        assert!(reasons.starts_with("`s` does not come up: "), "{reasons}");
        // It comes up, and what was before does not matter any more.
        state.record(
            0,
            EventKind::Timeline { service: "s".into(), epoch: Epoch(4), steps: Vec::new() },
        );
        assert_eq!(told(&state, &failed(3)), (Severity::Ok, String::new()));
        assert_eq!(told(&state, &failed(5)).0, Severity::Ok);
    }

    #[test]
    fn many_services_without_a_holder_are_one_line() {
        let mut state = state(3);
        for number in 1..=8 {
            state.settings.services.insert(format!("s{number}"), Default::default());
        }
        let why = "every node is drained".to_owned();
        let seen = Seen { homeless: [("s8".into(), why)].into(), ..Seen::default() };
        let (_, reasons) = look_at(&state, Some(NodeId(1)), &all_heard(), &seen, |_| {});
        assert_eq!(
            reasons,
            [
                "nobody serves `s1`, `s2`, `s3`, `s4`, `s5` and 2 more",
                "nobody serves `s8`: every node is drained"
            ]
        );
    }

    #[test]
    fn troubles_of_this_node_are_errors() {
        let (severity, reasons) = look_with(&state(3), Some(NodeId(1)), &all_heard(), |known| {
            known.disk_problem = Some("the disk is full".into());
            known.refused = Some("this node was removed".into());
        });
        assert_eq!(severity, Severity::Err);
        assert_eq!(reasons, ["this node was removed", "the disk is full"]);
        let (_, reasons) = look_with(&state(2), None, &all_heard(), |known| {
            known.refused = Some("this node was removed".into());
        });
        assert_eq!(reasons, ["this node was removed"], "what it knows of the others is old");
    }

    #[test]
    fn members_that_come_rest_or_go_are_named() {
        let mut state = state(3);
        state.members.get_mut(&NodeId(1)).unwrap().activity = Activity::Draining;
        state.members.get_mut(&NodeId(2)).unwrap().membership = Membership::Leaving;
        state.members.get_mut(&NodeId(3)).unwrap().membership = Membership::Joining;
        let (severity, reasons) = look(&state, Some(NodeId(1)), &[1]);
        assert_eq!(severity, Severity::Warn);
        let part = |text: &str| reasons.iter().any(|reason| reason.contains(text));
        assert!(part("standfast node resume n1") && part("n2 is being removed"), "{reasons:?}");
        assert!(part("n3 was let in and does not vote yet"), "{reasons:?}");
    }

    #[test]
    fn a_certificate_that_was_not_renewed_is_told_in_time() {
        let mut state = state(3);
        let day = 24 * 3600 * 1000;
        let certificate = |state: &mut State, ends_ms| {
            state.members.get_mut(&NodeId(2)).unwrap().certificate_ends_ms = ends_ms;
            look_with(state, Some(NodeId(1)), &all_heard(), |known| known.now_ms = 100 * day)
        };
        // It is valid for 90 days, and renewed when 30 are left.
        assert_eq!(certificate(&mut state, 129 * day).0, Severity::Ok);
        let (severity, reasons) = certificate(&mut state, 102 * day);
        assert_eq!(severity, Severity::Warn);
        assert!(reasons[0].contains("n2 ends in 2d"), "{reasons:?}");
        let (_, reasons) = certificate(&mut state, 99 * day);
        assert!(reasons[0].contains("n2 has expired"), "{reasons:?}");
    }
}
