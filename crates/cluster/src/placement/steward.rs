//! On the leader: from where services are to where they should be, one safe step at a time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{NoPlace, Placement, Target, Why, plan};
use crate::heartbeat::{Detector, Moment, Report};
use crate::lease::{Change, Epoch, Holder, Lease, LeaseTable, Lessor, NodeId, ServiceId};

/// How long an orderly move waits for its successor to be warm; then it goes on as it is.
const WARM_LIMIT: Duration = Duration::from_secs(3);
/// When a proposal that had no effect is made again.
const PROPOSAL_LIMIT: Duration = Duration::from_secs(1);

/// What the leader sees.
#[derive(Debug)]
pub struct Sight<'a> {
    /// This run of the leader's node.
    pub me: Holder,
    /// The leases as committed.
    pub table: &'a LeaseTable,
    /// Who answers.
    pub detector: &'a Detector,
    /// What each node says of services, this one too.
    pub reports: &'a BTreeMap<NodeId, Vec<(ServiceId, Report)>>,
    /// Members and policies; who is alive and what is where it finds out by itself.
    pub placement: &'a Placement,
}

/// What the leader does about it.
#[derive(Debug, Default)]
pub struct StewardOutput {
    /// To be committed, and why.
    pub proposals: Vec<(Change, Why)>,
    /// Services that their holders are to release.
    pub release: BTreeMap<NodeId, Vec<(ServiceId, Epoch)>>,
    /// Services that can be nowhere.
    pub homeless: BTreeMap<ServiceId, NoPlace>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Move {
    /// What was proposed last, from which epoch, and when.
    proposed: Option<(Change, Moment)>,
    /// Since when the successor is asked to be warm, in which epoch.
    intended: Option<(Epoch, Moment)>,
    /// The holder of this epoch was told to release.
    ordered: Option<Epoch>,
}

/// Moves leases, while this node leads.
#[derive(Clone, Debug, Default)]
pub struct Steward {
    moves: BTreeMap<ServiceId, Move>,
}

/// How a holder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    /// It serves as long as it can, but cannot any more.
    Unable,
    /// It gave the service back.
    Released,
    /// Its run has ended.
    Gone,
    /// It does not answer.
    Silent,
    /// Nothing is known yet.
    Unknown,
}

impl Sight<'_> {
    fn incarnation(&self, node: NodeId) -> Option<Holder> {
        if node == self.me.node {
            return Some(self.me);
        }
        let incarnation = self.detector.incarnation(node)?;
        self.detector.is_alive(node).then_some(Holder { node, incarnation })
    }

    fn says(&self, node: NodeId, service: ServiceId, report: Report) -> bool {
        self.reports.get(&node).is_some_and(|reports| reports.contains(&(service, report)))
    }

    fn is_unable(&self, node: NodeId, service: ServiceId) -> bool {
        let unable = |(id, report): &(ServiceId, Report)| {
            *id == service && matches!(report, Report::Unable(_))
        };
        self.reports.get(&node).is_some_and(|reports| reports.iter().any(unable))
    }

    fn condition(
        &self,
        service: ServiceId,
        lease: &Lease,
        holder: Holder,
        now: Moment,
    ) -> Condition {
        let node = holder.node;
        let newest = if node == self.me.node {
            Some(self.me.incarnation)
        } else {
            self.detector.incarnation(node)
        };
        if newest.is_some_and(|newest| newest > holder.incarnation) {
            Condition::Gone
        } else if self.says(node, service, Report::Released(lease.epoch)) {
            Condition::Released
        } else if node != self.me.node
            && (!self.placement.nodes.contains_key(&node) || self.detector.is_suspected(node, now))
        {
            Condition::Silent
        } else if self.incarnation(node).is_none() {
            Condition::Unknown
        } else if self.is_unable(node, service) {
            Condition::Unable
        } else {
            Condition::Well
        }
    }

    /// The placement with what is known at the moment.
    fn view(&self, now: Moment) -> Placement {
        let mut view = self.placement.clone();
        for (node, known) in &mut view.nodes {
            // Who has not been heard of yet, but not for long, may hold what it holds.
            known.alive = *node == self.me.node || !self.detector.is_suspected(*node, now);
        }
        let nodes: BTreeSet<NodeId> = view.nodes.keys().copied().collect();
        for (service, known) in &mut view.services {
            let holder = self.table.get(*service).and_then(|lease| lease.holder);
            known.holder = holder.map(|holder| holder.node);
            known.unable.extend(nodes.iter().filter(|node| self.is_unable(**node, *service)));
        }
        view
    }
}

