//! OPEN.

use super::super::context::Compound;
use super::super::protocol::{OpenArgs, OpenOk, Outcome, Status};

/// Open a file.
pub(super) async fn open(_context: &mut Compound<'_>, _args: OpenArgs) -> Outcome<OpenOk> {
    Outcome::Fail(Status::NotSupp)
}
