//! Procedures on names: LOOKUP, READLINK, CREATE, MKDIR, SYMLINK, MKNOD, REMOVE, RMDIR, RENAME
//! and LINK.

use standfast_vfs::{
    Changed, Context, CreateHow, CreateKind, DeviceNumber, Error, FileSystem, Found, Handle,
    SetAttributes,
};

use super::attributes::failed_attributes;
use super::once::Ran;
use super::protocol::{
    Attributes, CreateArgs, CreateOk, DirOpArgs, FileHandle, LinkArgs, LinkWcc, LookupOk,
    MkDirArgs, MkNodArgs, MkNodData, Name, Outcome, ReadLinkOk, RenameArgs, RenameWcc, Status,
    SymLinkArgs, WccData,
};
use super::request::{Object, Request};
use crate::intents::{Wish, after_creation};
use crate::locks::FileKey;
use crate::workers::ChangeOf;

/// LOOKUP (RFC 1813 section 3.3.3).
pub(super) async fn lookup(
    request: &Request<'_>,
    args: DirOpArgs,
) -> Outcome<LookupOk, Option<Attributes>> {
    let object = match request.object(&args.directory).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    let name = args.name;
    let looked = object.look(move |fs, context, directory| {
        let found = fs.lookup(context, directory, &name)?;
        Ok((found, fs.attributes(context, directory).ok()))
    });
    match looked.await {
        Ok((found, directory)) => Outcome::Ok(LookupOk {
            object: object.seal(request, &found.handle),
            attributes: Some(object.wire(&found.attributes)),
            directory: directory.map(|directory| object.wire(&directory)),
        }),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// READLINK (section 3.3.5).
pub(super) async fn read_link(
    request: &Request<'_>,
    handle: FileHandle,
) -> Outcome<ReadLinkOk, Option<Attributes>> {
    let object = match request.object(&handle).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    match object.look(|fs, context, handle| fs.read_link(context, handle)).await {
        Ok((target, attributes)) => Outcome::Ok(ReadLinkOk {
            attributes: Some(object.wire(&attributes)),
            target: target.into(),
        }),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// CREATE (section 3.3.8).
pub(super) async fn create(request: &Request<'_>, args: CreateArgs) -> Outcome<CreateOk, WccData> {
    let how = CreateHow::from(&args.how);
    let set = match &how {
        CreateHow::Unchecked(set) | CreateHow::Guarded(set) => set.clone(),
        CreateHow::Exclusive(_) => SetAttributes::default(),
    };
    make_name(request, args.place, set, move |fs, context, directory, name| {
        fs.create(context, directory, name, &how)
    })
    .await
}

/// MKDIR (section 3.3.9).
pub(super) async fn mkdir(request: &Request<'_>, args: MkDirArgs) -> Outcome<CreateOk, WccData> {
    make(request, args.place, CreateKind::Directory, (&args.attributes).into()).await
}

/// SYMLINK (section 3.3.10).
pub(super) async fn symlink(
    request: &Request<'_>,
    args: SymLinkArgs,
) -> Outcome<CreateOk, WccData> {
    let kind = CreateKind::Symlink(args.target.to_vec());
    make(request, args.place, kind, (&args.attributes).into()).await
}

/// MKNOD (section 3.3.11).
pub(super) async fn mknod(request: &Request<'_>, args: MkNodArgs) -> Outcome<CreateOk, WccData> {
    let (kind, set) = match &args.what {
        MkNodData::CharacterDevice(data) => {
            (CreateKind::CharacterDevice(DeviceNumber::from(&data.device)), &data.attributes)
        }
        MkNodData::BlockDevice(data) => {
            (CreateKind::BlockDevice(DeviceNumber::from(&data.device)), &data.attributes)
        }
        MkNodData::Socket(set) => (CreateKind::Socket, set),
        MkNodData::Fifo(set) => (CreateKind::Fifo, set),
        MkNodData::Regular | MkNodData::Directory | MkNodData::Symlink => {
            return Outcome::Fail(Status::BadType, WccData::NONE);
        }
    };
    make(request, args.place, kind, set.into()).await
}

/// REMOVE (section 3.3.12).
pub(super) async fn remove(request: &Request<'_>, args: DirOpArgs) -> Outcome<WccData, WccData> {
    take_name(request, args, |fs, context, directory, name| fs.remove(context, directory, name))
        .await
}

/// RMDIR (section 3.3.13).
pub(super) async fn rmdir(request: &Request<'_>, args: DirOpArgs) -> Outcome<WccData, WccData> {
    take_name(request, args, |fs, context, directory, name| {
        fs.remove_directory(context, directory, name)
    })
    .await
}

/// RENAME (section 3.3.14).
pub(super) async fn rename(
    request: &Request<'_>,
    args: RenameArgs,
) -> Outcome<RenameWcc, RenameWcc> {
    let none = RenameWcc { from: WccData::NONE, to: WccData::NONE };
    let object = match request.object_to_change(&args.from.directory).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, none),
    };
    let to = match request.companion(&object, &args.to.directory) {
        Ok(to) => to,
        Err(status) => return Outcome::Fail(status, none),
    };
    let (from_name, to_name) = (args.from.name, args.to.name);
    for (directory, name) in [(object.handle, &from_name), (to, &to_name)] {
        if let Err(status) = request.make_way_to_name(&object, directory, name).await {
            return Outcome::Fail(status, none);
        }
    }
    let wish = Wish::Move(object.name_in(object.handle, &from_name), object.name_in(to, &to_name));
    let change = (wish, ChangeOf::Object(object.handle));
    let renamed = object.change_names(request, change, move |fs, context, from| {
        fs.rename(context, (from, &from_name), (&to, &to_name))
    });
    let renamed = match renamed.await {
        Ok(Ran::Now(renamed)) => renamed,
        Ok(Ran::Before(_)) => {
            let (from, to) = (object.wcc_now(object.handle).await, object.wcc_now(to).await);
            return Outcome::Ok(RenameWcc { from, to });
        }
        Err(status) => return Outcome::Fail(status, none),
    };
    let wcc = RenameWcc {
        from: object.wcc(renamed.from.0, renamed.from.1.as_ref()),
        to: object.wcc(renamed.to.0, renamed.to.1.as_ref()),
    };
    match renamed.result {
        Ok(()) => Outcome::Ok(wcc),
        Err(error) => Outcome::Fail(object.status(&error), wcc),
    }
}

/// LINK (section 3.3.15).
pub(super) async fn link(request: &Request<'_>, args: LinkArgs) -> Outcome<LinkWcc, LinkWcc> {
    let none = LinkWcc { attributes: None, directory: WccData::NONE };
    let object = match request.object_to_change(&args.object).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, none),
    };
    let directory = match request.companion(&object, &args.link.directory) {
        Ok(directory) => directory,
        Err(status) => return Outcome::Fail(status, none),
    };
    let name = args.link.name;
    let key = FileKey { export: object.export.id().0, handle: object.handle };
    let change = (Wish::Link(key, object.name_in(directory, &name)), ChangeOf::Several);
    let linked = object.change_names(request, change, move |fs, context, handle| {
        fs.link(context, handle, &directory, &name)
    });
    let linked = match linked.await {
        Ok(Ran::Now(linked)) => linked,
        Ok(Ran::Before(_)) => {
            let directory = object.wcc_now(directory).await;
            return Outcome::Ok(LinkWcc { attributes: object.attributes().await, directory });
        }
        Err(status) => return Outcome::Fail(status, none),
    };
    let directory = object.wcc(linked.before, linked.after.as_ref());
    match linked.result {
        Ok(attributes) => {
            Outcome::Ok(LinkWcc { attributes: Some(object.wire(&attributes)), directory })
        }
        Err(error) => {
            let status = object.status(&error);
            let attributes = failed_attributes(status, &object).await;
            Outcome::Fail(status, LinkWcc { attributes, directory })
        }
    }
}

