//! Faults at random, all from one seed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::laws::Violation;
use super::world::{MS, World};
use crate::heartbeat::{LinkId, Timing};
use crate::lease::{NodeId, ServiceId};
use crate::placement::{Failback, NodeView, Placement, ServiceView};

/// How much happens in one run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Faults, one after the other or several at once.
    pub faults: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The law that was broken, if one was.
    pub violation: Option<Violation>,
    /// What was done to the cluster, for people who look for the reason.
    pub story: Vec<String>,
    /// How long the service was away after the last holder died in the quiet end of the run.
    pub pause: Option<Duration>,
}

/// After so long in a whole network everything is as it should be, also where nodes counted as
/// unable for a while.
const SETTLED_AFTER: u64 = 40_000 * MS;
/// Between two questions of a client.
const ASK_EVERY: u64 = 7 * MS;

struct Scenario {
    world: World,
    story: Vec<String>,
    down: BTreeMap<NodeId, u64>,
    voters_lost: u64,
}

/// Runs a cluster through what follows from `seed`.
pub fn run(seed: u64, scale: Scale) -> Outcome {
    let mut random = super::random::Random(seed ^ 0xabcd);
    let voters = if random.chance(250) { 5 } else { 3 };
    let witness = random.chance(500);
    let mut placement = Placement::default();
    for node in 1..=voters {
        let view = NodeView { witness: witness && node == voters, ..NodeView::default() };
        placement.nodes.insert(NodeId(node), view);
    }
    let failback = [Failback::Stay, Failback::WhenIdle, Failback::Now];
    for service in 1..=random.between(1, 4) {
        let mut view = ServiceView::default();
        view.policy.failback = random.pick(&failback).unwrap_or_default();
        if random.chance(500) {
            view.policy.preferred = vec![NodeId(random.between(1, voters + 1))];
        }
        if random.chance(200) {
            view.policy.apart_from.insert(ServiceId(1));
        }
        placement.services.insert(ServiceId(service), view);
    }
    // The defaults of the settings, and slower ones.
    let timing = if random.chance(500) {
        Timing::from(&standfast_settings::Timing::default())
    } else {
        Timing::default()
    };
    let world = World::new(seed, voters, placement, timing);
    let mut scenario = Scenario { world, story: Vec::new(), down: BTreeMap::new(), voters_lost: 0 };
    scenario.wait(1500);
    for _ in 0..scale.faults {
        if scenario.world.laws.violation.is_some() {
            break;
        }
        scenario.hurt();
        let wait = scenario.world.random.between(5, 900);
        scenario.wait(wait);
    }
    scenario.heal();
    let pause = scenario.last_crash();
    Outcome { violation: scenario.world.laws.violation.take(), story: scenario.story, pause }
}

impl Scenario {
    fn say(&mut self, what: String) {
        self.story.push(format!("{:>9} ms  {what}", self.world.now / MS));
    }

    /// Time passes; clients ask all the while, and what is down comes back when its time is up.
    fn wait(&mut self, ms: u64) {
        let until = self.world.now + ms * MS;
        while self.world.now < until && self.world.laws.violation.is_none() {
            self.world.run_until((self.world.now + ASK_EVERY).min(until));
            for service in self.world.services.clone() {
                self.world.ask(service);
            }
            let due: Vec<NodeId> = self
                .down
                .iter()
                .filter(|(_, at)| **at <= self.world.now)
                .map(|(node, _)| *node)
                .collect();
            for node in due {
                self.down.remove(&node);
                self.world.start(node);
                self.say(format!("start {node}"));
            }
        }
    }

    fn a_node(&mut self) -> NodeId {
        let nodes = self.world.nodes();
        // Whoever leads is the most interesting.
        if self.world.random.chance(300)
            && let Some(leader) = nodes.iter().find(|node| self.world.is_leading(**node))
        {
            return *leader;
        }
        self.world.random.pick(&nodes).unwrap_or(NodeId(1))
    }

