//! The POSIX implementation of [`FileSystem`]: a directory of a local or shared filesystem.

mod access;
mod attributes;
mod cache;
mod change;
mod create;
mod data;
mod extended;
mod flush;
mod hidden;
mod identity;
mod kept;
mod listing;
mod lookup;
mod mounted;
mod mounts;
mod name;
mod names;
mod node;
mod open;
mod permit;
mod ranges;
mod syscall;

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard, RwLock};
use rustix::fs::OFlags;
use rustix::io::Errno;

use cache::{NodeCache, stripe};
pub(crate) use flush::Flush;
use identity::as_process;
pub use identity::{IdentityScope, can_switch_identity};
use mounts::Mounts;
use node::Node;
pub use open::{OpenError, Options};
use permit::PermitScope;

use crate::{
    AccessMask, Attributes, Changed, Context, CreateHow, CreateKind, Deferred, DirectoryEntry,
    Error, FileKind, FileSystem, Found, Handle, KeptFiles, Limits, Listing, OpenFiles, Permit,
    Quota, Read, Renamed, Result, SetAttributes, Space, Stability, Timestamp, Wait,
};

/// A directory of a mounted filesystem, as the file protocols serve it.
///
/// Handles are trusted: a handle of an object outside the directory that somebody makes up names
/// that object (of directories, only those below the served one are accepted). What comes from a
/// client must be authenticated before it becomes a [`Handle`].
pub struct PosixFileSystem {
    mounts: Mounts,
    cache: NodeCache,
    /// Who knows which files are open.
    open_files: RwLock<Option<Arc<dyn OpenFiles>>>,
    /// Keeps a file from being opened while it loses a name. Taken after `steps`.
    openings: Box<[Mutex<()>; STRIPES]>,
    /// Makes the attributes before a change, the change, and those after it one step.
    steps: Box<[Mutex<()>; STRIPES]>,
    shared: Arc<Shared>,
    /// Who says whether anything may be changed; nobody for storage that is this machine's alone.
    permit: OnceLock<Arc<dyn Permit>>,
    /// `/proc/self/fd`: names an open object for the system calls that want a path.
    proc_fds: OwnedFd,
    /// Most descriptors that are held open.
    most_open: usize,
}

const STRIPES: usize = 256;

/// What all objects of an export count together.
#[derive(Default)]
struct Shared {
    open: AtomicUsize,
    lost_writes: AtomicU64,
}

impl Shared {
    fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    fn closed(&self, count: usize) {
        self.open.fetch_sub(count, Ordering::Relaxed);
    }

    fn write_lost(&self, errno: Errno) {
        tracing::error!(%errno, "the filesystem could not make changes stable");
        self.lost_writes.fetch_add(1, Ordering::SeqCst);
    }
}

impl PosixFileSystem {
    /// Says who is asked before each change, once.
    pub fn set_permit(&self, permit: Arc<dyn Permit>) {
        let _first = self.permit.set(permit);
    }

    /// Begins an operation that changes something.
    fn enter_to_change(&self, wait: Wait) -> (IdentityScope, PermitScope) {
        (IdentityScope::enter(), PermitScope::enter(self.permit.get(), wait))
    }

    /// Closes everything that is held open.
    pub fn close_idle(&self) {
        self.cache.clear();
    }

    /// The directory at the top of the export that is the server's own and that no client sees,
    /// names or reaches. It is made if there is none, for the process alone.
    ///
    /// # Errors
    /// What the system calls say; `ENOTDIR` or `ELOOP` where something else has its name.
    pub fn hidden_directory(&self) -> Result<OwnedFd> {
        let _scope = IdentityScope::enter();
        self.mounts.root().hidden_directory()
    }

