//! OPEN and what belongs to it: OPEN_CONFIRM, OPEN_DOWNGRADE, CLOSE, DELEGRETURN and DELEGPURGE.

use super::super::context::Compound;
use super::super::protocol::{
    CloseArgs, OpenArgs, OpenConfirmArgs, OpenDowngradeArgs, OpenOk, Outcome, StateId, Status,
};

/// Open a file.
pub(super) async fn open(_context: &mut Compound<'_>, _args: OpenArgs) -> Outcome<OpenOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Confirm an open owner (minor version 0).
pub(super) async fn open_confirm(
    _context: &mut Compound<'_>,
    _args: OpenConfirmArgs,
) -> Outcome<StateId> {
    Outcome::Fail(Status::NotSupp)
}

/// Reduce the access of an open.
pub(super) async fn open_downgrade(
    _context: &mut Compound<'_>,
    _args: OpenDowngradeArgs,
) -> Outcome<StateId> {
    Outcome::Fail(Status::NotSupp)
}

/// Close a file.
pub(super) async fn close(_context: &mut Compound<'_>, _args: CloseArgs) -> Outcome<StateId> {
    Outcome::Fail(Status::NotSupp)
}

/// Give up delegations that await recovery.
pub(super) async fn deleg_purge(_context: &mut Compound<'_>, _args: u64) -> Status {
    Status::NotSupp
}

/// Return a delegation.
pub(super) async fn deleg_return(_context: &mut Compound<'_>, _args: StateId) -> Status {
    Status::NotSupp
}
