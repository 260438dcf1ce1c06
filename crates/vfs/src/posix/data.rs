//! Reading and writing.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::io::{Errno, ReadWriteFlags};

use super::PosixFileSystem;
use super::access::{may_read, may_write};
use super::flush::{Flush, settle};
use super::identity::as_caller;
use super::mounted::Mounted;
use super::node::{Node, require_regular};
use crate::{
    Attributes, ChangeTime, Changed, Context, Error, Handle, Read, Result, Stability, Wait,
};

/// The largest offset of the kernel.
const LARGEST: u64 = i64::MAX as u64;

impl PosixFileSystem {
    pub(super) fn do_read(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Read> {
        let node = self.node(context.wait, handle)?;
        let read = self.read_node(context, &node, offset, buffer)?;
        if !read.attributes.removed {
            return Ok(read);
        }
        let node = self.reopen(context.wait, node)?;
        self.read_node(context, &node, offset, buffer)
    }

    fn read_node(
        &self,
        context: Context<'_>,
        node: &Node,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Read> {
        require_regular(node.kind)?;
        may_read(context.caller, node)?;
        self.make_room(&node.handle);
        let reader = node.reader()?;
        let offset = offset.min(LARGEST);
        let room = usize::try_from(LARGEST - offset).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..room];
        let mut length = 0;
        loop {
            let at = offset + length as u64;
            let got = match context.wait {
                Wait::Allowed => read_at(reader, &mut buffer[length..], at)?,
                Wait::Never => read_cached(&node.filesystem, reader, &mut buffer[length..], at)?,
            };
            length += got;
            let attributes = node.attributes()?;
            let end_of_file = offset + length as u64 >= attributes.size;
            if end_of_file || got == 0 || length == buffer.len() {
                return Ok(Read { length, end_of_file, attributes });
            }
            if context.wait == Wait::Never {
                return Err(Error::WouldBlock);
            }
        }
    }

    pub(super) fn do_write(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        data: &[u8],
        stability: Stability,
    ) -> Changed<Stability> {
        let node = match self.node(context.wait, handle) {
            Ok(node) => node,
            Err(error) => return Changed::failed(error),
        };
        let refused = node.filesystem.no_nowait_write.load(Ordering::Relaxed);
        if context.wait == Wait::Never && (refused || stability != Stability::Unstable) {
            return Changed::failed(Error::WouldBlock);
        }
        let write = Write { context, offset, data, stability };
        match self.write_node(&node, &write) {
            Ok(changed) => changed,
            // It was removed, but may exist on if others have it open.
            Err(Error::Stale) => self
                .reopen(context.wait, node)
                .and_then(|node| self.write_node(&node, &write))
                .unwrap_or_else(Changed::failed),
            Err(error) => Changed::failed(error),
        }
    }

    /// Writes to an open object. Fails if nothing is known of it; [`Error::Stale`] if it was
    /// removed while it was cached.
    fn write_node(&self, node: &Arc<Node>, write: &Write<'_>) -> Result<Changed<Stability>> {
        let change = node.changes.begin();
        let before = node.attributes()?;
        if before.removed && self.cache.get(&node.handle).is_some() {
            return Err(Error::Stale);
        }
        let failures = node.failures();
        let written = self.write_data(node, write, &before);
        let after = node.attributes().ok();
        let before = change.was_alone().then(|| ChangeTime::from(&before));
        drop(change);
        let result = written.map(|()| {
            if let (true, Some(deferred)) = (write.is_stable(), write.context.deferred) {
                deferred.note([Flush::object(Arc::clone(node), failures)]);
            }
            write.stability
        });
        Ok(Changed { result, before, after })
    }

    fn write_data(&self, node: &Node, write: &Write<'_>, before: &Attributes) -> Result<()> {
        require_regular(node.kind)?;
        may_write(write.context.caller, node, before.uid)?;
        let end = write.offset.checked_add(write.data.len() as u64);
        if end.is_none_or(|end| end > LARGEST) {
            return Err(Errno::FBIG.into());
        }
        self.make_room(&node.handle);
        let writer = node.writer()?;
        if write.data.is_empty() {
            return Ok(());
        }
        // As the caller, so that the kernel counts the caller's quota and clears setuid bits.
        let written = as_caller(write.context.caller, || match write.context.wait {
            Wait::Allowed if write.is_through() => {
                node.write_through(|| write_at(node, writer, write))
            }
            Wait::Allowed => write_at(node, writer, write),
            Wait::Never => write_cached(&node.filesystem, writer, write.data, write.offset),
        });
        // Also if it failed: a part may have been written.
        if !write.is_through() {
            node.wrote();
        }
        written?
    }

    pub(super) fn do_commit(&self, context: Context<'_>, handle: &Handle) -> Changed<()> {
        if context.wait == Wait::Never {
            return Changed::failed(Error::WouldBlock);
        }
        let node = match self.node_with_attributes(context.wait, handle) {
            Ok((node, _)) => node,
            Err(error) => return Changed::failed(error),
        };
        let failures = node.failures();
        let quiet = node.changes.quiet();
        let before = match node.attributes() {
            Ok(before) => before,
            Err(error) => return Changed::failed(error),
        };
        let result = require_regular(node.kind)
            .and_then(|()| may_write(context.caller, &node, before.uid))
            .and_then(|()| {
                let flush = Flush::object(Arc::clone(&node), failures);
                settle(context, [flush])
            });
        let after = node.attributes().ok();
        let alone = quiet.is_some() && quiet == node.changes.quiet();
        Changed { result, before: alone.then(|| ChangeTime::from(&before)), after }
    }
}

/// What is to be written.
struct Write<'a> {
    context: Context<'a>,
    offset: u64,
    data: &'a [u8],
    stability: Stability,
}