impl Steward {
    /// One look at everything.
    pub fn step(&mut self, sight: &Sight<'_>, lessor: &mut Lessor, now: Moment) -> StewardOutput {
        let mut output = StewardOutput::default();
        let mut targets = plan(&sight.view(now));
        self.moves.retain(|service, _| sight.table.leases.contains_key(service));
        for (service, lease) in &sight.table.leases {
            let target = match targets.remove(service) {
                None => continue,
                Some(Ok(target)) => Some(target),
                Some(Err(error)) => {
                    output.homeless.insert(*service, error);
                    None
                }
            };
            let step = self.moves.entry(*service).or_default();
            step.one(*service, lease, target, sight, lessor, &mut output, now);
        }
        output
    }

    /// Nodes that are to get ready for services, for the status.
    pub fn is_moving(&self, service: ServiceId) -> bool {
        self.moves.get(&service).is_some_and(|step| step.ordered.is_some())
    }
}

impl Move {
    #[allow(clippy::too_many_arguments, reason = "a service, and all that is seen of it")]
    fn one(
        &mut self,
        service: ServiceId,
        lease: &Lease,
        target: Option<Target>,
        sight: &Sight<'_>,
        lessor: &mut Lessor,
        output: &mut StewardOutput,
        now: Moment,
    ) {
        let Some(holder) = lease.holder else {
            return self.grant(service, lease, target, sight, output, now);
        };
        match sight.condition(service, lease, holder, now) {
            Condition::Unknown => {}
            Condition::Gone => {
                lessor.ended(service, lease.epoch);
                self.grant(service, lease, target, sight, output, now);
            }
            Condition::Released => {
                lessor.ended(service, lease.epoch);
                let successor = lease.successor.filter(|node| sight.incarnation(*node).is_some());
                let why = target.map_or(Why::Stays, |target| target.why);
                let target = successor.map(|node| Target { node, why }).or(target);
                self.grant(service, lease, target, sight, output, now);
            }
            Condition::Silent => {
                let other = target.filter(|target| {
                    target.node != holder.node && sight.incarnation(target.node).is_some()
                });
                lessor.withhold(service, other.is_some());
                self.grant(service, lease, other, sight, output, now);
            }
            condition @ (Condition::Well | Condition::Unable) => {
                if self.ordered != Some(lease.epoch) {
                    lessor.withhold(service, false);
                }
                let unable = condition == Condition::Unable;
                self.orderly(service, lease, holder, (target, unable), sight, output, now);
            }
        }
    }

    /// Proposes a new holder.
    fn grant(
        &mut self,
        service: ServiceId,
        lease: &Lease,
        target: Option<Target>,
        sight: &Sight<'_>,
        output: &mut StewardOutput,
        now: Moment,
    ) {
        let Some(target) = target else { return };
        let Some(holder) = sight.incarnation(target.node) else { return };
        let change = Change::Grant { service, from: lease.epoch, holder };
        self.propose(change, target.why, output, now);
    }

    fn propose(&mut self, change: Change, why: Why, output: &mut StewardOutput, now: Moment) {
        let again =
            |(before, at): (Change, Moment)| before != change || now.since(at) >= PROPOSAL_LIMIT;
        if self.proposed.is_none_or(again) {
            self.proposed = Some((change, now));
            output.proposals.push((change, why));
        }
    }

    /// The holder answers: a move is announced, the successor gets warm, the holder releases.
    #[allow(clippy::too_many_arguments, reason = "a service, and all that is seen of it")]
    fn orderly(
        &mut self,
        service: ServiceId,
        lease: &Lease,
        holder: Holder,
        (target, unable): (Option<Target>, bool),
        sight: &Sight<'_>,
        output: &mut StewardOutput,
        now: Moment,
    ) {
        let epoch = lease.epoch;
        let mut order = || output.release.entry(holder.node).or_default().push((service, epoch));
        if self.ordered == Some(epoch) {
            return order();
        }
        let other = target.filter(|target| {
            target.node != holder.node && sight.incarnation(target.node).is_some()
        });
        let successor = other.map(|target| target.node);
        if lease.successor != successor {
            let why = target.map_or(Why::Stays, |target| target.why);
            self.intended = None;
            return self.propose(Change::Intend { service, epoch, successor }, why, output, now);
        }
        let Some(successor) = successor else { return };
        let since = match self.intended {
            Some((known, since)) if known == epoch => since,
            _ => {
                self.intended = Some((epoch, now));
                now
            }
        };
        let warm = sight.says(successor, service, Report::Warm(epoch));
        if warm || unable || now.since(since) >= WARM_LIMIT {
            self.ordered = Some(epoch);
            order();
        }
    }
}
