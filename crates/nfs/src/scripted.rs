//! A storage for tests: the test says how each of its flushes ends, and when.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use standfast_vfs::{
    AccessMask, AclKind, Advice, Attributes, Changed, Content, Context, CreateHow, CreateKind,
    Deferred, DirectoryEntry, Error, ExtendedAttributes, FileSystem, Found, Handle, KeptFiles,
    Limits, Listing, OpenFiles, PosixAcl, PosixFileSystem, Quota, Ranges, Read, Renamed, Result,
    SetAttributes, SetHow, Space, Stability, Timestamp,
};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What a flush of so many changes gives.
type End = Box<dyn FnOnce(usize) -> Vec<Result<()>> + Send>;

/// The storage: a filesystem, if there is one, whose flushes are scripted.
pub(crate) struct Scripted {
    inner: Option<PosixFileSystem>,
    begun: Sender<usize>,
    ends: Mutex<Receiver<End>>,
}

/// The test's side.
pub(crate) struct Script {
    begun: Receiver<usize>,
    ends: Sender<End>,
}

impl Scripted {
    /// A storage over `inner`; without one it can do nothing but flush.
    pub(crate) fn over(inner: Option<PosixFileSystem>) -> (Arc<dyn FileSystem>, Script) {
        let (begun, begun_receiver) = channel();
        let (ends, ends_receiver) = channel();
        let storage = Self { inner, begun, ends: Mutex::new(ends_receiver) };
        (Arc::new(storage), Script { begun: begun_receiver, ends })
    }

    fn inner(&self) -> &PosixFileSystem {
        self.inner.as_ref().expect("the test has given a filesystem")
    }
}

impl Script {
    /// Waits for a flush to begin: of how many changes?
    pub(crate) fn begun(&self) -> usize {
        self.begun.recv_timeout(PATIENCE).expect("a flush begins")
    }

    /// Ends the flush that runs, or the next one.
    pub(crate) fn end(&self, end: impl FnOnce(usize) -> Vec<Result<()>> + Send + 'static) {
        self.ends.send(Box::new(end)).expect("the storage is there");
    }

    /// Ends the flush well.
    pub(crate) fn succeed(&self) {
        self.end(|changes| vec![Ok(()); changes]);
    }

    /// Whether all flushes that began were waited for.
    pub(crate) fn is_over(&self) -> bool {
        self.begun.try_recv().is_err()
    }
}

macro_rules! ask_the_inner_one {
    ($(fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {$(
        fn $name(&self, $($argument: $type),*) $(-> $result)? {
            self.inner().$name($($argument),*)
        }
    )*};
}

impl FileSystem for Scripted {
    fn make_stable(&self, changes: Vec<Deferred>) -> Vec<Result<()>> {
        let count = changes.len();
        let _gone = self.begun.send(count);
        let end = self.ends.lock().recv_timeout(PATIENCE);
        end.map_or_else(|_| vec![Err(Error::WouldBlock); count], |end| end(count))
    }

    fn flushes_together(&self) -> bool {
        true
    }

    ask_the_inner_one! {
        fn root() -> Handle;
        fn attributes(context: Context<'_>, handle: &Handle) -> Result<Attributes>;
        fn set_attributes(
            context: Context<'_>, handle: &Handle, set: &SetAttributes, guard: Option<Timestamp>
        ) -> Changed<()>;
        fn lookup(context: Context<'_>, directory: &Handle, name: &[u8]) -> Result<Found>;
        fn access(
            context: Context<'_>, handle: &Handle, wanted: AccessMask
        ) -> Result<(AccessMask, Attributes)>;
        fn read_link(context: Context<'_>, handle: &Handle) -> Result<(Vec<u8>, Attributes)>;
        fn read(
            context: Context<'_>, handle: &Handle, offset: u64, buffer: &mut [u8]
        ) -> Result<Read>;
        fn write(
            context: Context<'_>, handle: &Handle, offset: u64, data: &[u8], stability: Stability
        ) -> Changed<Stability>;
        fn commit(context: Context<'_>, handle: &Handle) -> Changed<()>;
        fn create(
            context: Context<'_>, directory: &Handle, name: &[u8], how: &CreateHow
        ) -> Changed<Found>;
        fn make(
            context: Context<'_>, directory: &Handle, name: &[u8], kind: &CreateKind,
            set: &SetAttributes
        ) -> Changed<Found>;
        fn remove(context: Context<'_>, directory: &Handle, name: &[u8]) -> Changed<()>;
        fn remove_directory(context: Context<'_>, directory: &Handle, name: &[u8]) -> Changed<()>;
        fn rename(
            context: Context<'_>, from: (&Handle, &[u8]), to: (&Handle, &[u8])
        ) -> Renamed;
        fn link(
            context: Context<'_>, handle: &Handle, directory: &Handle, name: &[u8]
        ) -> Changed<Attributes>;
        fn read_directory(
            context: Context<'_>, directory: &Handle, cookie: u64, with_found: bool,
            sink: &mut dyn FnMut(DirectoryEntry) -> bool
        ) -> Result<Listing>;
        fn space(context: Context<'_>, handle: &Handle) -> Result<Space>;
        fn quota(context: Context<'_>, handle: &Handle) -> Result<Option<Quota>>;
        fn limits(context: Context<'_>, handle: &Handle) -> Result<Limits>;
        fn lost_writes() -> u64;
        fn sweep(now: Instant);
    }
}

impl ExtendedAttributes for Scripted {
    ask_the_inner_one! {
        fn acl(context: Context<'_>, handle: &Handle, kind: AclKind) -> Result<Option<PosixAcl>>;
        fn set_acl(
            context: Context<'_>, handle: &Handle, kind: AclKind, acl: Option<&PosixAcl>
        ) -> Changed<()>;
        fn extended_attribute(
            context: Context<'_>, handle: &Handle, name: &[u8]
        ) -> Result<Vec<u8>>;
        fn set_extended_attribute(
            context: Context<'_>, handle: &Handle, name: &[u8], value: &[u8], how: SetHow
        ) -> Changed<()>;
        fn extended_attributes(context: Context<'_>, handle: &Handle) -> Result<Vec<Vec<u8>>>;
        fn remove_extended_attribute(
            context: Context<'_>, handle: &Handle, name: &[u8]
        ) -> Changed<()>;
    }
}

impl Ranges for Scripted {
    ask_the_inner_one! {
        fn seek(
            context: Context<'_>, handle: &Handle, offset: u64, what: Content
        ) -> Result<Option<u64>>;
        fn allocate(
            context: Context<'_>, handle: &Handle, offset: u64, length: u64
        ) -> Changed<()>;
        fn deallocate(
            context: Context<'_>, handle: &Handle, offset: u64, length: u64
        ) -> Changed<()>;
        fn clone_range(
            context: Context<'_>, from: (&Handle, u64), to: (&Handle, u64), length: u64
        ) -> Changed<()>;
        fn copy_range(
            context: Context<'_>, from: (&Handle, u64), to: (&Handle, u64), length: u64
        ) -> Changed<u64>;
        fn advise(
            context: Context<'_>, handle: &Handle, offset: u64, length: u64, advice: Advice
        ) -> Result<()>;
    }
}

impl KeptFiles for Scripted {
    ask_the_inner_one! {
        fn keep_open_files(files: Arc<dyn OpenFiles>);
        fn confirm_open(context: Context<'_>, file: &Handle) -> Result<Attributes>;
        fn is_kept(file: &Handle) -> bool;
        fn release(file: &Handle) -> Result<()>;
        fn kept_files() -> Result<Vec<Handle>>;
    }
}