    /// How many descriptors are held open for objects now.
    pub fn open_descriptors(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// The open object of a handle.
    fn node(&self, wait: Wait, handle: &Handle) -> Result<Arc<Node>> {
        match (self.cache.get(handle), wait) {
            (Some(node), Wait::Never) if !node.filesystem.local => Err(Error::WouldBlock),
            (Some(node), _) => Ok(node),
            (None, Wait::Never) => Err(Error::WouldBlock),
            (None, Wait::Allowed) => self.open_node(handle),
        }
    }

    fn open_node(&self, handle: &Handle) -> Result<Arc<Node>> {
        let filesystem = self.mounts.with_id(handle.filesystem())?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.make_room(handle);
        let fd = as_process(|| filesystem.open_handle(handle, flags))?;
        let stat = mounted::statx(fd.as_fd())?;
        let kind = node::kind(&stat);
        if kind == FileKind::Directory {
            // Nothing can be done with a removed directory, even if somebody holds it open.
            let gone = stat.stx_nlink == 0
                || filesystem.hidden.is(&stat)
                || !as_process(|| filesystem.serves_directory(handle))?;
            if gone {
                return Err(Error::Stale);
            }
        }
        let node = Arc::new(Node::new(*handle, filesystem, kind, fd, false));
        // A file without a name is one that somebody else has open: not to be cached by us.
        Ok(if stat.stx_nlink == 0 { node } else { self.cache.insert(node) })
    }

    /// The open object of a handle and its attributes; `ESTALE` if it was removed.
    fn node_with_attributes(&self, wait: Wait, handle: &Handle) -> Result<(Arc<Node>, Attributes)> {
        let node = self.node(wait, handle)?;
        let attributes = node.attributes()?;
        if !attributes.removed {
            return Ok((node, attributes));
        }
        let node = self.reopen(wait, node)?;
        let attributes = node.attributes()?;
        Ok((node, attributes))
    }

    /// Opens an object anew that has no name any more: it exists on if others have it open.
    fn reopen(&self, wait: Wait, node: Arc<Node>) -> Result<Arc<Node>> {
        let handle = node.handle;
        // Both the cache's reference and this one must go: an open object exists.
        drop(self.cache.remove(&handle));
        drop(node);
        if wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        self.open_node(&handle)
    }

    /// The open directory of a handle.
    fn directory(&self, wait: Wait, handle: &Handle) -> Result<Arc<Node>> {
        let node = self.node(wait, handle)?;
        node::require_directory(node.kind)?;
        Ok(node)
    }

    /// The error of an operation in a directory: a removed directory is empty, and its handle
    /// stale.
    fn stale_if_removed(directory: &Node, error: Error) -> Error {
        let removed = error == Error::Os(Errno::NOENT)
            && directory.attributes().is_ok_and(|attributes| attributes.removed);
        if removed { Error::Stale } else { error }
    }

    /// Keeps the number of open descriptors below its limit, before one more is opened.
    fn make_room(&self, near: &Handle) {
        let is_full = || self.open_descriptors() >= self.most_open;
        if is_full() {
            self.cache.make_room(near, is_full);
        }
    }

    /// Holds back other changes of an object by us.
    fn step(&self, handle: &Handle) -> MutexGuard<'_, ()> {
        self.steps[stripe(handle, STRIPES)].lock()
    }

    /// As [`PosixFileSystem::step`], for two objects.
    fn steps(
        &self,
        one: &Handle,
        other: &Handle,
    ) -> (MutexGuard<'_, ()>, Option<MutexGuard<'_, ()>>) {
        let (first, second) = (stripe(one, STRIPES), stripe(other, STRIPES));
        let guard = self.steps[first.min(second)].lock();
        (guard, (first != second).then(|| self.steps[first.max(second)].lock()))
    }
}

impl FileSystem for PosixFileSystem {
    fn root(&self) -> Handle {
        self.mounts.root().root
    }

    fn attributes(&self, context: Context<'_>, handle: &Handle) -> Result<Attributes> {
        let _scope = IdentityScope::enter();
        Ok(self.node_with_attributes(context.wait, handle)?.1)
    }

    fn set_attributes(
        &self,
        context: Context<'_>,
        handle: &Handle,
        set: &SetAttributes,
        guard: Option<Timestamp>,
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.do_set_attributes(context, handle, set, guard)
    }

    fn lookup(&self, context: Context<'_>, directory: &Handle, name: &[u8]) -> Result<Found> {
        let _scope = IdentityScope::enter();
        self.do_lookup(context, directory, name)
    }

    fn access(
        &self,
        context: Context<'_>,
        handle: &Handle,
        wanted: AccessMask,
    ) -> Result<(AccessMask, Attributes)> {
        let _scope = IdentityScope::enter();
        self.do_access(context, handle, wanted)
    }

