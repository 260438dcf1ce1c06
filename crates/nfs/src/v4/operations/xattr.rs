//! Extended attributes (RFC 8276): GETXATTR, SETXATTR, LISTXATTRS and REMOVEXATTR.

use rustix::io::Errno;
use standfast_rpc::xdr::{List, Opaque};
use standfast_vfs::{Changed, Error, SetHow};

use super::super::context::Compound;
use super::super::intents::{Begin, Begun};
use super::super::object::File;
use super::super::protocol::{
    ChangeInfo, Component, ListXattrsArgs, ListXattrsOk, Outcome, SetXattrArgs, SetXattrHow,
    Status, XattrValue,
};
use super::names::change_info;
use crate::intents::Wish;

/// GETXATTR (RFC 8276 section 8.4.1).
pub(super) async fn get_xattr(context: &mut Compound<'_>, name: Component) -> Outcome<XattrValue> {
    get(context, name).await.into()
}

async fn get(context: &Compound<'_>, name: Component) -> Result<XattrValue, Status> {
    check_name(&name)?;
    let file = context.file()?;
    let looked = file.run(move |fs, context, file| Ok(fs.extended_attribute(context, file, &name)));
    let value = looked.await?.map_err(|error| status(file, &error))?;
    Ok(Opaque(value.into()))
}

/// SETXATTR (section 8.4.2).
pub(super) async fn set_xattr(
    context: &mut Compound<'_>,
    args: SetXattrArgs,
) -> Outcome<ChangeInfo> {
    set(context, args).await.into()
}

async fn set(context: &mut Compound<'_>, args: SetXattrArgs) -> Result<ChangeInfo, Status> {
    check_name(&args.name)?;
    let file = &context.file_to_change()?.clone();
    context.make_way(file, true)?;
    let how = match args.how {
        SetXattrHow::Either => SetHow::Either,
        SetXattrHow::Create => SetHow::Create,
        SetXattrHow::Replace => SetHow::Replace,
    };
    let wish = Wish::MakeAttribute(file.name_in(&args.name));
    let _locked = wish.lock(context.nfs.service.name_locks()).await;
    let begin = match how {
        SetHow::Create => match context.begin(file, wish).await? {
            Begun::Before(past) => return past.info(file).await,
            Begun::Now(begin) => begin,
        },
        // The others may be done again.
        _ => Begin::default(),
    };
    let wanted = args.name.clone();
    let changed = file.change(move |fs, context, file| {
        fs.set_extended_attribute(context, file, &wanted, &args.value, how)
    });
    let changed = changed.await?;
    begin.end(&changed.result, |()| None);
    changed_file(file, changed)
}

/// REMOVEXATTR (section 8.4.4).
pub(super) async fn remove_xattr(
    context: &mut Compound<'_>,
    name: Component,
) -> Outcome<ChangeInfo> {
    remove(context, name).await.into()
}

async fn remove(context: &mut Compound<'_>, name: Component) -> Result<ChangeInfo, Status> {
    check_name(&name)?;
    let file = &context.file_to_change()?.clone();
    context.make_way(file, true)?;
    let wish = Wish::TakeAttribute(file.name_in(&name));
    let _locked = wish.lock(context.nfs.service.name_locks()).await;
    let begin = match context.begin(file, wish).await? {
        Begun::Before(past) => return past.info(file).await,
        Begun::Now(begin) => begin,
    };
    let wanted = name.clone();
    let changed =
        file.change(move |fs, context, file| fs.remove_extended_attribute(context, file, &wanted));
    let changed = changed.await?;
    begin.end(&changed.result, |()| None);
    changed_file(file, changed)
}

/// What the result of LISTXATTRS holds beside the names: cookie, their count, end.
const LIST_OVERHEAD: usize = 16;
/// And before that: number of the operation, status.
const RESULT_OVERHEAD: usize = 8;

/// LISTXATTRS (section 8.4.3). The cookie is the number of names that were given before.
pub(super) async fn list_xattrs(
    context: &mut Compound<'_>,
    args: ListXattrsArgs,
) -> Outcome<ListXattrsOk> {
    list(context, &args).await.into()
}

async fn list(context: &Compound<'_>, args: &ListXattrsArgs) -> Result<ListXattrsOk, Status> {
    let file = context.file()?;
    let looked = file.run(move |fs, context, file| Ok(fs.extended_attributes(context, file)));
    let mut names = looked.await?.map_err(|error| status(file, &error))?;
    // In an order of their own, so that a change in between moves as few as possible.
    names.sort_unstable();
    let room = (args.max_bytes as usize).min(context.room.saturating_sub(RESULT_OVERHEAD));
    page(&names, args.cookie, room)
}

/// The names after those that `cookie` stands for, as many as `room` bytes take.
fn page(names: &[Vec<u8>], cookie: u64, room: usize) -> Result<ListXattrsOk, Status> {
    let rest = usize::try_from(cookie).ok().and_then(|begin| names.get(begin..));
    let rest = rest.ok_or(Status::BadCookie)?;
    let mut room = room.checked_sub(LIST_OVERHEAD).ok_or(Status::TooSmall)?;
    let mut taken = Vec::new();
    for name in rest {
        let Some(left) = room.checked_sub(4 + name.len().next_multiple_of(4)) else { break };
        room = left;
        taken.push(Opaque(name.clone().into()));
    }
    if taken.is_empty() && !rest.is_empty() {
        return Err(Status::TooSmall);
    }
    let end = taken.len() == rest.len();
    Ok(ListXattrsOk { cookie: cookie + taken.len() as u64, names: List(taken), end })
}

/// A name that can be one.
fn check_name(name: &[u8]) -> Result<(), Status> {
    if name.is_empty() || name.contains(&0) { Err(Status::Inval) } else { Ok(()) }
}

fn changed_file(file: &File, changed: Changed<()>) -> Result<ChangeInfo, Status> {
    let info = change_info(changed.before, changed.after);
    changed.result.map(|()| info).map_err(|error| status(file, &error))
}

/// The status for an error, of which some have their own here.
fn status(file: &File, error: &Error) -> Status {
    match error {
        Error::Os(Errno::NODATA) => Status::NoXattr,
        Error::Os(Errno::TOOBIG | Errno::RANGE) => Status::XattrTooBig,
        // Links and special files have no attributes of users.
        Error::Os(Errno::PERM) => Status::Access,
        error => file.status(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_page_by_page() {
        let names: Vec<_> = (0..10).map(|number| format!("name{number}").into_bytes()).collect();
        for room in [28, 40, 100, 1000] {
            let (mut cookie, mut all, mut pages) = (0, Vec::new(), 0);
            loop {
                let page = page(&names, cookie, room).expect("a page");
                all.extend(page.names.0.iter().map(|name| name.to_vec()));
                cookie = page.cookie;
                pages += 1;
                if page.end {
                    break;
                }
            }
            assert_eq!(all, names);
            assert_eq!(pages, 10_usize.div_ceil((room - LIST_OVERHEAD) / 12));
            assert_eq!(page(&names, cookie, room).map(|page| page.end), Ok(true));
        }
        assert_eq!(page(&names, 11, 1000).err(), Some(Status::BadCookie));
        assert_eq!(page(&names, u64::MAX, 1000).err(), Some(Status::BadCookie));
        assert_eq!(page(&names, 0, 27).err(), Some(Status::TooSmall));
        assert_eq!(page(&names, 0, 3).err(), Some(Status::TooSmall));
        assert_eq!(page(&[], 0, 16).map(|page| page.end), Ok(true));
    }
}
