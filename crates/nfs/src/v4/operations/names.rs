//! Operations on names: LOOKUP, LOOKUPP, READLINK, CREATE, REMOVE, RENAME and LINK.

use super::super::context::Compound;
use super::super::protocol::{
    ChangeInfo, CreateArgs, CreateOk, NameArgs, Outcome, ReadLinkOk, RenameArgs, RenameOk, Status,
};

/// Create what is not a regular file.
pub(super) async fn create(_context: &mut Compound<'_>, _args: CreateArgs) -> Outcome<CreateOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Make a hard link.
pub(super) async fn link(_context: &mut Compound<'_>, _args: NameArgs) -> Outcome<ChangeInfo> {
    Outcome::Fail(Status::NotSupp)
}

/// Look a name up.
pub(super) async fn lookup(_context: &mut Compound<'_>, _args: NameArgs) -> Status {
    Status::NotSupp
}

/// Go to the parent directory.
pub(super) async fn lookup_parent(_context: &mut Compound<'_>) -> Status {
    Status::NotSupp
}

/// Read a symbolic link.
pub(super) async fn read_link(_context: &mut Compound<'_>) -> Outcome<ReadLinkOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Remove a name.
pub(super) async fn remove(_context: &mut Compound<'_>, _args: NameArgs) -> Outcome<ChangeInfo> {
    Outcome::Fail(Status::NotSupp)
}

/// Rename.
pub(super) async fn rename(_context: &mut Compound<'_>, _args: RenameArgs) -> Outcome<RenameOk> {
    Outcome::Fail(Status::NotSupp)
}
