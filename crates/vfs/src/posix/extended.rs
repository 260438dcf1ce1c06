//! Access control lists and extended attributes.

use std::ffi::{CStr, CString};

use rustix::fs::{Access, XattrFlags};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::identity::{as_caller, as_process};
use super::node::Node;
use super::{IdentityScope, PosixFileSystem};
use crate::{
    AclEntry, AclKind, AclTag, Changed, Context, Error, ExtendedAttributes, FileKind, Handle,
    PosixAcl, Result, SetHow, Wait,
};

/// `XATTR_SIZE_MAX` and `XATTR_LIST_MAX` of `linux/limits.h`.
const LONGEST: usize = 65_536;
/// `XATTR_NAME_MAX`.
const LONGEST_NAME: usize = 255;
const PREFIX: &[u8] = b"user.";

impl ExtendedAttributes for PosixFileSystem {
    fn acl(
        &self,
        context: Context<'_>,
        handle: &Handle,
        kind: AclKind,
    ) -> Result<Option<PosixAcl>> {
        let _scope = IdentityScope::enter();
        let node = self.waited_node(context, handle)?;
        if !has_acl(&node, kind) {
            return Ok(None);
        }
        let got = as_process(|| get(&node, acl_name(kind)));
        match got {
            Ok(bytes) => acl_of(&bytes).map(Some),
            Err(Error::Os(Errno::NODATA)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_acl(
        &self,
        context: Context<'_>,
        handle: &Handle,
        kind: AclKind,
        acl: Option<&PosixAcl>,
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.change_object(context, handle, |node, _| {
            if !has_acl(node, kind) {
                // A directory alone has one for what is made in it.
                return if acl.is_none() { Ok(()) } else { Err(Errno::ACCESS.into()) };
            }
            as_caller(context.caller, || match acl {
                Some(acl) => set(node, acl_name(kind), &bytes_of(acl), SetHow::Either),
                None => match remove(node, acl_name(kind)) {
                    Err(Error::Os(Errno::NODATA)) => Ok(()),
                    removed => removed,
                },
            })?
        })
    }

    fn extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
    ) -> Result<Vec<u8>> {
        let _scope = IdentityScope::enter();
        let name = user_name(name)?;
        let node = self.waited_node(context, handle)?;
        as_caller(context.caller, || get(&node, &name))?
    }

    fn set_extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
        value: &[u8],
        how: SetHow,
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.change_object(context, handle, |node, _| {
            let name = user_name(name)?;
            as_caller(context.caller, || set(node, &name, value, how))?
        })
    }

    fn extended_attributes(&self, context: Context<'_>, handle: &Handle) -> Result<Vec<Vec<u8>>> {
        let _scope = IdentityScope::enter();
        let node = self.waited_node(context, handle)?;
        as_caller(context.caller, || node.allows(Access::READ_OK))??;
        let mut buffer = vec![0; LONGEST];
        let length = rustix::fs::listxattr(path(&node), &mut buffer[..])?;
        let names = buffer.get(..length).unwrap_or_default().split(|&byte| byte == 0);
        Ok(names.filter_map(|name| name.strip_prefix(PREFIX)).map(<[u8]>::to_vec).collect())
    }

    fn remove_extended_attribute(
        &self,
        context: Context<'_>,
        handle: &Handle,
        name: &[u8],
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.change_object(context, handle, |node, _| {
            let name = user_name(name)?;
            as_caller(context.caller, || remove(node, &name))?
        })
    }
}

impl PosixFileSystem {
    /// The open object of a handle, for what may wait.
    pub(super) fn waited_node(
        &self,
        context: Context<'_>,
        handle: &Handle,
    ) -> Result<std::sync::Arc<Node>> {
        if context.wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        Ok(self.node_with_attributes(context.wait, handle)?.0)
    }
}

/// The name by which `/proc` knows an open object, for system calls that take no descriptor of
/// `O_PATH`.
fn path(node: &Node) -> String {
    format!("/proc/self/fd/{}", DecInt::from_fd(node.fd()).as_str())
}

fn get(node: &Node, name: &CStr) -> Result<Vec<u8>> {
    let mut buffer = vec![0; LONGEST];
    let length = rustix::fs::getxattr(path(node), name, &mut buffer[..])?;
    buffer.truncate(length);
    Ok(buffer)
}

fn set(node: &Node, name: &CStr, value: &[u8], how: SetHow) -> Result<()> {
    let flags = match how {
        SetHow::Either => XattrFlags::empty(),
        SetHow::Create => XattrFlags::CREATE,
        SetHow::Replace => XattrFlags::REPLACE,
    };
    Ok(rustix::fs::setxattr(path(node), name, value, flags)?)
}

fn remove(node: &Node, name: &CStr) -> Result<()> {
    Ok(rustix::fs::removexattr(path(node), name)?)
}

/// The kernel's name of a user's attribute.
fn user_name(name: &[u8]) -> Result<CString> {
    if name.is_empty() {
        return Err(Errno::INVAL.into());
    }
    if PREFIX.len() + name.len() > LONGEST_NAME {
        return Err(Errno::NAMETOOLONG.into());
    }
    CString::new([PREFIX, name].concat()).map_err(|_| Errno::INVAL.into())
}

fn has_acl(node: &Node, kind: AclKind) -> bool {
    match kind {
        AclKind::Access => node.kind != FileKind::Symlink,
        AclKind::Default => node.kind == FileKind::Directory,
    }
}

fn acl_name(kind: AclKind) -> &'static CStr {
    match kind {
        AclKind::Access => c"system.posix_acl_access",
        AclKind::Default => c"system.posix_acl_default",
    }
}

