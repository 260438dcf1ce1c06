//! NFSv3 and MOUNT by hand: one method for each procedure.

use std::fmt::Debug;
use std::net::IpAddr;

use bytes::Bytes;
use standfast_lab::Host;
use standfast_nfs::mount::protocol::{
    MountResult, PROGRAM as MOUNT, Path as MountPath, Procedure as MountProcedure,
    Status as MountStatus,
};
use standfast_nfs::v3::protocol::{
    AccessArgs, AccessOk, Attributes, CommitArgs, CommitOk, CreateArgs, CreateHow, CreateOk,
    DirOpArgs, FileHandle, FsInfoOk, FsStatOk, LinkArgs, LinkWcc, LookupOk, MkDirArgs, MkNodArgs,
    Name, Outcome, PROGRAM, PathConfOk, Procedure, ReadArgs, ReadDirArgs, ReadDirOk,
    ReadDirPlusArgs, ReadDirPlusOk, ReadLinkOk, ReadOk, RenameArgs, RenameWcc, SetAttrArgs,
    SetAttributes, SetTime, StableHow, Status, SymLinkArgs, VERSION, WccData, WriteArgs, WriteOk,
};
use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Opaque};

use crate::Result;
use crate::server::PORT;
use crate::wire::Wire;

/// A client that speaks NFSv3.
#[derive(Debug)]
pub struct Nfs3 {
    /// What carries it.
    pub wire: Wire,
}

/// What MNT of version 3 gives.
struct Mounted(MountResult);

impl Decode for Mounted {
    fn decode(decoder: &mut Decoder<'_>) -> std::result::Result<Self, DecodeError> {
        MountResult::decode_v3(decoder).map(Self)
    }
}

/// Program, version and procedure of a procedure of NFSv3.
#[must_use]
pub fn numbers(procedure: Procedure) -> (u32, u32, u32) {
    (PROGRAM, VERSION, procedure as u32)
}

