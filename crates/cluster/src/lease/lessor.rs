//! The leader's side of the leases.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Epoch, Holder, Lease, LeaseTable, NodeId, Renewal, Revision, ServiceId, Term};
use crate::heartbeat::{Covering, MOST_ENTRIES, Moment};
use crate::planted::{Fault, planted};

/// The voters: one set, or the two of a change of members. Voters change one at a time, so that
/// majorities of neighbouring sets share a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voters(pub Vec<BTreeSet<NodeId>>);

impl Voters {
    /// One set.
    pub fn new(nodes: impl IntoIterator<Item = NodeId>) -> Self {
        Self(vec![nodes.into_iter().collect()])
    }

    /// The best value such that in each set a majority has it or a better one; less is worse.
    fn majority<T: Ord + Copy>(&self, value: impl Fn(NodeId) -> Option<T>) -> Option<T> {
        let of_set = |set: &BTreeSet<NodeId>| {
            let mut values: Vec<T> = set.iter().filter_map(|node| value(*node)).collect();
            values.sort_unstable_by(|a, b| b.cmp(a));
            values.get(set.len() / 2).copied()
        };
        let of_sets: Option<Vec<T>> = self.0.iter().map(of_set).collect();
        of_sets?.into_iter().min()
    }
}

/// What a holder says of its leases in a heartbeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Up to where it knows the log.
    pub basis: Revision,
    /// The services that it was given and that were never renewed.
    pub pending: BTreeSet<ServiceId>,
    /// Whether these are all.
    pub complete: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Contact {
    /// When the newest heartbeat left that it answered in support of us.
    supported: Option<Moment>,
    /// It acknowledged no earlier leader after this.
    older: Option<Moment>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    lease: Lease,
    /// The holder has begun: all earlier leases have ended.
    begun: bool,
    /// The moment that our last renewal for this epoch counts from.
    renewed: Option<Moment>,
    /// Leases of earlier epochs that we renewed have ended by then.
    floor: Moment,
    /// Whether leases that an earlier leader gave may last.
    others: bool,
    /// Not to be renewed any more.
    withheld: bool,
    /// The holder's lease has surely ended.
    ended: bool,
}

/// Gives and renews leases while this node leads.
#[derive(Clone, Debug)]
pub struct Lessor {
    me: NodeId,
    term: Term,
    since: Moment,
    timing: Covering,
    voters: Voters,
    revision: Revision,
    entries: BTreeMap<ServiceId, Entry>,
    contacts: BTreeMap<NodeId, Contact>,
}

impl Lessor {
    /// Begins to lead. `table` must hold all that was committed before this term, that is, the first
    /// entry of the term was applied.
    pub fn new(
        me: NodeId,
        term: Term,
        timing: Covering,
        voters: Voters,
        table: &LeaseTable,
        now: Moment,
    ) -> Self {
        let entry = |lease: &Lease| Entry {
            lease: *lease,
            begun: false,
            renewed: None,
            floor: Moment::BOOT,
            others: lease.epoch > Epoch(0),
            withheld: false,
            ended: false,
        };
        Self {
            me,
            term,
            since: now,
            timing,
            voters,
            revision: table.revision,
            entries: table.leases.iter().map(|(id, lease)| (*id, entry(lease))).collect(),
            contacts: BTreeMap::new(),
        }
    }

    /// The term that it leads.
    pub fn term(&self) -> Term {
        self.term
    }

    /// The voters are these now.
    pub fn set_voters(&mut self, voters: Voters) {
        self.voters = voters;
    }

    /// Other times from now on.
    pub fn set_timing(&mut self, timing: Covering) {
        self.timing = timing;
    }

    /// A voter answered, in support of us, a heartbeat that left at `sent`. For `older_age` it has
    /// acknowledged no earlier leader. Of ourselves: `sent` is now.
    pub fn supported(&mut self, by: NodeId, sent: Moment, older_age: Duration, now: Moment) {
        let contact = self.contacts.entry(by).or_default();
        contact.supported = contact.supported.max(Some(sent));
        let passed = if by == self.me { older_age } else { self.timing.timing.at_least(older_age) };
        let older = now - passed;
        contact.older = Some(contact.older.map_or(older, |before| before.min(older)));
    }

    /// The latest moment at which we were the only possible leader: a majority answered heartbeats
    /// that left then or later.
    pub fn quorum_contact(&self) -> Option<Moment> {
        self.voters.majority(|node| self.contacts.get(&node)?.supported)
    }

    /// When all leases that earlier leaders gave will surely have ended.
    pub fn others_end(&self) -> Moment {
        if planted(Fault::NewLeaderNoWait) {
            return Moment::BOOT;
        }
        let told = || {
            let mine = self.contacts.get(&self.me)?.older?;
            let older = |node| self.contacts.get(&node)?.older.map(std::cmp::Reverse);
            Some(self.voters.majority(older)?.0.max(mine))
        };
        // During a change of members only the time since our own election counts.
        let last = told().filter(|_| self.voters.0.len() == 1).unwrap_or(self.since);
        last.min(self.since) + self.wait()
    }

