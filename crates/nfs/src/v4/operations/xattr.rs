//! Extended attributes (RFC 8276): GETXATTR, SETXATTR, LISTXATTRS and REMOVEXATTR.

use super::super::context::Compound;
use super::super::protocol::{
    ChangeInfo, Component, ListXattrsArgs, ListXattrsOk, Outcome, SetXattrArgs, Status, XattrValue,
};

/// Get an extended attribute.
pub(super) async fn get_xattr(
    _context: &mut Compound<'_>,
    _args: Component,
) -> Outcome<XattrValue> {
    Outcome::Fail(Status::NotSupp)
}

/// Set an extended attribute.
pub(super) async fn set_xattr(
    _context: &mut Compound<'_>,
    _args: SetXattrArgs,
) -> Outcome<ChangeInfo> {
    Outcome::Fail(Status::NotSupp)
}

/// List extended attributes.
pub(super) async fn list_xattrs(
    _context: &mut Compound<'_>,
    _args: ListXattrsArgs,
) -> Outcome<ListXattrsOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Remove an extended attribute.
pub(super) async fn remove_xattr(
    _context: &mut Compound<'_>,
    _args: Component,
) -> Outcome<ChangeInfo> {
    Outcome::Fail(Status::NotSupp)
}
