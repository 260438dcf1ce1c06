//! GETATTR, SETATTR and ACCESS.

use standfast_vfs::{AccessMask, SetAttributes};

use super::protocol::{
    AccessArgs, AccessOk, Attributes, FileHandle, Outcome, SetAttrArgs, Status, WccData,
};
use super::request::Request;

/// GETATTR (RFC 1813 section 3.3.1).
pub(super) async fn get_attr(request: &Request<'_>, handle: FileHandle) -> Outcome<Attributes, ()> {
    let object = match request.object_to_read(&handle).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, ()),
    };
    match object.look(|fs, context, handle| fs.attributes(context, handle)).await {
        Ok(attributes) => Outcome::Ok(object.wire(&attributes)),
        Err(status) => Outcome::Fail(status, ()),
    }
}

/// SETATTR (section 3.3.2).
pub(super) async fn set_attr(
    request: &Request<'_>,
    args: SetAttrArgs,
) -> Outcome<WccData, WccData> {
    let object = match request.object_to_change(&args.object).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let set = SetAttributes::from(&args.attributes);
    let guard = args.guard.as_ref().map(Into::into);
    let changed = object
        .change_alone(move |fs, context, handle| fs.set_attributes(context, handle, &set, guard));
    match changed.await {
        Ok(changed) => {
            let wcc = object.wcc(changed.before, changed.after.as_ref());
            match changed.result {
                Ok(()) => Outcome::Ok(wcc),
                Err(error) => Outcome::Fail(object.status(&error), wcc),
            }
        }
        Err(status) => Outcome::Fail(status, WccData::NONE),
    }
}

/// ACCESS (section 3.3.4).
pub(super) async fn access(
    request: &Request<'_>,
    args: AccessArgs,
) -> Outcome<AccessOk, Option<Attributes>> {
    let object = match request.object(&args.object).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    let mut wanted = args.access;
    if object.access.read_only {
        wanted &= !(AccessMask::MODIFY | AccessMask::EXTEND | AccessMask::DELETE);
    }
    let looked =
        object.look(move |fs, context, handle| fs.access(context, handle, AccessMask(wanted)));
    match looked.await {
        Ok((granted, attributes)) => Outcome::Ok(AccessOk {
            attributes: Some(object.wire(&attributes)),
            access: granted.0 & args.access,
        }),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// Attributes that go along with a failure, unless there can be none.
pub(super) async fn failed_attributes(
    status: Status,
    object: &super::request::Object,
) -> Option<Attributes> {
    match status {
        Status::Stale | Status::BadHandle | Status::Io | Status::ServerFault => None,
        _ => object.attributes().await,
    }
}
