//! Attributes: GETATTR, SETATTR, VERIFY, NVERIFY and ACCESS.

use bytes::Bytes;
use rustix::io::Errno;
use standfast_settings::ExportId;
use standfast_vfs::{AccessMask, AclKind, Error, FileKind, SetAttributes};

use super::super::acl::{Lists, Who};
use super::super::attributes::{
    Facts, Needs, Subject, Wishes, encode, read_wishes, supported, write_only,
};
use super::super::context::Compound;
use super::super::object::{File, Object};
use super::super::owner_names::Kind;
use super::super::protocol::{
    AccessArgs, AccessOk, Attribute, Bitmap, Fattr, FsId, GetAttrArgs, Outcome, SetAttrArgs,
    SetAttrResult, StateId, Status,
};
use super::super::pseudo::PSEUDO_EXPORT;
use super::super::state::Access;

/// GETATTR (RFC 8881 section 18.7).
pub(super) async fn get_attr(context: &mut Compound<'_>, args: GetAttrArgs) -> Outcome<Fattr> {
    get(context, &args.attributes).await.into()
}

async fn get(context: &Compound<'_>, wanted: &Bitmap) -> Result<Fattr, Status> {
    let object = context.current()?;
    if !wanted.intersection(&write_only()).is_empty() {
        return Err(Status::Inval);
    }
    // Minor version 0 does not say which client asks, and the one that has a delegation asks, too.
    if let (Object::File(file), Some(_)) = (object, context.client())
        && is_delegated(wanted)
    {
        context.make_way(file, false)?;
    }
    let facts = facts(object, wanted).await?;
    context.nfs.service.owners().prepare(owners_told(wanted, &facts)).await;
    Ok(context.encode(object, &facts, wanted))
}

/// Whether a client that has a delegation for writing may know more of what is wanted.
fn is_delegated(wanted: &Bitmap) -> bool {
    use Attribute::{Change, MetadataTime, ModifyTime, Size, SpaceUsed};
    let delegated = [Change, Size, SpaceUsed, MetadataTime, ModifyTime];
    delegated.into_iter().any(|attribute| wanted.contains(attribute as u32))
}

/// What the filesystem says of an object.
async fn facts(object: &Object, wanted: &Bitmap) -> Result<Facts, Status> {
    let needs = Needs::of(wanted);
    match object {
        Object::File(file) => {
            file.look(move |fs, context, handle| Facts::gather(fs, context, handle, needs)).await
        }
        Object::Node(node) => Ok(Facts::of_directory(node.attributes())),
    }
}

/// The owner and the group of an object and those of its access control lists, if they will be
/// told.
pub(super) fn owners_told(wanted: &Bitmap, facts: &Facts) -> impl Iterator<Item = (Kind, u32)> {
    let told = |attribute: Attribute| wanted.contains(attribute as u32);
    let user = told(Attribute::Owner).then_some((Kind::User, facts.attributes.uid));
    let group = told(Attribute::OwnerGroup).then_some((Kind::Group, facts.attributes.gid));
    let lists = facts.acl.iter().filter(move |_| told(Attribute::Acl));
    let named = lists.flat_map(|lists| lists.entries(false)).filter_map(|entry| match entry.who {
        Who::User(id) => Some((Kind::User, id)),
        Who::Group(id) => Some((Kind::Group, id)),
        _ => None,
    });
    user.into_iter().chain(group).chain(named)
}

