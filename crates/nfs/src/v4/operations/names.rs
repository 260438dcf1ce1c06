//! Operations on names: LOOKUP, LOOKUPP, READLINK, CREATE, REMOVE, RENAME and LINK.

use rustix::io::Errno;
use standfast_vfs::{
    Attributes, ChangeTime, Changed, CreateKind, DeviceNumber, Error, FileKind, SetAttributes,
};

use super::super::attributes::read_wishes;
use super::super::context::Compound;
use super::super::intents::Begun;
use super::super::navigation::check_name;
use super::super::object::{File, Object};
use super::super::protocol::{
    Attribute, ChangeInfo, CreateArgs, CreateOk, CreateType, LinkText, NameArgs, Outcome,
    ReadLinkOk, RenameArgs, RenameOk, SpecData, Status,
};
use super::attributes::set_lists;
use crate::intents::{Wish, after_creation};

/// LOOKUP (RFC 8881 section 18.13).
pub(super) async fn lookup(context: &mut Compound<'_>, args: NameArgs) -> Status {
    let found = match context.current() {
        Ok(_) => match check_name(&args.name) {
            Ok(()) => context.lookup(&args.name).await,
            Err(status) => Err(status),
        },
        Err(status) => Err(status),
    };
    go_to(context, found)
}

/// LOOKUPP (section 18.14).
pub(super) async fn lookup_parent(context: &mut Compound<'_>) -> Status {
    let found = context.lookup_parent().await;
    go_to(context, found)
}

fn go_to(context: &mut Compound<'_>, found: Result<Object, Status>) -> Status {
    match found {
        Ok(object) => {
            context.set_current(object);
            Status::Ok
        }
        Err(status) => status,
    }
}

/// READLINK (section 18.24).
pub(super) async fn read_link(context: &mut Compound<'_>) -> Outcome<ReadLinkOk> {
    target(context).await.map(|target| ReadLinkOk { target }).into()
}

async fn target(context: &Compound<'_>) -> Result<LinkText, Status> {
    let wrong = if context.minor == 0 { Status::Inval } else { Status::WrongType };
    let Object::File(file) = context.current()? else { return Err(wrong) };
    let looked = file.look(|fs, context, handle| fs.read_link(context, handle)).await;
    match looked {
        Ok((target, _)) => Ok(target.into()),
        Err(Status::Inval) => Err(wrong),
        Err(status) => Err(status),
    }
}

/// CREATE (section 18.4).
pub(super) async fn create(context: &mut Compound<'_>, args: CreateArgs) -> Outcome<CreateOk> {
    make(context, args).await.into()
}

async fn make(context: &mut Compound<'_>, args: CreateArgs) -> Result<CreateOk, Status> {
    context.current()?;
    let kind = create_kind(&args.kind)?;
    check_name(&args.name)?;
    let wishes = read_wishes(context.nfs, context.minor, &args.attributes).await?;
    let directory = context.file_to_change()?.clone();
    if args.attributes.mask.contains(Attribute::Size as u32) {
        return Err(Status::Inval);
    }
    let lists = wishes.lists(matches!(kind, CreateKind::Directory))?;
    let mut set = wishes.set;
    if let Some((value, mask)) = wishes.masked_mode {
        set.mode = Some(value & mask);
    }
    let (nfs, name) = (context.nfs, args.name);
    let wish = Wish::Make(directory.name_in(&name));
    let locked = wish.lock(nfs.service.name_locks()).await;
    let (made, info) = match context.begin(&directory, wish).await? {
        Begun::Before(past) => {
            let made = past.file(&directory)?;
            finish_attributes(&made, set).await?;
            (made, past.info(&directory).await?)
        }
        Begun::Now(begin) => {
            let made = directory.change(move |fs, context, directory| {
                fs.make(context, directory, &name, &kind, &set)
            });
            let made = made.await?;
            begin.end(&made.result, |found| Some(directory.sibling(found.handle)));
            let (found, info) = changed_directory(&directory, made)?;
            (directory.sibling(found.handle), info)
        }
    };
    drop(locked);
    set_lists(&made, lists).await?;
    context.set_current_file(made);
    Ok(CreateOk { directory: info, attributes: args.attributes.mask })
}

