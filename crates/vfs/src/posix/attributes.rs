//! Setting attributes; space and limits.

use std::sync::Arc;

use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid};
use rustix::io::Errno;
use rustix::path::DecInt;

use super::PosixFileSystem;
use super::access::may_write;
use super::flush::settle;
use super::identity::{as_caller, as_process, is_process};
use super::node::{Node, require_regular};
use super::syscall::{self, DiskQuota, QuotaOf};
use crate::{
    Attributes, Caller, ChangeTime, Changed, Context, Error, FileKind, Handle, Limits, Quota,
    Result, SetAttributes, SetTime, Space, Timestamp, Wait,
};

impl PosixFileSystem {
    pub(super) fn do_set_attributes(
        &self,
        context: Context<'_>,
        handle: &Handle,
        set: &SetAttributes,
        guard: Option<Timestamp>,
    ) -> Changed<()> {
        self.change_object(context, handle, |node, before| {
            if guard.is_some_and(|guard| guard != before.changed) {
                return Err(Error::NotSync);
            }
            self.apply(context.caller, node, before, set)
        })
    }

    /// Changes an object: with the attributes before and after in one step, and stable when it
    /// returns or where that is deferred to.
    pub(super) fn change_object<T>(
        &self,
        context: Context<'_>,
        handle: &Handle,
        change: impl FnOnce(&Arc<Node>, &Attributes) -> Result<T>,
    ) -> Changed<T> {
        if context.wait == Wait::Never {
            return Changed::failed(Error::WouldBlock);
        }
        let step = self.step(handle);
        let node = match self.node_with_attributes(context.wait, handle) {
            Ok((node, _)) => node,
            Err(error) => return Changed::failed(error),
        };
        let under_way = node.changes.begin();
        let before = match node.attributes() {
            Ok(before) => before,
            Err(error) => return Changed::failed(error),
        };
        let result = change(&node, &before);
        let after = node.attributes().ok();
        let before = under_way.was_alone().then(|| ChangeTime::from(&before));
        drop(under_way);
        drop(step);
        let filesystem = Arc::clone(&node.filesystem);
        let result = result.and_then(|value| {
            settle(context, filesystem.flushes([Some(node), None]))?;
            Ok(value)
        });
        Changed { result, before, after }
    }

    /// Sets attributes of an object that has those of `now`, with the caller's rights.
    pub(super) fn apply(
        &self,
        caller: &Caller,
        node: &Node,
        now: &Attributes,
        set: &SetAttributes,
    ) -> Result<()> {
        // The kernel says the same, but only after the size was changed.
        let owners = set.mode.is_some() || set.uid.is_some() || set.gid.is_some();
        if owners && !is_process(caller) && caller.uid != now.uid {
            return Err(Errno::PERM.into());
        }
        if let Some(size) = set.size {
            self.set_size(caller, node, now.uid, size)?;
        }
        as_caller(caller, || {
            set_owner(node, set)?;
            self.set_mode(node, set)?;
            set_times(node, set)
        })?
    }

    /// Truncates or extends a file that belongs to `owner`.
    pub(super) fn set_size(
        &self,
        caller: &Caller,
        node: &Node,
        owner: u32,
        size: u64,
    ) -> Result<()> {
        require_regular(node.kind)?;
        if i64::try_from(size).is_err() {
            return Err(Errno::FBIG.into());
        }
        may_write(caller, node, owner)?;
        self.make_room(&node.handle);
        let writer = node.writer()?;
        Ok(as_caller(caller, || rustix::fs::ftruncate(writer, size))??)
    }

    fn set_mode(&self, node: &Node, set: &SetAttributes) -> Result<()> {
        let Some(mode) = set.mode else { return Ok(()) };
        // A symbolic link has no mode of its own.
        if node.kind == FileKind::Symlink {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(mode & 0o7777);
        let name = DecInt::from_fd(node.fd());
        Ok(rustix::fs::chmodat(&self.proc_fds, name, mode, AtFlags::empty())?)
    }

    pub(super) fn do_space(&self, context: Context<'_>, handle: &Handle) -> Result<Space> {
        let statvfs = self.statvfs(context, handle)?.1;
        let bytes = |blocks: u64| blocks.saturating_mul(statvfs.f_frsize);
        Ok(Space {
            total_bytes: bytes(statvfs.f_blocks),
            free_bytes: bytes(statvfs.f_bfree),
            available_bytes: bytes(statvfs.f_bavail),
            total_files: statvfs.f_files,
            free_files: statvfs.f_ffree,
            available_files: statvfs.f_favail,
        })
    }

    pub(super) fn do_quota(&self, context: Context<'_>, handle: &Handle) -> Result<Option<Quota>> {
        let node = self.waited_node(context, handle)?;
        let of = [QuotaOf::User(context.caller.uid), QuotaOf::Group(context.caller.gid)];
        // Most filesystems count nothing, which is an error of many names.
        let quotas = of.map(|of| as_process(|| Ok(syscall::quota(node.fd(), of)?)).ok());
        let left = quotas.iter().flatten().map(left);
        Ok(left.min_by_key(|quota| quota.hard))
    }

    pub(super) fn do_limits(&self, context: Context<'_>, handle: &Handle) -> Result<Limits> {
        let (node, statvfs) = self.statvfs(context, handle)?;
        Ok(Limits {
            links: node.filesystem.most_links(),
            name: u32::try_from(statvfs.f_namemax).unwrap_or(255),
            file_size: node.filesystem.largest_file(),
        })
    }

    fn statvfs(
        &self,
        context: Context<'_>,
        handle: &Handle,
    ) -> Result<(Arc<Node>, rustix::fs::StatVfs)> {
        if context.wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let (node, _) = self.node_with_attributes(context.wait, handle)?;
        let statvfs = as_process(|| Ok(rustix::fs::fstatvfs(node.fd())?))?;
        Ok((node, statvfs))
    }
}

/// What a quota leaves.
fn left(quota: &DiskQuota) -> Quota {
    let left = |limit: u64| match limit {
        0 => u64::MAX,
        kibibytes => kibibytes.saturating_mul(1024).saturating_sub(quota.used),
    };
    Quota { hard: left(quota.hard_limit), soft: left(quota.soft_limit), used: quota.used }
}

fn set_owner(node: &Node, set: &SetAttributes) -> Result<()> {
    // 2^32-1 is the system call's word for "leave it".
    if set.uid == Some(u32::MAX) || set.gid == Some(u32::MAX) {
        return Err(Errno::INVAL.into());
    }
    let (uid, gid) = (set.uid.map(Uid::from_raw), set.gid.map(Gid::from_raw));
    if uid.is_some() || gid.is_some() {
        rustix::fs::chownat(node.fd(), c"", uid, gid, AtFlags::EMPTY_PATH)?;
    }
    Ok(())
}

fn set_times(node: &Node, set: &SetAttributes) -> Result<()> {
    if set.accessed == SetTime::Keep && set.modified == SetTime::Keep {
        return Ok(());
    }
    let times = Timestamps {
        last_access: timespec(set.accessed)?,
        last_modification: timespec(set.modified)?,
    };
    Ok(rustix::fs::utimensat(node.fd(), c"", &times, AtFlags::EMPTY_PATH)?)
}

fn timespec(time: SetTime) -> Result<Timespec> {
    Ok(match time {
        SetTime::Keep => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        SetTime::Now => Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        SetTime::To(Timestamp { nanoseconds: 1_000_000_000.., .. }) => {
            return Err(Errno::INVAL.into());
        }
        SetTime::To(time) => Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() },
    })
}
