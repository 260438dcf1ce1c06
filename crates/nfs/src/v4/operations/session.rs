//! Sessions: SEQUENCE, CREATE_SESSION, DESTROY_SESSION, BIND_CONN_TO_SESSION and
//! BACKCHANNEL_CTL.

use bytes::Bytes;

use super::super::context::{Compound, InSession};
use super::super::protocol::{
    BackchannelCtlArgs, BindConnectionArgs, BindConnectionOk, CreateSessionArgs, CreateSessionOk,
    Outcome, SequenceArgs, SessionId, Status,
};
use super::super::requests::{principal, request_id};
use super::super::state::{Kept, Sequenced, SlotName};
use super::plain;
use crate::intents::Steps;

/// Bytes of the result of SEQUENCE.
const SEQUENCE_RESULT: usize = 44;

/// BACKCHANNEL_CTL (RFC 8881 section 18.33).
pub(super) async fn backchannel_ctl(
    context: &mut Compound<'_>,
    args: BackchannelCtlArgs,
) -> Status {
    let Some(InSession { name, client, .. }) = context.session else {
        return Status::OpNotInSession;
    };
    let result = context.state(|state, now| state.set_callbacks(&name.session, &args, now));
    context.nfs.keeper.callbacks_changed(client);
    plain(result)
}

/// BIND_CONN_TO_SESSION (RFC 8881 section 18.34).
pub(super) async fn bind_conn_to_session(
    context: &mut Compound<'_>,
    args: BindConnectionArgs,
) -> Outcome<BindConnectionOk> {
    let BindConnectionArgs { session, direction, .. } = args;
    let connection = context.nfs.keeper.connection(context.call);
    let bound = context.state(|state, now| {
        let granted = state.bind_connection(&session, direction, connection, now)?;
        Ok((granted, state.session(&session)?.client))
    });
    let bound = bound.map(|(direction, client)| {
        context.nfs.keeper.callbacks_changed(client);
        BindConnectionOk { session, direction, rdma: false }
    });
    bound.into()
}

/// CREATE_SESSION (RFC 8881 section 18.36).
pub(super) async fn create_session(
    context: &mut Compound<'_>,
    args: CreateSessionArgs,
) -> Outcome<CreateSessionOk> {
    let (principal, minor) = (principal(context.call), context.minor);
    let connection = context.nfs.keeper.connection(context.call);
    let outcome =
        context.state(|state, now| state.create_session(&args, minor, &principal, connection, now));
    // It may be the answer to an earlier transmission.
    context.wait_for_all();
    context.nfs.keeper.callbacks_changed(args.client);
    outcome
}

/// DESTROY_SESSION (RFC 8881 section 18.37).
pub(super) async fn destroy_session(context: &mut Compound<'_>, session: SessionId) -> Status {
    let own = context.session.filter(|own| own.name.session == session);
    if own.is_some() && context.position + 1 < context.count {
        return Status::NotOnlyOp;
    }
    let by = own.map(|own| own.name.slot);
    let destroyed = context.state(|state, now| {
        let client = state.session(&session)?.client;
        state.destroy_session(&session, by, now).map(|()| client)
    });
    plain(destroyed.map(|client| context.nfs.keeper.callbacks_changed(client)))
}

/// SEQUENCE (RFC 8881 section 18.46): finds the session and fills [`Compound::session`].
///
/// # Errors
/// Those of `State::sequence`; `TOO_MANY_OPS`, `REQ_TOO_BIG`.
pub(in super::super) async fn sequence(
    context: &mut Compound<'_>,
    args: SequenceArgs,
) -> Result<Sequenced, Status> {
    let id = request_id(&context.nfs.keeper, context.call);
    let (count, size) = (context.count, context.call.arguments.len());
    let reply = context.used + SEQUENCE_RESULT;
    let (session, sequenced) = context.state(|state, now| {
        let record = state.session(&args.session)?;
        let fore = &record.fore;
        if count > fore.max_operations {
            return Err(Status::TooManyOps);
        }
        if size > fore.max_request as usize {
            return Err(Status::ReqTooBig);
        }
        if reply > fore.max_response as usize {
            return Err(Status::RepTooBig);
        }
        if args.cache_this && reply > fore.max_response_cached as usize {
            return Err(Status::RepTooBigToCache);
        }
        let session = InSession {
            name: SlotName { session: args.session, slot: args.slot },
            sequence: args.sequence,
            client: record.client,
            keep_reply: args.cache_this,
            max_reply: fore.max_response as usize,
            max_kept: fore.max_response_cached as usize,
        };
        Ok((session, state.sequence(&args, id, now)?))
    })?;
    match &sequenced {
        Sequenced::New(_) => context.session = Some(session),
        Sequenced::Unfinished(_, steps) => {
            context.session = Some(session);
            context.steps = Steps::of_records(steps);
            // Its end must be written down whatever it does now.
            context.changed = true;
        }
        // What the first transmission did must be durable before this one tells.
        Sequenced::Replay(_) | Sequenced::Uncached(_) => context.wait_for_all(),
    }
    Ok(sequenced)
}

/// The end of a COMPOUND: `reply` gives what is kept of it for a retransmission. The caller waits
/// until it is durable.
pub(in super::super) fn finish(context: &mut Compound<'_>, reply: impl FnOnce() -> Bytes) {
    let Some(session) = context.session else { return };
    let changed = context.changed;
    let is_kept = changed || session.keep_reply;
    let reply = is_kept.then(|| Kept::from(reply()));
    context.state(|state, now| state.finish(session.name, reply, changed, now));
}
