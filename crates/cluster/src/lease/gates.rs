//! The gates of all services of a node.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Gate, Right, ServiceId};

/// The gate of each service, shared by who keeps the leases and who sends replies.
#[derive(Clone, Debug, Default)]
pub struct Gates(Arc<Mutex<BTreeMap<ServiceId, Arc<Gate>>>>);

impl Gates {
    /// The gate of the epoch that the node has a right to, if it has one.
    pub fn get(&self, service: ServiceId) -> Option<Arc<Gate>> {
        self.0.lock().get(&service).cloned()
    }

    /// The right is this one now. A gate of an earlier epoch is closed for good.
    pub fn set(&self, service: ServiceId, right: Right) {
        let mut gates = self.0.lock();
        let Some(epoch) = right.epoch() else {
            if let Some(gate) = gates.remove(&service) {
                gate.close();
            }
            return;
        };
        let gate = match gates.get(&service) {
            Some(gate) if gate.epoch() == epoch => Arc::clone(gate),
            _ => {
                let gate = Gate::new(epoch);
                if let Some(before) = gates.insert(service, Arc::clone(&gate)) {
                    before.close();
                }
                gate
            }
        };
        if let Right::Held { until, .. } = right {
            gate.renew(until);
        }
    }

    /// Closes all of them: the node ends, or its thinking does.
    pub fn close_all(&self) {
        std::mem::take(&mut *self.0.lock()).values().for_each(|gate| gate.close());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heartbeat::Moment;
    use crate::lease::Epoch;

    #[test]
    fn a_later_epoch_closes_the_gate_before() {
        let gates = Gates::default();
        let service = ServiceId(1);
        let held = |epoch| Right::Held { epoch: Epoch(epoch), until: Moment::NEVER };
        gates.set(service, Right::Pending { epoch: Epoch(1) });
        let first = gates.get(service).unwrap();
        assert!(!first.is_open());
        gates.set(service, held(1));
        assert!(first.is_open());
        gates.set(service, held(3));
        assert!(!first.is_open() && gates.get(service).unwrap().is_open());
        gates.set(service, Right::None);
        assert!(gates.get(service).is_none());
    }
}
