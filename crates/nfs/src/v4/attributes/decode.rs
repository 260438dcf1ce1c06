//! Attributes that a client wants to be set.

use standfast_vfs::{SetAttributes, SetTime, Timestamp};

use super::super::Nfs4;
use super::super::acl::{self, Lists, Who};
use super::super::owner_names::Kind;
use super::super::protocol::{
    Acl, Attribute, AttributeError, Bitmap, Fattr, SetTime as WireSetTime, Status, Time, Value,
};
use super::supported::{supported, writable};

/// Permission bits with setuid, setgid and sticky.
const MODE: u32 = 0o7777;

const SECOND: u32 = 1_000_000_000;

/// What a client wants to be set.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Wishes {
    /// Which attributes.
    pub(in super::super) mask: Bitmap,
    /// Their values, for the filesystem.
    pub(in super::super) set: SetAttributes,
    /// The access control list.
    pub(in super::super) acl: Option<Vec<acl::Entry>>,
    /// Bits of the mode to change, and those that are meant.
    pub(in super::super) masked_mode: Option<(u32, u32)>,
}

/// Reads what a client wants to be set.
///
/// # Errors
/// `ATTRNOTSUPP`, `INVAL` for what can only be read and for values that are none, `BADXDR`,
/// `BADOWNER`, `DELAY` while the name service does not answer.
pub(in super::super) async fn read_wishes(
    nfs: &Nfs4,
    minor: u32,
    attributes: &Fattr,
) -> Result<Wishes, Status> {
    let mask = attributes.mask;
    if !mask.difference(&supported(minor)).is_empty() {
        return Err(Status::AttrNotSupp);
    }
    if !mask.difference(&writable(minor)).is_empty() {
        return Err(Status::Inval);
    }
    let values = attributes.values().map_err(|error| match error {
        AttributeError::Unsupported(_) => Status::AttrNotSupp,
        AttributeError::Malformed => Status::BadXdr,
    })?;
    let mut wishes = Wishes { mask, ..Wishes::default() };
    let set = &mut wishes.set;
    for value in values {
        match value {
            Value::Acl(acl) => wishes.acl = Some(read_acl(nfs, &acl).await?),
            Value::Size(size) => set.size = Some(size),
            Value::Mode(mode) => set.mode = Some(mode & MODE),
            Value::ModeSetMasked(masked) => {
                if (masked.value | masked.mask) & !MODE != 0 {
                    return Err(Status::Inval);
                }
                wishes.masked_mode = Some((masked.value & masked.mask, masked.mask));
            }
            // Without an inherited ACL the client's umask holds.
            Value::ModeUmask(wish) => set.mode = Some(wish.mode & !wish.umask & MODE),
            Value::Owner(name) => {
                set.uid = Some(nfs.service.owners().find(Kind::User, &name.0).await?)
            }
            Value::OwnerGroup(name) => {
                set.gid = Some(nfs.service.owners().find(Kind::Group, &name.0).await?)
            }
            Value::AccessTimeSet(time) => set.accessed = set_time(&time)?,
            Value::ModifyTimeSet(time) => set.modified = set_time(&time)?,
            _ => return Err(Status::Inval),
        }
    }
    let both =
        |one: Attribute, other: Attribute| mask.contains(one as u32) && mask.contains(other as u32);
    if both(Attribute::Mode, Attribute::ModeSetMasked)
        || both(Attribute::Mode, Attribute::ModeUmask)
    {
        return Err(Status::Inval);
    }
    Ok(wishes)
}

impl Wishes {
    /// The access control lists, for a directory or for something else.
    ///
    /// # Errors
    /// Those of [`Lists::from_entries`].
    pub(in super::super) fn lists(&self, is_directory: bool) -> Result<Option<Lists>, Status> {
        let entries = self.acl.as_ref();
        entries.map(|entries| Lists::from_entries(entries, is_directory)).transpose()
    }
}

/// Finds the users and groups of an access control list.
async fn read_acl(nfs: &Nfs4, list: &Acl) -> Result<Vec<acl::Entry>, Status> {
    let mut entries = Vec::with_capacity(list.0.len());
    for ace in &list.0 {
        let who = match Who::special(&ace.who) {
            Some(special) => special,
            None if Who::names_group(ace.flags) => {
                Who::Group(nfs.service.owners().find(Kind::Group, &ace.who.0).await?)
            }
            None => Who::User(nfs.service.owners().find(Kind::User, &ace.who.0).await?),
        };
        entries.push(acl::Entry { kind: ace.kind, flags: ace.flags, mask: ace.mask, who });
    }
    Ok(entries)
}

fn set_time(time: &WireSetTime) -> Result<SetTime, Status> {
    Ok(match time {
        WireSetTime::ServerTime => SetTime::Now,
        WireSetTime::ClientTime(Time { nanoseconds: SECOND.., .. }) => return Err(Status::Inval),
        WireSetTime::ClientTime(time) => {
            SetTime::To(Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds })
        }
    })
}
