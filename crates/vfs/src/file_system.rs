//! What a filesystem offers to the file protocols.

use crate::{
    Attributes, ChangeTime, Context, Deferred, DeviceNumber, ExtendedAttributes, Handle, KeptFiles,
    LocalLocks, Ranges, Result, SetAttributes, Timestamp,
};

/// What may be done with an object: a set of bits, those of `ACCESS` (RFC 1813 section 3.3.4,
/// RFC 8276 section 8.5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessMask(pub u32);

impl AccessMask {
    /// Read data or list a directory.
    pub const READ: u32 = 0x01;
    /// Look a name up in a directory.
    pub const LOOKUP: u32 = 0x02;
    /// Rewrite existing data or change existing directory entries.
    pub const MODIFY: u32 = 0x04;
    /// Write new data or add directory entries.
    pub const EXTEND: u32 = 0x08;
    /// Delete an existing directory entry.
    pub const DELETE: u32 = 0x10;
    /// Execute a file.
    pub const EXECUTE: u32 = 0x20;
    /// Read extended attributes (RFC 8276 section 8.5).
    pub const READ_EXTENDED: u32 = 0x40;
    /// Set and remove extended attributes.
    pub const WRITE_EXTENDED: u32 = 0x80;
    /// List extended attributes.
    pub const LIST_EXTENDED: u32 = 0x100;
}

/// An object that was found or made, with its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its handle.
    pub handle: Handle,
    /// Its attributes.
    pub attributes: Attributes,
}

/// The outcome of an operation that may change an object, with the attributes before and after:
/// weak cache consistency data, which goes to the client whether the operation succeeded or not.
///
/// `before`, the operation and `after` are one step with respect to all other changes made
/// through the same [`FileSystem`].
#[derive(Clone, Debug)]
pub struct Changed<T> {
    /// What the operation gave.
    pub result: Result<T>,
    /// The object before the operation.
    pub before: Option<ChangeTime>,
    /// The object after it.
    pub after: Option<Attributes>,
}

impl<T> Changed<T> {
    /// A failure before anything was known about the object.
    pub fn failed(error: crate::Error) -> Self {
        Self { result: Err(error), before: None, after: None }
    }
}

/// The outcome of a rename: like [`Changed`], for the two directories.
#[derive(Clone, Debug)]
pub struct Renamed {
    /// What the operation gave.
    pub result: Result<()>,
    /// The source directory before and after.
    pub from: (Option<ChangeTime>, Option<Attributes>),
    /// The target directory before and after.
    pub to: (Option<ChangeTime>, Option<Attributes>),
}

/// How a regular file is created (RFC 1813 section 3.3.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateHow {
    /// An existing regular file will do; of the attributes, only the size is applied to it.
    Unchecked(SetAttributes),
    /// The name must be new.
    Guarded(SetAttributes),
    /// The name must be new, or the file must have been made with this same verifier, which is
    /// kept on stable storage until the first `SETATTR`.
    Exclusive([u8; 8]),
}

/// What else than a regular file is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateKind {
    /// A directory.
    Directory,
    /// A symbolic link with this target.
    Symlink(Vec<u8>),
    /// A character device.
    CharacterDevice(DeviceNumber),
    /// A block device.
    BlockDevice(DeviceNumber),
    /// A Unix domain socket.
    Socket,
    /// A named pipe.
    Fifo,
}

/// How stable a write is before it returns (`stable_how`, RFC 1813 section 3.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stability {
    /// The page cache is enough; a later commit makes it stable.
    Unstable,
    /// The data, and what is needed to read it back.
    DataSync,
    /// The data and all attributes.
    FileSync,
}

/// What a read gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Bytes that were put at the start of the buffer.
    pub length: usize,
    /// Whether the end of the file was reached.
    pub end_of_file: bool,
    /// The file's attributes after the read.
    pub attributes: Attributes,
}

/// One name of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Inode number; for a mount point, that of the covered directory.
    pub file_id: u64,
    /// The name: bytes, without `/` and NUL; `.` and `..` included.
    pub name: Vec<u8>,
    /// Where to go on after this entry; stable across changes and restarts.
    pub cookie: u64,
    /// Handle and attributes, if asked for and to be had.
    pub found: Option<Found>,
}

/// A part of a directory.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Whether the last entry was delivered.
    pub end: bool,
    /// The directory's attributes.
    pub attributes: Attributes,
}

/// Space of a filesystem, in bytes and in inodes (`statvfs(3)`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Size in bytes.
    pub total_bytes: u64,
    /// Free bytes.
    pub free_bytes: u64,
    /// Bytes that the caller may still use.
    pub available_bytes: u64,
    /// Number of inodes.
    pub total_files: u64,
    /// Free inodes.
    pub free_files: u64,
    /// Inodes that the caller may still use.
    pub available_files: u64,
}

/// How much more a caller may use, in bytes; what nothing limits is `u64::MAX`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Before it is refused.
    pub hard: u64,
    /// Before it is warned of.
    pub soft: u64,
    /// What is used already.
    pub used: u64,
}

/// Limits of a filesystem (`pathconf(3)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most hard links to one file.
    pub links: u32,
    /// Longest name in bytes.
    pub name: u32,
    /// Largest file in bytes.
    pub file_size: u64,
}

