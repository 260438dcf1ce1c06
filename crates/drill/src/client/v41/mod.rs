//! NFSv4.1: a session, opens and locks.

mod session;
mod state;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use standfast_nfs::v4::protocol::{
    Bitmap, CloseArgs, Component, CreateArgs, CreateHow, CreateType, CreateVerifier, Fattr,
    FileHandle, NameArgs, OpenClaim, OpenHow, Operation, OperationResult, Outcome, ReadArgs,
    ReadDirArgs, RenameArgs, StableHow, Value, WriteArgs,
};
use standfast_rpc::xdr::Opaque;

use super::transport::Place;
use super::{FileClient, NewName, Refusal};
use session::{Session, Sessions};
use state::OpenFile;

/// Bytes of names in one answer.
const NAMES: u32 = 32 << 10;

/// A client that speaks NFSv4.1, in a directory.
#[derive(Debug)]
pub struct Nfs41 {
    sessions: Sessions,
    directory: FileHandle,
}

impl Nfs41 {
    /// Makes a session and goes to a directory of an export, which is made if it is not there.
    ///
    /// # Errors
    /// What the server refused.
    pub async fn mount(place: Place, export: &str, directory: &str) -> Result<Self, Refusal> {
        let sessions = Sessions::open(place).await?;
        let mut mounted = Self { sessions, directory: FileHandle::default() };
        let path: Vec<&str> = export.split('/').filter(|part| !part.is_empty()).collect();
        mounted.directory = mounted.walk(&path).await?;
        let make = || {
            let attributes = Fattr::new([Value::Mode(0o777)]);
            let (kind, name) = (CreateType::Directory, component(directory));
            vec![mounted.here(), Operation::Create(CreateArgs { kind, name, attributes })]
        };
        match mounted.sessions.run(true, |_| make()).await {
            Ok(_) | Err(Refusal::Exists) => {}
            Err(other) => return Err(other),
        }
        mounted.directory = mounted.walk(&[&path[..], &[directory]].concat()).await?;
        Ok(mounted)
    }

    /// Says now and then that the client lives; never ends.
    pub async fn renew(&self) {
        self.sessions.renew().await;
    }

    async fn walk(&self, path: &[&str]) -> Result<FileHandle, Refusal> {
        let walk = || {
            let names = path.iter().map(|name| Operation::Lookup(named(name)));
            let names = std::iter::once(Operation::PutRootHandle).chain(names);
            names.chain([Operation::GetHandle]).collect()
        };
        handle(&self.sessions.run(false, |_| walk()).await?)
    }

    fn here(&self) -> Operation {
        Operation::PutHandle(self.directory.clone())
    }

    async fn open_as(&self, name: &str, how: CreateHow) -> Result<OpenFile, Refusal> {
        let owner = self.sessions.new_owner();
        let open = |session: &Session| {
            let (how, claim) = (OpenHow::Create(how.clone()), OpenClaim::Null(component(name)));
            let open = state::open(session.client, &owner, how, claim);
            vec![self.here(), open, Operation::GetHandle]
        };
        let results = self.sessions.run(true, open).await?;
        let handle = handle(&results)?;
        OpenFile::new(owner, handle, &results)
    }
}

impl FileClient for Nfs41 {
    type File = Arc<OpenFile>;

    async fn create(&self, name: &str, how: NewName) -> Result<(), Refusal> {
        let attributes = Fattr::new([Value::Mode(0o644)]);
        let how = match how {
            NewName::Guarded => CreateHow::Guarded(attributes),
            NewName::Exclusive(verifier) => {
                CreateHow::ExclusiveWith(CreateVerifier { verifier, attributes })
            }
        };
        let file = self.sessions.files.add(self.open_as(name, how).await?);
        let close = |_: &Session| {
            let close = CloseArgs { seqid: 0, stateid: file.open_stateid() };
            vec![file.here(), Operation::Close(close)]
        };
        self.sessions.run(true, close).await.map(drop)
    }

