//! Sessions: SEQUENCE, CREATE_SESSION, DESTROY_SESSION, BIND_CONN_TO_SESSION and
//! BACKCHANNEL_CTL.

use bytes::Bytes;

use super::super::context::Compound;
use super::super::protocol::{
    BackchannelCtlArgs, BindConnectionArgs, BindConnectionOk, CreateSessionArgs, CreateSessionOk,
    Outcome, SequenceArgs, SessionId, Status,
};
use super::super::state::Sequenced;

/// Set up callbacks.
pub(super) async fn backchannel_ctl(
    _context: &mut Compound<'_>,
    _args: BackchannelCtlArgs,
) -> Status {
    Status::NotSupp
}

/// Bind the connection.
pub(super) async fn bind_conn_to_session(
    _context: &mut Compound<'_>,
    _args: BindConnectionArgs,
) -> Outcome<BindConnectionOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Create a session.
pub(super) async fn create_session(
    _context: &mut Compound<'_>,
    _args: CreateSessionArgs,
) -> Outcome<CreateSessionOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Destroy a session.
pub(super) async fn destroy_session(_context: &mut Compound<'_>, _args: SessionId) -> Status {
    Status::NotSupp
}

/// SEQUENCE: finds the session and fills [`Compound::session`].
///
/// # Errors
/// Those of `State::sequence`; `TOO_MANY_OPS`, `REQ_TOO_BIG`.
pub(in super::super) async fn sequence(
    _context: &mut Compound<'_>,
    _args: SequenceArgs,
) -> Result<Sequenced, Status> {
    Err(Status::NotSupp)
}

/// The end of a COMPOUND: `reply` gives what is kept of it for a retransmission. The caller waits
/// until it is durable.
pub(in super::super) fn finish(_context: &mut Compound<'_>, _reply: impl FnOnce() -> Bytes) {}
