//! SECINFO and SECINFO_NO_NAME.

use super::super::context::Compound;
use super::super::protocol::{NameArgs, Outcome, SecInfoOk, SecInfoStyle, Status};

/// Get the security flavors of a name.
pub(super) async fn sec_info(_context: &mut Compound<'_>, _args: NameArgs) -> Outcome<SecInfoOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Get the security flavors of a file handle.
pub(super) async fn sec_info_no_name(
    _context: &mut Compound<'_>,
    _args: SecInfoStyle,
) -> Outcome<SecInfoOk> {
    Outcome::Fail(Status::NotSupp)
}
