//! The steps of requests that are not answered yet, where they outlive the process.
//!
//! Each step has a place in a [`StepStore`]; it goes when the reply to its request is durable. A
//! place is written before the filesystem is touched, and again, with what became of it, before
//! the names are unlocked. So whatever moment the process ends at, either the outcome is noted, or
//! nobody else has touched the names since, and what is there tells.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use standfast_rpc::reply_cache::RequestKey;
use standfast_rpc::xdr;

use super::record::{
    CallRecord, Intent, NotedStep, Outcome, RequestRecord, SlotRecord, StepFormat,
};
use super::steps::Steps;
use crate::v4::protocol::SessionId;

/// Longest encoded step, in bytes.
pub const MAX_STEP_BYTES: usize = 2032;

/// Most places.
const MAX_PLACES: u32 = 1 << 16;

/// How long a request that was under way at the end of the server may take to come again.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Where steps are kept, each in its place.
pub trait StepStore: Send + Sync + 'static {
    /// Puts a step, of [`MAX_STEP_BYTES`] at most, in the place of what was there. When it returns
    /// the step outlives this process; the loss of power it need not outlive.
    ///
    /// # Errors
    /// It was not put there.
    fn put(&self, place: u32, step: &[u8]) -> io::Result<()>;
}

/// What tells a request from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestName {
    /// A call of a protocol without sessions.
    Call(RequestKey),
    /// A request in a session.
    InSlot {
        /// The session.
        session: SessionId,
        /// The slot.
        slot: u32,
        /// Of the request.
        sequence: u32,
    },
}

impl From<&RequestName> for RequestRecord {
    fn from(name: &RequestName) -> Self {
        match *name {
            RequestName::Call(RequestKey { client, xid, length, checksum }) => {
                let client = match client {
                    IpAddr::V4(address) => address.to_ipv6_mapped(),
                    IpAddr::V6(address) => address,
                };
                let (client, length) = (client.octets(), length as u64);
                Self::Call(CallRecord { client, xid, length, checksum })
            }
            RequestName::InSlot { session, slot, sequence } => {
                Self::InSlot(SlotRecord { session, slot, sequence })
            }
        }
    }
}

impl From<&RequestRecord> for RequestName {
    fn from(record: &RequestRecord) -> Self {
        match *record {
            RequestRecord::Call(CallRecord { client, xid, length, checksum }) => {
                let client = IpAddr::from(Ipv6Addr::from(client)).to_canonical();
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                Self::Call(RequestKey { client, xid, length, checksum })
            }
            RequestRecord::InSlot(SlotRecord { session, slot, sequence }) => {
                Self::InSlot { session, slot, sequence }
            }
        }
    }
}

/// The steps of requests that are not answered yet. Without a store it notes nothing.
#[derive(Default)]
pub struct Calls(OnceLock<Noted>);

struct Noted {
    store: Arc<dyn StepStore>,
    epoch: u64,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    free: Vec<u32>,
    /// Places that were ever used.
    used: u32,
    /// The number of the next step.
    serial: u64,
    requests: HashMap<RequestName, Vec<Known>>,
}

struct Known {
    place: u32,
    step: NotedStep,
}

