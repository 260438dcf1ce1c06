//! The current and the saved file handle.

use super::super::context::Compound;
use super::super::protocol::{FileHandle, GetHandleOk, Outcome, Status};
use super::plain;

/// GETFH (RFC 8881 section 18.8).
pub(super) async fn get_handle(context: &mut Compound<'_>) -> Outcome<GetHandleOk> {
    let codec = context.nfs.service.handles();
    context.current().map(|object| object.seal(codec).into()).into()
}

/// PUTFH (section 18.19).
pub(super) async fn put_handle(context: &mut Compound<'_>, handle: FileHandle) -> Status {
    let object = match context.open_handle(&handle).await {
        Ok(object) => object,
        Err(status) => return status,
    };
    // Whatever follows learns whether the object is there; if nothing does, somebody has to look.
    if context.position + 1 == context.count
        && let Err(status) = object.kind().await
    {
        return status;
    }
    context.set_current(object);
    Status::Ok
}

/// PUTROOTFH (section 18.21).
pub(super) async fn put_root_handle(context: &mut Compound<'_>) -> Status {
    match context.root().await {
        Ok(root) => {
            context.set_current(root);
            Status::Ok
        }
        Err(status) => status,
    }
}

/// PUTPUBFH (section 18.20): the public file handle is the root.
pub(super) async fn put_public_handle(context: &mut Compound<'_>) -> Status {
    put_root_handle(context).await
}

/// RESTOREFH (section 18.27).
pub(super) async fn restore_handle(context: &mut Compound<'_>) -> Status {
    plain(context.restore())
}

/// SAVEFH (section 18.28).
pub(super) async fn save_handle(context: &mut Compound<'_>) -> Status {
    plain(context.save())
}
