//! Attributes that a client wants to be set.

use standfast_vfs::{SetAttributes, SetTime, Timestamp};

use super::super::Nfs4;
use super::super::owner_names::Kind;
use super::super::protocol::{
    Attribute, AttributeError, Bitmap, Fattr, SetTime as WireSetTime, Status, Time, Value,
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
            Value::Owner(name) => set.uid = Some(nfs.owners.find(Kind::User, &name.0).await?),
            Value::OwnerGroup(name) => set.gid = Some(nfs.owners.find(Kind::Group, &name.0).await?),
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

fn set_time(time: &WireSetTime) -> Result<SetTime, Status> {
    Ok(match time {
        WireSetTime::ServerTime => SetTime::Now,
        WireSetTime::ClientTime(Time { nanoseconds: SECOND.., .. }) => return Err(Status::Inval),
        WireSetTime::ClientTime(time) => {
            SetTime::To(Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds })
        }
    })
}
