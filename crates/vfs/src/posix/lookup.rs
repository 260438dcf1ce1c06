//! From a directory and a name to an object.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::identity::{as_caller, as_process};
use super::mounted::{self, Mounted};
use super::name::Name;
use super::node::{self, Node};
use super::{PosixFileSystem, syscall};
use crate::{Attributes, Caller, Context, Error, FileKind, Found, Handle, Result, Wait};

const PATH: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl PosixFileSystem {
    pub(super) fn do_lookup(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
    ) -> Result<Found> {
        let name = Name::new(name)?;
        let directory = self.directory(context.wait, directory)?;
        let found = if name.is_dot() {
            Self::itself(context.caller, &directory)
        } else if name.is_dot_dot() {
            self.parent(context, &directory)
        } else {
            self.child(context, &directory, &name)
        };
        found.map_err(|error| Self::stale_if_removed(&directory, error))
    }

    fn itself(caller: &Caller, directory: &Node) -> Result<Found> {
        as_caller(caller, || directory.allows(Access::EXEC_OK))??;
        Ok(Found { handle: directory.handle, attributes: directory.attributes()? })
    }

    /// The parent of a directory, at most the export's root.
    pub(super) fn parent(&self, context: Context<'_>, directory: &Node) -> Result<Found> {
        let filesystem = &directory.filesystem;
        if directory.handle == self.mounts.root().root {
            return Self::itself(context.caller, directory);
        }
        let found = if !filesystem.crosses() {
            self.open_child(context, directory, directory.fd(), c"..")
        } else if context.wait == Wait::Never {
            Err(Error::WouldBlock)
        } else if directory.handle == filesystem.root {
            self.open_child(context, directory, filesystem.live(), c"..")
        } else {
            self.confined_child(context, directory, c"..")
        };
        match found {
            Ok((node, attributes)) => Ok(Found { handle: node.handle, attributes }),
            // The kernel's word for a directory that was moved out of the export.
            Err(Error::Os(Errno::NOENT)) => Err(Error::Stale),
            Err(error) => Err(error),
        }
    }

    fn child(&self, context: Context<'_>, directory: &Node, name: &Name) -> Result<Found> {
        if context.wait == Wait::Allowed
            && let Some(found) = self.held_child(context.caller, directory, name)?
        {
            return Ok(found);
        }
        let found = self.open_child(context, directory, directory.fd(), name.as_c_str());
        let (node, attributes) = match found {
            // Something is mounted there that cannot be served: what it covers is.
            Err(Error::Os(Errno::OPNOTSUPP | Errno::OVERFLOW))
                if context.wait == Wait::Allowed && directory.filesystem.crosses() =>
            {
                self.confined_child(context, directory, name.as_c_str())?
            }
            found => found?,
        };
        Ok(Found { handle: node.handle, attributes })
    }

    /// The child, if it is held open already.
    fn held_child(&self, caller: &Caller, directory: &Node, name: &Name) -> Result<Option<Found>> {
        let Some(handle) = self.handle_of_name(caller, directory, name)? else { return Ok(None) };
        let Some(node) = self.cache.get(&handle) else { return Ok(None) };
        let attributes = node.attributes()?;
        if attributes.removed {
            drop(self.cache.remove(&handle));
            return Ok(None);
        }
        Ok(Some(Found { handle, attributes }))
    }

    /// The handle of what a name stands for now; `None` if it is not to be had without looking
    /// closer.
    pub(super) fn handle_of_name(
        &self,
        caller: &Caller,
        directory: &Node,
        name: &Name,
    ) -> Result<Option<Handle>> {
        let encoded = as_caller(caller, || {
            syscall::name_to_handle_at(directory.fd(), name.as_c_str(), AtFlags::empty())
        })?;
        let encoded = match encoded {
            Err(Errno::OPNOTSUPP | Errno::OVERFLOW) => return Ok(None),
            encoded => encoded?,
        };
        let filesystem = self.mounts.known_mount(encoded.mount);
        Ok(filesystem.and_then(|filesystem| encoded.on(filesystem.id)))
    }

    /// Opens what `name` stands for as seen from `from`, with the caller's rights.
    pub(super) fn open_child(
        &self,
        context: Context<'_>,
        directory: &Node,
        from: BorrowedFd<'_>,
        name: &std::ffi::CStr,
    ) -> Result<(Arc<Node>, Attributes)> {
        self.make_room(&directory.handle);
        let fd = as_caller(context.caller, || match context.wait {
            Wait::Allowed => rustix::fs::openat(from, name, PATH, Mode::empty()),
            Wait::Never => {
                rustix::fs::openat2(from, name, PATH, Mode::empty(), ResolveFlags::CACHED)
            }
        })?;
        match fd {
            Err(Errno::AGAIN) if context.wait == Wait::Never => Err(Error::WouldBlock),
            fd => self.adopt(context.wait, fd?, false),
        }
    }

    /// Opens what `name` stands for where nothing mounted below the export is seen.
    fn confined_child(
        &self,
        context: Context<'_>,
        directory: &Node,
        name: &std::ffi::CStr,
    ) -> Result<(Arc<Node>, Attributes)> {
        let filesystem = &directory.filesystem;
        let from =
            as_process(|| filesystem.open_confined(&directory.handle, PATH | OFlags::DIRECTORY))?;
        let child =
            as_caller(context.caller, || rustix::fs::openat(&from, name, PATH, Mode::empty()))??;
        // Renames and links need all objects to be reached through one mount, so this descriptor
        // only serves to learn the handle.
        let handle = handle_of(child.as_fd(), filesystem)?;
        drop(child);
        self.node_with_attributes(context.wait, &handle)
    }

    /// Takes a descriptor that was got by name among the open objects.
    pub(super) fn adopt(
        &self,
        wait: Wait,
        fd: OwnedFd,
        opened: bool,
    ) -> Result<(Arc<Node>, Attributes)> {
        let look = mounted::look(fd.as_fd())?;
        let stat = &look.stat;
        let kind = node::kind(stat);
        let filesystem = match self.mounts.known_mount(stat.stx_mnt_id) {
            Some(known) => known,
            None if wait == Wait::Never => return Err(Error::WouldBlock),
            // A file that is mounted over a file has no directory to confine clients to.
            None if kind != FileKind::Directory => return Err(Errno::OPNOTSUPP.into()),
            None => as_process(|| self.mounts.at(fd.as_fd(), stat.stx_mnt_id))?,
        };
        if kind == FileKind::Directory && filesystem.hidden.is(stat) {
            return Err(Errno::NOENT.into());
        }
        let handle = handle_of(fd.as_fd(), &filesystem)?;
        let attributes = node::attributes(&look, &filesystem, &handle);
        let node = Arc::new(Node::new(handle, filesystem, kind, fd, opened));
        Ok((if attributes.removed { node } else { self.cache.insert(node) }, attributes))
    }
}

fn handle_of(fd: BorrowedFd<'_>, filesystem: &Mounted) -> Result<Handle> {
    let encoded = syscall::name_to_handle_at(fd, c"", AtFlags::EMPTY_PATH)?;
    encoded.on(filesystem.id).ok_or(Error::Os(Errno::OVERFLOW))
}
