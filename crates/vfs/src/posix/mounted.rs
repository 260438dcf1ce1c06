//! One mounted filesystem: handles to descriptors, and what makes its changes stable.

use std::hash::Hasher;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustix::fs::{AtFlags, Mode, OFlags, Statx, StatxFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::Shared;
use super::change::{ChangeClock, Look};
use super::flush::Flush;
use super::hidden::Hidden;
use super::identity::as_process;
use super::kept::Kept;
use super::node::Node;
use super::syscall::{self, mount_attribute};
use crate::{Error, FileKind, Handle, Result};

/// `f_type` values of `statfs(2)`.
mod magic {
    pub(super) const EXT4: u32 = 0xEF53;
    pub(super) const XFS: u32 = 0x5846_5342;
    pub(super) const BTRFS: u32 = 0x9123_683E;
    pub(super) const TMPFS: u32 = 0x0102_1994;
    pub(super) const F2FS: u32 = 0xF2F5_2010;
}

/// What has to be flushed for a change of names or attributes to be stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Durability {
    /// Nothing outlives the mount, so there is nothing to flush.
    Volatile,
    /// All such changes go through one log that is written in order.
    Log,
    /// Each changed object by itself.
    Object,
}

/// The objects that a change touched.
pub(super) type Touched = [Option<Arc<Node>>; 2];

/// One filesystem of an export.
pub(super) struct Mounted {
    /// Zero for the export's own; see [`crate::Attributes::filesystem`].
    pub(super) id: u64,
    /// The mount that objects are reached through (`STATX_MNT_ID`).
    pub(super) mount: u64,
    /// Its topmost directory that is served.
    pub(super) root: Handle,
    /// Whether its memory answers without a network, see [`crate::Wait::Never`].
    pub(super) local: bool,
    /// Its files that are kept for those who have them open.
    pub(super) kept: Kept,
    /// What its ctime is good for.
    pub(super) change_clock: ChangeClock,
    /// Its directory that is the server's own.
    pub(super) hidden: Hidden,
    /// `RWF_NOWAIT` is refused for reads, for writes.
    pub(super) no_nowait_read: AtomicBool,
    pub(super) no_nowait_write: AtomicBool,
    pub(super) shared: Arc<Shared>,
    kind: u32,
    block_size: u64,
    /// The served directory in the process's own mount namespace. Keeps `umount(8)` away.
    live: OwnedFd,
    /// A mount of ours that nobody else sees: the served directory is its root, nothing is
    /// mounted on it, and the kernel lets no `..` leave it.
    confined: OwnedFd,
    /// What keeps that mount alive.
    _mount: OwnedFd,
    /// Whether objects are reached through `live`, which shows what is mounted below.
    crosses: bool,
    durability: Durability,
    stores_new_with_directory: bool,
    marker: OnceLock<OwnedFd>,
}

/// What went wrong when a filesystem was taken into service.
pub(super) enum MountedError {
    /// `open_tree(2)` failed.
    Clone(Errno),
    /// The filesystem makes no handles, or too long ones.
    NoHandles(Errno),
    /// Handles cannot be opened.
    OpenByHandle(Errno),
    /// Something else.
    Other(Errno),
}

impl From<Errno> for MountedError {
    fn from(errno: Errno) -> Self {
        Self::Other(errno)
    }
}

