//! The gates of all services of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use standfast_rpc::gate::{BootTime, ReplyGate};

use super::{Epoch, Right, ServiceId};
use crate::heartbeat::Moment;

type Known = BTreeMap<ServiceId, (Epoch, Arc<ReplyGate>)>;

/// The gate of each service that the node has a right to, shared by who keeps the leases and who
/// sends replies. Each epoch has a gate of its own, so one that was closed is never opened again.
#[derive(Clone, Debug, Default)]
pub struct Gates(Arc<Inner>);

#[derive(Default)]
struct Inner {
    known: Mutex<Known>,
    /// Who is told of the end of each lease, as it is renewed.
    listener: OnceLock<Listener>,
}

type Listener = Box<dyn Fn(BootTime) + Send + Sync>;

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.known.lock().fmt(f)
    }
}

/// Both count from the start of the machine, suspended time included.
fn boot_time(moment: Moment) -> BootTime {
    BootTime::from_start(Duration::from_nanos(moment.nanoseconds()))
}

impl Gates {
    /// Tells `listener` of the end of each lease, at each renewal; once only. It must not wait.
    pub fn tell(&self, listener: impl Fn(BootTime) + Send + Sync + 'static) {
        let _first = self.0.listener.set(Box::new(listener));
    }

    /// The gate of an epoch, if that is the one that the node has a right to.
    pub fn get(&self, service: ServiceId, epoch: Epoch) -> Option<Arc<ReplyGate>> {
        let gates = self.0.known.lock();
        let (current, gate) = gates.get(&service)?;
        (*current == epoch).then(|| Arc::clone(gate))
    }

    /// The right is this one now. A gate of an earlier epoch is closed for good.
    pub fn set(&self, service: ServiceId, right: Right) {
        let mut gates = self.0.known.lock();
        let known = gates.get(&service).map(|(epoch, _)| *epoch);
        if known != right.epoch()
            && let Some((_, gate)) = gates.remove(&service)
        {
            gate.shut();
        }
        let Some(epoch) = right.epoch() else { return };
        let closed = || (epoch, Arc::new(ReplyGate::closed()));
        let (_, gate) = gates.entry(service).or_insert_with(closed);
        if let Right::Held { until, .. } = right {
            gate.open_until(boot_time(until));
            if let Some(listener) = self.0.listener.get() {
                listener(boot_time(until));
            }
        }
    }

    /// Closes all of them: the node ends, or its thinking does.
    pub fn close_all(&self) {
        std::mem::take(&mut *self.0.known.lock()).values().for_each(|(_, gate)| gate.shut());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_epoch_closes_the_gate_before() {
        let gates = Gates::default();
        let service = ServiceId(1);
        let held = |epoch| Right::Held { epoch: Epoch(epoch), until: Moment::NEVER };
        gates.set(service, Right::Pending { epoch: Epoch(1) });
        let first = gates.get(service, Epoch(1)).unwrap();
        assert!(!first.may_send());
        gates.set(service, held(1));
        assert!(first.may_send());
        gates.set(service, held(3));
        assert!(!first.may_send() && gates.get(service, Epoch(1)).is_none());
        assert!(gates.get(service, Epoch(3)).unwrap().may_send());
        gates.set(service, Right::None);
        assert!(gates.get(service, Epoch(3)).is_none());
    }

    #[test]
    fn a_right_that_ends_closes_the_gate_by_itself() {
        let gates = Gates::default();
        let service = ServiceId(1);
        gates.set(service, Right::Held { epoch: Epoch(1), until: Moment::now() });
        assert!(!gates.get(service, Epoch(1)).unwrap().may_send());
    }
}