    /// One fault.
    fn hurt(&mut self) {
        let node = self.a_node();
        match self.world.random.between(0, 14) {
            0..=2 => {
                let back = self.world.random.between(10, 2500);
                self.say(format!("crash {node} for {back} ms"));
                self.world.crash(node);
                self.down.insert(node, self.world.now + back * MS);
            }
            3..=4 => {
                let for_how_long = self.world.random.between(50, 2500);
                self.say(format!("freeze {node} for {for_how_long} ms"));
                let until = self.world.now + for_how_long * MS;
                self.world.freeze(node, until);
            }
            5..=7 => self.cut(node),
            8 => {
                self.world.network.loss = self.world.random.between(0, 300);
                self.world.network.delay = MS * self.world.random.between(1, 60);
                let network = &self.world.network;
                let (loss, delay) = (network.loss, network.delay / MS);
                self.say(format!("lose {loss} of 1000, delay up to {delay} ms"));
            }
            9 => {
                self.world.network.cut.clear();
                self.world.network.loss = 0;
                self.world.network.delay = MS;
                self.say("the network is whole".into());
            }
            10 => self.person(node),
            11 => {
                self.world.step_failures = self.world.random.between(0, 300);
                let failures = self.world.step_failures;
                self.say(format!("{failures} of 1000 steps fail"));
            }
            12 => self.lose_disk(node),
            _ => {
                for node in self.world.nodes() {
                    if self.world.random.chance(600) {
                        let back = self.world.random.between(10, 1500);
                        self.say(format!("crash {node} for {back} ms, with others"));
                        self.world.crash(node);
                        self.down.insert(node, self.world.now + back * MS);
                    }
                }
            }
        }
    }

    /// Cuts a node off, both ways or one way, from all or from some, over one link or all.
    fn cut(&mut self, node: NodeId) {
        let (inbound, outbound) = match self.world.random.between(0, 4) {
            0 => (true, false),
            1 => (false, true),
            _ => (true, true),
        };
        let one_link = self.world.random.chance(200);
        let share = if self.world.random.chance(500) { 1000 } else { 500 };
        let mut cut_off = BTreeSet::new();
        for other in self.world.nodes() {
            if other == node || !self.world.random.chance(share) {
                continue;
            }
            cut_off.insert(other.0);
            for link in [LinkId(0), LinkId(1)] {
                if one_link && link == LinkId(1) {
                    continue;
                }
                if inbound {
                    self.world.network.cut.insert((other, node, link));
                }
                if outbound {
                    self.world.network.cut.insert((node, other, link));
                }
            }
        }
        self.say(format!(
            "cut {node} from {cut_off:?}, in {inbound}, out {outbound}, one link {one_link}"
        ));
    }

    fn person(&mut self, node: NodeId) {
        if self.world.random.chance(500) {
            self.say(format!("drain or resume {node}"));
            self.world.change_policy(|placement| {
                if let Some(view) = placement.nodes.get_mut(&node) {
                    view.drained = !view.drained;
                }
            });
        } else {
            let services = self.world.services.clone();
            let Some(service) = self.world.random.pick(&services) else { return };
            self.say(format!("move {service} to {node}"));
            self.world.change_policy(|placement| {
                if let Some(view) = placement.services.get_mut(&service) {
                    view.policy.wish = Some(node);
                }
            });
        }
    }

    /// A voter that lost its disk comes back as somebody else, without a vote, so only as many as
    /// leave a quorum.
    fn lose_disk(&mut self, node: NodeId) {
        let is_voter = self.world.voters.contains(&node);
        let can_lose = (self.world.voters.len() as u64 - 1) / 2;
        if is_voter && self.voters_lost >= can_lose {
            return;
        }
        self.voters_lost += u64::from(is_voter);
        self.down.remove(&node);
        self.say(format!("{node} is replaced"));
        self.world.replace(node);
    }

    /// Everything comes back; after a while each service has one holder.
    fn heal(&mut self) {
        self.say("all is well again".into());
        self.world.network.cut.clear();
        self.world.network.loss = 0;
        self.world.network.delay = MS;
        self.world.step_failures = 0;
        for node in self.world.nodes() {
            self.world.freeze(node, 0);
            self.world.start(node);
        }
        self.down.clear();
        self.world.change_policy(|placement| {
            placement.nodes.values_mut().for_each(|node| node.drained = false);
        });
        let limit = self.world.now + SETTLED_AFTER;
        let mut steady = 0;
        while self.world.now < limit && steady < 10 && self.world.laws.violation.is_none() {
            self.world.run_until(self.world.now + 100 * MS);
            let services = self.world.services.clone();
            let all = services.into_iter().filter(|s| self.world.ask(*s) == 1).count();
            steady = if all == self.world.services.len() { steady + 1 } else { 0 };
        }
        if steady == 10 || self.world.laws.violation.is_some() {
            return;
        }
        for service in self.world.services.clone() {
            let answers = self.world.ask(service);
            if answers != 1 {
                let view = self.world.describe(service);
                self.say(view);
            }
            self.world.laws.settled(self.world.now, service, answers);
        }
    }

    /// The holder of the first service dies; how long is it away?
    fn last_crash(&mut self) -> Option<Duration> {
        let service = *self.world.services.first()?;
        let holder = self.world.nodes().into_iter().find(|n| self.world.serves(*n, service))?;
        if self.voters_lost > 0 || self.world.is_leading(holder) {
            return None;
        }
        self.say(format!("crash {holder}, which serves"));
        self.world.crash(holder);
        self.world.pause(service, Duration::from_secs(5))
    }
}