    fn wait(&self) -> Duration {
        match () {
            () if planted(Fault::NoWait) => Duration::ZERO,
            () if planted(Fault::IgnoreDrift) => self.timing.timing.lease,
            () => self.timing.wait,
        }
    }

    /// More of the log was applied.
    pub fn apply(&mut self, table: &LeaseTable) {
        self.revision = table.revision;
        self.entries.retain(|service, _| table.leases.contains_key(service));
        let wait = self.wait();
        for (service, lease) in &table.leases {
            let Some(entry) = self.entries.get_mut(service) else {
                let others = lease.epoch > Epoch(1);
                let entry = Entry {
                    lease: *lease,
                    begun: false,
                    renewed: None,
                    floor: Moment::BOOT,
                    others,
                    withheld: false,
                    ended: false,
                };
                self.entries.insert(*service, entry);
                continue;
            };
            if entry.lease.epoch == lease.epoch {
                entry.lease = *lease;
                continue;
            }
            let last = match entry.renewed {
                Some(renewed) if !entry.ended => renewed + wait,
                _ => Moment::BOOT,
            };
            // Who began had waited for all before; if we renewed it, then by a later moment than any
            // other leader could; and if it has ended, nobody is left.
            let settled = entry.begun && (entry.ended || entry.renewed.is_some());
            // The first holder of all has nobody before it.
            let first = entry.lease.epoch == Epoch(0);
            *entry = Entry {
                lease: *lease,
                begun: false,
                renewed: None,
                floor: entry.floor.max(last),
                others: entry.others && !settled && !first,
                withheld: false,
                ended: false,
            };
        }
    }

    /// Stops to renew a lease, since it is to move; or goes on.
    pub fn withhold(&mut self, service: ServiceId, withheld: bool) {
        if let Some(entry) = self.entries.get_mut(&service) {
            entry.withheld = withheld || entry.ended;
        }
    }

    /// The lease of this epoch has surely ended: its holder released it, or its run is over, or its
    /// node was fenced as a whole.
    pub fn ended(&mut self, service: ServiceId, epoch: Epoch) {
        if let Some(entry) = self.entries.get_mut(&service)
            && entry.lease.epoch == epoch
        {
            entry.ended = true;
            entry.withheld = true;
        }
    }

    /// When the holder that was committed last may begin, as far as is known; the past if it may.
    pub fn begins(&self, service: ServiceId) -> Option<Moment> {
        let entry = self.entries.get(&service)?;
        Some(if entry.begun {
            Moment::BOOT
        } else if entry.others {
            entry.floor.max(self.others_end())
        } else {
            entry.floor
        })
    }