    async fn open(&self, name: &str) -> Result<Arc<OpenFile>, Refusal> {
        let how = CreateHow::Unchecked(Fattr::new([Value::Mode(0o666)]));
        Ok(self.sessions.files.add(self.open_as(name, how).await?))
    }

    async fn write(&self, file: &Arc<OpenFile>, offset: u64, data: Bytes) -> Result<(), Refusal> {
        let count = data.len() as u32;
        let write = |_: &Session| {
            let (stateid, stable) = (file.stateid(), StableHow::FileSync);
            let write = WriteArgs { stateid, offset, stable, data: Opaque(data.clone()) };
            vec![file.here(), Operation::Write(write)]
        };
        match self.sessions.run(false, write).await?.pop() {
            Some(OperationResult::Write(Outcome::Ok(wrote)))
                if wrote.count == count && wrote.committed == StableHow::FileSync =>
            {
                Ok(())
            }
            other => Err(Refusal::Other(format!("WRITE gave {other:?}"))),
        }
    }

    async fn read(&self, file: &Arc<OpenFile>, offset: u64, count: u32) -> Result<Bytes, Refusal> {
        let read = |_: &Session| {
            let read = ReadArgs { stateid: file.stateid(), offset, count };
            vec![file.here(), Operation::Read(read)]
        };
        match self.sessions.run(false, read).await?.pop() {
            Some(OperationResult::Read(Outcome::Ok(read))) => Ok(read.data.0),
            other => Err(Refusal::Other(format!("READ gave {other:?}"))),
        }
    }

    async fn rename(&self, from: &str, to: &str) -> Result<(), Refusal> {
        let rename = |_: &Session| {
            let rename = RenameArgs { from: component(from), to: component(to) };
            let (source, target) = (self.here(), self.here());
            vec![source, Operation::SaveHandle, target, Operation::Rename(rename)]
        };
        self.sessions.run(true, rename).await.map(drop)
    }

    async fn remove(&self, name: &str) -> Result<(), Refusal> {
        let remove = |_: &Session| vec![self.here(), Operation::Remove(named(&name))];
        self.sessions.run(true, remove).await.map(drop)
    }

    async fn lock(&self, file: &mut Arc<OpenFile>) -> Result<(), Refusal> {
        let results = self.sessions.run(true, |session| file.lock(session.client)).await?;
        file.learn_lock(&results)
    }

    async fn unlock(&self, file: &mut Arc<OpenFile>) -> Result<(), Refusal> {
        let results = self.sessions.run(true, |_| file.unlock()).await?;
        file.learn_unlock(&results)
    }

    async fn list(&self) -> Result<BTreeSet<String>, Refusal> {
        let mut names = BTreeSet::new();
        let mut arguments = ReadDirArgs {
            cookie: 0,
            verifier: [0; 8],
            directory_bytes: NAMES,
            max_bytes: NAMES,
            attributes: Bitmap::EMPTY,
        };
        loop {
            let list = |_: &Session| vec![self.here(), Operation::ReadDir(arguments.clone())];
            let part = match self.sessions.run(false, list).await?.pop() {
                Some(OperationResult::ReadDir(Outcome::Ok(part))) => part,
                other => return Err(Refusal::Other(format!("READDIR gave {other:?}"))),
            };
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

fn handle(results: &[OperationResult]) -> Result<FileHandle, Refusal> {
    let handle = results.iter().find_map(|result| match result {
        OperationResult::GetHandle(Outcome::Ok(handle)) => Some(handle.clone()),
        _ => None,
    });
    handle.ok_or_else(|| Refusal::Other("GETFH gave no handle".into()))
}

fn component(name: &str) -> Component {
    Component::copy_from_slice(name.as_bytes())
}

fn named(name: &&str) -> NameArgs {
    NameArgs { name: component(name) }
}
