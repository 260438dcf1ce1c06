//! TEST_STATEID and FREE_STATEID.

use super::super::context::Compound;
use super::super::protocol::{Outcome, StateId, Status, TestStateIdArgs, TestStateIdOk};

/// Free a stateid.
pub(super) async fn free_state_id(_context: &mut Compound<'_>, _args: StateId) -> Status {
    Status::NotSupp
}

/// Test stateids.
pub(super) async fn test_state_id(
    _context: &mut Compound<'_>,
    _args: TestStateIdArgs,
) -> Outcome<TestStateIdOk> {
    Outcome::Fail(Status::NotSupp)
}
