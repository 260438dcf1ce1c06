//! The machine by itself: scenes, and a simulation with clients, networks and servers that fail.

mod scenes;
mod sender;
mod simulation;

use std::time::{Duration, Instant};

use standfast_rpc::xdr::List;

use super::super::protocol::{
    CallbackArgs, CallbackOperation, CallbackResult, CallbackResults, CallbackSecurity,
    CallbackSequenceOk, Outcome, SessionId, StateId, StateOwner, Status, Tag,
};
use super::super::state::Connection;
use super::*;

const SESSION: SessionId = [7; 16];
const SECOND: Duration = Duration::from_secs(1);

fn session(connections: &[u64]) -> Route {
    Route::Sessions(vec![SessionRoute {
        id: SESSION,
        minor: 1,
        program: 0x4000_0000,
        security: CallbackSecurity::None,
        slots: 2,
        connections: connections.iter().map(|number| Connection(*number)).collect(),
    }])
}

fn dial() -> Route {
    let address = Some(([192, 0, 2, 1], 700).into());
    Route::Dial(DialRoute { address, program: 0x4000_0000, ident: 9 })
}

fn recall(number: u8) -> Callback {
    let delegation = StateId { seqid: 1, other: [number; 12] };
    Callback::Recall { delegation, file: vec![number].into() }
}

fn notify(number: u8) -> Callback {
    let owner = StateOwner { client: 1, name: vec![number].into() };
    Callback::NotifyLock { file: vec![number].into(), owner }
}

/// The recall that a compound carries, by its number.
fn recalled(compound: &CallbackArgs) -> Option<u8> {
    compound.operations.0.iter().find_map(|operation| match operation {
        CallbackOperation::Recall(recall) => Some(recall.stateid.other[0]),
        _ => None,
    })
}

fn results(results: Vec<CallbackResult>) -> Answer {
    let status = match results.last() {
        Some(
            CallbackResult::Recall(status)
            | CallbackResult::NotifyLock(status)
            | CallbackResult::Sequence(Outcome::Fail(status)),
        ) => *status,
        _ => Status::Ok,
    };
    Answer::Results(CallbackResults { status, tag: Tag::default(), results: List(results) })
}

/// CB_SEQUENCE as it was asked for.
fn sequenced(compound: &CallbackArgs) -> CallbackResult {
    match compound.operations.0.first() {
        Some(CallbackOperation::Sequence(it)) => {
            CallbackResult::Sequence(Outcome::Ok(CallbackSequenceOk {
                session: it.session,
                sequence: it.sequence,
                slot: it.slot,
                highest_slot: 1,
                target_highest_slot: 1,
            }))
        }
        other => panic!("no CB_SEQUENCE: {other:?}"),
    }
}