macro_rules! procedures {
    ($($(#[$doc:meta])* $method:ident($args:ty) -> $ok:ty, $fail:ty = $procedure:ident;)*) => {
        impl Nfs3 {$(
            $(#[$doc])*
            ///
            /// # Errors
            /// If the call does not run; see [`Answer`] for how it went.
            pub fn $method(&mut self, args: &$args) -> Result<Outcome<$ok, $fail>> {
                self.call(Procedure::$procedure, args)
            }
        )*}
    };
}

procedures! {
    /// GETATTR.
    get_attr(FileHandle) -> Attributes, () = GetAttr;
    /// SETATTR.
    set_attr(SetAttrArgs) -> WccData, WccData = SetAttr;
    /// LOOKUP.
    lookup(DirOpArgs) -> LookupOk, Option<Attributes> = Lookup;
    /// ACCESS.
    access(AccessArgs) -> AccessOk, Option<Attributes> = Access;
    /// READLINK.
    read_link(FileHandle) -> ReadLinkOk, Option<Attributes> = ReadLink;
    /// READ.
    read(ReadArgs) -> ReadOk, Option<Attributes> = Read;
    /// WRITE.
    write(WriteArgs) -> WriteOk, WccData = Write;
    /// CREATE.
    create(CreateArgs) -> CreateOk, WccData = Create;
    /// MKDIR.
    mkdir(MkDirArgs) -> CreateOk, WccData = MkDir;
    /// SYMLINK.
    symlink(SymLinkArgs) -> CreateOk, WccData = SymLink;
    /// MKNOD.
    mknod(MkNodArgs) -> CreateOk, WccData = MkNod;
    /// REMOVE.
    remove(DirOpArgs) -> WccData, WccData = Remove;
    /// RMDIR.
    rmdir(DirOpArgs) -> WccData, WccData = RmDir;
    /// RENAME.
    rename(RenameArgs) -> RenameWcc, RenameWcc = Rename;
    /// LINK.
    link(LinkArgs) -> LinkWcc, LinkWcc = Link;
    /// READDIR.
    read_dir(ReadDirArgs) -> ReadDirOk, Option<Attributes> = ReadDir;
    /// READDIRPLUS.
    read_dir_plus(ReadDirPlusArgs) -> ReadDirPlusOk, Option<Attributes> = ReadDirPlus;
    /// FSSTAT.
    fs_stat(FileHandle) -> FsStatOk, Option<Attributes> = FsStat;
    /// FSINFO.
    fs_info(FileHandle) -> FsInfoOk, Option<Attributes> = FsInfo;
    /// PATHCONF.
    path_conf(FileHandle) -> PathConfOk, Option<Attributes> = PathConf;
    /// COMMIT.
    commit(CommitArgs) -> CommitOk, WccData = Commit;
}

impl Nfs3 {
    /// Connects from a host over TCP and mounts a path: the client and the path's handle.
    ///
    /// # Errors
    /// What connecting failed with, or that the path was refused.
    pub fn mount(host: &Host, server: IpAddr, path: &str) -> Result<(Self, FileHandle)> {
        let mut client = Self { wire: Wire::tcp(host, server, PORT)? };
        let root = client.mnt(path)?.map_err(|status| format!("mount {path}: {status:?}"))?;
        Ok((client, root))
    }

    /// The same over UDP.
    ///
    /// # Errors
    /// What making the socket failed with, or that the path was refused.
    pub fn mount_udp(host: &Host, server: IpAddr, path: &str) -> Result<(Self, FileHandle)> {
        let mut client = Self { wire: Wire::udp(host, server, PORT)? };
        let root = client.mnt(path)?.map_err(|status| format!("mount {path}: {status:?}"))?;
        Ok((client, root))
    }

    /// MNT of MOUNT version 3.
    ///
    /// # Errors
    /// If the call does not run.
    pub fn mnt(&mut self, path: &str) -> Result<std::result::Result<FileHandle, MountStatus>> {
        let procedure = (MOUNT, 3, MountProcedure::Mnt as u32);
        let path = MountPath::copy_from_slice(path.as_bytes());
        match self.wire.call::<_, Mounted>(procedure, &path)?.0 {
            MountResult::V3(mounted) => Ok(Ok(mounted.handle)),
            MountResult::Fail(status) => Ok(Err(status)),
            MountResult::V1(_) => Err("version 3 was asked, version 1 answered".into()),
        }
    }

    /// Any procedure.
    ///
    /// # Errors
    /// If the call does not run.
    pub fn call<A: Encode, R: Decode>(&mut self, procedure: Procedure, args: &A) -> Result<R> {
        self.wire.call(numbers(procedure), args)
    }

    /// Makes a file with the mode 0644 and gives its handle.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn make_file(&mut self, directory: &FileHandle, name: &str) -> Result<FileHandle> {
        let how = CreateHow::Guarded(with_mode(0o644));
        let made = self.create(&CreateArgs { place: place(directory, name), how })?.ok()?;
        made.object.ok_or_else(|| "CREATE gave no handle".into())
    }

    /// Makes a directory with the mode 0755 and gives its handle.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn make_dir(&mut self, directory: &FileHandle, name: &str) -> Result<FileHandle> {
        let args = MkDirArgs { place: place(directory, name), attributes: with_mode(0o755) };
        self.mkdir(&args)?.ok()?.object.ok_or_else(|| "MKDIR gave no handle".into())
    }

    /// Writes bytes at an offset.
    ///
    /// # Errors
    /// If the call does not run.
    pub fn write_at(
        &mut self,
        file: &FileHandle,
        offset: u64,
        data: &[u8],
        stable: StableHow,
    ) -> Result<Outcome<WriteOk, WccData>> {
        self.write(&WriteArgs {
            file: file.clone(),
            offset,
            count: data.len() as u32,
            stable,
            data: Opaque(Bytes::copy_from_slice(data)),
        })
    }

    /// Reads at most `count` bytes at an offset.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn read_at(&mut self, file: &FileHandle, offset: u64, count: u32) -> Result<ReadOk> {
        self.read(&ReadArgs { file: file.clone(), offset, count })?.ok()
    }

    /// Looks a name up and gives its handle.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn find(&mut self, directory: &FileHandle, name: &str) -> Result<FileHandle> {
        Ok(self.lookup(&place(directory, name))?.ok()?.object)
    }
}

/// How a procedure went.
pub trait Answer {
    /// What it gives.
    type Value;

    /// What it gave.
    ///
    /// # Errors
    /// Its status, if that is not `NFS3_OK`.
    fn ok(self) -> Result<Self::Value>;

    /// Its status.
    fn status(&self) -> Status;
}

impl<T, F: Debug> Answer for Outcome<T, F> {
    type Value = T;

    fn ok(self) -> Result<T> {
        match self {
            Self::Ok(value) => Ok(value),
            Self::Fail(status, more) => {
                Err(format!("the server says {status:?} ({more:?})").into())
            }
        }
    }

    fn status(&self) -> Status {
        match self {
            Self::Ok(_) => Status::Ok,
            Self::Fail(status, _) => *status,
        }
    }
}

/// A name in a directory.
#[must_use]
pub fn place(directory: &FileHandle, name: &str) -> DirOpArgs {
    DirOpArgs { directory: directory.clone(), name: Name::copy_from_slice(name.as_bytes()) }
}

/// No attribute is set.
pub const KEEP: SetAttributes = SetAttributes {
    mode: None,
    uid: None,
    gid: None,
    size: None,
    atime: SetTime::Keep,
    mtime: SetTime::Keep,
};

/// Only the mode is set.
#[must_use]
pub fn with_mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode), ..KEEP }
}
