//! The twin for tests: storage in memory that several nodes reach, with faults on request.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::{Claim, Engine, EngineError, Fenced, Health, TwoHolders};

/// What goes wrong at the next call of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Promotion fails.
    Promote,
    /// Demotion fails.
    Demote,
    /// Fencing fails.
    Fence,
}

#[derive(Debug, Default)]
struct Shared {
    /// The newest epoch that fenced the earlier ones, of each service.
    fenced: BTreeMap<String, u64>,
    /// What was written, of each service, with the epoch.
    written: Vec<(String, u64)>,
}

/// The storage behind all nodes.
#[derive(Clone, Debug, Default)]
pub struct Storage(Arc<Mutex<Shared>>);

impl Storage {
    /// Every write that reached it, in order: the service and the epoch.
    pub fn written(&self) -> Vec<(String, u64)> {
        self.0.lock().written.clone()
    }
}

/// One node's way to the storage.
#[derive(Debug)]
pub struct Simulated {
    storage: Storage,
    two_holders: TwoHolders,
    faults: Mutex<Vec<Fault>>,
    promoted: Mutex<BTreeMap<String, u64>>,
}

impl Simulated {
    /// A node's way to `storage`.
    pub fn new(storage: &Storage, two_holders: TwoHolders) -> Self {
        Self {
            storage: storage.clone(),
            two_holders,
            faults: Mutex::default(),
            promoted: Mutex::default(),
        }
    }

    /// The next call of the kind fails.
    pub fn break_next(&self, fault: Fault) {
        self.faults.lock().push(fault);
    }

    fn trip(&self, fault: Fault, action: &'static str) -> Result<(), EngineError> {
        let mut faults = self.faults.lock();
        let Some(at) = faults.iter().position(|known| *known == fault) else { return Ok(()) };
        faults.remove(at);
        let source = std::io::Error::other("a simulated fault");
        Err(EngineError::Io { action, path: "/simulated".into(), source })
    }

    /// Writes in the name of a service, as its holder does.
    ///
    /// # Errors
    /// If it was not promoted, or a later epoch has fenced it.
    pub fn write(&self, claim: &Claim) -> Result<(), EngineError> {
        let mut shared = self.storage.0.lock();
        let current = shared.fenced.get(&claim.service).copied().unwrap_or(0);
        let promoted = self.promoted.lock().get(&claim.service).copied();
        if current > claim.epoch || promoted != Some(claim.epoch) {
            return Err(EngineError::Superseded { mine: claim.epoch, current });
        }
        shared.written.push((claim.service.clone(), claim.epoch));
        Ok(())
    }
}

impl Engine for Simulated {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn two_holders(&self) -> TwoHolders {
        self.two_holders
    }

    fn promote(&self, claim: &Claim) -> Result<PathBuf, EngineError> {
        self.trip(Fault::Promote, "promote")?;
        self.promoted.lock().insert(claim.service.clone(), claim.epoch);
        Ok("/simulated".into())
    }

    fn demote(&self, claim: &Claim) -> Result<(), EngineError> {
        self.trip(Fault::Demote, "demote")?;
        self.promoted.lock().remove(&claim.service);
        Ok(())
    }

    fn fence(&self, claim: &Claim, _: &str) -> Result<Fenced, EngineError> {
        self.trip(Fault::Fence, "fence")?;
        let mut shared = self.storage.0.lock();
        let fenced = shared.fenced.entry(claim.service.clone()).or_default();
        *fenced = claim.epoch.max(*fenced);
        Ok(Fenced::Storage)
    }

    fn health(&self) -> Health {
        Health::Well
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(node: &str, epoch: u64) -> Claim {
        Claim { service: "s".into(), epoch, node: node.into() }
    }

    #[test]
    fn who_is_fenced_writes_no_more() {
        let storage = Storage::default();
        let node = || Simulated::new(&storage, TwoHolders::Harm);
        let (old, new) = (node(), node());
        old.promote(&claim("old", 1)).unwrap();
        old.write(&claim("old", 1)).unwrap();
        new.break_next(Fault::Fence);
        assert!(new.fence(&claim("new", 2), "old").is_err());
        old.write(&claim("old", 1)).unwrap();
        for _ in 0..2 {
            assert_eq!(new.fence(&claim("new", 2), "old").unwrap(), Fenced::Storage);
            new.promote(&claim("new", 2)).unwrap();
        }
        assert!(matches!(old.write(&claim("old", 1)), Err(EngineError::Superseded { .. })));
        new.write(&claim("new", 2)).unwrap();
        old.demote(&claim("old", 1)).unwrap();
        old.demote(&claim("old", 1)).unwrap();
        let epochs: Vec<u64> = storage.written().iter().map(|(_, epoch)| *epoch).collect();
        assert_eq!(epochs, [1, 1, 2]);
    }
}
