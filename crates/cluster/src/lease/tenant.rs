//! The holder's side of the leases.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Claims, Epoch, Holder, LeaseSource, LeaseTable, Revision, Right, ServiceId, Term};
use crate::heartbeat::{MOST_ENTRIES, Moment};
use crate::planted::{Fault, planted};

/// A leader's word that a node holds what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// The leader's term.
    pub term: Term,
    /// It is for what the node holds by this revision, which its heartbeat named.
    pub basis: Revision,
    /// How long ago the leader was surely the only one.
    pub age: Duration,
    /// How long the leases are valid, counted from `age` before the heartbeat was sent.
    pub lease: Duration,
    /// It is not for these services.
    pub except: Vec<ServiceId>,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    epoch: Epoch,
    /// The revision that made it ours.
    since: Revision,
    /// Until when we may serve; `None` before the first renewal.
    until: Option<Moment>,
    /// We gave it back and await the commit.
    released: bool,
}

/// What a node holds, and until when.
#[derive(Clone, Debug)]
pub struct Tenant {
    me: Holder,
    revision: Revision,
    held: BTreeMap<ServiceId, Held>,
}

impl Tenant {
    /// A run of a node that holds nothing yet.
    pub fn new(me: Holder) -> Self {
        Self { me, revision: Revision(0), held: BTreeMap::new() }
    }

    /// More of the log was applied: what is no longer ours ends at once.
    pub fn apply(&mut self, table: &LeaseTable) {
        self.revision = self.revision.max(table.revision);
        let me = self.me;
        let mine =
            |service: &ServiceId| table.get(*service).filter(|lease| lease.holder == Some(me));
        self.held
            .retain(|service, held| mine(service).is_some_and(|lease| lease.epoch == held.epoch));
        for (service, lease) in &table.leases {
            if mine(service).is_some() {
                let new =
                    Held { epoch: lease.epoch, since: lease.changed, until: None, released: false };
                let held = self.held.entry(*service).or_insert(new);
                if held.epoch < lease.epoch {
                    *held = new;
                }
            }
        }
    }

    /// The leader answered, with a renewal, the heartbeat that we sent at `sent`; it arrived at
    /// `now`.
    pub fn renewed(&mut self, sent: Moment, renewal: &Renewal, now: Moment) {
        let Some(valid) = renewal.lease.checked_sub(renewal.age) else { return };
        let from = if planted(Fault::LeaseFromArrival) { now } else { sent };
        for (service, held) in &mut self.held {
            let is_meant = (held.since <= renewal.basis || planted(Fault::IgnoreBasis))
                && !renewal.except.contains(service)
                && !held.released;
            if is_meant {
                held.until = held.until.max(Some(from + valid));
            }
        }
    }

    /// Gives a service back: no renewal counts for it any more. Only to be called when nothing
    /// replies in its name.
    pub fn release(&mut self, service: ServiceId) {
        if let Some(held) = self.held.get_mut(&service) {
            held.released = true;
            held.until = held.until.and(Some(Moment::BOOT));
        }
    }

    /// What the next heartbeat says of it.
    pub fn claims(&self) -> Claims {
        let pending = self.held.iter().filter(|(_, held)| held.until.is_none());
        let pending: std::collections::BTreeSet<_> = pending.map(|(service, _)| *service).collect();
        let complete = pending.len() <= MOST_ENTRIES;
        Claims { basis: self.revision, pending, complete }
    }

    /// What it holds, in which epoch, and whether it was given back.
    pub fn held(&self) -> impl Iterator<Item = (ServiceId, Epoch, bool)> {
        self.held.iter().map(|(service, held)| (*service, held.epoch, held.released))
    }

    /// The next moment after `now` at which a lease ends unless it is renewed.
    pub fn next_end(&self, now: Moment) -> Option<Moment> {
        self.held.values().filter_map(|held| held.until).filter(|until| *until > now).min()
    }
}

impl LeaseSource for Tenant {
    fn right(&self, service: ServiceId) -> Right {
        match self.held.get(&service) {
            None => Right::None,
            Some(Held { epoch, until: None, .. }) => Right::Pending { epoch: *epoch },
            Some(Held { epoch, until: Some(until), .. }) => {
                Right::Held { epoch: *epoch, until: *until }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{Change, Incarnation, Lease, NodeId};

    const X: ServiceId = ServiceId(1);
    const ME: Holder = Holder { node: NodeId(1), incarnation: Incarnation(3) };

    fn at(ms: u64) -> Moment {
        Moment::BOOT + Duration::from_millis(ms)
    }

    fn renewal(basis: u64) -> Renewal {
        Renewal {
            term: Term(1),
            basis: Revision(basis),
            age: Duration::from_millis(20),
            lease: Duration::from_millis(350),
            except: Vec::new(),
        }
    }

    fn tenant() -> (Tenant, LeaseTable) {
        let mut table = LeaseTable::default();
        table.leases.insert(X, Lease::default());
        table.revision = Revision(4);
        table.apply(&Change::Grant { service: X, from: Epoch(0), holder: ME });
        let mut tenant = Tenant::new(ME);
        tenant.apply(&table);
        (tenant, table)
    }

    #[test]
    fn a_lease_counts_from_the_sending() {
        let (mut tenant, _) = tenant();
        assert_eq!(tenant.right(X), Right::Pending { epoch: Epoch(1) });
        assert!(tenant.claims().pending.contains(&X));
        tenant.renewed(at(1000), &renewal(5), at(1300));
        assert_eq!(tenant.right(X), Right::Held { epoch: Epoch(1), until: at(1330) });
        assert!(tenant.claims().pending.is_empty());
        // An answer that was overtaken takes nothing back.
        tenant.renewed(at(900), &renewal(5), at(1301));
        assert_eq!(tenant.next_end(at(1000)), Some(at(1330)));
    }

    #[test]
    fn a_renewal_is_only_for_what_the_request_knew() {
        let (mut tenant, _) = tenant();
        tenant.renewed(at(1000), &renewal(4), at(1001));
        assert_eq!(tenant.right(X), Right::Pending { epoch: Epoch(1) });
        let except = Renewal { except: vec![X], ..renewal(5) };
        tenant.renewed(at(1000), &except, at(1001));
        assert_eq!(tenant.right(X), Right::Pending { epoch: Epoch(1) });
    }

    #[test]
    fn what_moved_or_was_given_back_ends_at_once() {
        let (mut first, mut table) = tenant();
        let mut second = first.clone();
        first.renewed(at(1000), &renewal(5), at(1001));
        first.release(X);
        first.renewed(at(1050), &renewal(5), at(1051));
        assert_eq!(first.right(X), Right::Held { epoch: Epoch(1), until: Moment::BOOT });
        second.renewed(at(1000), &renewal(5), at(1001));
        let other = Holder { incarnation: Incarnation(4), ..ME };
        table.apply(&Change::Grant { service: X, from: Epoch(1), holder: other });
        second.apply(&table);
        assert_eq!(second.right(X), Right::None, "another run of the node is another holder");
    }
}
