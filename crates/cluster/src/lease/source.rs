//! Where the right to serve comes from.

use std::collections::BTreeMap;

use super::{Epoch, ServiceId};
use crate::heartbeat::Moment;

/// The right of this node to serve a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// None.
    None,
    /// It is to serve in this epoch, but not before the first renewal.
    Pending {
        /// The epoch.
        epoch: Epoch,
    },
    /// It serves in this epoch, until the lease ends.
    Held {
        /// The epoch.
        epoch: Epoch,
        /// The end.
        until: Moment,
    },
}

impl Right {
    /// The epoch, if there is a right at all.
    pub fn epoch(&self) -> Option<Epoch> {
        match *self {
            Self::None => None,
            Self::Pending { epoch } | Self::Held { epoch, .. } => Some(epoch),
        }
    }

    /// Whether a reply may leave at `now`.
    pub fn is_valid(&self, now: Moment) -> bool {
        matches!(self, Self::Held { until, .. } if now < *until)
    }
}

/// Who says which services this node may serve: the cluster ([`Tenant`](super::Tenant)), or an
/// election of VRRP ([`Elected`]).
pub trait LeaseSource {
    /// The right to a service.
    fn right(&self, service: ServiceId) -> Right;
}

/// A service cannot be left to VRRP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`election = \"vrrp\"` is refused for service {service}: on storage of engine `{engine}` two \
     holders at once do harm, and with VRRP there are two whenever the nodes do not hear each \
     other; leave the election to the cluster (three voters, one may be a witness)"
)]
pub struct ElectionRefused {
    /// The service's name.
    pub service: String,
    /// The engine's name.
    pub engine: String,
}

/// Services whose holder VRRP elects: the master serves, without a lease that could end. For
/// engines where two holders at once do no harm.
#[derive(Clone, Debug, Default)]
pub struct Elected {
    services: BTreeMap<ServiceId, Election>,
}

#[derive(Clone, Copy, Debug)]
struct Election {
    epoch: Epoch,
    is_master: bool,
}

impl Elected {
    /// Leaves a service to VRRP, if its engine allows two holders. `last` is the newest epoch that
    /// the service's journal knows.
    ///
    /// # Errors
    /// If two holders do harm.
    pub fn add(
        &mut self,
        (service, name): (ServiceId, &str),
        (engine, two_holders_harm): (&str, bool),
        last: Epoch,
    ) -> Result<(), ElectionRefused> {
        if two_holders_harm {
            return Err(ElectionRefused { service: name.into(), engine: engine.into() });
        }
        self.services.insert(service, Election { epoch: last, is_master: false });
        Ok(())
    }

    /// VRRP made this node master of a service, or not any more. `seen` is the newest epoch that the
    /// service's journal knows.
    pub fn set_master(&mut self, service: ServiceId, is_master: bool, seen: Epoch) {
        if let Some(election) = self.services.get_mut(&service) {
            if is_master && !election.is_master {
                election.epoch = election.epoch.max(seen).next();
            }
            election.is_master = is_master;
        }
    }
}

impl LeaseSource for Elected {
    fn right(&self, service: ServiceId) -> Right {
        match self.services.get(&service) {
            Some(Election { epoch, is_master: true }) => {
                Right::Held { epoch: *epoch, until: Moment::NEVER }
            }
            _ => Right::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vrrp_elects_only_where_two_holders_do_no_harm() {
        let mut elected = Elected::default();
        let service = ServiceId(1);
        let refused = elected.add((service, "vmstore"), ("drbd", true), Epoch(0)).unwrap_err();
        assert!(refused.to_string().contains("`drbd` two holders"));
        elected.add((service, "vmstore"), ("ceph", false), Epoch(4)).unwrap();
        assert_eq!(elected.right(service), Right::None);
        elected.set_master(service, true, Epoch(6));
        assert_eq!(elected.right(service).epoch(), Some(Epoch(7)));
        elected.set_master(service, true, Epoch(9));
        assert_eq!(elected.right(service).epoch(), Some(Epoch(7)), "still the same mastership");
        elected.set_master(service, false, Epoch(7));
        assert_eq!(elected.right(service), Right::None);
    }
}
