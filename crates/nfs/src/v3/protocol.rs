//! The types of NFS version 3 on the wire (RFC 1813 sections 2.5, 2.6 and 3.3).
//!
//! One file, long as it is, in the order of the RFC: so it can be held against it.

use standfast_rpc::xdr::{Chain, Decode, DecodeError, Decoder, Encode, Encoder, Opaque};
use standfast_rpc::{xdr_enum, xdr_struct, xdr_union};

/// Program number of NFS.
pub const PROGRAM: u32 = 100_003;
/// This version of it.
pub const VERSION: u32 = 3;
/// Longest file handle (`NFS3_FHSIZE`).
pub const MAX_HANDLE: usize = 64;
/// Longest name that is read from the wire. RFC 1813 sets no limit; what is longer than the
/// filesystem's 255 is answered with an error of its own, so it must be read first.
pub const MAX_NAME: usize = 4096;
/// Longest path of a symbolic link that is read from the wire.
pub const MAX_PATH: usize = 8192;
/// Longest payload that is read from the wire; the server's own limit is lower.
pub const MAX_DATA: usize = 1 << 24;

/// A file handle (`nfs_fh3`).
pub type FileHandle = Opaque<MAX_HANDLE>;
/// A file name (`filename3`).
pub type Name = Opaque<MAX_NAME>;
/// The path of a symbolic link (`nfspath3`).
pub type Path = Opaque<MAX_PATH>;
/// `cookieverf3`, `createverf3` and `writeverf3`.
pub type Verifier = [u8; 8];

xdr_enum! {
    /// The procedures (section 3.3).
    pub enum Procedure {
        /// Do nothing.
        Null = 0,
        /// Get file attributes.
        GetAttr = 1,
        /// Set file attributes.
        SetAttr = 2,
        /// Look up a name.
        Lookup = 3,
        /// Check access permission.
        Access = 4,
        /// Read from a symbolic link.
        ReadLink = 5,
        /// Read from a file.
        Read = 6,
        /// Write to a file.
        Write = 7,
        /// Create a file.
        Create = 8,
        /// Create a directory.
        MkDir = 9,
        /// Create a symbolic link.
        SymLink = 10,
        /// Create a special device.
        MkNod = 11,
        /// Remove a file.
        Remove = 12,
        /// Remove a directory.
        RmDir = 13,
        /// Rename a file or directory.
        Rename = 14,
        /// Create a link to an object.
        Link = 15,
        /// Read from a directory.
        ReadDir = 16,
        /// Extended read from a directory.
        ReadDirPlus = 17,
        /// Get dynamic file system information.
        FsStat = 18,
        /// Get static file system information.
        FsInfo = 19,
        /// Retrieve POSIX information.
        PathConf = 20,
        /// Commit cached data to stable storage.
        Commit = 21,
    }

    /// What came of a procedure (`nfsstat3`, section 2.6).
    pub enum Status {
        /// Success.
        Ok = 0,
        /// Not owner.
        Perm = 1,
        /// No such file or directory.
        NoEnt = 2,
        /// A hard error of the storage.
        Io = 5,
        /// No such device or address.
        NxIo = 6,
        /// Permission denied.
        Access = 13,
        /// It exists.
        Exist = 17,
        /// A hard link across devices.
        XDev = 18,
        /// No such device.
        NoDev = 19,
        /// Not a directory.
        NotDir = 20,
        /// Is a directory.
        IsDir = 21,
        /// Invalid argument.
        Inval = 22,
        /// The file is too large.
        FBig = 27,
        /// No space left.
        NoSpc = 28,
        /// Read-only filesystem.
        RoFs = 30,
        /// Too many hard links.
        MLink = 31,
        /// The name is too long.
        NameTooLong = 63,
        /// The directory is not empty.
        NotEmpty = 66,
        /// The quota is exceeded.
        DQuot = 69,
        /// The file handle is of no object any more.
        Stale = 70,
        /// The file handle is none of ours.
        BadHandle = 10001,
        /// The object changed since the guard time.
        NotSync = 10002,
        /// The directory cookie is stale.
        BadCookie = 10003,
        /// The operation is not supported.
        NotSupp = 10004,
        /// The buffer is too small.
        TooSmall = 10005,
        /// The server failed.
        ServerFault = 10006,
        /// This type cannot be created.
        BadType = 10007,
        /// Try again later.
        Jukebox = 10008,
    }

    /// `ftype3` (section 2.6).
    pub enum FileType {
        /// Regular file.
        Reg = 1,
        /// Directory.
        Dir = 2,
        /// Block device.
        Blk = 3,
        /// Character device.
        Chr = 4,
        /// Symbolic link.
        Lnk = 5,
        /// Socket.
        Sock = 6,
        /// Named pipe.
        Fifo = 7,
    }

    /// `stable_how` (section 3.3.7).
    pub enum StableHow {
        /// The page cache is enough.
        Unstable = 0,
        /// Data, and what is needed to find it.
        DataSync = 1,
        /// Data and attributes.
        FileSync = 2,
    }
}

