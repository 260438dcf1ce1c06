//! The current and the saved file handle.

use super::super::context::Compound;
use super::super::protocol::{FileHandle, GetHandleOk, Outcome, Status};

/// Get the current file handle.
pub(super) async fn get_handle(_context: &mut Compound<'_>) -> Outcome<GetHandleOk> {
    Outcome::Fail(Status::NotSupp)
}

/// Set the current file handle.
pub(super) async fn put_handle(_context: &mut Compound<'_>, _args: FileHandle) -> Status {
    Status::NotSupp
}

/// Go to the public root.
pub(super) async fn put_public_handle(_context: &mut Compound<'_>) -> Status {
    Status::NotSupp
}

/// Go to the root.
pub(super) async fn put_root_handle(_context: &mut Compound<'_>) -> Status {
    Status::NotSupp
}

/// Go to the saved file handle.
pub(super) async fn restore_handle(_context: &mut Compound<'_>) -> Status {
    Status::NotSupp
}

/// Save the current file handle.
pub(super) async fn save_handle(_context: &mut Compound<'_>) -> Status {
    Status::NotSupp
}
