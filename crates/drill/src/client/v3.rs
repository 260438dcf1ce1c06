//! NFSv3.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use standfast_nfs::mount::protocol::{
    MountResult, PROGRAM as MOUNT, Path as MountPath, Procedure as MountProcedure,
};
use standfast_nfs::v3::protocol::{
    Attributes, CreateArgs, CreateHow, CreateOk, DirOpArgs, FileHandle, LookupOk, MkDirArgs, Name,
    Outcome, PROGRAM, Procedure, ReadArgs, ReadDirArgs, ReadDirOk, ReadOk, RenameArgs, RenameWcc,
    SetAttributes, SetTime, StableHow, Status, VERSION, WccData, WriteArgs, WriteOk,
};
use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Opaque};
use tokio::time::sleep;

use super::transport::{Place, Transport};
use super::{FileClient, NewName, Refusal};
use crate::history::Finding;

/// How long the kernel waits after `NFS3ERR_JUKEBOX`.
const JUKEBOX_DELAY: Duration = Duration::from_secs(5);
/// Bytes of names in one answer.
const NAMES: u32 = 32 << 10;

/// A client that speaks NFSv3, in a directory.
#[derive(Debug)]
pub struct Nfs3 {
    transport: Transport,
    directory: FileHandle,
}

/// What MNT gives.
struct Mounted(MountResult);

impl Decode for Mounted {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        MountResult::decode_v3(decoder).map(Self)
    }
}

impl Nfs3 {
    /// Mounts an export, by a server that answers MOUNT on the port of NFS, and goes to a directory
    /// in it, which is made if it is not there.
    ///
    /// # Errors
    /// What the server refused.
    pub async fn mount(place: Place, export: &str, directory: &str) -> Result<Self, Refusal> {
        let transport = Transport::open(place);
        let path = MountPath::copy_from_slice(export.as_bytes());
        let procedure = (MOUNT, 3, MountProcedure::Mnt as u32);
        let root = match transport.call::<_, Mounted>(procedure, &path).await?.0 {
            MountResult::V3(mounted) => mounted.handle,
            other => return Err(Refusal::Other(format!("mount {export}: {other:?}"))),
        };
        let mut client = Self { transport, directory: root };
        let arguments = MkDirArgs { place: client.at(directory), attributes: with_mode(0o777) };
        match client.call::<_, CreateOk, WccData>(Procedure::MkDir, &arguments).await {
            Ok(_) | Err(Refusal::Exists) => {}
            Err(other) => return Err(other),
        }
        client.directory = client.lookup(directory).await?;
        Ok(client)
    }

    async fn lookup(&self, name: &str) -> Result<FileHandle, Refusal> {
        let place = self.at(name);
        let found = self.call::<_, LookupOk, Option<Attributes>>(Procedure::Lookup, &place);
        Ok(found.await?.object)
    }

    fn at(&self, name: &str) -> DirOpArgs {
        let name = Name::copy_from_slice(name.as_bytes());
        DirOpArgs { directory: self.directory.clone(), name }
    }

    /// Makes a call again until the server does not ask to come later.
    async fn call<A: Encode, R: Decode, F: Decode>(
        &self,
        procedure: Procedure,
        arguments: &A,
    ) -> Result<R, Refusal> {
        loop {
            let numbers = (PROGRAM, VERSION, procedure as u32);
            let status = match self.transport.call::<A, Outcome<R, F>>(numbers, arguments).await? {
                Outcome::Ok(value) => return Ok(value),
                Outcome::Fail(status, _) => status,
            };
            match status {
                Status::Exist => return Err(Refusal::Exists),
                Status::NoEnt => return Err(Refusal::NoEntry),
                Status::Jukebox => {
                    self.transport.place().find(Finding::Delayed);
                    sleep(JUKEBOX_DELAY).await;
                }
                other => {
                    let what = format!("{} of NFSv3: {other:?}", procedure.name());
                    self.transport.place().find(Finding::Error(what.clone()));
                    return Err(Refusal::Other(what));
                }
            }
        }
    }

    async fn make(&self, name: &str, how: CreateHow) -> Result<FileHandle, Refusal> {
        let arguments = CreateArgs { place: self.at(name), how };
        let made = self.call::<_, CreateOk, WccData>(Procedure::Create, &arguments).await?;
        match made.object {
            Some(handle) => Ok(handle),
            None => self.lookup(name).await,
        }
    }
}

impl FileClient for Nfs3 {
    type File = FileHandle;

    async fn create(&self, name: &str, how: NewName) -> Result<(), Refusal> {
        let how = match how {
            NewName::Guarded => CreateHow::Guarded(with_mode(0o644)),
            NewName::Exclusive(verifier) => CreateHow::Exclusive(verifier),
        };
        self.make(name, how).await.map(drop)
    }

    async fn open(&self, name: &str) -> Result<FileHandle, Refusal> {
        self.make(name, CreateHow::Unchecked(with_mode(0o666))).await
    }

    async fn write(&self, file: &FileHandle, offset: u64, data: Bytes) -> Result<(), Refusal> {
        let count = data.len() as u32;
        let stable = StableHow::FileSync;
        let arguments = WriteArgs { file: file.clone(), offset, count, stable, data: Opaque(data) };
        let wrote = self.call::<_, WriteOk, WccData>(Procedure::Write, &arguments).await?;
        if wrote.count == count && wrote.committed == StableHow::FileSync {
            return Ok(());
        }
        Err(Refusal::Other(format!("{} bytes written {:?}", wrote.count, wrote.committed)))
    }

    async fn read(&self, file: &FileHandle, offset: u64, count: u32) -> Result<Bytes, Refusal> {
        let arguments = ReadArgs { file: file.clone(), offset, count };
        let read = self.call::<_, ReadOk, Option<Attributes>>(Procedure::Read, &arguments).await?;
        Ok(read.data.0)
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        let arguments = RenameArgs { from: self.at(from), to: self.at(to) };
        self.call::<_, RenameWcc, RenameWcc>(Procedure::Rename, &arguments).await.map(drop)
    }

    async fn remove(&self, name: &str) -> Result<(), Refusal> {
        self.call::<_, WccData, WccData>(Procedure::Remove, &self.at(name)).await.map(drop)
    }

    async fn lock(&self, _file: &mut FileHandle) -> Result<(), Refusal> {
        Err(Refusal::Unsupported)
    }

    async fn unlock(&self, _file: &mut FileHandle) -> Result<(), Refusal> {
        Err(Refusal::Unsupported)
    }

    async fn list(&self) -> Result<BTreeSet<String>, Refusal> {
        let mut names = BTreeSet::new();
        let mut arguments = ReadDirArgs {
            directory: self.directory.clone(),
            cookie: 0,
            verifier: [0; 8],
            count: NAMES,
        };
        loop {
            let part = self
                .call::<_, ReadDirOk, Option<Attributes>>(Procedure::ReadDir, &arguments)
                .await?;
            let before = arguments.cookie;
            for entry in &part.entries.0 {
                arguments.cookie = entry.cookie;
                names.insert(String::from_utf8_lossy(&entry.name).into_owned());
            }
            arguments.verifier = part.verifier;
            if part.end || arguments.cookie == before {
                return Ok(names);
            }
        }
    }
}

fn with_mode(mode: u32) -> SetAttributes {
    let (atime, mtime) = (SetTime::Keep, SetTime::Keep);
    SetAttributes { mode: Some(mode), uid: None, gid: None, size: None, atime, mtime }
}
