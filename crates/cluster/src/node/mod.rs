//! All the thinking of one node together, still without I/O: datagrams, commits, ends of steps and
//! the time go in; datagrams, proposals and steps come out.

mod driver;
mod inbox;
mod output;
mod rounds;

pub use driver::{Driver, DriverError, Input, Inputs, Link, Question};
pub use output::Output;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::agent::{ServiceAgent, Step};
use crate::heartbeat::{Covering, Datagram, Detector, LinkId, Moment, Report, Support, Word};
use crate::lease::{
    Epoch, Holder, LeaseSource, LeaseTable, Lessor, NodeId, Right, ServiceId, Tenant, Term, Voters,
};
use crate::placement::{NoPlace, Placement, Sight, Steward};
use rounds::Rounds;

/// What a node is and knows when it starts.
#[derive(Clone, Debug)]
pub struct NodeStart {
    /// This run of the node.
    pub me: Holder,
    /// The times.
    pub timing: Covering,
    /// Its links, in the order of the settings.
    pub links: Vec<LinkId>,
    /// All members, this node included, and the policies.
    pub placement: Placement,
    /// The voters.
    pub voters: Voters,
    /// The leases as far as the node's log had been applied.
    pub table: LeaseTable,
    /// Its promise to leaders, shared with consensus.
    pub support: Arc<Mutex<Support>>,
}

#[derive(Debug)]
struct Leading {
    lessor: Lessor,
    steward: Steward,
    /// What is to be released, for each node.
    release: BTreeMap<NodeId, Vec<(ServiceId, Epoch)>>,
    /// What was last put out of services that can be nowhere.
    homeless: BTreeMap<ServiceId, NoPlace>,
}

/// How often the leader looks at all services though nothing changed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The thinking of one node.
#[derive(Debug)]
pub struct Node {
    me: Holder,
    timing: Covering,
    links: Vec<LinkId>,
    placement: Placement,
    voters: Voters,
    table: LeaseTable,
    support: Arc<Mutex<Support>>,
    detector: Detector,
    rounds: Rounds,
    tenant: Tenant,
    agents: BTreeMap<ServiceId, ServiceAgent>,
    leading: Option<Leading>,
    /// Who leads which term, as consensus says.
    leader: Option<(Term, NodeId)>,
    /// What each node says of services, by its newest heartbeat.
    reports: BTreeMap<NodeId, Vec<(ServiceId, Report)>>,
    /// What was last put out of each service's right.
    gates: BTreeMap<ServiceId, Right>,
    next_beat: Moment,
    /// Something changed that the leader should know at once.
    urgent: bool,
    /// When the leader looks at all services again though nothing changed.
    next_look: Moment,
}

impl Node {
    /// Starts to think.
    pub fn new(start: NodeStart, now: Moment) -> Self {
        let NodeStart { me, timing, links, placement, voters, table, support } = start;
        let peers: Vec<NodeId> =
            placement.nodes.keys().copied().filter(|node| *node != me.node).collect();
        let mut node = Self {
            me,
            timing,
            detector: Detector::new(timing.timing, links.clone(), peers, now),
            links,
            placement,
            voters,
            table: LeaseTable::default(),
            support,
            rounds: Rounds::default(),
            tenant: Tenant::new(me),
            agents: BTreeMap::new(),
            leading: None,
            leader: None,
            reports: BTreeMap::new(),
            gates: BTreeMap::new(),
            next_beat: now,
            urgent: false,
            next_look: now,
        };
        node.commit(table, now);
        node
    }

    /// When [`Node::tick`] is to be called at the latest.
    pub fn deadline(&self, now: Moment) -> Moment {
        let agents = self.agents.values().filter_map(|agent| agent.deadline(now)).min();
        let ends = self.tenant.next_end(now);
        let begins = self.leading.as_ref().and_then(|_| self.next_begin(now));
        [agents, ends, begins].into_iter().flatten().fold(self.next_beat, Moment::min)
    }

    /// On the leader: when the next lease of this very node may begin, so that it need not wait for
    /// a beat.
    fn next_begin(&self, now: Moment) -> Option<Moment> {
        let leading = self.leading.as_ref()?;
        let mine = self.tenant.claims().pending;
        mine.iter().filter_map(|id| leading.lessor.begins(*id)).filter(|at| *at > now).min()
    }

    /// The time passes.
    pub fn tick(&mut self, now: Moment) -> Vec<Output> {
        let mut out = Vec::new();
        if now >= self.next_beat {
            // After a pause no beats are made up for.
            let interval = self.timing.timing.interval;
            self.next_beat = (self.next_beat + interval).max(now + interval / 2);
            let notices = self.detector.look(now);
            if !notices.is_empty() {
                self.next_look = now;
            }
            out.extend(notices.into_iter().map(Output::Notice));
            let all: Vec<NodeId> = self.detector.peers().collect();
            self.beat(&all, now, &mut out);
        }
        self.think(now, &mut out);
        out
    }