impl Compound<'_> {
    /// Encodes attributes of an object.
    fn encode(&self, object: &Object, facts: &Facts, wanted: &Bitmap) -> Fattr {
        self.encode_entry(object, facts, wanted, facts.attributes.file_id)
    }

    /// The same for an entry of a directory, which has this file id for it: it differs where
    /// something is mounted.
    pub(super) fn encode_entry(
        &self,
        object: &Object,
        facts: &Facts,
        wanted: &Bitmap,
        entry: u64,
    ) -> Fattr {
        let codec = self.nfs.service.handles();
        let is_told = wanted.contains(Attribute::FileHandle as u32);
        let handle = if is_told { object.seal(codec) } else { Bytes::new() };
        let (fsid, mounted_on) = match object {
            Object::File(file) => self.place_of(file, facts),
            Object::Node(_) => (fsid(PSEUDO_EXPORT, 0), None),
        };
        let mounted_on = mounted_on.unwrap_or(entry);
        let subject =
            Subject { nfs: self.nfs, minor: self.minor, facts, fsid, handle: &handle, mounted_on };
        encode(&subject, wanted)
    }

    /// The filesystem of an object, and what it covers if it is a root.
    fn place_of(&self, file: &File, facts: &Facts) -> (FsId, Option<u64>) {
        let export = &file.place.export;
        let fsid = fsid(export.id(), facts.attributes.filesystem);
        let is_root = facts.attributes.kind == FileKind::Directory
            && file.handle == export.file_system().root();
        let covers = is_root.then(|| self.nfs.service.tree().mounted_on(export.id()));
        (fsid, covers.flatten())
    }
}

/// The number of a filesystem: that of the export, and which one inside it.
fn fsid(export: ExportId, filesystem: u64) -> FsId {
    FsId { major: export.0, minor: filesystem }
}

/// SETATTR (section 18.30).
pub(super) async fn set_attr(context: &mut Compound<'_>, args: SetAttrArgs) -> SetAttrResult {
    let wanted = args.attributes.mask;
    match set(context, args).await {
        Ok(()) => SetAttrResult { status: Status::Ok, attributes: wanted },
        Err(status) => SetAttrResult { status, attributes: Bitmap::EMPTY },
    }
}

async fn set(context: &mut Compound<'_>, args: SetAttrArgs) -> Result<(), Status> {
    context.current()?;
    let wishes = read_wishes(context.nfs, context.minor, &args.attributes).await?;
    context.file_to_change()?;
    if wishes.set.size.is_some() {
        check_size_change(context, args.stateid).await?;
    } else {
        context.check_setattr(args.stateid)?;
    }
    let file = context.file()?;
    let set = apply_mask(file, &wishes).await?;
    let lists = match wishes.acl {
        Some(_) => wishes.lists(file.kind().await? == FileKind::Directory)?,
        None => None,
    };
    if lists.is_none() || set != SetAttributes::default() {
        let changed = file
            .change_alone(move |fs, context, handle| fs.set_attributes(context, handle, &set, None))
            .await?;
        changed.result.map_err(|error| file.status(&error))?;
    }
    // After the mode (RFC 8881 section 6.4.1.3).
    set_lists(file, lists).await
}

/// Sets access control lists, if there are any.
pub(super) async fn set_lists(file: &File, lists: Option<Lists>) -> Result<(), Status> {
    let Some(lists) = lists else { return Ok(()) };
    let is_directory = file.kind().await? == FileKind::Directory;
    let changed = file.change_alone(move |fs, context, handle| {
        let changed = fs.set_acl(context, handle, AclKind::Access, Some(&lists.access));
        if changed.result.is_err() || !is_directory {
            return changed;
        }
        fs.set_acl(context, handle, AclKind::Default, lists.default.as_ref())
    });
    changed.await?.result.map_err(|error| match error {
        Error::Os(Errno::OPNOTSUPP) => Status::AttrNotSupp,
        error => file.status(&error),
    })
}

/// Only a regular file has a size that can be changed, and only by who may write.
async fn check_size_change(context: &mut Compound<'_>, stateid: StateId) -> Result<(), Status> {
    match context.file()?.kind().await? {
        FileKind::Regular => context.check_access(stateid, Access::Write),
        FileKind::Directory => Err(Status::IsDir),
        FileKind::Symlink if context.minor > 0 => Err(Status::Symlink),
        _ if context.minor > 0 => Err(Status::WrongType),
        _ => Err(Status::Inval),
    }
}

