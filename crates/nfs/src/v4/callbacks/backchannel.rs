//! The back channel of a session: its connections and its slots (RFC 8881 section 2.10.6).

use std::collections::BTreeMap;

use standfast_rpc::xdr::List;

use super::super::protocol::{
    CallbackArgs, CallbackOperation, CallbackResult, CallbackResults, CallbackSequenceArgs,
    Outcome, Status, Tag,
};
use super::super::state::Connection;
use super::machine::{CallId, Job};
use super::route::SessionRoute;

/// How far the sequence of a slot is looked for, where a former run of the server used it.
const SEARCH: u32 = 4096;

/// A connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Whether it carries calls is being tried.
    Tried(CallId),
    /// It carries calls.
    Up,
}

#[derive(Debug)]
enum Use {
    Free,
    Busy,
    /// The call was sent and its answer is lost: it must be sent again with the same sequence. No
    /// job: a mere CB_SEQUENCE.
    InDoubt(Option<Job>),
}

#[derive(Debug)]
struct Slot {
    sequence: u32,
    /// Whether the client is known to expect this sequence. Sequences are not journaled; that of a
    /// session which a former run used is looked for.
    is_settled: bool,
    state: Use,
}

impl Slot {
    fn new() -> Self {
        Self { sequence: 1, is_settled: false, state: Use::Free }
    }
}

/// The back channel of a session.
#[derive(Debug)]
pub(super) struct BackChannel {
    route: SessionRoute,
    slots: Vec<Slot>,
    /// Slots that the client wants to be used.
    usable: usize,
    lines: BTreeMap<Connection, Line>,
    has_fault: bool,
}

/// A call on a slot.
#[derive(Debug)]
pub(super) struct SlotCall {
    pub(super) slot: usize,
    pub(super) over: Connection,
    /// What it says; nothing but CB_SEQUENCE to learn or to settle a sequence.
    pub(super) job: Option<Job>,
    pub(super) compound: CallbackArgs,
}

/// What the results of a call on a slot come to.
#[derive(Debug)]
pub(super) enum Settled {
    /// The callback was run, with this result.
    Ran(Option<Job>, Option<CallbackResult>),
    /// It was not run, and may be sent again now.
    NotRun(Option<Job>),
    /// It was not run, and should be sent again later.
    Later(Option<Job>),
    /// Callbacks of this session make no sense any more.
    Fault(Option<Job>),
}

impl BackChannel {
    pub(super) fn new(route: SessionRoute) -> Self {
        let slots: Vec<Slot> = (0..route.slots).map(|_| Slot::new()).collect();
        let usable = slots.len();
        Self { route, slots, usable, lines: BTreeMap::new(), has_fault: false }
    }

    /// Takes what the state says now; gives the connections that are new.
    pub(super) fn update(&mut self, route: SessionRoute) -> Vec<Connection> {
        let is_other =
            (route.program, &route.security) != (self.route.program, &self.route.security);
        if is_other {
            self.has_fault = false;
            self.lines.clear();
        }
        self.lines.retain(|line, _| route.connections.contains(line));
        let is_new = |line: &&Connection| !self.lines.contains_key(line);
        let new = route.connections.iter().filter(is_new).copied().collect();
        self.route = route;
        new
    }

    pub(super) fn route(&self) -> &SessionRoute {
        &self.route
    }

    pub(super) fn set_line(&mut self, connection: Connection, line: Line) {
        self.lines.insert(connection, line);
    }

    /// A connection does not carry calls, or is gone.
    pub(super) fn drop_line(&mut self, connection: Connection) -> bool {
        self.lines.remove(&connection).is_some()
    }