xdr_struct! {
    /// `specdata3`.
    pub struct SpecData {
        /// Major device number.
        pub major: u32,
        /// Minor device number.
        pub minor: u32,
    }

    /// `nfstime3`.
    pub struct Time {
        /// Seconds since the epoch.
        pub seconds: u32,
        /// Nanoseconds.
        pub nanoseconds: u32,
    }

    /// `fattr3`.
    pub struct Attributes {
        /// Type.
        pub kind: FileType,
        /// Permission bits.
        pub mode: u32,
        /// Hard links.
        pub links: u32,
        /// Owner.
        pub uid: u32,
        /// Group.
        pub gid: u32,
        /// Size in bytes.
        pub size: u64,
        /// Bytes on the disk.
        pub used: u64,
        /// Device number of device files.
        pub device: SpecData,
        /// Identity of the filesystem.
        pub fsid: u64,
        /// Identity within the filesystem.
        pub file_id: u64,
        /// Last access.
        pub atime: Time,
        /// Last change of data.
        pub mtime: Time,
        /// Last change of data or attributes.
        pub ctime: Time,
    }

    /// `wcc_attr`.
    pub struct WccAttributes {
        /// Size in bytes.
        pub size: u64,
        /// Last change of data.
        pub mtime: Time,
        /// Last change of data or attributes.
        pub ctime: Time,
    }

    /// `wcc_data`.
    pub struct WccData {
        /// Before the operation.
        pub before: Option<WccAttributes>,
        /// After it.
        pub after: Option<Attributes>,
    }

    /// `sattr3`.
    pub struct SetAttributes {
        /// Permission bits.
        pub mode: Option<u32>,
        /// Owner.
        pub uid: Option<u32>,
        /// Group.
        pub gid: Option<u32>,
        /// Size in bytes.
        pub size: Option<u64>,
        /// Last access.
        pub atime: SetTime,
        /// Last change of data.
        pub mtime: SetTime,
    }

    /// `diropargs3`.
    pub struct DirOpArgs {
        /// Directory.
        pub directory: FileHandle,
        /// Name in it.
        pub name: Name,
    }

    /// `SETATTR3args`.
    pub struct SetAttrArgs {
        /// Object.
        pub object: FileHandle,
        /// What to set.
        pub attributes: SetAttributes,
        /// Only if the ctime is this.
        pub guard: Option<Time>,
    }

    /// `LOOKUP3resok`.
    pub struct LookupOk {
        /// The object.
        pub object: FileHandle,
        /// Its attributes.
        pub attributes: Option<Attributes>,
        /// The directory's.
        pub directory: Option<Attributes>,
    }

    /// `ACCESS3args`.
    pub struct AccessArgs {
        /// Object.
        pub object: FileHandle,
        /// Rights asked about.
        pub access: u32,
    }

    /// `ACCESS3resok`.
    pub struct AccessOk {
        /// The object's attributes.
        pub attributes: Option<Attributes>,
        /// Rights that the caller has.
        pub access: u32,
    }

    /// `READLINK3resok`.
    pub struct ReadLinkOk {
        /// The link's attributes.
        pub attributes: Option<Attributes>,
        /// Its target.
        pub target: Path,
    }

    /// `READ3args`.
    pub struct ReadArgs {
        /// File.
        pub file: FileHandle,
        /// First byte.
        pub offset: u64,
        /// Number of bytes.
        pub count: u32,
    }

    /// `READ3resok`.
    pub struct ReadOk {
        /// The file's attributes.
        pub attributes: Option<Attributes>,
        /// Number of bytes.
        pub count: u32,
        /// Whether the file ends there.
        pub end_of_file: bool,
        /// The bytes.
        pub data: Opaque<MAX_DATA>,
    }

    /// `WRITE3args`.
    pub struct WriteArgs {
        /// File.
        pub file: FileHandle,
        /// First byte.
        pub offset: u64,
        /// Number of bytes.
        pub count: u32,
        /// How stable it must be.
        pub stable: StableHow,
        /// The bytes.
        pub data: Opaque<MAX_DATA>,
    }

    /// `WRITE3resok`.
    pub struct WriteOk {
        /// The file before and after.
        pub file: WccData,
        /// Number of bytes.
        pub count: u32,
        /// How stable they are.
        pub committed: StableHow,
        /// Changes when unstable data may have been lost.
        pub verifier: Verifier,
    }

    /// `CREATE3args`.
    pub struct CreateArgs {
        /// Where.
        pub place: DirOpArgs,
        /// How.
        pub how: CreateHow,
    }

    /// `MKDIR3args`.
    pub struct MkDirArgs {
        /// Where.
        pub place: DirOpArgs,
        /// With which attributes.
        pub attributes: SetAttributes,
    }

    /// `SYMLINK3args`.
    pub struct SymLinkArgs {
        /// Where.
        pub place: DirOpArgs,
        /// With which attributes.
        pub attributes: SetAttributes,
        /// What it points to.
        pub target: Path,
    }

    /// `MKNOD3args`.
    pub struct MkNodArgs {
        /// Where.
        pub place: DirOpArgs,
        /// What.
        pub what: MkNodData,
    }

    /// `devicedata3`.
    pub struct DeviceData {
        /// With which attributes.
        pub attributes: SetAttributes,
        /// Device number.
        pub device: SpecData,
    }

    /// What CREATE, MKDIR, SYMLINK and MKNOD give.
    pub struct CreateOk {
        /// The object.
        pub object: Option<FileHandle>,
        /// Its attributes.
        pub attributes: Option<Attributes>,
        /// The directory before and after.
        pub directory: WccData,
    }

    /// `RENAME3args`.
    pub struct RenameArgs {
        /// From.
        pub from: DirOpArgs,
        /// To.
        pub to: DirOpArgs,
    }

    /// `RENAME3resok` and `RENAME3resfail`.
    pub struct RenameWcc {
        /// The source directory before and after.
        pub from: WccData,
        /// The target directory before and after.
        pub to: WccData,
    }

    /// `LINK3args`.
    pub struct LinkArgs {
        /// Object.
        pub object: FileHandle,
        /// Its new name.
        pub link: DirOpArgs,
    }

    /// `LINK3resok` and `LINK3resfail`.
    pub struct LinkWcc {
        /// The object's attributes.
        pub attributes: Option<Attributes>,
        /// The directory before and after.
        pub directory: WccData,
    }

    /// `READDIR3args`.
    pub struct ReadDirArgs {
        /// Directory.
        pub directory: FileHandle,
        /// Where to go on.
        pub cookie: u64,
        /// What the earlier answer said.
        pub verifier: Verifier,
        /// Most bytes of the result.
        pub count: u32,
    }

    /// `entry3`.
    pub struct Entry {
        /// Identity.
        pub file_id: u64,
        /// Name.
        pub name: Name,
        /// Where to go on after it.
        pub cookie: u64,
    }

    /// `READDIR3resok`.
    pub struct ReadDirOk {
        /// The directory's attributes.
        pub attributes: Option<Attributes>,
        /// To be given with the next cookie.
        pub verifier: Verifier,
        /// The names.
        pub entries: Chain<Entry>,
        /// Whether these were the last.
        pub end: bool,
    }

    /// `READDIRPLUS3args`.
    pub struct ReadDirPlusArgs {
        /// Directory.
        pub directory: FileHandle,
        /// Where to go on.
        pub cookie: u64,
        /// What the earlier answer said.
        pub verifier: Verifier,
        /// Most bytes of names, ids and cookies.
        pub dir_count: u32,
        /// Most bytes of the result.
        pub max_count: u32,
    }

    /// `entryplus3`.
    pub struct EntryPlus {
        /// Identity.
        pub file_id: u64,
        /// Name.
        pub name: Name,
        /// Where to go on after it.
        pub cookie: u64,
        /// Attributes.
        pub attributes: Option<Attributes>,
        /// Handle.
        pub handle: Option<FileHandle>,
    }

    /// `READDIRPLUS3resok`.
    pub struct ReadDirPlusOk {
        /// The directory's attributes.
        pub attributes: Option<Attributes>,
        /// To be given with the next cookie.
        pub verifier: Verifier,
        /// The names.
        pub entries: Chain<EntryPlus>,
        /// Whether these were the last.
        pub end: bool,
    }

    /// `FSSTAT3resok`.
    pub struct FsStatOk {
        /// The object's attributes.
        pub attributes: Option<Attributes>,
        /// Size in bytes.
        pub total_bytes: u64,
        /// Free bytes.
        pub free_bytes: u64,
        /// Bytes that the caller may use.
        pub available_bytes: u64,
        /// Inodes.
        pub total_files: u64,
        /// Free inodes.
        pub free_files: u64,
        /// Inodes that the caller may use.
        pub available_files: u64,
        /// Seconds for which this will not change; zero: no promise.
        pub unchanged_for: u32,
    }

    /// `FSINFO3resok`.
    pub struct FsInfoOk {
        /// The object's attributes.
        pub attributes: Option<Attributes>,
        /// Most bytes of a READ.
        pub read_max: u32,
        /// Best size of a READ.
        pub read_preferred: u32,
        /// Sizes of a READ should be multiples of this.
        pub read_multiple: u32,
        /// Most bytes of a WRITE.
        pub write_max: u32,
        /// Best size of a WRITE.
        pub write_preferred: u32,
        /// Sizes of a WRITE should be multiples of this.
        pub write_multiple: u32,
        /// Best size of a READDIR.
        pub readdir_preferred: u32,
        /// Largest file.
        pub max_file_size: u64,
        /// Resolution of times.
        pub time_delta: Time,
        /// What the filesystem can do (`FSF3_…`).
        pub properties: u32,
    }

    /// `PATHCONF3resok`.
    pub struct PathConfOk {
        /// The object's attributes.
        pub attributes: Option<Attributes>,
        /// Most hard links.
        pub max_links: u32,
        /// Longest name.
        pub max_name: u32,
        /// Names that are too long are an error, not cut.
        pub no_truncation: bool,
        /// Only root may give files away.
        pub chown_restricted: bool,
        /// Names differ by more than case.
        pub case_insensitive: bool,
        /// The case of names is kept.
        pub case_preserving: bool,
    }

    /// `COMMIT3args`.
    pub struct CommitArgs {
        /// File.
        pub file: FileHandle,
        /// First byte.
        pub offset: u64,
        /// Number of bytes; zero: to the end.
        pub count: u32,
    }

    /// `COMMIT3resok`.
    pub struct CommitOk {
        /// The file before and after.
        pub file: WccData,
        /// Changes when unstable data may have been lost.
        pub verifier: Verifier,
    }
}

