//! Attributes of a filesystem object, as `statx(2)` knows them.

/// What a name stands for (`S_IFMT` of `inode(7)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A Unix domain socket.
    Socket,
    /// A named pipe.
    Fifo,
}

/// A point in time: seconds since the epoch (negative before it) and nanoseconds below a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    /// Whole seconds.
    pub seconds: i64,
    /// Nanoseconds, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// Major and minor number of a device file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct DeviceNumber {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// The attributes of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (`mode & 0o7777`).
    pub mode: u32,
    /// Number of hard links; of a file that is kept for those who have it open, without the one
    /// that keeps it.
    pub links: u32,
    /// Whether it has no name at all, and exists only until whoever has it open closes it.
    pub removed: bool,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that it takes on the filesystem.
    pub used: u64,
    /// Device number, of device files only; zero otherwise.
    pub device: DeviceNumber,
    /// Which filesystem inside the export: zero for the one that holds the export's root, another
    /// stable number for each filesystem mounted below it (only with `cross_mounts`).
    pub filesystem: u64,
    /// Inode number.
    pub file_id: u64,
    /// Last access.
    pub accessed: Timestamp,
    /// Last change of the data.
    pub modified: Timestamp,
    /// Last change of the data or the attributes.
    pub changed: Timestamp,
    /// Birth, where the filesystem records it.
    pub created: Option<Timestamp>,
    /// A number that is greater after each change of the data or the attributes (`change`, RFC 8881
    /// section 5.8.1.4), the same after a restart and on another node. It is `changed` in
    /// nanoseconds, or a little less while another change could still get the same time.
    pub change: u64,
}

/// The attributes by which a client sees whether an object changed under it: `wcc_attr` (RFC 1813
/// section 2.6) and `change` (RFC 8881 section 5.8.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeTime {
    /// Size in bytes.
    pub size: u64,
    /// Last change of the data.
    pub modified: Timestamp,
    /// Last change of the data or the attributes.
    pub changed: Timestamp,
    /// See [`Attributes::change`].
    pub change: u64,
}

impl From<&Attributes> for ChangeTime {
    fn from(attributes: &Attributes) -> Self {
        let Attributes { size, modified, changed, change, .. } = *attributes;
        Self { size, modified, changed, change }
    }
}

/// How a time is to be set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetTime {
    /// Leave it.
    #[default]
    Keep,
    /// The server's clock (`UTIME_NOW`: a caller with write permission may do this).
    Now,
    /// A time that the client gives (only the owner may do this).
    To(Timestamp),
}

/// Attributes to set; what is `None` or `Keep` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits (`0o7777`).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes: truncate or extend.
    pub size: Option<u64>,
    /// Last access.
    pub accessed: SetTime,
    /// Last change of the data.
    pub modified: SetTime,
}
