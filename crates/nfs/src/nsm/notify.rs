//! Telling hosts that we restarted.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use standfast_rpc::Transport;
use standfast_rpc::xdr::{self, Opaque};
use tokio::sync::Semaphore;

use super::StatusMonitor;
use super::backoff::Retry;
use super::caller::{Caller, Destination};
use super::monitor::client_of;
use super::protocol::{MAX_NAME, PROGRAM, Procedure, StateChange, VERSION};
use super::record::Record;

/// How hosts are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotifySettings {
    /// The names that clients may know us by, beside the address that they use.
    pub names: Vec<String>,
    /// How often a host is told that does not answer.
    pub retry: Retry,
    /// How many hosts are told at the same time.
    pub at_once: usize,
}

impl Default for NotifySettings {
    fn default() -> Self {
        let retry = Retry {
            first_pause: Duration::from_secs(2),
            longest_pause: Duration::from_secs(60),
            give_up_after: Duration::from_secs(15 * 60),
        };
        Self { names: Vec::new(), retry, at_once: 16 }
    }
}

/// Tells hosts that we restarted, until they answer.
pub struct Notifier {
    monitor: Arc<StatusMonitor>,
    caller: Arc<dyn Caller>,
    settings: NotifySettings,
    places: Semaphore,
}

impl Notifier {
    /// Tells hosts by way of `caller`.
    pub fn new(
        monitor: Arc<StatusMonitor>,
        caller: Arc<dyn Caller>,
        settings: NotifySettings,
    ) -> Arc<Self> {
        let places = Semaphore::new(settings.at_once.max(1));
        Arc::new(Self { monitor, caller, settings, places })
    }

    /// Tells each of `hosts` in the background; `told` hears of each one that knows, or that did
    /// not answer for too long.
    pub fn tell(
        self: &Arc<Self>,
        hosts: Vec<Record>,
        told: impl Fn(Record) + Clone + Send + 'static,
    ) {
        for record in hosts {
            let (notifier, told) = (Arc::clone(self), told.clone());
            tokio::spawn(async move {
                if !notifier.tell_one(&record).await {
                    tracing::warn!(host = %name_of(&record).escape_ascii(),
                        "does not answer; it was not told of our restart");
                }
                told(record);
            });
        }
    }

    async fn tell_one(&self, record: &Record) -> bool {
        let mut pauses = self.settings.retry.pauses();
        for attempt in 0_u32.. {
            {
                let Ok(_place) = self.places.acquire().await else { return false };
                if self.attempt(record, attempt).await {
                    return true;
                }
            }
            let Some(pause) = pauses.next() else { return false };
            tokio::time::sleep(pause).await;
        }
        false
    }

    /// Tells a host once, by all names. Attempts go over UDP and TCP in turn, two from the
    /// address that the client knows us by, then two from any: that one may be gone.
    async fn attempt(&self, record: &Record, attempt: u32) -> bool {
        let transport = if attempt.is_multiple_of(2) { Transport::Udp } else { Transport::Tcp };
        let (addresses, local) = match record {
            Record::Client(_) => {
                // A record without addresses could not be told at all.
                let Some(host) = client_of(record) else { return true };
                (vec![host.address], Some(host.local))
            }
            Record::Registration(mon) => (resolve(&mon.id.mon_name).await, None),
        };
        for address in addresses {
            let source = local.filter(|_| attempt % 4 < 2);
            let to = Destination { address, local: source, transport };
            if self.tell_by_all_names(to, record, local).await {
                return true;
            }
        }
        false
    }

    async fn tell_by_all_names(
        &self,
        to: Destination,
        record: &Record,
        local: Option<IpAddr>,
    ) -> bool {
        // The address comes first: a client knows it without asking a name server.
        let address = local.map(|address| Bytes::from(address.to_string()));
        let own_name = match record {
            Record::Registration(mon) => Some(mon.id.my_id.my_name.0.clone()),
            Record::Client(_) => None,
        };
        let own_names = self.settings.names.iter().map(|name| Bytes::from(name.clone()));
        let names = address.into_iter().chain(own_name).chain(own_names);
        let state = self.monitor.state();
        let procedure = (PROGRAM, VERSION, Procedure::Notify as u32);
        for name in names.filter(|name| name.len() <= MAX_NAME) {
            let change = StateChange { mon_name: Opaque(name), state };
            let told = self.caller.call(to, procedure, xdr::to_bytes(&change)).await;
            if let Err(error) = told {
                tracing::debug!(host = %name_of(record).escape_ascii(), address = %to.address,
                    %error, "not told of our restart yet");
                return false;
            }
        }
        true
    }
}

fn name_of(record: &Record) -> &[u8] {
    match record {
        Record::Client(client) => &client.name,
        Record::Registration(mon) => &mon.id.mon_name,
    }
}

/// The addresses of a host; none if its name is unknown.
pub(super) async fn resolve(name: &[u8]) -> Vec<IpAddr> {
    let Ok(name) = std::str::from_utf8(name) else { return Vec::new() };
    if let Ok(address) = name.parse() {
        return vec![address];
    }
    match tokio::net::lookup_host((name, 0)).await {
        Ok(addresses) => addresses.map(|address| address.ip().to_canonical()).collect(),
        Err(error) => {
            tracing::debug!(name, %error, "no such host");
            Vec::new()
        }
    }
}