impl Mounted {
    /// Takes the filesystem of the directory `live` into service. `id` is zero for the export's
    /// own; without one it is derived from the filesystem's identity.
    pub(super) fn open(
        live: OwnedFd,
        id: Option<u64>,
        crosses: bool,
        shared: Arc<Shared>,
    ) -> std::result::Result<Self, MountedError> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH;
        let mount = open_tree(&live, c"", flags).map_err(MountedError::Clone)?;
        harden(mount.as_fd());
        // `open_by_handle_at(2)` takes no `O_PATH` descriptor.
        let (live, confined) = (open_top(live.as_fd())?, open_top(mount.as_fd())?);
        let base = if crosses { live.as_fd() } else { confined.as_fd() };
        let encoded = syscall::name_to_handle_at(base, c"", AtFlags::EMPTY_PATH)
            .map_err(MountedError::NoHandles)?;
        let statfs = rustix::fs::fstatfs(base)?;
        let kind = statfs.f_type as u32;
        let overflow = MountedError::NoHandles(Errno::OVERFLOW);
        let Some(root) = encoded.on(0) else { return Err(overflow) };
        let id = match id {
            Some(id) => id,
            None => stable_id(base, kind, rustix::fs::fstatvfs(base)?.f_fsid, &root),
        };
        let Some(root) = encoded.on(id) else { return Err(overflow) };
        let reopened = syscall::open_by_handle_at(base, &root, OFlags::PATH | OFlags::CLOEXEC)
            .map_err(MountedError::OpenByHandle)?;
        let stat = statx(reopened.as_fd())?;
        let durability = durability(kind, &stat);
        let change_clock = if takes_nameless_files(kind, durability) {
            ChangeClock::probe(confined.as_fd())
        } else {
            ChangeClock::of_ext4(&stat)
        };
        let mounted = Self {
            id,
            mount: encoded.mount,
            root,
            local: matches!(
                kind,
                magic::EXT4 | magic::XFS | magic::BTRFS | magic::TMPFS | magic::F2FS
            ),
            kept: Kept::default(),
            hidden: Hidden::find(base),
            no_nowait_read: AtomicBool::new(false),
            no_nowait_write: AtomicBool::new(false),
            shared,
            kind,
            block_size: u64::try_from(statfs.f_bsize).unwrap_or(4096),
            durability,
            change_clock,
            stores_new_with_directory: kind == magic::EXT4 && ext4_has_journal(&stat),
            live,
            confined,
            _mount: mount,
            crosses,
            marker: OnceLock::new(),
        };
        if let Err(error) = mounted.find_kept() {
            tracing::warn!(%error, "files that were kept for clients are not to be known");
        }
        Ok(mounted)
    }

    /// Opens the object of a handle, as the process.
    pub(super) fn open_handle(&self, handle: &Handle, flags: OFlags) -> Result<OwnedFd> {
        let base = if self.crosses { &self.live } else { &self.confined };
        open_on(base.as_fd(), handle, flags)
    }

    /// Opens the object of a handle where nothing mounted below the export is seen.
    pub(super) fn open_confined(&self, handle: &Handle, flags: OFlags) -> Result<OwnedFd> {
        open_on(self.confined.as_fd(), handle, flags)
    }

    /// Whether a directory is still below the served one, and not in the server's own.
    pub(super) fn serves_directory(&self, handle: &Handle) -> Result<bool> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = open_on(self.confined.as_fd(), handle, flags)?;
        match self.hidden.holds(directory.as_fd()) {
            Ok(hidden) => Ok(!hidden),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The directory that is the server's own, made if there is none. It is reached through the
    /// mount that all objects are, so that links can be made in it.
    pub(super) fn hidden_directory(&self) -> Result<OwnedFd> {
        let base = if self.crosses { &self.live } else { &self.confined };
        as_process(|| Ok(self.hidden.open(base.as_fd())?))
    }

    /// Whether files without a name do no harm here.
    pub(super) fn takes_nameless_files(&self) -> bool {
        takes_nameless_files(self.kind, self.durability)
    }

    /// Whether one flush makes changes of all objects stable.
    pub(super) fn flushes_together(&self) -> bool {
        self.durability != Durability::Object
    }

    /// Whether flushing a directory makes a new object in it stable too. A journal of ext4 has the
    /// inode and the entry of a new object in one transaction, or the entry in the later one; and
    /// a fast commit, which a flush of the directory may be, writes all that is new.
    pub(super) fn stores_new_with_directory(&self) -> bool {
        self.stores_new_with_directory
    }

    /// The served directory as the process's mount namespace has it.
    pub(super) fn live(&self) -> BorrowedFd<'_> {
        self.live.as_fd()
    }

    /// Whether what is mounted below is served too.
    pub(super) fn crosses(&self) -> bool {
        self.crosses
    }

    /// Whether locks are an affair of this machine alone.
    pub(super) fn locks_locally(&self) -> bool {
        self.local
    }

    /// Most links to one file, as the filesystem's kernel code has it (`pathconf(3)` does not
    /// know all of them).
    pub(super) fn most_links(&self) -> u32 {
        match self.kind {
            magic::EXT4 => 65_000,
            magic::BTRFS => 65_535,
            magic::XFS => i32::MAX as u32,
            _ => 32_000,
        }
    }

    /// The largest file, as the filesystem's kernel code has it.
    pub(super) fn largest_file(&self) -> u64 {
        match self.kind {
            // 2^32 - 1 logical blocks.
            magic::EXT4 => u64::from(u32::MAX) * self.block_size,
            _ => i64::MAX as u64,
        }
    }

    /// What makes a change of names or attributes of the `touched` objects stable that was done.
    pub(super) fn flushes(self: &Arc<Self>, touched: Touched) -> Vec<Flush> {
        match self.durability {
            Durability::Volatile => Vec::new(),
            Durability::Log if self.marker().is_ok() => vec![Flush::log(Arc::clone(self))],
            // Or no inode is free for a marker, or the filesystem cannot be written to any more.
            Durability::Log | Durability::Object => {
                touched.into_iter().flatten().map(flush_of).collect()
            }
        }
    }

    /// A nameless file of ours, see [`Mounted::touch_marker`]. Anybody may touch it.
    fn marker(&self) -> Result<BorrowedFd<'_>> {
        if let Some(marker) = self.marker.get() {
            return Ok(marker.as_fd());
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let marker = as_process(|| {
            let marker = rustix::fs::openat(&self.confined, c".", flags, Mode::empty())?;
            rustix::fs::fchmod(&marker, Mode::from_raw_mode(0o666))?;
            Ok(marker)
        })?;
        Ok(self.marker.get_or_init(|| marker).as_fd())
    }

    /// Makes all changes of names and attributes on this filesystem, which go through one log, such
    /// that [`Mounted::flush_marker`] makes them stable.
    ///
    /// `fsync(2)` of a directory waits for the log up to the last change *of that directory*, and
    /// writes out all data of a file whose attributes were changed; symbolic links and special
    /// files have nothing to call it on; and that of a file that was written to waits for no log
    /// if its attributes did not change. So a file of ours is changed instead: its change comes
    /// after all that are waited for, in the same transaction or a later one; ext4 (jbd2) commits
    /// transactions in their order, XFS forces its log up to the wanted sequence number. One
    /// `fsync` of the file makes them all stable.
    pub(super) fn touch_marker(&self) -> Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let times = Timestamps { last_access: now, last_modification: now };
        self.noted(rustix::fs::futimens(self.marker()?, &times))
    }

    /// Makes all stable that was changed before the marker was touched last. Callers that wait at
    /// the same time share a commit of the log: the kernel sees to that, and with less delay than
    /// a queue of waiting threads in front of it.
    pub(super) fn flush_marker(&self) -> Result<()> {
        self.noted(rustix::fs::fsync(self.marker()?))
    }

    /// Makes everything on this filesystem stable (`syncfs(2)`).
    pub(super) fn flush_all(&self) -> Result<()> {
        self.noted(rustix::fs::syncfs(&self.confined))
    }

    /// Counts a failure to make something stable.
    pub(super) fn noted<T>(&self, flushed: rustix::io::Result<T>) -> Result<T> {
        flushed.map_err(|errno| {
            self.shared.write_lost(errno);
            errno.into()
        })
    }

    /// Notes that `RWF_NOWAIT` is not supported.
    pub(super) fn nowait_refused(flag: &AtomicBool) -> Error {
        flag.store(true, Ordering::Relaxed);
        Error::WouldBlock
    }
}

