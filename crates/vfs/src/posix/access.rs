//! Who may do what.

use rustix::fs::Access;
use rustix::io::Errno;

use super::PosixFileSystem;
use super::identity::{as_caller, is_process};
use super::node::Node;
use crate::{AccessMask, Attributes, Caller, Context, Error, FileKind, Handle, Result, Wait};

/// A right of the protocol and those of the kernel that it takes.
type Right = (u32, Access);

const DIRECTORY: [Right; 8] = [
    (AccessMask::READ, Access::READ_OK),
    (AccessMask::LOOKUP, Access::EXEC_OK),
    (AccessMask::MODIFY, Access::WRITE_OK.union(Access::EXEC_OK)),
    (AccessMask::EXTEND, Access::WRITE_OK.union(Access::EXEC_OK)),
    (AccessMask::DELETE, Access::WRITE_OK.union(Access::EXEC_OK)),
    (AccessMask::READ_EXTENDED, Access::READ_OK),
    (AccessMask::LIST_EXTENDED, Access::READ_OK),
    (AccessMask::WRITE_EXTENDED, Access::WRITE_OK),
];

const FILE: [Right; 7] = [
    (AccessMask::READ, Access::READ_OK),
    (AccessMask::MODIFY, Access::WRITE_OK),
    (AccessMask::EXTEND, Access::WRITE_OK),
    (AccessMask::EXECUTE, Access::EXEC_OK),
    (AccessMask::READ_EXTENDED, Access::READ_OK),
    (AccessMask::LIST_EXTENDED, Access::READ_OK),
    (AccessMask::WRITE_EXTENDED, Access::WRITE_OK),
];

impl PosixFileSystem {
    pub(super) fn do_access(
        &self,
        context: Context<'_>,
        handle: &Handle,
        wanted: AccessMask,
    ) -> Result<(AccessMask, Attributes)> {
        let (node, attributes) = self.node_with_attributes(context.wait, handle)?;
        let rights: &[Right] = if node.kind == FileKind::Directory { &DIRECTORY } else { &FILE };
        let granted = as_caller(context.caller, || granted(&node, rights, wanted.0))??;
        Ok((AccessMask(granted), attributes))
    }

    pub(super) fn do_read_link(
        &self,
        context: Context<'_>,
        handle: &Handle,
    ) -> Result<(Vec<u8>, Attributes)> {
        if context.wait == Wait::Never {
            // A long target is in a block of its own, and nothing says whether that is in memory.
            return Err(Error::WouldBlock);
        }
        let (node, _) = self.node_with_attributes(context.wait, handle)?;
        if node.kind != FileKind::Symlink {
            return Err(Errno::INVAL.into());
        }
        let target = rustix::fs::readlinkat(node.fd(), c"", Vec::new())?;
        Ok((target.into_bytes(), node.attributes()?))
    }
}

/// Those of the `wanted` rights that the thread's identity has.
fn granted(node: &Node, rights: &[Right], wanted: u32) -> Result<u32> {
    let wanted: Vec<_> = rights.iter().filter(|(right, _)| wanted & right != 0).collect();
    let all = wanted.iter().fold(Access::EXISTS, |all, (_, access)| all | *access);
    // Mostly everything is granted, and one question is enough.
    if wanted.is_empty() || is_allowed(node, all)? {
        return Ok(wanted.iter().fold(0, |granted, (right, _)| granted | right));
    }
    let mut granted = 0;
    let mut last = None;
    for (right, access) in wanted {
        let allowed = match last {
            Some((asked, allowed)) if asked == *access => allowed,
            _ => is_allowed(node, *access)?,
        };
        last = Some((*access, allowed));
        if allowed {
            granted |= right;
        }
    }
    Ok(granted)
}

fn is_allowed(node: &Node, access: Access) -> Result<bool> {
    match node.allows(access) {
        Ok(()) => Ok(true),
        Err(Error::Os(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY)) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether the caller may read the data: also the owner, whose mode bits the client checked when
/// the file was opened, and who may execute the file, as the client reads it for that.
pub(super) fn may_read(caller: &Caller, node: &Node) -> Result<()> {
    if is_process(caller) {
        return Ok(());
    }
    let allowed = as_caller(caller, || -> Result<bool> {
        Ok(is_allowed(node, Access::READ_OK)? || is_allowed(node, Access::EXEC_OK)?)
    })??;
    if allowed || node.attributes()?.uid == caller.uid { Ok(()) } else { Err(Errno::ACCESS.into()) }
}

/// Whether the caller may write the data of a file that belongs to `owner`: the owner always, as
/// the client checked the mode bits when the file was opened.
pub(super) fn may_write(caller: &Caller, node: &Node, owner: u32) -> Result<()> {
    if is_process(caller) || caller.uid == owner {
        return Ok(());
    }
    as_caller(caller, || node.allows(Access::WRITE_OK))?
}
