//! Parts of files: holes, reserved space, copies.

use std::num::NonZeroU64;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::access::{may_read, may_write};
use super::flush::{Flush, settle};
use super::identity::as_caller;
use super::node::{Node, require_regular};
use super::{IdentityScope, PosixFileSystem, syscall};
use crate::{Advice, ChangeTime, Changed, Content, Context, Handle, Ranges, Result};

/// The largest offset of the kernel.
const LARGEST: u64 = i64::MAX as u64;

/// Most bytes that are copied at once, so that whoever asked can stop in between.
const SLICE: u64 = 16 << 20;

/// Bytes that are read and written at once where the kernel does not copy by itself.
const BUFFER: usize = 1 << 20;

impl Ranges for PosixFileSystem {
    fn seek(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        what: Content,
    ) -> Result<Option<u64>> {
        let _scope = IdentityScope::enter();
        let node = self.readable(context, handle)?;
        if offset >= node.attributes()?.size {
            return Err(Errno::NXIO.into());
        }
        let from = match what {
            Content::Data => SeekFrom::Data(offset),
            Content::Hole => SeekFrom::Hole(offset),
        };
        match rustix::fs::seek(node.reader()?, from) {
            Ok(found) => Ok(Some(found)),
            // What was asked for is not there, or the file was truncated meanwhile.
            Err(Errno::NXIO) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn allocate(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
    ) -> Changed<()> {
        self.fallocate(context, handle, FallocateFlags::empty(), (offset, length))
    }

    fn deallocate(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
    ) -> Changed<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        self.fallocate(context, handle, flags, (offset, length))
    }

    fn clone_range(
        &self,
        context: Context<'_>,
        from: (&Handle, u64),
        to: (&Handle, u64),
        length: u64,
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.change_data(context, to.0, Stable::Yes, |target| {
            let source = self.readable(context, from.0)?;
            let (reader, writer) = (source.reader()?, target.writer()?);
            as_caller(context.caller, || {
                Ok(syscall::clone_range(reader, from.1, length, writer, to.1)?)
            })?
        })
    }

    fn copy_range(
        &self,
        context: Context<'_>,
        from: (&Handle, u64),
        to: (&Handle, u64),
        length: u64,
    ) -> Changed<u64> {
        let _scope = self.enter_to_change(context.wait);
        self.change_data(context, to.0, Stable::No, |target| {
            let source = self.readable(context, from.0)?;
            let length = range((from.1, length)).and(range((to.1, length))).map(|()| length)?;
            let (reader, writer) = (source.reader()?, target.writer()?);
            as_caller(context.caller, || copy((reader, from.1), (writer, to.1), length.min(SLICE)))?
        })
    }

    fn advise(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
        advice: Advice,
    ) -> Result<()> {
        let _scope = IdentityScope::enter();
        let node = self.readable(context, handle)?;
        let advice = match advice {
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        range((offset, length))?;
        Ok(rustix::fs::fadvise(node.reader()?, offset, NonZeroU64::new(length), advice)?)
    }
}

/// Whether a change of data is to be stable when it returns or is deferred.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stable {
    Yes,
    No,
}

impl PosixFileSystem {
    /// A file that the caller may read.
    fn readable(&self, context: Context<'_>, handle: &Handle) -> Result<Arc<Node>> {
        let node = self.waited_node(context, handle)?;
        require_regular(node.kind)?;
        may_read(context.caller, &node)?;
        self.make_room(handle);
        Ok(node)
    }

    fn fallocate(
        &self,
        context: Context<'_>,
        handle: &Handle,
        flags: FallocateFlags,
        (offset, length): (u64, u64),
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.change_data(context, handle, Stable::Yes, |node| {
            let length = if flags.contains(FallocateFlags::PUNCH_HOLE) {
                // Beyond the largest file there is nothing to punch.
                length.min(node.filesystem.largest_file().saturating_sub(offset))
            } else {
                length
            };
            range((offset, length))?;
            if length == 0 {
                return Ok(());
            }
            let writer = node.writer()?;
            // As the caller, so that the kernel counts the caller's quota.
            as_caller(context.caller, || {
                Ok(rustix::io::retry_on_intr(|| {
                    rustix::fs::fallocate(writer, flags, offset, length)
                })?)
            })?
        })
    }

    /// Changes the data of a file that the caller may write. Does not keep others from changing
    /// the file meanwhile.
    fn change_data<T>(
        &self,
        context: Context<'_>,
        handle: &Handle,
        stable: Stable,
        change: impl FnOnce(&Node) -> Result<T>,
    ) -> Changed<T> {
        let node = match self.waited_node(context, handle) {
            Ok(node) => node,
            Err(error) => return Changed::failed(error),
        };
        let under_way = node.changes.begin();
        let before = match node.attributes() {
            Ok(before) => before,
            Err(error) => return Changed::failed(error),
        };
        let failures = node.failures();
        let result = require_regular(node.kind)
            .and_then(|()| may_write(context.caller, &node, before.uid))
            .and_then(|()| {
                self.make_room(handle);
                let result = change(&node);
                // Also if it failed: a part may have been changed.
                node.wrote();
                result
            });
        let after = node.attributes().ok();
        let before = under_way.was_alone().then(|| ChangeTime::from(&before));
        drop(under_way);
        let result = result.and_then(|value| {
            if stable == Stable::Yes {
                settle(context, [Flush::object(node, failures)])?;
            }
            Ok(value)
        });
        Changed { result, before, after }
    }
}

/// Whether the kernel's files can be so large.
fn range((offset, length): (u64, u64)) -> Result<()> {
    match offset.checked_add(length) {
        Some(end) if end <= LARGEST => Ok(()),
        _ => Err(Errno::FBIG.into()),
    }
}

fn copy(
    (reader, mut from): (BorrowedFd<'_>, u64),
    (writer, mut to): (BorrowedFd<'_>, u64),
    length: u64,
) -> Result<u64> {
    let count = usize::try_from(length).unwrap_or(usize::MAX);
    let copied = rustix::io::retry_on_intr(|| {
        rustix::fs::copy_file_range(reader, Some(&mut from), writer, Some(&mut to), count)
    });
    match copied {
        // Kernels that copy nothing from some files say zero.
        Ok(0) | Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS) => {
            copy_by_hand((reader, from), (writer, to), count.min(BUFFER))
        }
        copied => Ok(copied? as u64),
    }
}

fn copy_by_hand(
    (reader, from): (BorrowedFd<'_>, u64),
    (writer, to): (BorrowedFd<'_>, u64),
    length: usize,
) -> Result<u64> {
    let mut buffer = vec![0; length];
    let read = rustix::io::retry_on_intr(|| rustix::io::pread(reader, &mut buffer[..], from))?;
    let mut written = 0;
    while let Some(rest) = buffer.get(written..read).filter(|rest| !rest.is_empty()) {
        let at = to + written as u64;
        match rustix::io::retry_on_intr(|| rustix::io::pwrite(writer, rest, at)) {
            Ok(0) => break,
            Ok(more) => written += more,
            // What was written before counts.
            Err(errno) if written == 0 => return Err(errno.into()),
            Err(_) => break,
        }
    }
    Ok(written as u64)
}
