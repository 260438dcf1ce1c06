//! What the tests of the POSIX filesystem share.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use standfast_vfs::{
    Attributes, Caller, ChangeTime, Context, CreateHow, CreateKind, DirectoryEntry, Error,
    FileSystem, Found, Handle, Options, PosixFileSystem, SetAttributes, Stability, Wait,
};

/// Users that no machine has.
pub(crate) const ALICE: u32 = 54_321;
pub(crate) const BOB: u32 = 54_322;

pub(crate) fn root() -> Caller {
    Caller::root()
}

pub(crate) fn user(uid: u32) -> Caller {
    Caller { uid, gid: uid, groups: Arc::from([]) }
}

pub(crate) fn with_groups(uid: u32, groups: impl IntoIterator<Item = u32>) -> Caller {
    Caller { uid, gid: uid, groups: groups.into_iter().collect() }
}

pub(crate) fn may_wait(caller: &Caller) -> Context<'_> {
    Context { caller, wait: Wait::Allowed, deferred: None }
}

pub(crate) fn never(caller: &Caller) -> Context<'_> {
    Context { caller, wait: Wait::Never, deferred: None }
}

pub(crate) fn mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode), ..SetAttributes::default() }
}

/// Tests that need root are skipped without; they say so.
pub(crate) fn is_root(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: {test} needs root");
    }
    root
}

/// A served directory, gone when dropped.
pub(crate) struct Served {
    pub(crate) fs: PosixFileSystem,
    pub(crate) path: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl Served {
    /// A new directory that everybody may write to, on the filesystem of `place`.
    pub(crate) fn on(place: &Path) -> Self {
        let directory = tempfile::tempdir_in(place).unwrap();
        let path = directory.path().join("export");
        std::fs::create_dir(&path).unwrap();
        let served = Self::at(&path);
        Self { _directory: Some(directory), ..served }
    }

    /// A new directory on the filesystem of temporary files.
    pub(crate) fn new() -> Self {
        Self::on(&std::env::temp_dir())
    }

    /// A directory that exists.
    pub(crate) fn at(path: &Path) -> Self {
        let fs = PosixFileSystem::open(path, &Options::default()).unwrap();
        chmod(path, 0o777);
        Self { fs, path: path.to_path_buf(), _directory: None }
    }

    pub(crate) fn root(&self) -> Handle {
        self.fs.root()
    }

    pub(crate) fn lookup(
        &self,
        caller: &Caller,
        parent: &Handle,
        name: &str,
    ) -> Result<Found, Error> {
        self.fs.lookup(may_wait(caller), parent, name.as_bytes())
    }

    pub(crate) fn create(&self, caller: &Caller, parent: &Handle, name: &str, bits: u32) -> Handle {
        let how = CreateHow::Guarded(mode(bits));
        let created = self.fs.create(may_wait(caller), parent, name.as_bytes(), &how);
        created.result.unwrap().handle
    }

    pub(crate) fn mkdir(&self, caller: &Caller, parent: &Handle, name: &str, bits: u32) -> Handle {
        let kind = CreateKind::Directory;
        let made = self.fs.make(may_wait(caller), parent, name.as_bytes(), &kind, &mode(bits));
        made.result.unwrap().handle
    }

    pub(crate) fn symlink(
        &self,
        caller: &Caller,
        parent: &Handle,
        name: &str,
        target: &str,
    ) -> Handle {
        let kind = CreateKind::Symlink(target.as_bytes().to_vec());
        let set = SetAttributes::default();
        let made = self.fs.make(may_wait(caller), parent, name.as_bytes(), &kind, &set);
        made.result.unwrap().handle
    }

    pub(crate) fn write(&self, caller: &Caller, file: &Handle, data: &[u8]) -> Result<(), Error> {
        let written = self.fs.write(may_wait(caller), file, 0, data, Stability::Unstable);
        written.result.map(drop)
    }

    pub(crate) fn read(&self, caller: &Caller, file: &Handle) -> Result<Vec<u8>, Error> {
        let mut buffer = vec![0; 1 << 16];
        let read = self.fs.read(may_wait(caller), file, 0, &mut buffer)?;
        buffer.truncate(read.length);
        Ok(buffer)
    }

    /// All entries, taken `at_once` at a time.
    pub(crate) fn list(
        &self,
        directory: &Handle,
        at_once: usize,
        with_found: bool,
    ) -> Vec<DirectoryEntry> {
        let caller = root();
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        loop {
            let cookie = entries.last().map_or(0, |entry| entry.cookie);
            let mut taken = 0;
            let mut sink = |entry: DirectoryEntry| {
                taken += 1;
                let room = taken <= at_once;
                if room {
                    entries.push(entry);
                }
                room
            };
            let context = may_wait(&caller);
            let listing =
                self.fs.read_directory(context, directory, cookie, with_found, &mut sink).unwrap();
            if listing.end {
                return entries;
            }
            assert!(entries.len() < 1_000_000, "the listing does not end");
        }
    }
}

pub(crate) fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Attributes without `change`: an object that did not change may be given another one while the
/// clock has not moved on.
pub(crate) trait Lasting {
    fn lasting(&self) -> Self;
}

impl Lasting for Attributes {
    fn lasting(&self) -> Self {
        Self { change: 0, ..self.clone() }
    }
}

impl Lasting for ChangeTime {
    fn lasting(&self) -> Self {
        Self { change: 0, ..*self }
    }
}

impl Lasting for Found {
    fn lasting(&self) -> Self {
        Self { handle: self.handle, attributes: self.attributes.lasting() }
    }
}

impl<T: Lasting> Lasting for Option<T> {
    fn lasting(&self) -> Self {
        self.as_ref().map(Lasting::lasting)
    }
}

impl<A: Lasting, B: Lasting> Lasting for (A, B) {
    fn lasting(&self) -> Self {
        (self.0.lasting(), self.1.lasting())
    }
}

pub(crate) fn os(errno: rustix::io::Errno) -> Error {
    Error::Os(errno)
}

/// Waits until a removed object is gone: a command that another test starts has copies of all
/// descriptors for a moment.
pub(crate) fn await_gone(fs: &PosixFileSystem, handle: &Handle) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while fs.attributes(may_wait(&root()), handle) != Err(Error::Stale) {
        assert!(std::time::Instant::now() < deadline, "the object stays");
        std::thread::yield_now();
    }
}