    /// A datagram came that is genuine.
    pub fn receive(&mut self, datagram: &Datagram, now: Moment) -> Vec<Output> {
        let mut out = Vec::new();
        self.take(datagram, now, &mut out);
        self.think(now, &mut out);
        out
    }

    /// More of the log was applied. `table` holds the leases as of now.
    pub fn committed(&mut self, table: LeaseTable, now: Moment) -> Vec<Output> {
        let mut out = Vec::new();
        self.commit(table, now);
        self.next_look = now;
        self.think(now, &mut out);
        out
    }

    fn commit(&mut self, table: LeaseTable, now: Moment) {
        let pending = self.tenant.claims().pending;
        self.tenant.apply(&table);
        if let Some(leading) = &mut self.leading {
            leading.lessor.apply(&table);
        }
        self.agents.retain(|service, agent| {
            table.leases.contains_key(service) || !agent.facts().eq(&Default::default())
        });
        for (service, lease) in &table.leases {
            let agent = self.agents.entry(*service).or_insert_with(|| ServiceAgent::new(*service));
            let warm = lease.successor == Some(self.me.node);
            agent.set_warm(warm.then_some(lease.epoch));
        }
        self.table = table;
        self.urgent |= self.tenant.claims().pending != pending;
        self.spread_rights(now, &mut Vec::new());
    }

    /// Members, policies or times are others now.
    #[must_use = "what follows is to be done"]
    pub fn configure(
        &mut self,
        timing: Covering,
        placement: Placement,
        voters: Voters,
        now: Moment,
    ) -> Vec<Output> {
        let peers = placement.nodes.keys().copied().filter(|node| *node != self.me.node);
        self.detector.set_peers(peers, now);
        self.detector.set_timing(timing.timing);
        if let Some(leading) = &mut self.leading {
            leading.lessor.set_timing(timing);
            leading.lessor.set_voters(voters.clone());
        }
        (self.timing, self.placement, self.voters) = (timing, placement, voters);
        self.next_look = now;
        let mut out = Vec::new();
        self.think(now, &mut out);
        out
    }

    /// Consensus knows who leads. `ready` is for this node itself: it leads `term` and has applied
    /// the first entry of it, so it knows all that was committed before.
    pub fn led(
        &mut self,
        term: Term,
        leader: Option<NodeId>,
        ready: bool,
        now: Moment,
    ) -> Vec<Output> {
        self.leader = leader.map(|leader| (term, leader));
        let leads = ready && leader == Some(self.me.node);
        match &self.leading {
            Some(leading) if leads && leading.lessor.term() == term => {}
            _ if leads => {
                let lessor = Lessor::new(
                    self.me.node,
                    term,
                    self.timing,
                    self.voters.clone(),
                    &self.table,
                    now,
                );
                self.leading = Some(Leading {
                    lessor,
                    steward: Steward::default(),
                    release: BTreeMap::new(),
                    homeless: BTreeMap::new(),
                });
                // The voters are asked for their support at once.
                self.next_beat = now;
                self.next_look = now;
            }
            _ => self.leading = None,
        }
        let mut out = Vec::new();
        self.think(now, &mut out);
        out
    }

    /// As [`Node::led`], if it is something new.
    pub fn led_if_changed(
        &mut self,
        term: Term,
        leader: Option<NodeId>,
        ready: bool,
        now: Moment,
    ) -> Vec<Output> {
        let leads = ready && leader == Some(self.me.node);
        let leading = self.leading.as_ref().map(|leading| leading.lessor.term());
        let known =
            self.leader == leader.map(|leader| (term, leader)) && leading == leads.then_some(term);
        if known { Vec::new() } else { self.led(term, leader, ready, now) }
    }

    /// A step ended.
    pub fn done(
        &mut self,
        service: ServiceId,
        step: Step,
        result: Result<(), String>,
        now: Moment,
    ) -> Vec<Output> {
        let mut out = Vec::new();
        if let Some(agent) = self.agents.get_mut(&service) {
            let before = agent.reports(now);
            out.extend(agent.done(step, result, now).map(Output::Timeline));
            self.urgent |= agent.reports(now) != before;
        }
        self.think(now, &mut out);
        out
    }

    /// Everything that follows from what is known by now.
    fn think(&mut self, now: Moment, out: &mut Vec<Output>) {
        self.serve_myself(now);
        self.spread_rights(now, out);
        for agent in self.agents.values_mut() {
            let released = agent.released();
            out.extend(agent.next(now).map(Output::Run));
            self.urgent |= agent.released() != released;
            if let Some(epoch) = agent.released()
                && self.tenant.right(agent.service()).epoch() == Some(epoch)
            {
                self.tenant.release(agent.service());
            }
        }
        // The gate is shut before anybody hears that the service was given back.
        self.spread_rights(now, out);
        self.steer(now, out);
        if std::mem::take(&mut self.urgent)
            && let Some((_, leader)) = self.leader.filter(|(_, leader)| *leader != self.me.node)
        {
            self.beat(&[leader], now, out);
        }
    }

