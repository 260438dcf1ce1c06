//! Attributes: GETATTR, SETATTR, VERIFY, NVERIFY and ACCESS.

use super::super::context::Compound;
use super::super::protocol::{
    AccessArgs, AccessOk, Bitmap, Fattr, GetAttrArgs, Outcome, SetAttrArgs, SetAttrResult, Status,
};

/// Check rights.
pub(super) async fn access(_context: &mut Compound<'_>, _args: AccessArgs) -> Outcome<AccessOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Get attributes.
pub(super) async fn get_attr(_context: &mut Compound<'_>, _args: GetAttrArgs) -> Outcome<Fattr> {
    Outcome::Fail(Status::NotSupp)
}

/// Set attributes.
pub(super) async fn set_attr(_context: &mut Compound<'_>, _args: SetAttrArgs) -> SetAttrResult {
    SetAttrResult { status: Status::NotSupp, attributes: Bitmap::EMPTY }
}

/// Go on if attributes are the same.
pub(super) async fn verify(_context: &mut Compound<'_>, _args: Fattr) -> Status {
    Status::NotSupp
}

/// Go on if attributes differ.
pub(super) async fn n_verify(_context: &mut Compound<'_>, _args: Fattr) -> Status {
    Status::NotSupp
}