/// What makes a change of this object stable, where each is flushed by itself.
fn flush_of(node: Arc<Node>) -> Flush {
    match node.kind {
        FileKind::Regular | FileKind::Directory => {
            let failures = node.failures();
            Flush::object(node, failures)
        }
        // A symbolic link or a special file cannot be opened to flush it alone.
        _ => Flush::filesystem(Arc::clone(&node.filesystem)),
    }
}

/// All attributes of the object behind `fd` itself.
pub(super) fn statx(fd: BorrowedFd<'_>) -> rustix::io::Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME | StatxFlags::MNT_ID;
    rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, wanted)
}

/// As [`statx`], to make attributes of.
pub(super) fn look(fd: BorrowedFd<'_>) -> rustix::io::Result<Look> {
    Look::by(|| statx(fd))
}

fn open_top(directory: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(directory, c".", flags, Mode::empty())
}

/// How often a handle is tried that the kernel has no memory for.
const HANDLE_TRIES: u32 = 100;

fn open_on(mount: BorrowedFd<'_>, handle: &Handle, flags: OFlags) -> Result<OwnedFd> {
    let mut opened = syscall::open_by_handle_at(mount, handle, flags);
    for _ in 1..HANDLE_TRIES {
        // With memory to spare, the kernel was seen to say this of a removed file: probably while
        // the inode of the same number is being made. A little later it says what is true.
        if opened.as_ref().err() != Some(&Errno::NOMEM) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_micros(100));
        opened = syscall::open_by_handle_at(mount, handle, flags);
    }
    opened.map_err(|errno| match errno {
        Errno::INVAL | Errno::OVERFLOW => Error::BadHandle,
        Errno::NOENT => Error::Stale,
        other => other.into(),
    })
}