fn clock() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Calls {
    /// Takes the steps of earlier epochs whose requests are not answered, in any order, and puts
    /// them into `store`, with all that follow.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn keep(
        &self,
        store: Arc<dyn StepStore>,
        epoch: u64,
        steps: Vec<NotedStep>,
    ) -> io::Result<()> {
        let mut table = Table::default();
        for mut step in latest(steps) {
            let place = table.take_place().ok_or(io::ErrorKind::StorageFull)?;
            (step.epoch, step.serial) = (epoch, table.next_serial());
            store.put(place, &xdr::to_bytes(&step))?;
            let name = RequestName::from(&step.request);
            table.requests.entry(name).or_default().push(Known { place, step });
        }
        let _already = self.0.set(Noted { store, epoch, table: Mutex::new(table) });
        Ok(())
    }

    /// What of a request is known.
    pub(crate) fn steps(&self, name: &RequestName) -> Steps {
        let Some(noted) = self.0.get() else { return Steps::default() };
        let table = noted.table.lock();
        let known = table.requests.get(name).into_iter().flatten();
        Steps::of_noted(known.map(|known| &known.step))
    }

    /// An operation begins. With `is_noted`, what it is about to do is noted here; else it is
    /// elsewhere.
    ///
    /// # Errors
    /// It could not be noted: the operation must not be run.
    pub(crate) fn begin(
        self: &Arc<Self>,
        name: RequestName,
        position: u32,
        intent: Intent,
        is_noted: bool,
    ) -> io::Result<Ongoing> {
        let calls = Arc::clone(self);
        let Some(noted) = self.0.get() else { return Ok(Ongoing { calls, begun: None }) };
        let (place, step) = {
            let mut table = noted.table.lock();
            let serial = table.next_serial();
            let step = NotedStep {
                format: StepFormat::One,
                epoch: noted.epoch,
                serial,
                begun: clock().as_secs(),
                request: (&name).into(),
                position,
                intent,
                outcome: None,
            };
            let place = table.place_of(&name, &step).ok_or(io::ErrorKind::StorageFull)?;
            (place, step)
        };
        if is_noted {
            let step = xdr::to_bytes(&step);
            if step.len() > MAX_STEP_BYTES {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            noted.store.put(place, &step)?;
        }
        Ok(Ongoing { calls, begun: Some((name, place, step)) })
    }

    /// The reply to a request is durable, or need not be: its steps are not needed any more.
    pub fn end(&self, name: &RequestName) {
        let Some(noted) = self.0.get() else { return };
        let mut table = noted.table.lock();
        let Some(known) = table.requests.remove(name) else { return };
        table.free.extend(known.iter().map(|known| known.place));
    }

    /// How many requests have steps here.
    pub fn len(&self) -> usize {
        self.0.get().map_or(0, |noted| noted.table.lock().requests.len())
    }

    /// Whether no request has any.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets requests that did not come again.
    pub(crate) fn sweep(&self) {
        let Some(noted) = self.0.get() else { return };
        let old: Vec<_> = {
            let table = noted.table.lock();
            let old = |known: &Known| is_old(&known.step);
            let names = table.requests.iter();
            names.filter(|(_, known)| known.iter().all(old)).map(|(name, _)| *name).collect()
        };
        old.iter().for_each(|name| self.end(name));
    }
}

fn is_old(step: &NotedStep) -> bool {
    clock().saturating_sub(Duration::from_secs(step.begun)) > MAX_AGE
}

/// The last step of each operation, in the order in which they were made.
fn latest(mut steps: Vec<NotedStep>) -> Vec<NotedStep> {
    steps.sort_by_key(|step| (step.epoch, step.serial, step.outcome.is_some()));
    let mut latest: Vec<NotedStep> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for step in steps.into_iter().rev() {
        if !is_old(&step) && seen.insert((RequestName::from(&step.request), step.position)) {
            latest.push(step);
        }
    }
    latest.reverse();
    latest
}

impl Table {
    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    fn take_place(&mut self) -> Option<u32> {
        if let Some(place) = self.free.pop() {
            return Some(place);
        }
        let place = Some(self.used).filter(|place| *place < MAX_PLACES)?;
        self.used += 1;
        Some(place)
    }

    /// The place of a step, which takes that of an earlier run of the same operation.
    fn place_of(&mut self, name: &RequestName, step: &NotedStep) -> Option<u32> {
        let known = self.requests.get_mut(name).into_iter().flatten();
        if let Some(known) = known.into_iter().find(|it| it.step.position == step.position) {
            known.step = step.clone();
            return Some(known.place);
        }
        let place = self.take_place()?;
        self.requests.entry(*name).or_default().push(Known { place, step: step.clone() });
        Some(place)
    }
}

/// An operation under way.
#[must_use = "what becomes of it is to be noted before the names are unlocked"]
pub(crate) struct Ongoing {
    calls: Arc<Calls>,
    begun: Option<(RequestName, u32, NotedStep)>,
}

impl Ongoing {
    /// Notes what became of it. The names are still locked.
    pub(crate) fn end(self, outcome: Outcome) {
        let Some(noted) = self.calls.0.get() else { return };
        let Some((name, place, mut step)) = self.begun else { return };
        step.outcome = Some(outcome);
        let mut table = noted.table.lock();
        let known = table.requests.get_mut(&name).into_iter().flatten();
        let Some(known) = known.into_iter().find(|known| known.place == place) else { return };
        known.step = step.clone();
        drop(table);
        if let Err(error) = noted.store.put(place, &xdr::to_bytes(&step)) {
            tracing::warn!(%error, "what became of an operation is not noted: should the server \
                die before it is answered, the filesystem is asked");
        }
    }
}
