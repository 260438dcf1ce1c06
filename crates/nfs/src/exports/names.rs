//! Names, remembered: a thousand rules ask for a host once, not a thousand times.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::expiring::Expiring;
use super::name_service::{NameError, NameService};

/// How long a name or an address that was found holds.
const FOUND: Duration = Duration::from_secs(300);

/// How long it holds that there is none.
const NOT_FOUND: Duration = Duration::from_secs(30);

/// Names and addresses that are remembered, each.
const REMEMBERED: usize = 16_384;

/// A name service with a memory.
pub struct Names {
    service: Arc<dyn NameService>,
    addresses: Expiring<String, Arc<[IpAddr]>>,
    names: Expiring<IpAddr, Option<Arc<str>>>,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    /// Remembers what `service` says.
    pub fn new(service: Arc<dyn NameService>) -> Self {
        Self { service, addresses: Expiring::new(REMEMBERED), names: Expiring::new(REMEMBERED) }
    }

    /// Whether an address is one of a host's.
    pub(super) fn is_host(
        &self,
        host: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<bool, NameError> {
        let key = host.to_owned();
        if let Some(known) = self.addresses.fresh(&key, now) {
            return Ok(known.contains(&address));
        }
        let found = self.service.addresses_of(host)?;
        let found: Arc<[IpAddr]> = found.iter().map(IpAddr::to_canonical).collect();
        let holds = if found.is_empty() { NOT_FOUND } else { FOUND };
        self.addresses.insert(key, Arc::clone(&found), now, holds);
        Ok(found.contains(&address))
    }

    /// The name of an address, confirmed by the addresses of that name.
    pub(super) fn name_of(
        &self,
        address: IpAddr,
        now: Instant,
    ) -> Result<Option<Arc<str>>, NameError> {
        if let Some(known) = self.names.fresh(&address, now) {
            return Ok(known);
        }
        let said = self.service.name_of(address)?;
        let said = said.map(|name| name.trim_end_matches('.').to_owned());
        let confirmed = match said {
            Some(name) if self.is_host(&name, address, now)? => Some(Arc::from(name)),
            _ => None,
        };
        let holds = if confirmed.is_some() { FOUND } else { NOT_FOUND };
        self.names.insert(address, confirmed.clone(), now, holds);
        Ok(confirmed)
    }

    /// Whether a netgroup has a client: by its name, the first part of it, or its address.
    pub(super) fn in_netgroup(
        &self,
        group: &str,
        address: IpAddr,
        now: Instant,
    ) -> Result<bool, NameError> {
        if self.service.in_netgroup(group, &address.to_string()) {
            return Ok(true);
        }
        let Some(name) = self.name_of(address, now)? else { return Ok(false) };
        let short = name.split('.').next().unwrap_or(&name);
        Ok([&*name, short].into_iter().any(|name| self.service.in_netgroup(group, name)))
    }
}