/// The attributes for the filesystem, with the mode that a masked one gives.
async fn apply_mask(file: &File, wishes: &Wishes) -> Result<SetAttributes, Status> {
    let mut set = wishes.set.clone();
    if let Some((value, mask)) = wishes.masked_mode {
        set.mode = Some(file.attributes().await?.mode & !mask | value);
    }
    Ok(set)
}

impl Compound<'_> {
    /// A stateid that SETATTR does not need must not be a bad one all the same.
    fn check_setattr(&mut self, stateid: StateId) -> Result<(), Status> {
        let special = stateid == StateId::ANONYMOUS || stateid == StateId::BYPASS;
        if special {
            return self.make_way(self.file()?, true);
        }
        let (stateid, client) = (self.stateid(stateid)?, self.client());
        let key = self.file()?.key();
        self.state(|state, now| state.check_set_attributes(client, &stateid, &key, now))
    }
}

/// VERIFY (section 18.31).
pub(super) async fn verify(context: &mut Compound<'_>, attributes: Fattr) -> Status {
    match compare(context, &attributes).await {
        Ok(true) => Status::Ok,
        Ok(false) => Status::NotSame,
        Err(status) => status,
    }
}

/// NVERIFY (section 18.15).
pub(super) async fn n_verify(context: &mut Compound<'_>, attributes: Fattr) -> Status {
    match compare(context, &attributes).await {
        Ok(true) => Status::Same,
        Ok(false) => Status::Ok,
        Err(status) => status,
    }
}

/// Whether the current object has these attributes.
async fn compare(context: &Compound<'_>, attributes: &Fattr) -> Result<bool, Status> {
    context.current()?;
    let mask = attributes.mask;
    if !mask.difference(&supported(context.minor)).is_empty() {
        return Err(Status::AttrNotSupp);
    }
    if mask.contains(Attribute::ReadAttributeError as u32)
        || !mask.intersection(&write_only()).is_empty()
    {
        return Err(Status::Inval);
    }
    attributes.values()?;
    let ours = get(context, &mask).await?;
    Ok(ours == *attributes)
}

/// ACCESS (section 18.1).
pub(super) async fn access(context: &mut Compound<'_>, args: AccessArgs) -> Outcome<AccessOk> {
    check_rights(context, args.access).await.into()
}

const READ: u32 = AccessMask::READ;
const CHANGES: u32 = AccessMask::MODIFY | AccessMask::EXTEND | AccessMask::DELETE;
const ALL: u32 = READ | AccessMask::LOOKUP | CHANGES | AccessMask::EXECUTE;
/// Those of RFC 8276 (section 8.5).
const EXTENDED: u32 =
    AccessMask::READ_EXTENDED | AccessMask::WRITE_EXTENDED | AccessMask::LIST_EXTENDED;

async fn check_rights(context: &Compound<'_>, asked: u32) -> Result<AccessOk, Status> {
    let object = context.current()?;
    let known = asked & if context.minor >= 2 { ALL | EXTENDED } else { ALL };
    let file = match object {
        Object::File(file) => file,
        Object::Node(_) => {
            return Ok(AccessOk { supported: known, access: known & (READ | AccessMask::LOOKUP) });
        }
    };
    let wanted = if file.place.access.read_only {
        known & !(CHANGES | AccessMask::WRITE_EXTENDED)
    } else {
        known
    };
    let looked = file.look(move |fs, context, handle| {
        let (granted, attributes) = fs.access(context, handle, AccessMask(wanted))?;
        Ok((granted.0, attributes.kind))
    });
    let (granted, kind) = looked.await?;
    // What has no meaning for this kind of object cannot be told.
    let meaningless = match kind {
        FileKind::Directory => AccessMask::EXECUTE,
        _ => AccessMask::LOOKUP | AccessMask::DELETE,
    };
    Ok(AccessOk { supported: known & !meaningless, access: granted & known & !meaningless })
}
