//! Nodes, their clocks, and the network between them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::consensus::{Durable, Message, Raft};
use super::laws::Laws;
use super::random::Random;
use crate::agent::Step;
use crate::heartbeat::{Datagram, LinkId, Moment, Support, Timing};
use crate::lease::{Holder, Incarnation, LeaseTable, NodeId, Right, ServiceId, Voters};
use crate::node::{Node, NodeStart, Output};
use crate::placement::Placement;
use crate::planted::{Fault, planted};

pub(super) const MS: u64 = 1_000_000;
const REPLICATE_EVERY: u64 = 50 * MS;
const LINKS: [LinkId; 2] = [LinkId(0), LinkId(1)];

/// What happens at a moment.
#[derive(Clone, Debug)]
pub(super) enum Event {
    Tick,
    Heartbeat(Box<Datagram>),
    Raft(NodeId, Box<Message>),
    ElectionTimer,
    Replicate,
    StepDone(ServiceId, Step, bool),
}

#[derive(Clone, Debug)]
struct Due {
    at: u64,
    number: u64,
    node: NodeId,
    /// The run that it is for.
    run: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// A running daemon.
#[derive(Debug)]
struct Daemon {
    node: Node,
    raft: Raft,
    support: Arc<Mutex<Support>>,
    table: LeaseTable,
    tick_at: u64,
}

/// A machine.
#[derive(Debug)]
struct Machine {
    durable: Durable,
    incarnation: u64,
    run: u64,
    daemon: Option<Daemon>,
    frozen_until: u64,
    offset: u64,
    rate: f64,
}

impl Machine {
    fn local(&self, time: u64) -> Moment {
        Moment::from_nanoseconds(self.offset + (time as f64 * self.rate) as u64)
    }

    fn real(&self, moment: Moment) -> u64 {
        if moment == Moment::NEVER {
            return u64::MAX;
        }
        (moment.nanoseconds().saturating_sub(self.offset) as f64 / self.rate) as u64 + 1
    }
}

/// How the network is at the moment.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// Ways that are cut: from, to, over which link; consensus uses the first.
    pub(super) cut: BTreeSet<(NodeId, NodeId, LinkId)>,
    /// Lost datagrams in a thousand.
    pub(super) loss: u64,
    /// The longest delay.
    pub(super) delay: u64,
}

/// Everything there is.
#[derive(Debug)]
pub(super) struct World {
    pub(super) now: u64,
    number: u64,
    queue: BinaryHeap<Reverse<Due>>,
    machines: BTreeMap<NodeId, Machine>,
    pub(super) voters: BTreeSet<NodeId>,
    pub(super) services: Vec<ServiceId>,
    pub(super) placement: Placement,
    timing: Timing,
    pub(super) network: Network,
    pub(super) random: Random,
    pub(super) laws: Laws,
    pub(super) step_failures: u64,
    next_node: u64,
}

impl World {
    pub(super) fn new(seed: u64, voters: u64, placement: Placement, timing: Timing) -> Self {
        let mut world = Self {
            now: 0,
            number: 0,
            queue: BinaryHeap::new(),
            machines: BTreeMap::new(),
            voters: (1..=voters).map(NodeId).collect(),
            services: placement.services.keys().copied().collect(),
            placement,
            timing,
            network: Network { cut: BTreeSet::new(), loss: 0, delay: MS },
            random: Random(seed),
            laws: Laws::default(),
            step_failures: 0,
            next_node: voters + 1,
        };
        for node in world.voters.clone() {
            world.add_machine(node);
        }
        for node in world.voters.clone() {
            world.start(node);
        }
        world
    }

    fn add_machine(&mut self, node: NodeId) {
        // As far off as is allowed, and not further.
        let drift = f64::from(self.timing.clock_drift) / 1e6;
        let machine = Machine {
            durable: Durable::default(),
            incarnation: 0,
            run: 0,
            daemon: None,
            frozen_until: 0,
            offset: self.random.between(0, 1000 * 1000 * MS),
            rate: 1.0 + self.random.signed() * drift,
        };
        self.machines.insert(node, machine);
        self.placement.nodes.entry(node).or_default();
    }