    /// Whether an answer is lost, so that a call must be sent again.
    pub(super) fn has_doubts(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, Use::InDoubt(_)))
    }

    pub(super) fn line(&self, connection: Connection) -> Option<Line> {
        self.lines.get(&connection).copied()
    }

    fn up_line(&self) -> Option<Connection> {
        let mut up = self.lines.iter().filter(|(_, line)| **line == Line::Up);
        up.next().map(|(connection, _)| *connection)
    }

    /// Whether a callback would reach the client.
    pub(super) fn reaches(&self) -> bool {
        !self.has_fault && !self.slots.is_empty() && self.up_line().is_some()
    }

    pub(super) fn set_fault(&mut self) {
        self.has_fault = true;
    }

    /// The next call that can be made: one whose answer was lost, one that settles a slot, or that
    /// of a job that `take` gives.
    pub(super) fn next_call(&mut self, take: impl FnOnce() -> Option<Job>) -> Option<SlotCall> {
        if self.has_fault {
            return None;
        }
        let over = self.up_line()?;
        let in_doubt = |slot: &Slot| matches!(slot.state, Use::InDoubt(_));
        let in_use = &self.slots[..self.usable.min(self.slots.len())];
        let is_settling = in_use.iter().any(|it| !it.is_settled && matches!(it.state, Use::Busy));
        let is_free =
            |slot: &Slot| matches!(slot.state, Use::Free) && (slot.is_settled || !is_settling);
        let slot =
            self.slots.iter().position(in_doubt).or_else(|| in_use.iter().position(is_free))?;
        let chosen = &mut self.slots[slot];
        let job = match std::mem::replace(&mut chosen.state, Use::Free) {
            Use::InDoubt(job) => job,
            // A job is taken only once the sequence is known: what a client answers from its
            // cache looks like the answer to the job.
            _ if chosen.is_settled => Some(take()?),
            _ => None,
        };
        chosen.state = Use::Busy;
        let compound = self.compound(slot, job.as_ref());
        Some(SlotCall { slot, over, job, compound })
    }

    fn compound(&self, slot: usize, job: Option<&Job>) -> CallbackArgs {
        let busy = |slot: &Slot| !matches!(slot.state, Use::Free);
        let highest = self.slots.iter().rposition(busy).unwrap_or(slot);
        let sequence = CallbackOperation::Sequence(CallbackSequenceArgs {
            session: self.route.id,
            sequence: self.slots[slot].sequence,
            slot: slot as u32,
            highest_slot: highest as u32,
            cache_this: false,
            referring: List(Vec::new()),
        });
        let own = job.map(|job| job.callback.operation());
        CallbackArgs {
            tag: Tag::default(),
            minor: self.route.minor,
            ident: 0,
            operations: List([Some(sequence), own].into_iter().flatten().collect()),
        }
    }

    /// The answer to the call of a slot is lost: it is sent again as soon as a connection is
    /// there.
    pub(super) fn lost(&mut self, slot: usize, job: Option<Job>) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.state = Use::InDoubt(job);
        }
    }

    /// The call of a slot was refused before the slot was looked at.
    pub(super) fn refused(&mut self, slot: usize) {
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.state = Use::Free;
        }
    }

    /// Takes the results of the call of a slot.
    pub(super) fn settle(
        &mut self,
        number: usize,
        job: Option<Job>,
        results: CallbackResults,
    ) -> Settled {
        let mut results = results.results.0.into_iter();
        let (first, own) = (results.next(), results.next());
        let Some(slot) = self.slots.get_mut(number) else { return Settled::Fault(job) };
        slot.state = Use::Free;
        match first {
            Some(CallbackResult::Sequence(Outcome::Ok(ok))) => {
                let expected = (self.route.id, slot.sequence, number as u32);
                if (ok.session, ok.sequence, ok.slot) != expected {
                    return Settled::Fault(job);
                }
                slot.sequence = slot.sequence.wrapping_add(1);
                slot.is_settled = true;
                self.usable = (ok.target_highest_slot as usize).saturating_add(1);
                Settled::Ran(job, own)
            }
            Some(CallbackResult::Sequence(Outcome::Fail(status))) => {
                self.settle_refused(number, job, status)
            }
            _ => Settled::Fault(job),
        }
    }

    fn settle_refused(&mut self, number: usize, job: Option<Job>, status: Status) -> Settled {
        let slot = &mut self.slots[number];
        match status {
            Status::Delay => Settled::Later(job),
            // It ran, and the answer of then was lost.
            Status::RetryUncachedRep if slot.is_settled => {
                slot.sequence = slot.sequence.wrapping_add(1);
                Settled::Ran(job, None)
            }
            Status::RetryUncachedRep | Status::SeqFalseRetry | Status::SeqMisordered
                if !slot.is_settled && slot.sequence < SEARCH =>
            {
                slot.sequence += 1;
                Settled::NotRun(job)
            }
            Status::BadSlot | Status::BadHighSlot if number > 0 => {
                self.usable = number;
                Settled::NotRun(job)
            }
            _ => Settled::Fault(job),
        }
    }

    /// What waits on slots, for a session that is no more.
    pub(super) fn into_jobs(self) -> impl Iterator<Item = Job> {
        self.slots.into_iter().filter_map(|slot| match slot.state {
            Use::InDoubt(job) => job,
            Use::Free | Use::Busy => None,
        })
    }
}
