//! The settings of the cluster.

use standfast_settings::{ClusterSettings, ServiceSettings, differences};

use super::Applied;
use crate::heartbeat::Timing;
use crate::model::{ChangeReason, EventKind, Outcome, Refusal, State};

impl State {
    pub(super) fn apply_settings(
        &mut self,
        at: u64,
        expected: u64,
        settings: &ClusterSettings,
    ) -> Applied {
        // Nothing to change, or a retry of what was done.
        if self.settings == *settings {
            return Ok(Outcome::Settings { version: self.settings_version });
        }
        if self.settings_version != expected {
            let current = self.settings_version;
            return Err(Refusal::SettingsMoved { expected, current });
        }
        self.take_settings(at, settings.clone())
    }

    pub(super) fn put_service(
        &mut self,
        at: u64,
        name: &str,
        service: &ServiceSettings,
        create: bool,
    ) -> Applied {
        match self.settings.services.get(name) {
            Some(existing) if existing == service => {
                return Ok(Outcome::Settings { version: self.settings_version });
            }
            Some(_) if create => return Err(Refusal::ServiceExists(name.into())),
            _ => {}
        }
        let mut settings = self.settings.clone();
        settings.services.insert(name.into(), service.clone());
        self.take_settings(at, settings)
    }

    pub(super) fn delete_service(&mut self, at: u64, name: &str) -> Applied {
        let mut settings = self.settings.clone();
        if settings.services.remove(name).is_none() {
            return Err(Refusal::NoSuchService(name.into()));
        }
        self.take_settings(at, settings)
    }

    fn take_settings(&mut self, at: u64, settings: ClusterSettings) -> Applied {
        settings.check().map_err(Refusal::Contradiction)?;
        let timing = Timing::from(&settings.timing).check();
        timing.map_err(|error| Refusal::Contradiction(vec![error.to_string()]))?;
        let old = std::mem::replace(&mut self.settings, settings);
        let found = differences(&old, &self.settings);
        let changed = found.into_iter().map(|difference| difference.subject).collect();
        self.settings_version += 1;
        let version = self.settings_version;
        self.record(at, EventKind::Settings { version, changed });
        let gone = old.services.keys().filter(|name| !self.settings.services.contains_key(*name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.moves.remove(&name);
            // One of that name that is made again begins anew.
            if let Some(lease) = self.leases.get_mut(&name) {
                lease.served = false;
            }
            if self.leases.get(&name).is_some_and(|lease| lease.holder.is_some()) {
                self.set_holder(at, &name, None, &ChangeReason::Deleted);
            }
        }
        Ok(Outcome::Settings { version })
    }
}
