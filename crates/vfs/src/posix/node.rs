//! An object of the filesystem that is held open.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::RwLock;
use rustix::fs::{Access, FileType, OFlags, Statx};
use rustix::io::Errno;

use super::change::Look;
use super::identity::as_process;
use super::mounted::{self, Mounted};
use super::syscall;
use crate::{Attributes, DeviceNumber, Error, FileKind, Handle, Result, Timestamp};

/// An object of the filesystem that is held open: by an `O_PATH` descriptor, and for input and
/// output by further ones that are opened when first needed.
pub(super) struct Node {
    /// Its handle.
    pub(super) handle: Handle,
    /// The filesystem it is on.
    pub(super) filesystem: Arc<Mounted>,
    /// What it is; an object never becomes another kind.
    pub(super) kind: FileKind,
    /// Who changes it now.
    pub(super) changes: Changes,
    /// Marks for the cache.
    pub(super) marks: AtomicU8,
    fd: OwnedFd,
    /// `fd` is not an `O_PATH` one but open for reading and writing: that of a new file.
    opened: bool,
    reader: OnceLock<OwnedFd>,
    writer: OnceLock<OwnedFd>,
    /// Data was written that was not flushed since.
    dirty: AtomicBool,
    /// How many flushes failed. The kernel tells an error of writing back once, to whoever asks
    /// first: so flushes of the whole object run one at a time, and not beside those of a part.
    failures: AtomicU64,
    flushing: RwLock<()>,
}

impl Node {
    pub(super) fn new(
        handle: Handle,
        filesystem: Arc<Mounted>,
        kind: FileKind,
        fd: OwnedFd,
        opened: bool,
    ) -> Self {
        filesystem.shared.opened();
        Self {
            handle,
            filesystem,
            kind,
            changes: Changes::default(),
            marks: AtomicU8::new(0),
            fd,
            opened,
            reader: OnceLock::new(),
            writer: OnceLock::new(),
            dirty: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            flushing: RwLock::new(()),
        }
    }

    /// A descriptor that names the object, not for input and output.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The attributes now.
    pub(super) fn attributes(&self) -> Result<Attributes> {
        Ok(attributes(&mounted::look(self.fd())?, &self.filesystem, &self.handle))
    }

    /// Whether the thread's identity has these rights to the object.
    pub(super) fn allows(&self, access: Access) -> Result<()> {
        Ok(syscall::access(self.fd(), access)?)
    }

    /// A descriptor for reading; also of a directory, to flush it.
    pub(super) fn reader(&self) -> Result<BorrowedFd<'_>> {
        if self.opened {
            return Ok(self.fd());
        }
        match self.writer.get() {
            Some(writer) => Ok(writer.as_fd()),
            None => self.opened_once(&self.reader, OFlags::RDONLY),
        }
    }

    /// A descriptor for writing (and reading). Until there is one, the file counts as not being
    /// written, so that the host may execute it.
    pub(super) fn writer(&self) -> Result<BorrowedFd<'_>> {
        if self.opened {
            return Ok(self.fd());
        }
        self.opened_once(&self.writer, OFlags::RDWR)
    }

    fn opened_once<'a>(
        &self,
        slot: &'a OnceLock<OwnedFd>,
        flags: OFlags,
    ) -> Result<BorrowedFd<'a>> {
        if let Some(fd) = slot.get() {
            return Ok(fd.as_fd());
        }
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let fd = as_process(|| self.filesystem.open_handle(&self.handle, flags))?;
        Ok(slot
            .get_or_init(|| {
                self.filesystem.shared.opened();
                fd
            })
            .as_fd())
    }

    /// Notes, after the fact, that data was written that a crash may still lose. (If it was noted
    /// before, a flush in between would take the note and leave the data.)
    pub(super) fn wrote(&self) {
        self.dirty.store(true, Ordering::SeqCst);
    }

    /// Whether data was written that was not flushed since.
    pub(super) fn is_dirty(&self) -> bool {
        self.dirty.load(Ordering::Relaxed)
    }

    /// How many flushes failed until now. If the number did not change from before a write until
    /// after a flush that succeeded, the write is stable.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::SeqCst)
    }

    /// Sends what was written on its way to the disk, without waiting for it.
    pub(super) fn start_flush(&self) -> Result<()> {
        if self.kind != FileKind::Regular {
            return Ok(());
        }
        let fd = self.reader()?;
        self.noted(syscall::start_writeback(fd))
    }

    /// Makes everything stable that was written before this call: also the times, by which clients
    /// tell after a crash that the data is new.
    pub(super) fn flush(&self) -> Result<()> {
        let fd = self.reader()?;
        let _one_at_a_time = self.flushing.write();
        self.dirty.store(false, Ordering::SeqCst);
        self.noted(rustix::fs::fsync(fd))
    }

    /// Runs a write that flushes what it wrote.
    pub(super) fn write_through<T>(&self, write: impl FnOnce() -> Result<T>) -> Result<T> {
        let _not_beside_a_flush = self.flushing.read();
        write()
    }

    /// Counts a failure to make something of this object stable.
    pub(super) fn noted<T>(&self, flushed: rustix::io::Result<T>) -> Result<T> {
        if flushed.is_err() {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
        self.filesystem.noted(flushed)
    }

    fn descriptors(&self) -> usize {
        1 + usize::from(self.reader.get().is_some()) + usize::from(self.writer.get().is_some())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.filesystem.shared.closed(self.descriptors());
        // An error of writing back is told to those who have the file open. Nobody is left to
        // hear it at the commit, so clients are made to write again.
        if self.is_dirty()
            && let Ok(fd) = self.reader()
            && let Err(errno) = syscall::writeback_error(fd)
        {
            self.filesystem.shared.write_lost(errno);
        }
    }
}

