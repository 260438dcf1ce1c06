//! What objects have beside their attributes: access control lists and extended attributes.

use crate::{Changed, Context, Handle, Result};

/// Which of an object's access control lists (`acl(5)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AclKind {
    /// The one that says who may do what with it.
    Access,
    /// Of a directory: the one that new objects in it get.
    Default,
}

/// Whom an entry of an access control list is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AclTag {
    /// The owner.
    Owner,
    /// This user.
    User(u32),
    /// The group of the object.
    OwningGroup,
    /// This group.
    Group(u32),
    /// The most that users and groups get, the owner and others aside.
    Mask,
    /// Everybody else.
    Other,
}

/// An entry of an access control list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AclEntry {
    /// Whom it is about.
    pub tag: AclTag,
    /// What they may: 4 read, 2 write, 1 execute or search.
    pub permissions: u8,
}

/// An access control list (`acl(5)`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PosixAcl {
    /// In the order of [`AclTag`], each tag once.
    pub entries: Vec<AclEntry>,
}

/// Whether an extended attribute may be there before it is set (RFC 8276 section 8.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetHow {
    /// It may.
    Either,
    /// It must be new, else `EEXIST`.
    Create,
    /// It must be there, else `ENODATA`.
    Replace,
}

/// Access control lists and extended attributes.
///
/// The extended attributes are those of users (`user.` in `xattr(7)`, which the names here are
/// without); regular files and directories have them. All of them may wait.
pub trait ExtendedAttributes {
    /// An access control list; `None` if the object has none, so that the mode says everything.
    /// Needs no permission. `EOPNOTSUPP`: the filesystem has none.
    fn acl(&self, context: Context<'_>, handle: &Handle, kind: AclKind)
    -> Result<Option<PosixAcl>>;

    /// Sets an access control list, or takes it away; that for access changes the mode too. Only
    /// the owner may. `EINVAL`: it lacks an entry that it must have.
    fn set_acl(
        &self,
        context: Context<'_>,
        handle: &Handle,
        kind: AclKind,
        acl: Option<&PosixAcl>,
    ) -> Changed<()>;

    /// The value of an extended attribute, for those who may read the object. `ENODATA`: it is not
    /// there.
    fn extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
    ) -> Result<Vec<u8>>;

    /// Sets an extended attribute, for those who may write the object. `E2BIG`, `ENOSPC`: the value
    /// is longer than the filesystem can hold.
    fn set_extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
        value: &[u8],
        how: SetHow,
    ) -> Changed<()>;

    /// The names of all extended attributes, for those who may read the object.
    fn extended_attributes(&self, context: Context<'_>, handle: &Handle) -> Result<Vec<Vec<u8>>>;

    /// Removes an extended attribute, for those who may write the object. `ENODATA`: it is not
    /// there.
    fn remove_extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
    ) -> Changed<()>;
}