    fn read_link(&self, context: Context<'_>, handle: &Handle) -> Result<(Vec<u8>, Attributes)> {
        let _scope = IdentityScope::enter();
        self.do_read_link(context, handle)
    }

    fn read(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Read> {
        let _scope = IdentityScope::enter();
        self.do_read(context, handle, offset, buffer)
    }

    fn write(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        data: &[u8],
        stability: Stability,
    ) -> Changed<Stability> {
        let _scope = self.enter_to_change(context.wait);
        self.do_write(context, handle, offset, data, stability)
    }

    fn commit(&self, context: Context<'_>, handle: &Handle) -> Changed<()> {
        let _scope = IdentityScope::enter();
        self.do_commit(context, handle)
    }

    fn create(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        how: &CreateHow,
    ) -> Changed<Found> {
        let _scope = self.enter_to_change(context.wait);
        self.do_create(context, directory, name, how)
    }

    fn make(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        kind: &CreateKind,
        set: &SetAttributes,
    ) -> Changed<Found> {
        let _scope = self.enter_to_change(context.wait);
        self.do_make(context, directory, name, kind, set)
    }

    fn remove(&self, context: Context<'_>, directory: &Handle, name: &[u8]) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.do_remove(context, directory, name, names::Victim::File)
    }

    fn remove_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
    ) -> Changed<()> {
        let _scope = self.enter_to_change(context.wait);
        self.do_remove(context, directory, name, names::Victim::Directory)
    }

    fn rename(
        &self,
        context: Context<'_>,
        from: (&Handle, &[u8]),
        to: (&Handle, &[u8]),
    ) -> Renamed {
        let _scope = self.enter_to_change(context.wait);
        self.do_rename(context, from, to)
    }

    fn link(
        &self,
        context: Context<'_>,
        handle: &Handle,
        directory: &Handle,
        name: &[u8],
    ) -> Changed<Attributes> {
        let _scope = self.enter_to_change(context.wait);
        self.do_link(context, handle, directory, name)
    }

    fn read_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
        cookie: u64,
        with_found: bool,
        sink: &mut dyn FnMut(DirectoryEntry) -> bool,
    ) -> Result<Listing> {
        let _scope = IdentityScope::enter();
        self.do_read_directory(context, directory, cookie, with_found, sink)
    }

    fn make_stable(&self, changes: Vec<Deferred>) -> Vec<Result<()>> {
        let _scope = IdentityScope::enter();
        let changes: Vec<_> = changes.into_iter().map(Deferred::into_flushes).collect();
        // The objects are let go of here: those that were removed must be gone with the reply.
        flush::make_stable(&changes)
    }

    fn flushes_together(&self) -> bool {
        self.mounts.root().flushes_together()
    }

    fn space(&self, context: Context<'_>, handle: &Handle) -> Result<Space> {
        let _scope = IdentityScope::enter();
        self.do_space(context, handle)
    }

    fn quota(&self, context: Context<'_>, handle: &Handle) -> Result<Option<Quota>> {
        let _scope = IdentityScope::enter();
        self.do_quota(context, handle)
    }

    fn limits(&self, context: Context<'_>, handle: &Handle) -> Result<Limits> {
        let _scope = IdentityScope::enter();
        self.do_limits(context, handle)
    }

    fn lost_writes(&self) -> u64 {
        self.shared.lost_writes.load(Ordering::SeqCst)
    }

    fn sweep(&self, now: Instant) {
        self.cache.sweep(now);
    }
}

impl KeptFiles for PosixFileSystem {
    fn keep_open_files(&self, files: Arc<dyn OpenFiles>) {
        *self.open_files.write() = Some(files);
    }

    fn confirm_open(&self, context: Context<'_>, file: &Handle) -> Result<Attributes> {
        let _scope = IdentityScope::enter();
        self.do_confirm_open(context, file)
    }

    fn is_kept(&self, file: &Handle) -> bool {
        let filesystem = self.mounts.with_id(file.filesystem());
        filesystem.is_ok_and(|filesystem| filesystem.kept.contains(file))
    }

    fn release(&self, file: &Handle) -> Result<()> {
        let _scope = self.enter_to_change(Wait::Allowed);
        self.do_release(file)
    }

    fn kept_files(&self) -> Result<Vec<Handle>> {
        let _scope = IdentityScope::enter();
        Ok(self.do_kept_files())
    }
}