impl Write<'_> {
    /// Whether it has to be flushed to be as stable as wanted. Also for [`Stability::DataSync`]
    /// everything is: data must not be newer after a crash than the times that tell of it.
    fn is_stable(&self) -> bool {
        self.stability != Stability::Unstable && !self.data.is_empty()
    }

    /// Whether the write itself flushes.
    fn is_through(&self) -> bool {
        self.context.deferred.is_none() && self.is_stable()
    }

    fn flags(&self) -> ReadWriteFlags {
        if self.is_through() {
            ReadWriteFlags::DSYNC | ReadWriteFlags::SYNC
        } else {
            ReadWriteFlags::empty()
        }
    }
}

fn read_at(fd: BorrowedFd<'_>, buffer: &mut [u8], offset: u64) -> Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::io::pread(fd, &mut *buffer, offset))?)
}

/// Reads what is in the page cache.
fn read_cached(
    filesystem: &Mounted,
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    offset: u64,
) -> Result<usize> {
    if filesystem.no_nowait_read.load(Ordering::Relaxed) {
        return Err(Error::WouldBlock);
    }
    let buffers = &mut [IoSliceMut::new(buffer)];
    match rustix::io::preadv2(fd, buffers, offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN | Errno::INTR) => Err(Error::WouldBlock),
        Err(Errno::OPNOTSUPP) => Err(Mounted::nowait_refused(&filesystem.no_nowait_read)),
        got => Ok(got?),
    }
}

/// Writes all, and flushes it if that is not deferred: its own part of the file only. Those that
/// wait at the same time share a commit of the filesystem's log.
fn write_at(node: &Node, fd: BorrowedFd<'_>, write: &Write<'_>) -> Result<()> {
    let flags = write.flags();
    let (mut data, mut offset) = (write.data, write.offset);
    while !data.is_empty() {
        let buffers = [IoSlice::new(data)];
        let written =
            rustix::io::retry_on_intr(|| rustix::io::pwritev2(fd, &buffers, offset, flags));
        let written = match written {
            Ok(0) => return Err(Errno::IO.into()),
            // This may be the error of writing back something else, which is told only once.
            Err(errno) if errno == Errno::IO || (!flags.is_empty() && node.is_dirty()) => {
                return node.noted(Err(errno));
            }
            written => written?,
        };
        data = &data[written..];
        offset += written as u64;
    }
    Ok(())
}

/// Writes to the page cache if that takes no waiting. Of what was written in part, all is written
/// again with waiting.
fn write_cached(filesystem: &Mounted, fd: BorrowedFd<'_>, data: &[u8], offset: u64) -> Result<()> {
    let flags = ReadWriteFlags::NOWAIT;
    match rustix::io::pwritev2(fd, &[IoSlice::new(data)], offset, flags) {
        Ok(written) if written == data.len() => Ok(()),
        Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Err(Error::WouldBlock),
        Err(Errno::OPNOTSUPP) => Err(Mounted::nowait_refused(&filesystem.no_nowait_write)),
        Err(errno) => Err(errno.into()),
    }
}
