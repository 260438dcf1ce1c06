//! Where every service should be. Pure: the same view gives the same plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::lease::{NodeId, ServiceId};

/// When a service goes back to a node that it prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failback {
    /// Not by itself.
    #[default]
    Stay,
    /// Once no client has asked for anything for a while.
    WhenIdle,
    /// As soon as the node is well.
    Now,
}

/// Where a service may and should be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlacementPolicy {
    /// Nodes that it prefers, the best first.
    pub preferred: Vec<NodeId>,
    /// Services that are to be on other nodes, as long as there are enough.
    pub apart_from: BTreeSet<ServiceId>,
    /// Services that are to be on the same node.
    pub together_with: BTreeSet<ServiceId>,
    /// When it goes back to a node that it prefers.
    pub failback: Failback,
    /// Where a person wants it, until it got there.
    pub wish: Option<NodeId>,
}

/// What is known of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeView {
    /// It answers.
    pub alive: bool,
    /// It stores and serves nothing.
    pub witness: bool,
    /// A person wants it empty.
    pub drained: bool,
}

/// What is known of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceView {
    /// Where it may and should be.
    pub policy: PlacementPolicy,
    /// Where it is.
    pub holder: Option<NodeId>,
    /// Nodes that cannot serve it: the pool is not reached from there, or they tried and failed.
    pub unable: BTreeSet<NodeId>,
    /// No client has asked for anything for a while.
    pub idle: bool,
}

/// Everything that a plan is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// The members.
    pub nodes: BTreeMap<NodeId, NodeView>,
    /// The services.
    pub services: BTreeMap<ServiceId, ServiceView>,
    /// Whether idle services without a preference move so that nodes have alike many.
    pub balance: bool,
}

/// Why a service should be where the plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// It is there, and nothing speaks against it.
    Stays,
    /// It is nowhere.
    First,
    /// Its holder does not answer.
    HolderLost,
    /// Its holder cannot serve it.
    HolderUnable,
    /// A person drains its holder.
    Drain,
    /// A person wants it there.
    Wish,
    /// It goes back to a node that it prefers.
    Failback,
    /// It is to be apart from, or together with, another one.
    Company,
    /// Nodes are to have alike many.
    Balance,
}

/// Where a service should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The node.
    pub node: NodeId,
    /// Why.
    pub why: Why,
}

/// Why a service can be nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// No node answers that serves.
    #[error("no node that can serve answers")]
    NobodyAlive,
    /// All that answer are drained.
    #[error("every node that answers is drained; `standfast node resume` lets one serve again")]
    AllDrained,
    /// No node that answers can serve it.
    #[error("no node that answers can serve it: {}", list(.0))]
    NobodyAble(Vec<NodeId>),
}

impl NoPlace {
    /// The reason with the names of the nodes.
    pub fn explain(&self, name: impl Fn(NodeId) -> String) -> String {
        match self {
            Self::NobodyAble(nodes) => {
                let names: Vec<_> = nodes.iter().map(|node| name(*node)).collect();
                format!("no node that answers can serve it, not {}", names.join(", not "))
            }
            other => other.to_string(),
        }
    }
}

fn list(nodes: &[NodeId]) -> String {
    let words: Vec<String> = nodes.iter().map(|node| format!("node {node} cannot")).collect();
    words.join(", ")
}

/// How well a node suits a group of services: less is better, the first difference counts.
type Suit = (usize, usize, usize, NodeId);

struct Planner<'a> {
    view: &'a Placement,
    /// How many services each node has in the plan so far.
    load: BTreeMap<NodeId, usize>,
    /// Where services are, or will be as far as the plan has come.
    place: BTreeMap<ServiceId, NodeId>,
}

/// Where every service should be.
///
/// What serves stays, unless its node is lost, drained or unable, a person wishes otherwise, or its
/// policy calls it back. Services that are to be together are placed as one. Where there are not
/// enough nodes to keep services apart, they share one: to serve comes first.
pub fn plan(view: &Placement) -> BTreeMap<ServiceId, Result<Target, NoPlace>> {
    let mut planner = Planner { view, load: BTreeMap::new(), place: BTreeMap::new() };
    for (service, known) in &view.services {
        if let Some(node) = known.holder.filter(|node| planner.is_fit(*node, known)) {
            planner.put(*service, node);
        }
    }
    let mut targets = BTreeMap::new();
    let mut balanced = !view.balance;
    for group in groups(view) {
        let target = planner.target(&group, &mut balanced);
        for service in group {
            if let Ok(target) = &target {
                planner.put(service, target.node);
            }
            targets.insert(service, target.clone());
        }
    }
    targets
}

/// Services that are to be together, each group as one, in order.
fn groups(view: &Placement) -> Vec<Vec<ServiceId>> {
    let mut group_of: BTreeMap<ServiceId, ServiceId> =
        view.services.keys().map(|service| (*service, *service)).collect();
    for (service, known) in &view.services {
        for other in &known.policy.together_with {
            let (Some(&mine), Some(&theirs)) = (group_of.get(service), group_of.get(other)) else {
                continue;
            };
            let (first, second) = (mine.min(theirs), mine.max(theirs));
            group_of.values_mut().filter(|group| **group == second).for_each(|g| *g = first);
        }
    }
    let mut groups: BTreeMap<ServiceId, Vec<ServiceId>> = BTreeMap::new();
    for (service, group) in group_of {
        groups.entry(group).or_default().push(service);
    }
    groups.into_values().collect()
}

