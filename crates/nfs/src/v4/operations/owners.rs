//! Requests of owners: in minor version 0 each has a seqid, by which a retransmission is told and
//! answered with the reply of the first (RFC 7530 sections 9.1.7 to 9.1.9).

use std::time::Instant;

use standfast_rpc::xdr::{self, Decode};

use super::super::context::Compound;
use super::super::keeper::ServiceState;
use super::super::protocol::{Detail, Detailed, Outcome, StateId, Status};
use super::super::requests::fingerprint;
use super::super::state::{Kept, OwnerReply, OwnerRequest};
use super::Answer;

/// A result that may be a failure, and can be kept.
pub(in super::super) trait Keepable: Answer + Decode {
    /// A failure.
    fn fail(status: Status) -> Self;

    /// The result that was kept.
    fn kept(reply: &Kept) -> Self {
        xdr::from_bytes(&reply.0).unwrap_or_else(|_| Self::fail(Status::ServerFault))
    }
}

impl Keepable for Status {
    fn fail(status: Status) -> Self {
        status
    }
}

impl<T: xdr::Encode + Decode> Keepable for Outcome<T> {
    fn fail(status: Status) -> Self {
        Self::Fail(status)
    }
}

impl<T: xdr::Encode + Decode, D: Detail> Keepable for Detailed<T, D> {
    fn fail(status: Status) -> Self {
        Self::Plain(Outcome::Fail(status))
    }
}

/// Runs what the owner of the state `id` asks.
pub(super) fn run<A: Keepable>(
    context: &mut Compound<'_>,
    id: &StateId,
    seqid: u32,
    operation: impl FnOnce(&mut ServiceState, Instant) -> A,
) -> A {
    if context.minor > 0 {
        return context.once(operation);
    }
    let fingerprint = fingerprint(context.call);
    let (answer, is_replay) =
        context.state(|state, now| match state.state_owner_request(id, seqid, fingerprint, now) {
            Err(status) => (A::fail(status), false),
            Ok(OwnerRequest::Replay(reply)) => (A::kept(&reply), true),
            Ok(OwnerRequest::New(owner)) => {
                let answer = operation(state, now);
                let reply = Kept::from(xdr::to_bytes(&answer));
                let reply = OwnerReply { owner, seqid, fingerprint, reply };
                state.owner_replied(reply, answer.status(), now);
                (answer, false)
            }
        });
    if is_replay {
        context.wait_for_all();
    }
    answer
}
