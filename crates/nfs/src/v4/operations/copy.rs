//! Copies inside the server: COPY, CLONE, OFFLOAD_STATUS and OFFLOAD_CANCEL.

use super::super::context::Compound;
use super::super::protocol::{
    CloneArgs, CopyArgs, CopyOk, CopyRequirements, Detailed, OffloadStatusOk, Outcome, StateId,
    Status,
};

/// Copy inside the server.
pub(super) async fn copy(
    _context: &mut Compound<'_>,
    _args: CopyArgs,
) -> Detailed<CopyOk, CopyRequirements> {
    Detailed::Plain(Outcome::Fail(Status::NotSupp))
}

/// Cancel a copy.
pub(super) async fn offload_cancel(_context: &mut Compound<'_>, _args: StateId) -> Status {
    Status::NotSupp
}

/// Ask for a copy.
pub(super) async fn offload_status(
    _context: &mut Compound<'_>,
    _args: StateId,
) -> Outcome<OffloadStatusOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Clone blocks.
pub(super) async fn clone(_context: &mut Compound<'_>, _args: CloneArgs) -> Status {
    Status::NotSupp
}