/// Sets the attributes of an object that was made before the server died, perhaps without them.
pub(super) async fn finish_attributes(made: &File, set: SetAttributes) -> Result<(), Status> {
    let rest = after_creation(set, &made.place.caller);
    if rest == SetAttributes::default() {
        return Ok(());
    }
    let changed = made
        .change_alone(move |fs, context, file| fs.set_attributes(context, file, &rest, None))
        .await?;
    match changed.result {
        // Others may have taken it away since.
        Ok(()) | Err(Error::Stale) => Ok(()),
        Err(error) => Err(made.status(&error)),
    }
}

fn create_kind(kind: &CreateType) -> Result<CreateKind, Status> {
    let number = |device: &SpecData| DeviceNumber { major: device.major, minor: device.minor };
    Ok(match kind {
        CreateType::Directory => CreateKind::Directory,
        CreateType::BlockDevice(device) => CreateKind::BlockDevice(number(device)),
        CreateType::CharacterDevice(device) => CreateKind::CharacterDevice(number(device)),
        CreateType::Symlink(target) if target.is_empty() => return Err(Status::Inval),
        CreateType::Symlink(target) if target.contains(&0) => return Err(Status::BadChar),
        CreateType::Symlink(target) => CreateKind::Symlink(target.to_vec()),
        CreateType::Socket => CreateKind::Socket,
        CreateType::Fifo => CreateKind::Fifo,
        CreateType::Regular | CreateType::AttributeDirectory | CreateType::NamedAttribute => {
            return Err(Status::BadType);
        }
    })
}

/// REMOVE (section 18.25).
pub(super) async fn remove(context: &mut Compound<'_>, args: NameArgs) -> Outcome<ChangeInfo> {
    take(context, args).await.into()
}

async fn take(context: &mut Compound<'_>, args: NameArgs) -> Result<ChangeInfo, Status> {
    context.current()?;
    check_name(&args.name)?;
    let directory = context.file_to_change()?.clone();
    context.check_no_export(&directory, &args.name).await?;
    context.make_way_to_name(&directory, &args.name).await?;
    let (nfs, name) = (context.nfs, args.name);
    let wish = Wish::Take(directory.name_in(&name));
    let _locked = wish.lock(nfs.service.name_locks()).await;
    let begin = match context.begin(&directory, wish).await? {
        Begun::Before(past) => return past.info(&directory).await,
        Begun::Now(begin) => begin,
    };
    let removed = directory.change_alone(move |fs, context, directory| {
        let removed = fs.remove(context, directory, &name);
        match removed.result {
            Err(Error::Os(Errno::ISDIR)) => fs.remove_directory(context, directory, &name),
            _ => removed,
        }
    });
    let removed = removed.await?;
    begin.end(&removed.result, |()| None);
    let ((), info) = changed_directory(&directory, removed)?;
    Ok(info)
}

/// RENAME (section 18.26).
pub(super) async fn rename(context: &mut Compound<'_>, args: RenameArgs) -> Outcome<RenameOk> {
    move_name(context, args).await.into()
}

