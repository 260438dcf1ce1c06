//! TEST_STATEID and FREE_STATEID.

use standfast_rpc::xdr::List;

use super::super::context::Compound;
use super::super::protocol::{Outcome, StateId, Status, TestStateIdArgs, TestStateIdOk};
use super::plain;

/// FREE_STATEID (RFC 8881 section 18.38).
pub(super) async fn free_state_id(context: &mut Compound<'_>, id: StateId) -> Status {
    let Some(client) = context.client() else { return Status::OpNotInSession };
    let id = match context.stateid(id) {
        Ok(id) => id,
        Err(status) => return status,
    };
    context.once(|state, now| plain(state.free_state(client, &id, now)))
}

/// TEST_STATEID (RFC 8881 section 18.48).
pub(super) async fn test_state_id(
    context: &mut Compound<'_>,
    args: TestStateIdArgs,
) -> Outcome<TestStateIdOk> {
    let Some(client) = context.client() else { return Outcome::Fail(Status::OpNotInSession) };
    let statuses = context
        .nfs
        .keeper
        .look(|state| args.ids.0.iter().map(|id| state.test_state(client, id)).collect::<Vec<_>>());
    Outcome::Ok(TestStateIdOk { statuses: List(statuses) })
}
