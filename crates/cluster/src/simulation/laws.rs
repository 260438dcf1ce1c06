//! What must always hold, seen by somebody who sees all nodes at once.

use std::collections::BTreeMap;
use std::fmt;

use crate::lease::{Epoch, Holder, LeaseTable, NodeId, ServiceId};

/// Something happened that never may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When, in nanoseconds of the simulated time.
    pub at: u64,
    /// What.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {} us: {}", self.at / 1000, self.what)
    }
}

/// A lease as it really is: until when in true time.
#[derive(Clone, Copy, Debug)]
struct Valid {
    epoch: Epoch,
    until: u64,
}

/// The judge.
#[derive(Clone, Debug, Default)]
pub(super) struct Laws {
    valid: BTreeMap<(ServiceId, NodeId), Valid>,
    holders: BTreeMap<(ServiceId, Epoch), Option<Holder>>,
    answered: BTreeMap<ServiceId, Epoch>,
    pub(super) violation: Option<Violation>,
}

impl Laws {
    fn broken(&mut self, at: u64, what: String) {
        self.violation.get_or_insert(Violation { at, what });
    }

    /// A node may serve until `until`; the leases of two nodes never overlap.
    pub(super) fn leased(
        &mut self,
        now: u64,
        service: ServiceId,
        node: NodeId,
        lease: Option<(Epoch, u64)>,
    ) {
        let Some((epoch, until)) = lease.filter(|(_, until)| *until > now) else {
            self.valid.remove(&(service, node));
            return;
        };
        let other = self
            .valid
            .range((service, NodeId(0))..=(service, NodeId(u64::MAX)))
            .find(|((_, other), valid)| *other != node && valid.until > now)
            .map(|((_, other), valid)| (*other, *valid));
        if let Some((other, valid)) = other {
            let what = format!(
                "{service}: node {node} has a valid lease (epoch {epoch}) while that of node \
                 {other} (epoch {}) lasts for {} us yet",
                valid.epoch,
                (valid.until - now) / 1000
            );
            self.broken(now, what);
        }
        self.valid.insert((service, node), Valid { epoch, until });
    }

    /// A run of a node is over.
    pub(super) fn died(&mut self, node: NodeId) {
        self.valid.retain(|(_, holder), _| *holder != node);
    }

    /// A node applied more of the log: each epoch has one holder.
    pub(super) fn applied(&mut self, now: u64, table: &LeaseTable) {
        for (service, lease) in &table.leases {
            let known = self.holders.entry((*service, lease.epoch)).or_insert(lease.holder);
            if *known != lease.holder {
                let what = format!("{service}: two holders of epoch {}", lease.epoch);
                self.broken(now, what);
            }
        }
    }

    /// Nodes answer a client at the same moment.
    pub(super) fn answered(
        &mut self,
        now: u64,
        service: ServiceId,
        answers: &[(NodeId, Epoch, bool)],
    ) {
        if answers.len() > 1 {
            self.broken(now, format!("{service}: {} nodes answer at once", answers.len()));
        }
        for (node, epoch, has_lease) in answers {
            if !has_lease {
                self.broken(now, format!("{service}: node {node} answers without a valid lease"));
            }
            let last = self.answered.entry(service).or_default();
            if *epoch < *last {
                let what =
                    format!("{service}: an answer of epoch {epoch} after one of epoch {last}");
                self.broken(now, what);
            } else {
                *last = *epoch;
            }
        }
    }

    /// An address is raised.
    pub(super) fn raised(&mut self, now: u64, service: ServiceId, node: NodeId, listens: bool) {
        if !listens {
            let what = format!("{service}: node {node} raises the address before it listens");
            self.broken(now, what);
        }
    }

    /// The network has been whole for a while: one node answers for each service.
    pub(super) fn settled(&mut self, now: u64, service: ServiceId, answers: usize) {
        if answers != 1 {
            let what = format!("{service}: all is well again, but {answers} nodes answer");
            self.broken(now, what);
        }
    }
}
