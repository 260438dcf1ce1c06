//! Byte-range locks: LOCK, LOCKT, LOCKU and RELEASE_LOCKOWNER.

use super::super::context::Compound;
use super::super::protocol::{
    Detailed, LockArgs, LockDenied, LockTestArgs, Outcome, StateId, StateOwner, Status, UnlockArgs,
};

/// Lock bytes.
pub(super) async fn lock(
    _context: &mut Compound<'_>,
    _args: LockArgs,
) -> Detailed<StateId, LockDenied> {
    Detailed::Plain(Outcome::Fail(Status::NotSupp))
}

/// Test for a lock.
pub(super) async fn lock_test(
    _context: &mut Compound<'_>,
    _args: LockTestArgs,
) -> Detailed<(), LockDenied> {
    Detailed::Plain(Outcome::Fail(Status::NotSupp))
}

/// Unlock bytes.
pub(super) async fn unlock(_context: &mut Compound<'_>, _args: UnlockArgs) -> Outcome<StateId> {
    Outcome::Fail(Status::NotSupp)
}

/// Forget a lock owner (minor version 0).
pub(super) async fn release_lock_owner(_context: &mut Compound<'_>, _args: StateOwner) -> Status {
    Status::NotSupp
}
