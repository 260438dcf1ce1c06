//! Who holds which service.

use super::Applied;
use crate::model::{ChangeReason, Epoch, EventKind, NodeId, Outcome, PlannedMove, Refusal, State};

/// Steps of a timeline that are kept.
const MAX_STEPS: usize = 32;

impl State {
    /// The one way in which a service changes its holder.
    pub(super) fn change_holder(
        &mut self,
        at: u64,
        service: &str,
        expected: Epoch,
        holder: Option<(NodeId, u64)>,
        reason: &ChangeReason,
    ) -> Applied {
        let (current, held_by) = match self.leases.get(service) {
            Some(lease) => (lease.epoch, lease.holder.map(|node| (node, lease.incarnation))),
            None => (Epoch::default(), None),
        };
        // A retry: the answer to the first one was lost.
        if current == expected.next() && held_by == holder {
            return Ok(Outcome::Holder { epoch: current });
        }
        if current != expected {
            return Err(Refusal::EpochMoved { service: service.into(), expected, current });
        }
        if let Some((node, _)) = holder {
            if !self.settings.services.contains_key(service) {
                return Err(Refusal::NoSuchService(service.into()));
            }
            let member = self.members.get(&node).ok_or(Refusal::NoSuchNode(node))?;
            if !member.can_serve() {
                return Err(Refusal::CannotServe(node));
            }
        }
        let epoch = self.set_holder(at, service, holder, reason);
        let node = holder.map(|(node, _)| node);
        if self.moves.get(service).is_some_and(|planned| Some(planned.target) == node) {
            self.moves.remove(service);
        }
        Ok(Outcome::Holder { epoch })
    }

    pub(super) fn name_successor(
        &mut self,
        service: &str,
        epoch: Epoch,
        successor: Option<NodeId>,
    ) -> Applied {
        if let Some(node) = successor {
            let member = self.members.get(&node).ok_or(Refusal::NoSuchNode(node))?;
            if !member.can_serve() {
                return Err(Refusal::CannotServe(node));
            }
        }
        let lease =
            self.leases.get_mut(service).ok_or_else(|| Refusal::NoSuchService(service.into()))?;
        if lease.epoch != epoch {
            let current = lease.epoch;
            return Err(Refusal::EpochMoved { service: service.into(), expected: epoch, current });
        }
        lease.successor = successor;
        Ok(Outcome::Done)
    }

    pub(super) fn set_holder(
        &mut self,
        at: u64,
        service: &str,
        holder: Option<(NodeId, u64)>,
        reason: &ChangeReason,
    ) -> Epoch {
        self.lease_changes += 1;
        let lease = self.leases.entry(service.into()).or_default();
        lease.incarnation = holder.map_or(0, |(_, incarnation)| incarnation);
        lease.changed = self.lease_changes;
        lease.successor = None;
        let holder = holder.map(|(node, _)| node);
        let from = std::mem::replace(&mut lease.holder, holder);
        if from.is_some() && from != holder {
            lease.before = from;
        }
        lease.epoch = lease.epoch.next();
        lease.since_ms = at;
        lease.reason = Some(reason.clone());
        let epoch = lease.epoch;
        let name = |node: Option<NodeId>| node.map(|node| self.name_of(node));
        let (from, to) = (name(from), name(holder));
        let (service, reason) = (service.to_owned(), reason.clone());
        self.record(at, EventKind::Holder { service, from, to, epoch, reason });
        epoch
    }

    pub(super) fn move_service(&mut self, at: u64, name: &str, target: NodeId) -> Applied {
        if !self.settings.services.contains_key(name) {
            return Err(Refusal::NoSuchService(name.into()));
        }
        let member = self.members.get(&target).ok_or(Refusal::NoSuchNode(target))?;
        if !member.can_serve() {
            return Err(Refusal::CannotServe(target));
        }
        let to = member.name.clone();
        let there = self.leases.get(name).is_some_and(|lease| lease.holder == Some(target));
        let asked = self.moves.get(name).is_some_and(|planned| planned.target == target);
        if there {
            // It is where it should be; an older wish to move it elsewhere is withdrawn.
            self.moves.remove(name);
        } else if !asked {
            self.moves.insert(name.into(), PlannedMove { target, asked_ms: at });
            self.record(at, EventKind::MoveAsked { service: name.into(), to });
        }
        Ok(Outcome::Done)
    }

    pub(super) fn cancel_move(&mut self, name: &str) -> Applied {
        self.moves.remove(name);
        Ok(Outcome::Done)
    }

    pub(super) fn record_timeline(
        &mut self,
        at: u64,
        service: &str,
        epoch: Epoch,
        steps: &[(String, u64)],
    ) -> Applied {
        let known = self.events.iter().any(|event| {
            matches!(&event.kind, EventKind::Timeline { service: other, epoch: of, .. }
                if other == service && *of == epoch)
        });
        if let Some(lease) = self.leases.get_mut(service) {
            lease.served = true;
        }
        if !known {
            let steps = steps.iter().take(MAX_STEPS).cloned().collect();
            self.record(at, EventKind::Timeline { service: service.into(), epoch, steps });
        }
        Ok(Outcome::Done)
    }
}
