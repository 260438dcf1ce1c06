//! Space and holes: ALLOCATE, DEALLOCATE, SEEK, READ_PLUS and IO_ADVISE.

use super::super::context::Compound;
use super::super::protocol::{
    Bitmap, IoAdviseArgs, Outcome, ReadArgs, ReadPlusOk, SeekArgs, SeekOk, SpaceArgs, Status,
};

/// Reserve space.
pub(super) async fn allocate(_context: &mut Compound<'_>, _args: SpaceArgs) -> Status {
    Status::NotSupp
}

/// Punch a hole.
pub(super) async fn deallocate(_context: &mut Compound<'_>, _args: SpaceArgs) -> Status {
    Status::NotSupp
}

/// Hints about access.
pub(super) async fn io_advise(_context: &mut Compound<'_>, _args: IoAdviseArgs) -> Outcome<Bitmap> {
    Outcome::Fail(Status::NotSupp)
}

/// Read, with holes.
pub(super) async fn read_plus(_context: &mut Compound<'_>, _args: ReadArgs) -> Outcome<ReadPlusOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Look for data or a hole.
pub(super) async fn seek(_context: &mut Compound<'_>, _args: SeekArgs) -> Outcome<SeekOk> {
    Outcome::Fail(Status::NotSupp)
}