impl Planner<'_> {
    fn put(&mut self, service: ServiceId, node: NodeId) {
        if let Some(before) = self.place.insert(service, node) {
            let load = self.load.entry(before).or_default();
            *load = load.saturating_sub(1);
        }
        *self.load.entry(node).or_default() += 1;
    }

    /// Whether a service may be on a node at all.
    fn is_fit(&self, node: NodeId, service: &ServiceView) -> bool {
        self.view.nodes.get(&node).is_some_and(|node| node.alive && !node.witness && !node.drained)
            && !service.unable.contains(&node)
    }

    fn known(&self, group: &[ServiceId]) -> Vec<&ServiceView> {
        group.iter().filter_map(|service| self.view.services.get(service)).collect()
    }

    fn candidates(&self, group: &[ServiceId]) -> Vec<NodeId> {
        let known = self.known(group);
        let fits = |node: &&NodeId| known.iter().all(|service| self.is_fit(**node, service));
        self.view.nodes.keys().filter(fits).copied().collect()
    }

    fn suit(&self, node: NodeId, group: &[ServiceId]) -> Suit {
        let known = self.known(group);
        let mut company = 0;
        for (service, place) in &self.place {
            let Some(other) = self.view.services.get(service) else { continue };
            let avoid = group.iter().zip(&known).any(|(id, mine)| {
                mine.policy.apart_from.contains(service) || other.policy.apart_from.contains(id)
            });
            company += usize::from(*place == node && avoid && !group.contains(service));
        }
        let rank = known
            .iter()
            .filter(|service| !service.policy.preferred.is_empty())
            .map(|service| {
                let preferred = &service.policy.preferred;
                preferred.iter().position(|p| *p == node).unwrap_or(preferred.len())
            })
            .sum();
        let own = group.iter().filter(|id| self.place.get(id) == Some(&node)).count();
        let load = self.load.get(&node).copied().unwrap_or(0).saturating_sub(own);
        (company, rank, load, node)
    }

    /// Why nothing can hold the group.
    fn no_place(&self, group: &[ServiceId]) -> NoPlace {
        let alive: Vec<_> =
            self.view.nodes.iter().filter(|(_, node)| node.alive && !node.witness).collect();
        if alive.is_empty() {
            return NoPlace::NobodyAlive;
        }
        if alive.iter().all(|(_, node)| node.drained) {
            return NoPlace::AllDrained;
        }
        let known = self.known(group);
        let unable = |node: &NodeId| known.iter().any(|service| service.unable.contains(node));
        NoPlace::NobodyAble(alive.into_iter().map(|(id, _)| *id).filter(unable).collect())
    }

    fn target(&self, group: &[ServiceId], balanced: &mut bool) -> Result<Target, NoPlace> {
        let candidates = self.candidates(group);
        let best = candidates.iter().map(|node| self.suit(*node, group)).min();
        let Some(best) = best else { return Err(self.no_place(group)) };
        let known = self.known(group);
        let wish = known.iter().find_map(|service| service.policy.wish);
        if let Some(node) = wish.filter(|node| candidates.contains(node)) {
            let there = known.iter().all(|service| service.holder == Some(node));
            return Ok(Target { node, why: if there { Why::Stays } else { Why::Wish } });
        }
        let holders: BTreeSet<NodeId> = known.iter().filter_map(|s| s.holder).collect();
        let current = holders.iter().find(|node| candidates.contains(node)).copied();
        let Some(current) = current else {
            return Ok(Target { node: best.3, why: self.why_leave(&known, &holders) });
        };
        if holders.len() > 1 || known.iter().any(|service| service.holder.is_none()) {
            return Ok(Target { node: current, why: Why::Company });
        }
        let suit = self.suit(current, group);
        let why = self.why_move(&known, suit, best, balanced);
        Ok(why
            .map_or(Target { node: current, why: Why::Stays }, |why| Target { node: best.3, why }))
    }

    /// Why a group that could stay should move to the best node, if it should.
    fn why_move(
        &self,
        known: &[&ServiceView],
        current: Suit,
        best: Suit,
        balanced: &mut bool,
    ) -> Option<Why> {
        let idle = known.iter().all(|service| service.idle);
        let may_move = |service: &&ServiceView| match service.policy.failback {
            Failback::Stay => false,
            Failback::WhenIdle => idle,
            Failback::Now => true,
        };
        if known.iter().all(may_move) {
            if best.0 < current.0 {
                return Some(Why::Company);
            }
            if best.0 == current.0 && best.1 < current.1 {
                return Some(Why::Failback);
            }
        }
        let same = (best.0, best.1) == (current.0, current.1);
        // The load without the group itself, which would be added to either.
        if !*balanced && idle && same && current.2 > best.2 {
            *balanced = true;
            return Some(Why::Balance);
        }
        None
    }

    /// Why a group cannot stay where it is.
    fn why_leave(&self, known: &[&ServiceView], holders: &BTreeSet<NodeId>) -> Why {
        let Some(node) = holders.first() else { return Why::First };
        match self.view.nodes.get(node) {
            Some(view) if view.alive && known.iter().any(|s| s.unable.contains(node)) => {
                Why::HolderUnable
            }
            Some(view) if view.alive && view.drained => Why::Drain,
            _ => Why::HolderLost,
        }
    }
}

#[cfg(test)]
mod tests;