async fn move_name(context: &mut Compound<'_>, args: RenameArgs) -> Result<RenameOk, Status> {
    let (source, target) = (context.saved()?.clone(), context.current()?.clone());
    check_name(&args.from)?;
    check_name(&args.to)?;
    let (source, target) = pair(&source, &target)?;
    context.check_no_export(source, &args.from).await?;
    context.check_no_export(target, &args.to).await?;
    context.make_way_to_name(source, &args.from).await?;
    context.make_way_to_name(target, &args.to).await?;
    let wish = Wish::Move(source.name_in(&args.from), target.name_in(&args.to));
    let locked = wish.lock(context.nfs.service.name_locks()).await;
    let begin = match context.begin(source, wish).await? {
        Begun::Before(past) => {
            let (from, to) = (past.info(source).await?, past.info_of_target(target).await?);
            return Ok(RenameOk { from, to });
        }
        Begun::Now(begin) => begin,
    };
    let (to, from_name, to_name) = (target.handle, args.from.clone(), args.to.clone());
    let renamed = source
        .change_alone(move |fs, context, from| {
            fs.rename(context, (from, &from_name), (&to, &to_name))
        })
        .await?;
    begin.end(&renamed.result, |()| None);
    drop(locked);
    if let Err(error) = &renamed.result {
        return Err(match source.status(error) {
            Status::NotDir if !are_directories([source, target]).await => Status::NotDir,
            // What is there cannot give way to what comes (RFC 8881 section 18.26.3).
            Status::IsDir | Status::NotDir => Status::Exist,
            status => status,
        });
    }
    let info =
        |(before, after): (Option<ChangeTime>, Option<Attributes>)| change_info(before, after);
    Ok(RenameOk { from: info(renamed.from), to: info(renamed.to) })
}

/// LINK (section 18.9).
pub(super) async fn link(context: &mut Compound<'_>, args: NameArgs) -> Outcome<ChangeInfo> {
    add_name(context, args).await.into()
}

async fn add_name(context: &mut Compound<'_>, args: NameArgs) -> Result<ChangeInfo, Status> {
    let (object, directory) = (context.saved()?.clone(), context.current()?.clone());
    check_name(&args.name)?;
    let (object, directory) = pair(&object, &directory)?;
    context.make_way(object, true)?;
    let wish = Wish::Link(object.key(), directory.name_in(&args.name));
    let locked = wish.lock(context.nfs.service.name_locks()).await;
    let begin = match context.begin(directory, wish).await? {
        Begun::Before(past) => return past.info(directory).await,
        Begun::Now(begin) => begin,
    };
    let (to, name) = (directory.handle, args.name.clone());
    let linked = object.change(move |fs, context, handle| fs.link(context, handle, &to, &name));
    let linked = linked.await?;
    begin.end(&linked.result, |_| None);
    drop(locked);
    match changed_directory(directory, linked) {
        Ok((_, info)) => Ok(info),
        Err(Status::Perm) if object.kind().await == Ok(FileKind::Directory) => Err(Status::IsDir),
        Err(status) => Err(status),
    }
}

/// Two objects of one export, to be changed.
fn pair<'o>(one: &'o Object, other: &'o Object) -> Result<(&'o File, &'o File), Status> {
    match (one, other) {
        (Object::File(one), Object::File(other)) => {
            if one.place.export.id() != other.place.export.id() {
                return Err(Status::XDev);
            }
            if one.place.access.read_only { Err(Status::RoFs) } else { Ok((one, other)) }
        }
        (Object::Node(_), Object::Node(_)) => Err(Status::RoFs),
        _ => Err(Status::XDev),
    }
}

async fn are_directories(objects: [&File; 2]) -> bool {
    for object in objects {
        if object.kind().await != Ok(FileKind::Directory) {
            return false;
        }
    }
    true
}

/// What a change of a directory gave, and the directory before and after.
pub(super) fn changed_directory<T>(
    directory: &File,
    changed: Changed<T>,
) -> Result<(T, ChangeInfo), Status> {
    let info = change_info(changed.before, changed.after);
    changed.result.map(|value| (value, info)).map_err(|error| directory.status(&error))
}

/// A directory before and after: the two belong together, as the filesystem takes them in one step
/// with the change.
pub(super) fn change_info(before: Option<ChangeTime>, after: Option<Attributes>) -> ChangeInfo {
    match (before, after) {
        (Some(before), Some(after)) => {
            ChangeInfo { atomic: true, before: before.change, after: after.change }
        }
        (_, after) => {
            let after = after.map_or(0, |after| after.change);
            ChangeInfo { atomic: false, before: 0, after }
        }
    }
}
