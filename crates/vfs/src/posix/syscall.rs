//! The system calls that no safe wrapper offers. All `unsafe` of this crate is here.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::fs::{AtFlags, OFlags};
use rustix::io::{Errno, Result};

use crate::{Handle, LockMode};

/// `struct file_handle` with room for the longest handle that is served.
#[repr(C)]
struct FileHandle {
    length: u32,
    kind: i32,
    bytes: [u8; Handle::MAX_BYTES],
}

/// What `name_to_handle_at(2)` gave.
pub(super) struct KernelHandle {
    raw: FileHandle,
    /// The mount that the object was reached through (`STATX_MNT_ID`).
    pub(super) mount: u64,
}

impl KernelHandle {
    /// The handle as the clients' one, on the filesystem with this number.
    pub(super) fn on(&self, filesystem: u64) -> Option<Handle> {
        let length = usize::try_from(self.raw.length).ok()?;
        Handle::new(filesystem, self.raw.kind, self.raw.bytes.get(..length)?)
    }
}

/// The result of a system call that gives -1 for failure.
fn check(result: libc::c_long) -> Result<libc::c_long> {
    if result < 0 {
        let code = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO);
        return Err(Errno::from_raw_os_error(code));
    }
    Ok(result)
}

/// `name_to_handle_at(2)`; the last component is not followed if it is a symbolic link.
/// `EOVERFLOW`: the handle is longer than [`Handle::MAX_BYTES`].
pub(super) fn name_to_handle_at(
    directory: BorrowedFd<'_>,
    name: &CStr,
    flags: AtFlags,
) -> Result<KernelHandle> {
    let mut raw =
        FileHandle { length: Handle::MAX_BYTES as u32, kind: 0, bytes: [0; Handle::MAX_BYTES] };
    let mut mount: libc::c_int = 0;
    // SAFETY: `raw` has the layout of `struct file_handle` with `length` bytes behind its header,
    // `name` ends with NUL, and all pointers live across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            directory.as_raw_fd(),
            name.as_ptr(),
            &raw mut raw,
            &raw mut mount,
            flags.bits(),
        )
    };
    check(result)?;
    Ok(KernelHandle { raw, mount: u64::try_from(mount).unwrap_or_default() })
}

/// `open_by_handle_at(2)`.
pub(super) fn open_by_handle_at(
    mount: BorrowedFd<'_>,
    handle: &Handle,
    flags: OFlags,
) -> Result<OwnedFd> {
    let mut raw = FileHandle {
        length: handle.bytes().len() as u32,
        kind: handle.kind(),
        bytes: [0; Handle::MAX_BYTES],
    };
    raw.bytes[..handle.bytes().len()].copy_from_slice(handle.bytes());
    // SAFETY: `raw` has the layout of `struct file_handle`, `length` is at most the size of its
    // array, and it lives across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_raw_fd(),
            &raw mut raw,
            flags.bits() as libc::c_int,
        )
    };
    let fd = check(result)?;
    // SAFETY: the kernel just gave this descriptor to us alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

/// `faccessat2(2)` on the object of `fd` itself, with the thread's filesystem identity.
pub(super) fn access(fd: BorrowedFd<'_>, mode: rustix::fs::Access) -> Result<()> {
    // SAFETY: the path is a literal that ends with NUL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            fd.as_raw_fd(),
            c"".as_ptr(),
            mode.bits() as libc::c_int,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    check(result).map(drop)
}

/// `setfsuid(2)` of this thread, with proof that it took effect.
pub(super) fn set_thread_fsuid(uid: u32) -> Result<()> {
    // SAFETY: takes numbers only; acts on the calling thread.
    let now = unsafe {
        libc::syscall(libc::SYS_setfsuid, uid);
        libc::syscall(libc::SYS_setfsuid, u32::MAX)
    };
    if now as u32 == uid && uid != u32::MAX { Ok(()) } else { Err(Errno::PERM) }
}

/// `setfsgid(2)` of this thread, with proof that it took effect.
pub(super) fn set_thread_fsgid(gid: u32) -> Result<()> {
    // SAFETY: takes numbers only; acts on the calling thread.
    let now = unsafe {
        libc::syscall(libc::SYS_setfsgid, gid);
        libc::syscall(libc::SYS_setfsgid, u32::MAX)
    };
    if now as u32 == gid && gid != u32::MAX { Ok(()) } else { Err(Errno::PERM) }
}

/// `setgroups(2)` of this thread alone (the C library's function changes all threads).
pub(super) fn set_thread_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the pointer and the length are those of one live slice of `gid_t`.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    check(result).map(drop)
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// What a mount of ours does not do (`MOUNT_ATTR_…` of `linux/mount.h`).
pub(super) mod mount_attribute {
    pub(crate) const NOSUID: u64 = 0x02;
    pub(crate) const NODEV: u64 = 0x04;
    pub(crate) const NOEXEC: u64 = 0x08;
    pub(crate) const NOSYMFOLLOW: u64 = 0x0020_0000;
}

/// `mount_setattr(2)` on the mount of `fd`.
pub(super) fn mount_setattr(fd: BorrowedFd<'_>, set: u64, clear: u64) -> Result<()> {
    let attributes = MountAttributes { set, clear, propagation: 0, user_namespace: 0 };
    // SAFETY: the structure and its size are passed together and live across the call; the path
    // is a literal that ends with NUL.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    check(result).map(drop)
}

