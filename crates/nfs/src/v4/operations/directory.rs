//! READDIR.

use super::super::context::Compound;
use super::super::protocol::{Outcome, ReadDirArgs, ReadDirOk, Status};

/// Read a directory.
pub(super) async fn read_dir(
    _context: &mut Compound<'_>,
    _args: ReadDirArgs,
) -> Outcome<ReadDirOk> {
    Outcome::Fail(Status::NotSupp)
}
