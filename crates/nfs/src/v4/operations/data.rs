//! READ, WRITE and COMMIT.

use super::super::context::Compound;
use super::super::protocol::{
    CommitArgs, Outcome, ReadArgs, ReadOk, Status, Verifier, WriteArgs, WriteOk,
};

/// Read.
pub(super) async fn read(_context: &mut Compound<'_>, _args: ReadArgs) -> Outcome<ReadOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Write.
pub(super) async fn write(_context: &mut Compound<'_>, _args: WriteArgs) -> Outcome<WriteOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Make data stable.
pub(super) async fn commit(_context: &mut Compound<'_>, _args: CommitArgs) -> Outcome<Verifier> {
    Outcome::Fail(Status::NotSupp)
}