/// A filesystem that can be served.
///
/// Operations run with the rights of the context's caller, as the kernel gives them: mode bits,
/// ACLs, sticky and setgid directories. As NFS needs it, the owner of a file may always read and
/// write it, and who may execute a file may read it. Symbolic links are never followed.
/// Names are single components; a name that is empty, holds `/` or NUL gives `EINVAL`, one that
/// is too long `ENAMETOOLONG`.
///
/// Operations that change something return when it is stable (the new name, the removed name, the
/// attributes), with the exception of unstable writes. With [`Context::deferred`] they return as
/// soon as it is done and seen by others, and it is stable, and their result true, only after
/// [`FileSystem::make_stable`] said so: nothing that follows from it may be told before.
pub trait FileSystem:
    ExtendedAttributes + KeptFiles + LocalLocks + Ranges + Send + Sync + 'static
{
    /// The root directory.
    fn root(&self) -> Handle;

    /// Attributes of an object. Needs no permission.
    fn attributes(&self, context: Context<'_>, handle: &Handle) -> Result<Attributes>;

    /// Sets attributes; with `guard`, only if the object's `changed` time equals it, else
    /// [`crate::Error::NotSync`].
    fn set_attributes(
        &self,
        context: Context<'_>,
        handle: &Handle,
        set: &SetAttributes,
        guard: Option<Timestamp>,
    ) -> Changed<()>;

    /// Looks a name up. `.` is the directory itself, `..` its parent, and at the root the root.
    fn lookup(&self, context: Context<'_>, directory: &Handle, name: &[u8]) -> Result<Found>;

    /// Which of the wanted rights the caller has.
    fn access(
        &self,
        context: Context<'_>,
        handle: &Handle,
        wanted: AccessMask,
    ) -> Result<(AccessMask, Attributes)>;

    /// The target of a symbolic link; `EINVAL` for another kind of object.
    fn read_link(&self, context: Context<'_>, handle: &Handle) -> Result<(Vec<u8>, Attributes)>;

    /// Reads from a regular file into `buffer`, as much as fits.
    fn read(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<Read>;

    /// Writes all of `data` to a regular file; the result is the stability that was reached, at
    /// least the one asked for.
    fn write(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        data: &[u8],
        stability: Stability,
    ) -> Changed<Stability>;

    /// Makes all earlier writes to a file stable.
    fn commit(&self, context: Context<'_>, handle: &Handle) -> Changed<()>;

    /// Creates, or finds, a regular file. Without a mode in the attributes it has none; owner and
    /// group are set for the superuser only, all others own what they make. `EEXIST` also for `.`,
    /// `..` and, with [`CreateHow::Unchecked`], for what is not a regular file.
    fn create(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        how: &CreateHow,
    ) -> Changed<Found>;

    /// Creates anything but a regular file. The caller needs no right beyond that of creating a
    /// name, except for device files, which only the superuser may make.
    fn make(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
        kind: &CreateKind,
        set: &SetAttributes,
    ) -> Changed<Found>;

    /// Removes a name that is not a directory (`EISDIR` if it is one; `EACCES` for `.` and `..`).
    fn remove(&self, context: Context<'_>, directory: &Handle, name: &[u8]) -> Changed<()>;

    /// Removes an empty directory; `EINVAL` for `.`, `EEXIST` for `..`.
    fn remove_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
        name: &[u8],
    ) -> Changed<()>;

    /// Renames; an existing target is replaced. `EINVAL` for `.` and `..`, `EXDEV` from one
    /// filesystem to another.
    fn rename(&self, context: Context<'_>, from: (&Handle, &[u8]), to: (&Handle, &[u8]))
    -> Renamed;

    /// Makes a hard link to `handle`; the result carries the attributes of the linked object.
    fn link(
        &self,
        context: Context<'_>,
        handle: &Handle,
        directory: &Handle,
        name: &[u8],
    ) -> Changed<Attributes>;

    /// Gives the entries after `cookie` (zero: from the start) to `sink` until it returns `false`
    /// (that entry does not count as delivered). `with_found` asks for handles and attributes; an
    /// entry that cannot be looked up comes without. `EINVAL`: no listing gave this cookie.
    fn read_directory(
        &self,
        context: Context<'_>,
        directory: &Handle,
        cookie: u64,
        with_found: bool,
        sink: &mut dyn FnMut(DirectoryEntry) -> bool,
    ) -> Result<Listing>;

    /// Makes changes stable whose flush was deferred, with as few flushes as all of them together
    /// need. The results are those of the changes, in their order.
    ///
    /// A flush that fails fails each change that it served, and grows [`FileSystem::lost_writes`]:
    /// such a change was done, but a crash may undo it, and what was written may be lost already.
    /// It is not to be flushed again, as the storage tells such an error only once.
    ///
    /// May wait. May be called from several threads at once.
    fn make_stable(&self, changes: Vec<Deferred>) -> Vec<Result<()>>;

    /// Whether one flush serves changes of different objects, so that gathering them pays.
    fn flushes_together(&self) -> bool;

    /// Space of the filesystem that holds `handle`.
    fn space(&self, context: Context<'_>, handle: &Handle) -> Result<Space>;

    /// The quota of the caller on the filesystem that holds `handle`: of the user or the group,
    /// whichever leaves less. `None`: nothing counts there.
    fn quota(&self, context: Context<'_>, handle: &Handle) -> Result<Option<Quota>>;

    /// Limits of the filesystem that holds `handle`.
    fn limits(&self, context: Context<'_>, handle: &Handle) -> Result<Limits>;

    /// How often the storage failed to make something stable that it had taken. When this grows,
    /// unstable writes may have been lost, and the server changes its write verifier.
    fn lost_writes(&self) -> u64;

    /// Lets go of what was not used lately. To be called every few seconds.
    fn sweep(&self, now: std::time::Instant);
}