xdr_union! {
    /// `set_atime` and `set_mtime`.
    pub enum SetTime {
        /// `DONT_CHANGE`.
        Keep = 0,
        /// `SET_TO_SERVER_TIME`.
        ServerTime = 1,
        /// `SET_TO_CLIENT_TIME`.
        ClientTime(Time) = 2,
    }

    /// `createhow3`.
    pub enum CreateHow {
        /// An existing file will do.
        Unchecked(SetAttributes) = 0,
        /// The name must be new.
        Guarded(SetAttributes) = 1,
        /// The name must be new, or made with this verifier.
        Exclusive(Verifier) = 2,
    }

    /// `mknoddata3`: a type that cannot be made has no data.
    pub enum MkNodData {
        /// `NF3REG`: CREATE makes these.
        Regular = 1,
        /// `NF3DIR`: MKDIR makes these.
        Directory = 2,
        /// A block device.
        BlockDevice(DeviceData) = 3,
        /// A character device.
        CharacterDevice(DeviceData) = 4,
        /// `NF3LNK`: SYMLINK makes these.
        Symlink = 5,
        /// A socket.
        Socket(SetAttributes) = 6,
        /// A named pipe.
        Fifo(SetAttributes) = 7,
    }
}

/// The result of a procedure: a status, then what belongs to a success or to a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T, F> {
    /// `NFS3_OK` and its results.
    Ok(T),
    /// Another status, and what it carries.
    Fail(Status, F),
}