    /// Answers a holder's heartbeat with a renewal, if there is a quorum and the holder is not ahead
    /// of us in the log.
    pub fn renew(&mut self, holder: Holder, claims: &Claims, now: Moment) -> Option<Renewal> {
        let contact = if planted(Fault::RenewWithoutQuorum) { now } else { self.quorum_contact()? };
        let age = now.since(contact);
        if age >= self.timing.timing.lease
            || (claims.basis > self.revision && !planted(Fault::IgnoreBasis))
        {
            return None;
        }
        let others_end = self.others_end();
        let mut except = Vec::new();
        for (service, entry) in &mut self.entries {
            if entry.lease.changed > claims.basis && !planted(Fault::IgnoreBasis) {
                except.push(*service);
                continue;
            }
            if entry.lease.holder != Some(holder) {
                continue;
            }
            let says_begun = claims.complete && !claims.pending.contains(service);
            let is_clear = now >= entry.floor && (!entry.others || now >= others_end);
            if entry.withheld || !(entry.begun || is_clear || (entry.others && says_begun)) {
                except.push(*service);
                continue;
            }
            entry.begun = true;
            entry.renewed = entry.renewed.max(Some(contact));
        }
        (except.len() <= MOST_ENTRIES).then_some(Renewal {
            term: self.term,
            basis: claims.basis,
            age,
            lease: self.timing.timing.lease,
            except,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Timing;
    use crate::lease::{Change, Incarnation};

    const X: ServiceId = ServiceId(1);

    fn at(ms: u64) -> Moment {
        Moment::BOOT + Duration::from_millis(ms)
    }

    fn holder(node: u64) -> Holder {
        Holder { node: NodeId(node), incarnation: Incarnation(1) }
    }

    fn table() -> LeaseTable {
        let mut table = LeaseTable::default();
        table.leases.insert(X, Lease::default());
        table
    }

    fn give(table: &mut LeaseTable, from: u64, node: u64) {
        let change = Change::Grant { service: X, from: Epoch(from), holder: holder(node) };
        assert!(table.apply(&change));
    }

    fn lessor(table: &LeaseTable, now: Moment) -> Lessor {
        let voters = Voters::new([1, 2, 3].map(NodeId));
        Lessor::new(NodeId(1), Term(1), Timing::default().into(), voters, table, now)
    }

    fn support(lessor: &mut Lessor, ms: u64) {
        for node in [1, 2] {
            lessor.supported(NodeId(node), at(ms), Duration::from_secs(5), at(ms));
        }
    }

    fn claims(basis: u64, pending: bool) -> Claims {
        let pending = if pending { BTreeSet::from([X]) } else { BTreeSet::new() };
        Claims { basis: Revision(basis), pending, complete: true }
    }

    fn gives(lessor: &mut Lessor, node: u64, claims: &Claims, ms: u64) -> bool {
        lessor
            .renew(holder(node), claims, at(ms))
            .is_some_and(|renewal| !renewal.except.contains(&X))
    }

    #[test]
    fn without_a_quorum_nothing_is_renewed() {
        let mut table = table();
        give(&mut table, 0, 1);
        let mut lessor = lessor(&table, at(10_000));
        let claims = claims(1, true);
        lessor.supported(NodeId(1), at(10_000), Duration::ZERO, at(10_000));
        assert_eq!(lessor.renew(holder(1), &claims, at(10_000)), None);
        support(&mut lessor, 11_000);
        let renewal = lessor.renew(holder(1), &claims, at(11_100)).unwrap();
        assert_eq!(renewal.age, Duration::from_millis(100));
        assert_eq!(lessor.renew(holder(1), &claims, at(11_350)), None);
    }

    #[test]
    fn a_lease_that_moves_begins_after_the_one_before_ended() {
        let mut table = table();
        let mut lessor = lessor(&table, at(10_000));
        support(&mut lessor, 10_000);
        give(&mut table, 0, 2);
        lessor.apply(&table);
        assert!(gives(&mut lessor, 2, &claims(1, true), 10_010), "nobody was before");
        lessor.withhold(X, true);
        support(&mut lessor, 10_050);
        assert!(!gives(&mut lessor, 2, &claims(1, false), 10_060));
        give(&mut table, 1, 3);
        lessor.apply(&table);
        let begins = lessor.begins(X).unwrap();
        assert_eq!(begins, at(10_000) + Timing::default().lease_wait());
        support(&mut lessor, 10_400);
        assert!(!gives(&mut lessor, 3, &claims(2, true), 10_400));
        support(&mut lessor, 10_500);
        assert!(gives(&mut lessor, 3, &claims(2, true), 10_500));
    }

    #[test]
    fn who_released_is_not_waited_for() {
        let mut table = table();
        let mut lessor = lessor(&table, at(10_000));
        support(&mut lessor, 10_000);
        give(&mut table, 0, 2);
        lessor.apply(&table);
        assert!(gives(&mut lessor, 2, &claims(1, true), 10_010));
        lessor.ended(X, Epoch(1));
        give(&mut table, 1, 3);
        lessor.apply(&table);
        assert!(gives(&mut lessor, 3, &claims(2, true), 10_020));
    }

    #[test]
    fn a_new_leader_waits_but_goes_on_with_who_serves() {
        let mut table = table();
        give(&mut table, 0, 2);
        let elected = at(10_000);
        let mut first = lessor(&table, elected);
        first.supported(NodeId(1), elected, Duration::ZERO, elected);
        first.supported(NodeId(2), elected, Duration::from_millis(100), elected);
        assert!(!gives(&mut first, 2, &claims(1, true), 10_000));
        assert!(gives(&mut first, 2, &claims(1, false), 10_000));
        // Nobody has heard of the leader before for a while, as when it died before the election.
        let mut second = lessor(&table, elected);
        for node in [1, 3] {
            second.supported(NodeId(node), elected, Duration::from_millis(300), elected);
        }
        assert!(second.others_end() < elected + Duration::from_millis(200));
        assert!(second.others_end() > elected + Duration::from_millis(100));
    }

    #[test]
    fn what_the_holder_cannot_know_is_not_renewed() {
        let mut table = table();
        let mut lessor = lessor(&table, at(10_000));
        support(&mut lessor, 10_000);
        give(&mut table, 0, 2);
        lessor.apply(&table);
        let renewal = lessor.renew(holder(2), &claims(0, true), at(10_010)).unwrap();
        assert_eq!(renewal.except, [X]);
        assert_eq!(lessor.renew(holder(2), &claims(9, true), at(10_010)), None);
        let other_run = Holder { incarnation: Incarnation(2), ..holder(2) };
        lessor.renew(other_run, &claims(1, true), at(10_010)).unwrap();
        assert_eq!(lessor.begins(X), Some(Moment::BOOT), "free for the one it was given to");
    }

    #[test]
    fn a_majority_is_one_of_each_set() {
        let joint = Voters(vec![
            [1, 2, 3].map(NodeId).into_iter().collect(),
            [3, 4].map(NodeId).into_iter().collect(),
        ]);
        let value = |node: NodeId| Some(node.0 * 10);
        assert_eq!(joint.majority(value), Some(20));
        let silent = |node: NodeId| (node != NodeId(4)).then_some(5);
        assert_eq!(joint.majority(silent), None);
        assert_eq!(Voters::new([NodeId(1)]).majority(value), Some(10));
    }
}