    pub(super) fn nodes(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    pub(super) fn is_leading(&self, node: NodeId) -> bool {
        let daemon = self.machines.get(&node).and_then(|machine| machine.daemon.as_ref());
        daemon.is_some_and(|daemon| daemon.raft.is_leader())
    }

    pub(super) fn serves(&self, node: NodeId, service: ServiceId) -> bool {
        let daemon = self.machines.get(&node).and_then(|machine| machine.daemon.as_ref());
        daemon.and_then(|daemon| daemon.node.agent(service)).is_some_and(|agent| agent.is_serving())
    }

    fn post(&mut self, delay: u64, node: NodeId, event: Event) {
        let Some(machine) = self.machines.get(&node) else { return };
        let run = machine.run;
        self.number += 1;
        let due = Due { at: self.now + delay, number: self.number, node, run, event };
        self.queue.push(Reverse(due));
    }

    /// The daemon of a node starts.
    pub(super) fn start(&mut self, node: NodeId) {
        let members: BTreeSet<NodeId> = self.machines.keys().copied().collect();
        let Some(machine) = self.machines.get_mut(&node).filter(|m| m.daemon.is_none()) else {
            return;
        };
        machine.incarnation += 1;
        machine.run += 1;
        let now = machine.local(self.now);
        let me = Holder { node, incarnation: Incarnation(machine.incarnation) };
        let support = Arc::new(Mutex::new(Support::new(machine.durable.term, now)));
        let fresh = self.services.iter().map(|service| (*service, Default::default())).collect();
        let table = LeaseTable { leases: fresh, ..LeaseTable::default() };
        let start = NodeStart {
            me,
            timing: self.timing.into(),
            links: LINKS.to_vec(),
            placement: self.placement.clone(),
            voters: Voters(vec![self.voters.clone()]),
            table: table.clone(),
            support: Arc::clone(&support),
        };
        let raft = Raft::new(node, self.voters.clone(), members, machine.durable.clone());
        let node_thinking = Node::new(start, now);
        machine.daemon =
            Some(Daemon { node: node_thinking, raft, support, table, tick_at: u64::MAX });
        let first = self.random.between(0, 20 * MS);
        self.post(first, node, Event::Replicate);
        let election = self.random.between(200 * MS, 400 * MS);
        self.post(election, node, Event::ElectionTimer);
        self.post(0, node, Event::Tick);
    }

    /// The daemon of a node dies, or the whole node.
    pub(super) fn crash(&mut self, node: NodeId) {
        if let Some(machine) = self.machines.get_mut(&node)
            && let Some(daemon) = machine.daemon.take()
        {
            machine.durable = daemon.raft.durable;
            machine.run += 1;
            self.laws.died(node);
        }
    }

    /// A node dies for good, with its disk; another one takes its place.
    pub(super) fn replace(&mut self, node: NodeId) {
        self.crash(node);
        self.machines.remove(&node);
        self.placement.nodes.remove(&node);
        let new = NodeId(self.next_node);
        self.next_node += 1;
        self.add_machine(new);
        let members: BTreeSet<NodeId> = self.machines.keys().copied().collect();
        for machine in self.machines.values_mut() {
            if let Some(daemon) = &mut machine.daemon {
                daemon.raft.members.clone_from(&members);
            }
        }
        self.configure_all();
        self.start(new);
    }

    /// Everything on a node stops until then; its clock goes on.
    pub(super) fn freeze(&mut self, node: NodeId, until: u64) {
        if let Some(machine) = self.machines.get_mut(&node) {
            machine.frozen_until = until;
        }
    }

    /// A person wants a node empty, or not any more; or wants a service somewhere.
    pub(super) fn change_policy(&mut self, change: impl FnOnce(&mut Placement)) {
        change(&mut self.placement);
        self.configure_all();
    }

    /// Every daemon hears of the policies and members there are now, and does what follows.
    fn configure_all(&mut self) {
        let nodes: Vec<NodeId> = self.machines.keys().copied().collect();
        for node in nodes {
            let Some(machine) = self.machines.get_mut(&node) else { continue };
            let now = machine.local(self.now);
            let Some(daemon) = &mut machine.daemon else { continue };
            let voters = Voters(vec![self.voters.clone()]);
            let (timing, placement) = (self.timing.into(), self.placement.clone());
            let outputs = daemon.node.configure(timing, placement, voters, now);
            self.follow(node, Vec::new(), outputs, now);
        }
    }

    /// Lets the time pass until then, or until a law is broken.
    pub(super) fn run_until(&mut self, until: u64) {
        while self.laws.violation.is_none() {
            match self.queue.peek() {
                Some(Reverse(due)) if due.at <= until => {}
                _ => break,
            }
            let Some(Reverse(due)) = self.queue.pop() else { break };
            self.now = self.now.max(due.at);
            self.handle(due);
        }
        self.now = self.now.max(until);
    }

    fn handle(&mut self, due: Due) {
        let node = due.node;
        let Some(machine) = self.machines.get_mut(&node) else { return };
        if machine.run != due.run {
            return;
        }
        if machine.frozen_until > self.now {
            let at = machine.frozen_until;
            self.queue.push(Reverse(Due { at, ..due }));
            return;
        }
        let timer = match due.event {
            Event::ElectionTimer => {
                Some((self.random.between(200 * MS, 400 * MS), Event::ElectionTimer))
            }
            Event::Replicate => Some((REPLICATE_EVERY, Event::Replicate)),
            _ => None,
        };
        let now = machine.local(self.now);
        let Some(daemon) = &mut machine.daemon else { return };
        let mut sends = Vec::new();
        let mut outputs = Vec::new();
        match due.event {
            Event::Tick => {
                daemon.tick_at = u64::MAX;
                outputs.extend(daemon.node.tick(now));
            }
            Event::Heartbeat(datagram) => outputs.extend(daemon.node.receive(&datagram, now)),
            Event::Raft(from, message) => sends.extend(daemon.raft.receive(from, *message)),
            Event::ElectionTimer => sends.extend(daemon.raft.on_election_timer()),
            Event::Replicate => sends.extend(daemon.raft.replicate()),
            Event::StepDone(service, step, well) => {
                let result = if well { Ok(()) } else { Err("it failed".into()) };
                outputs.extend(daemon.node.done(service, step, result, now));
            }
        }
        if let Some((delay, event)) = timer {
            self.post(delay, node, event);
        }
        self.follow(node, sends, outputs, now);
    }

    /// What came of an event, until nothing more comes.
    fn follow(
        &mut self,
        node: NodeId,
        mut sends: Vec<(NodeId, Message)>,
        mut outputs: Vec<Output>,
        now: Moment,
    ) {
        loop {
            self.agree(node, &mut outputs, now);
            if outputs.is_empty() && sends.is_empty() {
                break;
            }
            for (to, message) in sends.drain(..) {
                self.transmit(node, to, LinkId(0), Event::Raft(node, Box::new(message)));
            }
            for output in std::mem::take(&mut outputs) {
                self.carry_out(node, output, &mut sends);
            }
        }
        let Some(machine) = self.machines.get_mut(&node) else { return };
        let Some(daemon) = &mut machine.daemon else { return };
        let deadline = daemon.node.deadline(now);
        let at = machine.real(deadline).max(self.now + 1);
        let Some(daemon) = &mut machine.daemon else { return };
        if at < daemon.tick_at {
            daemon.tick_at = at;
            // Schedulers are not exact.
            let late = self.random.between(0, MS);
            self.post(at - self.now + late, node, Event::Tick);
        }
    }

    /// Hands what consensus knows to the thinking.
    fn agree(&mut self, node: NodeId, outputs: &mut Vec<Output>, now: Moment) {
        let Some(daemon) = self.machines.get_mut(&node).and_then(|m| m.daemon.as_mut()) else {
            return;
        };
        // The vote is durable, and noted before any answer leaves.
        daemon.support.lock().observe(daemon.raft.durable.term);
        let applied = daemon.raft.take_applied();
        if !applied.is_empty() {
            for change in applied.iter().filter_map(|entry| entry.1) {
                daemon.table.apply(&change);
                self.laws.applied(self.now, &daemon.table);
            }
            outputs.extend(daemon.node.committed(daemon.table.clone(), now));
        }
        let (term, leader, ready) = daemon.raft.led();
        outputs.extend(daemon.node.led_if_changed(term, leader, ready, now));
    }

    fn carry_out(&mut self, node: NodeId, output: Output, sends: &mut Vec<(NodeId, Message)>) {
        match output {
            Output::Send(datagram) => {
                let (to, link) = (datagram.to, datagram.link);
                self.transmit(node, to, link, Event::Heartbeat(Box::new(datagram)));
            }
            Output::Propose(change, _) => {
                let daemon = self.machines.get_mut(&node).and_then(|m| m.daemon.as_mut());
                sends.extend(daemon.map(|daemon| daemon.raft.propose(change)).unwrap_or_default());
            }
            Output::Run(command) => {
                let Some(daemon) = self.machines.get(&node).and_then(|m| m.daemon.as_ref()) else {
                    return;
                };
                if command.step == Step::Raise
                    && let Some(agent) = daemon.node.agent(command.service)
                {
                    let facts = agent.facts();
                    let listens = facts.listening && facts.replayed;
                    self.laws.raised(self.now, command.service, node, listens);
                }
                let well = !self.random.chance(self.step_failures);
                let slow = self.random.chance(20);
                let took = self.random.between(0, if slow { 300 * MS } else { 10 * MS });
                self.post(took, node, Event::StepDone(command.service, command.step, well));
            }
            Output::Right(service, right) => {
                let Some(machine) = self.machines.get(&node) else { return };
                let lease = match right {
                    Right::Held { epoch, until } => Some((epoch, machine.real(until) - 1)),
                    Right::None | Right::Pending { .. } => None,
                };
                self.laws.leased(self.now, service, node, lease);
            }
            Output::Timeline(_) | Output::Notice(_) | Output::Homeless(_) => {}
        }
    }

    fn transmit(&mut self, from: NodeId, to: NodeId, link: LinkId, event: Event) {
        let lost =
            self.network.cut.contains(&(from, to, link)) || self.random.chance(self.network.loss);
        if !lost {
            let delay = self.random.between(MS / 20, self.network.delay);
            self.post(delay, to, event);
        }
    }

    /// A client asks: who answers? A node that is frozen does not.
    pub(super) fn ask(&mut self, service: ServiceId) -> usize {
        let mut answers = Vec::new();
        for (node, machine) in &self.machines {
            let Some(daemon) = machine.daemon.as_ref().filter(|_| machine.frozen_until <= self.now)
            else {
                continue;
            };
            let serves = daemon.node.agent(service).is_some_and(|agent| agent.is_serving());
            let right = daemon.node.right(service);
            let has_lease = right.is_valid(machine.local(self.now));
            if serves && (has_lease || planted(Fault::ReplyWithoutLease)) {
                answers.push((*node, right.epoch().unwrap_or_default(), has_lease));
            }
        }
        self.laws.answered(self.now, service, &answers);
        answers.len()
    }

    /// How every node sees a service, for people who look for the reason.
    pub(super) fn describe(&self, service: ServiceId) -> String {
        let mut text = String::new();
        for (node, machine) in &self.machines {
            let Some(daemon) = &machine.daemon else { continue };
            let lease = daemon.node.table().get(service);
            let agent = daemon.node.agent(service);
            text += &format!(
                "\n  node {node}: run {}, {:?}, lease {lease:?}, right {:?}, {agent:?}",
                machine.incarnation,
                daemon.raft,
                daemon.node.right(service),
            );
        }
        text
    }

    /// How long after `self.now` a client waits for an answer, at most `limit`.
    pub(super) fn pause(&mut self, service: ServiceId, limit: Duration) -> Option<Duration> {
        let from = self.now;
        let limit = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
        while self.now - from < limit && self.laws.violation.is_none() {
            if self.ask(service) > 0 {
                return Some(Duration::from_nanos(self.now - from));
            }
            self.run_until(self.now + MS);
        }
        None
    }
}