/// Who changes an object now, to tell whether one change's attributes before and after enclose
/// just that change. High half: changes that began; low half: changes under way.
#[derive(Default)]
pub(super) struct Changes(AtomicU64);

/// A change that is under way.
pub(super) struct Change<'a> {
    changes: &'a Changes,
    /// How many began, this one included; `None` if another was under way.
    alone_as: Option<u64>,
}

impl Changes {
    const BEGAN: u64 = 1 << 32;

    /// Begins a change.
    pub(super) fn begin(&self) -> Change<'_> {
        let before = self.0.fetch_add(Self::BEGAN + 1, Ordering::SeqCst);
        let alone = before & (Self::BEGAN - 1) == 0;
        Change { changes: self, alone_as: alone.then_some((before >> 32).wrapping_add(1)) }
    }

    /// How many changes began until now, if none is under way: the same number later means that
    /// nothing changed in between.
    pub(super) fn quiet(&self) -> Option<u64> {
        let now = self.0.load(Ordering::SeqCst);
        (now & (Self::BEGAN - 1) == 0).then_some(now >> 32)
    }
}

impl Change<'_> {
    /// Whether no other change overlapped with this one so far.
    pub(super) fn was_alone(&self) -> bool {
        let began = self.changes.0.load(Ordering::SeqCst) >> 32;
        self.alone_as.is_some_and(|number| number & u64::from(u32::MAX) == began)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.changes.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `statx(2)` as the protocols' attributes.
pub(super) fn attributes(look: &Look, filesystem: &Mounted, handle: &Handle) -> Attributes {
    let stat = &look.stat;
    let timestamp = |time: &rustix::fs::StatxTimestamp| Timestamp {
        seconds: time.tv_sec,
        nanoseconds: time.tv_nsec,
    };
    let born = stat.stx_mask & rustix::fs::StatxFlags::BTIME.bits() != 0;
    Attributes {
        kind: kind(stat),
        mode: u32::from(stat.stx_mode) & 0o7777,
        links: stat.stx_nlink - u32::from(stat.stx_nlink > 0 && filesystem.kept.has_name(handle)),
        removed: stat.stx_nlink == 0,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        size: stat.stx_size,
        used: stat.stx_blocks.saturating_mul(512),
        device: DeviceNumber { major: stat.stx_rdev_major, minor: stat.stx_rdev_minor },
        filesystem: filesystem.id,
        file_id: stat.stx_ino,
        accessed: timestamp(&stat.stx_atime),
        modified: timestamp(&stat.stx_mtime),
        changed: timestamp(&stat.stx_ctime),
        created: born.then(|| timestamp(&stat.stx_btime)),
        change: filesystem.change_clock.value(look),
    }
}

/// What kind of object this is.
pub(super) fn kind(stat: &Statx) -> FileKind {
    match FileType::from_raw_mode(stat.stx_mode.into()) {
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        FileType::BlockDevice => FileKind::BlockDevice,
        FileType::CharacterDevice => FileKind::CharacterDevice,
        FileType::Socket => FileKind::Socket,
        FileType::Fifo => FileKind::Fifo,
        _ => FileKind::Regular,
    }
}

/// The error of reading or writing the data of an object that has none.
pub(super) fn require_regular(kind: FileKind) -> Result<()> {
    match kind {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Error::Os(Errno::ISDIR)),
        _ => Err(Error::Os(Errno::INVAL)),
    }
}

/// The error of using another object as a directory.
pub(super) fn require_directory(kind: FileKind) -> Result<()> {
    if kind == FileKind::Directory { Ok(()) } else { Err(Error::Os(Errno::NOTDIR)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_knows_whether_another_overlapped() {
        let changes = Changes::default();
        let first = changes.begin();
        assert!(first.was_alone());
        drop(first);
        let second = changes.begin();
        let third = changes.begin();
        assert!(!second.was_alone());
        assert!(!third.was_alone());
        drop(second);
        assert!(!third.was_alone());
        drop(third);
        assert!(changes.begin().was_alone());
    }

    #[test]
    fn counting_changes_wraps_around() {
        let changes = Changes(AtomicU64::new(u64::from(u32::MAX) << 32));
        let change = changes.begin();
        assert!(change.was_alone());
        drop(change);
        assert!(changes.begin().was_alone());
    }
}