    /// The leader renews its own leases as it does those of others.
    fn serve_myself(&mut self, now: Moment) {
        let Some(leading) = &mut self.leading else { return };
        let mut support = self.support.lock();
        if !support.endorse(leading.lessor.term(), now) {
            return;
        }
        leading.lessor.supported(self.me.node, now, support.older_age(now), now);
        drop(support);
        let claims = self.tenant.claims();
        if let Some(renewal) = leading.lessor.renew(self.me, &claims, now) {
            self.tenant.renewed(now, &renewal, now);
        }
    }

    /// Tells agents and gates what may be served.
    fn spread_rights(&mut self, now: Moment, out: &mut Vec<Output>) {
        for (service, agent) in &mut self.agents {
            let right = self.tenant.right(*service);
            if self.gates.get(service) != Some(&right) {
                self.gates.insert(*service, right);
                agent.set_right(right, now);
                out.push(Output::Right(*service, right));
            }
        }
    }

    /// What the leader does about everybody's services.
    fn steer(&mut self, now: Moment, out: &mut Vec<Output>) {
        let mine = self.own_reports(now);
        let Some(leading) = &mut self.leading else { return };
        if self.reports.get(&self.me.node) != Some(&mine) {
            self.reports.insert(self.me.node, mine);
        } else if now < self.next_look {
            return;
        }
        let sight = Sight {
            me: self.me,
            table: &self.table,
            detector: &self.detector,
            reports: &self.reports,
            placement: &self.placement,
        };
        let steps = leading.steward.step(&sight, &mut leading.lessor, now);
        let is_quiet = steps.proposals.is_empty() && steps.release.is_empty();
        out.extend(steps.proposals.into_iter().map(|(change, why)| Output::Propose(change, why)));
        self.next_look = now + if is_quiet { LOOK_EVERY } else { self.timing.timing.interval };
        leading.release = steps.release;
        let own = leading.release.get(&self.me.node).cloned().unwrap_or_default();
        if leading.homeless != steps.homeless {
            leading.homeless.clone_from(&steps.homeless);
            out.push(Output::Homeless(steps.homeless));
        }
        for (service, epoch) in own {
            if let Some(agent) = self.agents.get_mut(&service) {
                agent.order_release(epoch, now);
                out.extend(agent.next(now).map(Output::Run));
            }
        }
    }

    fn own_reports(&self, now: Moment) -> Vec<(ServiceId, Report)> {
        let of_agent = |(service, agent): (&ServiceId, &ServiceAgent)| {
            let service = *service;
            agent.reports(now).into_iter().map(move |report| (service, report))
        };
        self.agents.iter().flat_map(of_agent).collect()
    }

    /// What this node says in a datagram, without the ways it goes.
    fn draft(&self, to: NodeId, now: Moment) -> Datagram {
        let support = self.support.lock();
        let (term, older_age) = (support.term(), support.older_age(now));
        drop(support);
        let claims = self.tenant.claims();
        let pending = claims.pending.iter().filter_map(|service| {
            let epoch = self.tenant.right(*service).epoch()?;
            Some((*service, Report::Pending(epoch)))
        });
        let reports: Vec<(ServiceId, Report)> = pending.chain(self.own_reports(now)).collect();
        Datagram {
            from: self.me.node,
            to,
            incarnation: self.me.incarnation,
            link: LinkId(0),
            sequence: 0,
            is_answer: false,
            echo: self.rounds.newest_from(to),
            term,
            leader: self.leader.filter(|(led, _)| *led == term).map(|(_, leader)| leader),
            endorsed: false,
            older_age,
            revision: claims.basis,
            reports,
            complete: claims.complete,
            word: Word::default(),
        }
    }

    /// Sends a heartbeat to each of `peers`, over every link.
    fn beat(&mut self, peers: &[NodeId], now: Moment, out: &mut Vec<Output>) {
        let sequence = self.rounds.begin(now);
        for peer in peers {
            let draft = Datagram { sequence, ..self.draft(*peer, now) };
            for link in &self.links {
                out.push(Output::Send(Datagram { link: *link, ..draft.clone() }));
            }
        }
    }

    /// The right of this node to serve.
    pub fn right(&self, service: ServiceId) -> Right {
        self.tenant.right(service)
    }

    /// How far a service is on this node.
    pub fn agent(&self, service: ServiceId) -> Option<&ServiceAgent> {
        self.agents.get(&service)
    }

    /// Who answers.
    pub fn detector(&self) -> &Detector {
        &self.detector
    }

    /// The leases as this node knows them.
    pub fn table(&self) -> &LeaseTable {
        &self.table
    }

    /// Whether this node leads and gives leases.
    pub fn is_leading(&self) -> bool {
        self.leading.is_some()
    }

    /// On the leader: the latest moment at which it was surely the only one.
    pub fn quorum_contact(&self) -> Option<Moment> {
        self.leading.as_ref().and_then(|leading| leading.lessor.quorum_contact())
    }
}
