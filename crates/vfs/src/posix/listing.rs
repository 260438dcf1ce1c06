//! Listing directories.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{AtFlags, Mode, OFlags, RawDir, SeekFrom, StatxFlags};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::change::Look;
use super::hidden::is_hidden;
use super::identity::{as_caller, as_process};
use super::node::{self, Node};
use super::{PosixFileSystem, syscall};
use crate::{Context, DirectoryEntry, Error, Found, Handle, Listing, Result, Wait};

/// Room for the entries of one `getdents64(2)`.
const BUFFER: usize = 16 * 1024;

impl PosixFileSystem {
    pub(super) fn do_read_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
        cookie: u64,
        with_found: bool,
        sink: &mut dyn FnMut(DirectoryEntry) -> bool,
    ) -> Result<Listing> {
        if context.wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let node = self.directory(context.wait, directory)?;
        self.list(context, &node, cookie, with_found, sink)
            .map_err(|error| Self::stale_if_removed(&node, error))
    }

    fn list(
        &self,
        context: Context<'_>,
        directory: &Node,
        cookie: u64,
        with_found: bool,
        sink: &mut dyn FnMut(DirectoryEntry) -> bool,
    ) -> Result<Listing> {
        // Through `/proc`, since a step to `.` would ask for the right to search, and listing
        // needs only that to read.
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let name = DecInt::from_fd(directory.fd());
        let fd = as_caller(context.caller, || {
            rustix::fs::openat(&self.proc_fds, name, flags, Mode::empty())
        })??;
        if i64::try_from(cookie).is_err() {
            return Err(Errno::INVAL.into());
        }
        if cookie > 0 {
            rustix::fs::seek(&fd, SeekFrom::Start(cookie))?;
        }
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut entries = RawDir::new(&fd, &mut buffer);
        let mut end = true;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if is_hidden(name.to_bytes()) {
                continue;
            }
            let mut entry = DirectoryEntry {
                file_id: entry.ino(),
                name: name.to_bytes().to_vec(),
                cookie: entry.next_entry_cookie(),
                found: None,
            };
            self.complete(context, directory, fd.as_fd(), name, with_found, &mut entry)?;
            if !sink(entry) {
                end = false;
                break;
            }
        }
        Ok(Listing { end, attributes: directory.attributes()? })
    }

    /// Adds handle and attributes, and hides what is above the export.
    fn complete(
        &self,
        context: Context<'_>,
        directory: &Node,
        fd: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        with_found: bool,
        entry: &mut DirectoryEntry,
    ) -> Result<()> {
        let at_root = directory.handle == self.mounts.root().root;
        let itself = name == c"." || (name == c".." && at_root);
        if itself {
            let attributes = directory.attributes()?;
            entry.file_id = attributes.file_id;
            let found = Found { handle: directory.handle, attributes };
            entry.found = with_found.then_some(found);
        } else if with_found && name == c".." {
            entry.found = self.parent(context, directory).ok();
        } else if with_found {
            entry.found = as_process(|| self.find_entry(directory, fd, name, entry.file_id)).ok();
        }
        Ok(())
    }

    /// Handle and attributes of an entry; an error if it changed since it was listed.
    fn find_entry(
        &self,
        directory: &Node,
        fd: BorrowedFd<'_>,
        name: &std::ffi::CStr,
        file_id: u64,
    ) -> Result<Found> {
        let encoded = syscall::name_to_handle_at(fd, name, AtFlags::empty())?;
        let Some(filesystem) = self.mounts.known_mount(encoded.mount) else {
            return self.find_mounted(fd, name);
        };
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let look = Look::by(|| rustix::fs::statx(fd, name, flags, wanted))?;
        // Handle and attributes come from two looks; the listed number ties them together.
        let crossed = filesystem.id != directory.filesystem.id;
        if look.stat.stx_ino != file_id && !crossed {
            return Err(Error::Stale);
        }
        let handle = encoded.on(filesystem.id).ok_or(Error::Os(Errno::OVERFLOW))?;
        Ok(Found { handle, attributes: node::attributes(&look, &filesystem, &handle) })
    }

    /// The topmost directory of a filesystem that was not seen before.
    fn find_mounted(&self, fd: BorrowedFd<'_>, name: &std::ffi::CStr) -> Result<Found> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let top = rustix::fs::openat(fd, name, flags, Mode::empty())?;
        let (node, attributes) = self.adopt(Wait::Allowed, top, false)?;
        Ok(Found { handle: node.handle, attributes })
    }
}