/// `POSIX_ACL_XATTR_VERSION`, tags and the number for none of `linux/posix_acl_xattr.h`.
const VERSION: u32 = 2;
const OWNER: u16 = 0x01;
const USER: u16 = 0x02;
const OWNING_GROUP: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
const NOBODY: u32 = u32::MAX;

fn bytes_of(acl: &PosixAcl) -> Vec<u8> {
    let mut bytes = VERSION.to_le_bytes().to_vec();
    for entry in &acl.entries {
        let (tag, id) = match entry.tag {
            AclTag::Owner => (OWNER, NOBODY),
            AclTag::User(id) => (USER, id),
            AclTag::OwningGroup => (OWNING_GROUP, NOBODY),
            AclTag::Group(id) => (GROUP, id),
            AclTag::Mask => (MASK, NOBODY),
            AclTag::Other => (OTHER, NOBODY),
        };
        bytes.extend(tag.to_le_bytes());
        bytes.extend(u16::from(entry.permissions).to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

fn acl_of(bytes: &[u8]) -> Result<PosixAcl> {
    let malformed = || Error::Os(Errno::IO);
    let (version, entries) = bytes.split_first_chunk().ok_or_else(malformed)?;
    if u32::from_le_bytes(*version) != VERSION || !entries.len().is_multiple_of(8) {
        return Err(malformed());
    }
    let entry = |bytes: &[u8; 8]| {
        let [a, b, c, d, id @ ..] = *bytes;
        let id = u32::from_le_bytes(id);
        let tag = match u16::from_le_bytes([a, b]) {
            OWNER => AclTag::Owner,
            USER => AclTag::User(id),
            OWNING_GROUP => AclTag::OwningGroup,
            GROUP => AclTag::Group(id),
            MASK => AclTag::Mask,
            OTHER => AclTag::Other,
            _ => return Err(malformed()),
        };
        let permissions = u8::try_from(u16::from_le_bytes([c, d])).map_err(|_| malformed())?;
        Ok(AclEntry { tag, permissions })
    };
    let entries = entries.as_chunks().0.iter().map(entry).collect::<Result<_>>()?;
    Ok(PosixAcl { entries })
}