impl<T: Encode, F: Encode> Encode for Outcome<T, F> {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Self::Ok(value) => {
                Status::Ok.encode(encoder);
                value.encode(encoder);
            }
            Self::Fail(status, value) => {
                status.encode(encoder);
                value.encode(encoder);
            }
        }
    }
}

impl<T, F> Outcome<T, F> {
    /// Whether it is a failure.
    pub fn failed(&self) -> bool {
        matches!(self, Self::Fail(..))
    }
}

impl<T: Decode, F: Decode> Decode for Outcome<T, F> {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        match Status::decode(decoder)? {
            Status::Ok => Ok(Self::Ok(T::decode(decoder)?)),
            status => Ok(Self::Fail(status, F::decode(decoder)?)),
        }
    }
}

/// `FSF3_LINK`, `FSF3_SYMLINK`, `FSF3_HOMOGENEOUS` and `FSF3_CANSETTIME` (section 3.3.19).
pub const FSINFO_PROPERTIES: u32 = 0x0001 | 0x0002 | 0x0008 | 0x0010;

impl WccData {
    /// Nothing is known of before and after.
    pub const NONE: Self = Self { before: None, after: None };
}

impl Procedure {
    /// Its name in RFC 1813.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::GetAttr => "GETATTR",
            Self::SetAttr => "SETATTR",
            Self::Lookup => "LOOKUP",
            Self::Access => "ACCESS",
            Self::ReadLink => "READLINK",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Create => "CREATE",
            Self::MkDir => "MKDIR",
            Self::SymLink => "SYMLINK",
            Self::MkNod => "MKNOD",
            Self::Remove => "REMOVE",
            Self::RmDir => "RMDIR",
            Self::Rename => "RENAME",
            Self::Link => "LINK",
            Self::ReadDir => "READDIR",
            Self::ReadDirPlus => "READDIRPLUS",
            Self::FsStat => "FSSTAT",
            Self::FsInfo => "FSINFO",
            Self::PathConf => "PATHCONF",
            Self::Commit => "COMMIT",
        }
    }
}
