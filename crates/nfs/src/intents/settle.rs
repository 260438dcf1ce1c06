//! After a start: what became of all that was under way when the server died.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use standfast_rpc::reply_cache::RequestKey;
use standfast_rpc::xdr;

use super::calls::{RequestName, StepStore};
use super::look::outcome;
use super::record::{Intended, NotedStep, Outcome, Settled, Step};
use super::steps::Steps;
use crate::service::Service;
use crate::v4::keeper::{Keeper, Pending};
use crate::v4::state::{IntentRecord, Kept, SlotName};

/// What the last run of the server left, and where this one notes its own.
pub struct LastRun {
    /// Where steps are noted from now on.
    pub store: Arc<dyn StepStore>,
    /// The epoch that they are noted in.
    pub epoch: u64,
    /// What was in the stores of earlier epochs.
    pub steps: Vec<Bytes>,
    /// The calls whose replies are known.
    pub answered: HashSet<RequestKey>,
}

/// After a start, before anything is served: finds out what became of all operations that were
/// under way when the server died. Blocks. Where an export is not there, its operations are looked
/// at when they come again.
///
/// # Errors
/// Those of the store.
pub fn settle(service: &Service, keeper: &Keeper, last: LastRun) -> io::Result<Pending> {
    let LastRun { store, epoch, steps, answered } = last;
    // What cannot be read was being written when the power was cut, or by a later version.
    let steps: Vec<NotedStep> =
        steps.iter().filter_map(|step| xdr::from_bytes(step).ok()).collect();
    let is_call = |step: &NotedStep| match RequestName::from(&step.request) {
        RequestName::Call(key) => !answered.contains(&key),
        RequestName::InSlot { .. } => false,
    };
    let (mut calls, marks): (Vec<_>, Vec<_>) = steps.into_iter().partition(is_call);
    settle_calls(service, keeper, &mut calls);
    let pending = settle_slots(service, keeper, &marks);
    service.calls().keep(store, epoch, calls)?;
    Ok(pending)
}

fn settle_calls(service: &Service, keeper: &Keeper, calls: &mut [NotedStep]) {
    let last = |calls: &[NotedStep], step: &NotedStep| {
        calls.iter().filter(|it| it.request == step.request).map(|it| it.position).max()
    };
    for index in 0..calls.len() {
        let step = &calls[index];
        if step.outcome.is_none() {
            let is_followed = last(calls, step) > Some(step.position);
            let found = outcome(service, keeper, &step.intent);
            calls[index].outcome = found.map(|found| followed(found, is_followed));
        }
    }
}

/// An operation that another one followed was successful, whatever that other one made of it.
fn followed(outcome: Outcome, is_followed: bool) -> Outcome {
    Outcome { happened: outcome.happened || is_followed, ..outcome }
}

fn settle_slots(service: &Service, keeper: &Keeper, marks: &[NotedStep]) -> Pending {
    let mut pending = Pending::none();
    let unfinished = keeper.look(|state| {
        let steps = |(name, records): (SlotName, &[IntentRecord])| {
            Some((name, records.last()?.sequence, records.to_vec()))
        };
        state.unfinished().filter_map(steps).collect::<Vec<_>>()
    });
    for (name, sequence, records) in unfinished {
        let steps = Steps::of_records(&records);
        let SlotName { session, slot } = name;
        let request = RequestName::InSlot { session, slot, sequence };
        for Intended { position, intent } in steps.open() {
            let noted = |step: &&NotedStep| {
                step.position == position
                    && step.intent == intent
                    && RequestName::from(&step.request) == request
            };
            let noted = marks.iter().rev().find(noted).and_then(|step| step.outcome.clone());
            let found = noted.or_else(|| outcome(service, keeper, &intent));
            let Some(found) = found else { continue };
            let Outcome { happened, object } = followed(found, steps.is_followed(position));
            let step = Step::Settled(Settled { position, happened, object });
            let step = Kept::from(xdr::to_bytes(&step));
            pending.join(keeper.with(|state, now| state.settle(name, step, now)).1);
        }
    }
    pending
}