/// Whether writing back this file's data failed since its descriptor last asked: the error that
/// `fsync(2)` would give, without starting or awaiting any write.
pub(super) fn writeback_error(fd: BorrowedFd<'_>) -> Result<()> {
    // `SYNC_FILE_RANGE_WAIT_BEFORE` on a page that no file has: there is nothing to wait for.
    // SAFETY: takes numbers only.
    let result = unsafe {
        libc::sync_file_range(fd.as_raw_fd(), i64::MAX - 1, 1, libc::SYNC_FILE_RANGE_WAIT_BEFORE)
    };
    check(result.into()).map(drop)
}

/// Starts writing this file's data back, without waiting for it. An error is one of starting: those
/// of writing are told by `fsync(2)`.
pub(super) fn start_writeback(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: takes numbers only; a length of zero is all of the file.
    let result =
        unsafe { libc::sync_file_range(fd.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    check(result.into()).map(drop)
}

/// `struct xfs_fsop_geom_v1`: 64 bytes of sizes, the UUID, 32 bytes more.
#[repr(C)]
struct XfsGeometry {
    sizes: [u64; 8],
    uuid: [u8; 16],
    rest: [u64; 4],
}

/// `XFS_IOC_FSGEOMETRY_V1`: `_IOR('X', 100, struct xfs_fsop_geom_v1)`.
const XFS_IOC_FSGEOMETRY_V1: libc::Ioctl = (2 << 30)
    | ((size_of::<XfsGeometry>() as libc::Ioctl) << 16)
    | ((b'X' as libc::Ioctl) << 8)
    | 100;

/// The UUID of the XFS filesystem that holds the open file `fd`.
pub(super) fn xfs_uuid(fd: BorrowedFd<'_>) -> Result<[u8; 16]> {
    let mut geometry = XfsGeometry { sizes: [0; 8], uuid: [0; 16], rest: [0; 4] };
    // SAFETY: the request's number carries the size of the structure that the kernel fills.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), XFS_IOC_FSGEOMETRY_V1, &raw mut geometry) };
    check(result.into())?;
    Ok(geometry.uuid)
}

/// `struct file_clone_range` of `linux/fs.h`.
#[repr(C)]
struct CloneRange {
    source: i64,
    source_offset: u64,
    length: u64,
    target_offset: u64,
}

/// `FICLONERANGE`: `_IOW(0x94, 13, struct file_clone_range)`.
const FICLONERANGE: libc::Ioctl =
    (1 << 30) | ((size_of::<CloneRange>() as libc::Ioctl) << 16) | (0x94 << 8) | 13;

/// `ioctl_ficlonerange(2)`; a length of zero is all to the end of the source.
pub(super) fn clone_range(
    source: BorrowedFd<'_>,
    source_offset: u64,
    length: u64,
    target: BorrowedFd<'_>,
    target_offset: u64,
) -> Result<()> {
    let range =
        CloneRange { source: source.as_raw_fd().into(), source_offset, length, target_offset };
    // SAFETY: the request's number carries the size of the structure that the kernel reads.
    let result = unsafe { libc::ioctl(target.as_raw_fd(), FICLONERANGE, &raw const range) };
    check(result.into()).map(drop)
}

/// `struct if_dqblk` of `linux/quota.h`.
#[repr(C)]
#[derive(Default)]
pub(super) struct DiskQuota {
    /// In units of 1024 bytes; zero: no limit.
    pub(super) hard_limit: u64,
    /// As the hard one.
    pub(super) soft_limit: u64,
    /// In bytes.
    pub(super) used: u64,
    inodes: [u64; 3],
    times: [u64; 2],
    valid: u32,
}

/// Whose quota.
#[derive(Clone, Copy)]
pub(super) enum QuotaOf {
    User(u32),
    Group(u32),
}

/// `quotactl_fd(2)` with `Q_GETQUOTA`, on the filesystem of `fd`.
pub(super) fn quota(fd: BorrowedFd<'_>, of: QuotaOf) -> Result<DiskQuota> {
    const Q_GETQUOTA: libc::c_int = 0x80_0007;
    let (kind, id) = match of {
        QuotaOf::User(id) => (0, id),
        QuotaOf::Group(id) => (1, id),
    };
    let mut quota = DiskQuota::default();
    // SAFETY: the structure is the one that this command fills, and lives across the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_quotactl_fd,
            fd.as_raw_fd(),
            (Q_GETQUOTA << 8) | kind,
            id,
            &raw mut quota,
        )
    };
    check(result)?;
    Ok(quota)
}

/// `F_OFD_SETLK` of `fcntl(2)` on the bytes from `first` to `last`; without a mode it unlocks.
pub(super) fn set_lock(
    fd: BorrowedFd<'_>,
    first: u64,
    last: u64,
    mode: Option<LockMode>,
) -> Result<()> {
    let kind = match mode {
        None => libc::F_UNLCK,
        Some(LockMode::Shared) => libc::F_RDLCK,
        Some(LockMode::Exclusive) => libc::F_WRLCK,
    };
    let start = i64::try_from(first).map_err(|_| Errno::INVAL)?;
    // To the largest offset is a length of zero.
    let length = if last >= i64::MAX as u64 { 0 } else { last - first + 1 };
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: i64::try_from(length).map_err(|_| Errno::INVAL)?,
        l_pid: 0,
    };
    // SAFETY: the structure is the one that this command reads, and lives across the call.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) };
    check(result.into()).map(drop)
}