/// No symbolic link is followed and no device opened through a mount of ours, whatever our own
/// code does; and a client may run programs from a filesystem that is mounted `noexec` here.
fn harden(mount: BorrowedFd<'_>) {
    let set = mount_attribute::NOSUID | mount_attribute::NODEV | mount_attribute::NOSYMFOLLOW;
    // In a user namespace flags of the original mount can be locked.
    let hardened = syscall::mount_setattr(mount, set, mount_attribute::NOEXEC)
        .or_else(|_| syscall::mount_setattr(mount, set, 0));
    if let Err(errno) = hardened {
        tracing::warn!(%errno, "the export's mount cannot be hardened");
    }
}

/// Whether files without a name do no harm, see [`ext4_has_plain_journal`].
fn takes_nameless_files(kind: u32, durability: Durability) -> bool {
    kind != magic::EXT4 || durability == Durability::Log
}

fn durability(kind: u32, root: &Statx) -> Durability {
    match kind {
        magic::TMPFS => Durability::Volatile,
        magic::XFS => Durability::Log,
        magic::EXT4 if ext4_has_plain_journal(root) => Durability::Log,
        _ => Durability::Object,
    }
}

/// Whether all changes of an ext4 filesystem go through its journal in their order, by the features
/// in its superblock: it has a journal, and no fast commits. (With those, a crash after a change
/// of a nameless file was flushed leaves a journal that kernels up to 6.18 cannot replay.)
/// If that is not to be known, the answer is no.
fn ext4_has_plain_journal(root: &Statx) -> bool {
    const MAGIC_OFFSET: usize = 0x38;
    const COMPATIBLE_FEATURES_OFFSET: usize = 0x5C;
    const HAS_JOURNAL: u32 = 0x4;
    const FAST_COMMIT: u32 = 0x400;
    let Some(superblock) = ext4_superblock(root) else { return false };
    let magic = superblock.get(MAGIC_OFFSET..).and_then(<[u8]>::first_chunk);
    let features = superblock.get(COMPATIBLE_FEATURES_OFFSET..).and_then(<[u8]>::first_chunk);
    let (Some(magic), Some(features)) = (magic, features) else { return false };
    u32::from(u16::from_le_bytes(*magic)) == magic::EXT4
        && u32::from_le_bytes(*features) & (HAS_JOURNAL | FAST_COMMIT) == HAS_JOURNAL
}

/// Whether an ext4 filesystem has a journal: whether a thread of the kernel writes one.
fn ext4_has_journal(root: &Statx) -> bool {
    let task = block_device(root)
        .map(|name| std::fs::read_to_string(format!("/sys/fs/ext4/{name}/journal_task")));
    task.is_some_and(|task| task.is_ok_and(|task| task.trim().parse::<u32>().is_ok()))
}

/// The kernel's name of the block device of a filesystem.
fn block_device(root: &Statx) -> Option<String> {
    let device = format!("/sys/dev/block/{}:{}", root.stx_dev_major, root.stx_dev_minor);
    Some(std::fs::read_link(device).ok()?.file_name()?.to_str()?.to_owned())
}

/// The start of the superblock on the block device of the filesystem.
fn ext4_superblock(root: &Statx) -> Option<[u8; 128]> {
    // A `!` stands for the `/` of names like `cciss/c0d0`.
    let name = block_device(root)?.replace('!', "/");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let device = rustix::fs::open(format!("/dev/{name}"), flags, Mode::empty()).ok()?;
    let mut superblock = [0; 128];
    let length = rustix::io::pread(device, &mut superblock, 1024).ok()?;
    (length == superblock.len()).then_some(superblock)
}

/// A number for a filesystem below the export's root that is the same after a restart and on
/// another node: from the filesystem's own identity and the directory of it that is mounted.
fn stable_id(base: BorrowedFd<'_>, kind: u32, fsid: u64, root: &Handle) -> u64 {
    let mut hasher = siphasher::sip::SipHasher::new();
    match kind {
        // `f_fsid` of XFS is the number of the block device.
        magic::XFS => match syscall::xfs_uuid(base) {
            Ok(uuid) => hasher.write(&uuid),
            Err(errno) => {
                tracing::warn!(%errno, "an XFS filesystem does not tell its UUID");
                hasher.write(&fsid.to_le_bytes());
            }
        },
        _ => hasher.write(&fsid.to_le_bytes()),
    }
    hasher.write(root.bytes());
    // Zero is the export's own filesystem.
    hasher.finish().max(1)
}