async fn make(
    request: &Request<'_>,
    place: DirOpArgs,
    kind: CreateKind,
    set: SetAttributes,
) -> Outcome<CreateOk, WccData> {
    let attributes = set.clone();
    make_name(request, place, attributes, move |fs, context, directory, name| {
        fs.make(context, directory, name, &kind, &set)
    })
    .await
}

/// What all procedures that make a name have in common.
async fn make_name<F>(
    request: &Request<'_>,
    place: DirOpArgs,
    set: SetAttributes,
    operation: F,
) -> Outcome<CreateOk, WccData>
where
    F: FnOnce(&dyn FileSystem, Context<'_>, &Handle, &[u8]) -> Changed<Found> + Send + 'static,
{
    let object = match directory_to_change(request, &place).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let wish = Wish::Make(object.name_in(object.handle, &place.name));
    let change = (wish, ChangeOf::Several);
    let operation = with_name(place.name, operation);
    let (made, directory) = match object.change_names(request, change, operation).await {
        Ok(Ran::Now(changed)) => {
            let directory = object.wcc(changed.before, changed.after.as_ref());
            match changed.result {
                Ok(found) => ((found.handle, Some(found.attributes)), directory),
                Err(error) => return Outcome::Fail(object.status(&error), directory),
            }
        }
        Ok(Ran::Before(past)) => {
            let made = made_before(&object, past.object(), set).await;
            let directory = object.wcc_now(object.handle).await;
            match made {
                Ok(made) => (made, directory),
                Err(status) => return Outcome::Fail(status, directory),
            }
        }
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    Outcome::Ok(CreateOk {
        object: Some(object.seal(request, &made.0)),
        attributes: made.1.map(|attributes| object.wire(&attributes)),
        directory,
    })
}

/// An object that was made before the server died, perhaps without all of its attributes. Others
/// may have taken it away since.
async fn made_before(
    object: &Object,
    made: Option<Handle>,
    set: SetAttributes,
) -> Result<(Handle, Option<standfast_vfs::Attributes>), Status> {
    let handle = made.ok_or(Status::ServerFault)?;
    let rest = after_creation(set, &object.caller);
    if rest != SetAttributes::default() {
        let changed = object.change_of(ChangeOf::Object(handle), move |fs, context, _| {
            fs.set_attributes(context, &handle, &rest, None)
        });
        match changed.await?.result {
            Ok(()) | Err(Error::Stale) => {}
            Err(error) => return Err(object.status(&error)),
        }
    }
    let attributes = object.look(move |fs, context, _| fs.attributes(context, &handle)).await;
    Ok((handle, attributes.ok()))
}

/// What all procedures that take a name away have in common.
async fn take_name<F>(
    request: &Request<'_>,
    place: DirOpArgs,
    operation: F,
) -> Outcome<WccData, WccData>
where
    F: FnOnce(&dyn FileSystem, Context<'_>, &Handle, &[u8]) -> Changed<()> + Send + 'static,
{
    let object = match directory_to_change(request, &place).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, WccData::NONE),
    };
    let wish = Wish::Take(object.name_in(object.handle, &place.name));
    let change = (wish, ChangeOf::Object(object.handle));
    match object.change_names(request, change, with_name(place.name, operation)).await {
        Ok(Ran::Now(changed)) => {
            let directory = object.wcc(changed.before, changed.after.as_ref());
            match changed.result {
                Ok(()) => Outcome::Ok(directory),
                Err(error) => Outcome::Fail(object.status(&error), directory),
            }
        }
        Ok(Ran::Before(_)) => Outcome::Ok(object.wcc_now(object.handle).await),
        Err(status) => Outcome::Fail(status, WccData::NONE),
    }
}

/// The directory, in which nothing stands in the way of changing what the name stands for.
async fn directory_to_change(request: &Request<'_>, place: &DirOpArgs) -> Result<Object, Status> {
    let object = request.object_to_change(&place.directory).await?;
    request.make_way_to_name(&object, object.handle, &place.name).await?;
    Ok(object)
}

fn with_name<T>(
    name: Name,
    operation: impl FnOnce(&dyn FileSystem, Context<'_>, &Handle, &[u8]) -> T + Send + 'static,
) -> impl FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static {
    move |fs, context, directory| operation(fs, context, directory, &name)
}
