//! A server with fake files, and clients that are called back.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_nfs::handles::{HandleCodec, HandleKey};
use standfast_nfs::locks::{FileKey, LockLimits, Mode};
use standfast_nfs::nlm::protocol::{
    self, CancelArgs, Lock, LockArgs, LockResult, Netobj, Procedure, Status, TestArgs, TestReply,
    TestResult, UnlockArgs,
};
use standfast_nfs::nlm::{
    Base, FileFuture, Files, GraceSettings, LockService, LockSettings, RestoredLocks, record,
};
use standfast_nfs::nsm::backoff::Retry;
use standfast_nfs::nsm::caller::{Answer, Caller, Destination, Outcall, OutcallError};
use standfast_nfs::v4::keeper::{Covers, Keeper, Log as _, MemoryLog, RecordKind, ServiceState};
use standfast_nfs::v4::state::{Settings as StateSettings, State};
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::server::{Binding, Reactors, ServerLimits, listen_tcp};
use standfast_rpc::xdr::{Decode, Encode, Opaque, to_bytes};
use standfast_rpc::{Call, Server, Transport};
use standfast_vfs::Handle;
use tokio::sync::watch;

/// How long a condition may take to become true.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The file of a handle is the handle itself; some handles stand for errors.
#[derive(Default)]
pub(crate) struct FakeFiles {
    /// Whether the file `gone` is.
    pub(crate) gone: AtomicBool,
}

impl Files for FakeFiles {
    fn file<'a>(
        &'a self,
        handle: &'a [u8],
        _call: &'a Call,
        wanted: Option<Mode>,
    ) -> FileFuture<'a> {
        let found = match handle {
            b"stale" => Err(Status::StaleHandle),
            b"read-only" if wanted == Some(Mode::Exclusive) => Err(Status::ReadOnly),
            b"gone" if wanted.is_some() && self.gone.load(Ordering::Relaxed) => {
                Err(Status::StaleHandle)
            }
            _ => Handle::new(0, 1, handle).ok_or(Status::StaleHandle),
        };
        Box::pin(async move { Ok(FileKey { export: 1, handle: found? }) })
    }
}

/// What a client says to a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Say {
    /// This status.
    Status(Status),
    /// This status, after it may have heard the call before.
    Again(Status),
    /// Nothing.
    Nothing,
}

/// A call to a client.
#[derive(Clone, Debug)]
pub(crate) struct Called {
    pub(crate) to: Destination,
    pub(crate) procedure: (u32, u32, u32),
    pub(crate) arguments: Bytes,
}

/// The clients' services.
#[derive(Default)]
pub(crate) struct FakeClients {
    pub(crate) calls: Mutex<Vec<Called>>,
    /// What they say to the next calls; then to all others: yes.
    pub(crate) script: Mutex<VecDeque<Say>>,
}

impl FakeClients {
    /// The calls of a procedure so far.
    pub(crate) fn called(&self, program: u32, procedure: u32) -> Vec<Called> {
        let is = |call: &&Called| (call.procedure.0, call.procedure.2) == (program, procedure);
        self.calls.lock().iter().filter(is).cloned().collect()
    }

    pub(crate) fn granted(&self) -> Vec<Called> {
        self.called(protocol::PROGRAM, Procedure::Granted as u32)
    }
}

impl Caller for FakeClients {
    fn call(&self, to: Destination, procedure: (u32, u32, u32), arguments: Bytes) -> Outcall<'_> {
        let say = self.script.lock().pop_front().unwrap_or(Say::Status(Status::Granted));
        self.calls.lock().push(Called { to, procedure, arguments });
        let answer = |status, resent| {
            let cookie = Netobj::default();
            Ok(Answer { results: to_bytes(&LockResult { cookie, status }), resent })
        };
        let result = match say {
            Say::Status(status) => answer(status, false),
            Say::Again(status) => answer(status, true),
            Say::Nothing => Err(OutcallError::Call(CallError::Timeout(PATIENCE))),
        };
        Box::pin(async move { result })
    }
}

/// A running server.
pub(crate) struct World {
    pub(crate) service: Arc<LockService>,
    pub(crate) clients: Arc<FakeClients>,
    pub(crate) files: Arc<FakeFiles>,
    pub(crate) log: Arc<MemoryLog>,
    address: SocketAddr,
    _shutdown: watch::Sender<bool>,
}

const SOON: Retry = Retry {
    first_pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(5),
    give_up_after: Duration::from_millis(50),
};

/// Settings with short pauses, and a grace period that only its clients end.
pub(crate) fn settings(directory: &Path) -> LockSettings {
    let mut settings = LockSettings::new(directory.to_owned());
    settings.grace =
        GraceSettings { length: Duration::from_secs(3600), settle: Duration::from_secs(1800) };
    settings.notify.names = vec!["server".to_owned()];
    settings.notify.retry = SOON;
    settings.grant_retry = SOON;
    settings
}

impl World {
    pub(crate) async fn start(settings: LockSettings) -> Self {
        let clients = Arc::new(FakeClients::default());
        Self::start_with(settings, clients).await
    }

    pub(crate) async fn start_with(settings: LockSettings, clients: Arc<FakeClients>) -> Self {
        Self::start_within(settings, LockLimits::default(), clients).await
    }

    pub(crate) async fn start_within(
        settings: LockSettings,
        limits: LockLimits,
        clients: Arc<FakeClients>,
    ) -> Self {
        let state = State::new(1, StateSettings::default(), limits);
        Self::go_on(settings, state, None, Arc::new(MemoryLog::keeping()), clients)
    }

    /// Starts again with what the journal of `earlier` holds.
    pub(crate) async fn start_again(settings: LockSettings, earlier: Self) -> Self {
        let mut state = State::new(2, StateSettings::default(), LockLimits::default());
        let mut locks = RestoredLocks::default();
        let log = Arc::new(MemoryLog::keeping());
        for (kind, record) in earlier.log.records() {
            assert_eq!(kind, RecordKind::Locks);
            let (_, changes) = record::decode(&record).unwrap();
            changes.iter().for_each(|change| locks.apply(state.locks_mut(), change));
            let _durable = log.append(kind, &record, Covers::Record);
        }
        let clients = Arc::clone(&earlier.clients);
        drop(earlier);
        Self::go_on(settings, state, Some(locks), log, clients)
    }

    fn go_on(
        settings: LockSettings,
        state: ServiceState,
        restored: Option<RestoredLocks>,
        log: Arc<MemoryLog>,
        clients: Arc<FakeClients>,
    ) -> Self {
        let caller: Arc<dyn Caller> = Arc::clone(&clients) as _;
        let files = Arc::new(FakeFiles::default());
        let exported: Arc<dyn Files> = Arc::clone(&files) as _;
        let keeper = Keeper::new(state, Arc::clone(&log) as _);
        let handles = HandleCodec::new(&HandleKey::new([7; 16]));
        let base = Base { keeper, restored, handles };
        let service = LockService::start(settings, exported, caller, base).unwrap();
        let server = Server::new(
            service.programs(),
            ServerLimits::default(),
            Arc::new(|| Box::new(())),
            Reactors::default(),
        );
        // Any address of the loopback network is ours: each is another client.
        let listener = listen_tcp((Ipv4Addr::UNSPECIFIED, 0).into(), Binding::Present).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (shutdown, stop) = watch::channel(false);
        tokio::spawn(server.serve_tcp(listener, stop));
        let address = (Ipv4Addr::LOCALHOST, port).into();
        Self { service, clients, files, log, address, _shutdown: shutdown }
    }

    /// Calls a procedure as the client with that number.
    pub(crate) async fn call<A: Encode, R: Decode>(
        &self,
        client: &Client,
        program: u32,
        version: u32,
        procedure: u32,
        arguments: &A,
    ) -> Result<R, CallError> {
        let target = Target {
            address: self.address,
            source: Some(client.address),
            transport: Transport::Tcp,
            procedure: (program, version, procedure),
            credential: OpaqueAuth::none(),
            privileged: false,
            timeout: PATIENCE,
            gate: Arc::default(),
        };
        target.call(arguments).await
    }

    pub(crate) async fn nlm<A: Encode, R: Decode>(
        &self,
        client: &Client,
        procedure: Procedure,
        arguments: &A,
    ) -> R {
        self.call(client, protocol::PROGRAM, 4, procedure as u32, arguments).await.unwrap()
    }

    pub(crate) async fn lock(&self, client: &Client, wish: &Wish) -> Status {
        self.lock_as(Procedure::Lock, client, wish).await
    }

    pub(crate) async fn lock_as(
        &self,
        procedure: Procedure,
        client: &Client,
        wish: &Wish,
    ) -> Status {
        let args = LockArgs {
            cookie: cookie(),
            block: wish.block,
            exclusive: wish.exclusive,
            lock: client.lock(wish),
            reclaim: wish.reclaim,
            state: client.state,
        };
        self.nlm::<_, LockResult>(client, procedure, &args).await.checked()
    }

    pub(crate) async fn unlock(&self, client: &Client, wish: &Wish) -> Status {
        let args = UnlockArgs { cookie: cookie(), lock: client.lock(wish) };
        self.nlm::<_, LockResult>(client, Procedure::Unlock, &args).await.checked()
    }

    pub(crate) async fn cancel(&self, client: &Client, wish: &Wish) -> Status {
        let args = CancelArgs {
            cookie: cookie(),
            block: wish.block,
            exclusive: wish.exclusive,
            lock: client.lock(wish),
        };
        self.nlm::<_, LockResult>(client, Procedure::Cancel, &args).await.checked()
    }

    pub(crate) async fn test(&self, client: &Client, wish: &Wish) -> TestReply<u64> {
        let args =
            TestArgs { cookie: cookie(), exclusive: wish.exclusive, lock: client.lock(wish) };
        let result: TestResult<u64> = self.nlm(client, Procedure::Test, &args).await;
        assert_eq!(result.cookie, cookie());
        result.reply
    }

    /// Locks that are held, and requests that wait.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let total = self.service.report().total;
        (total.held, total.waiting)
    }
}

pub(crate) fn cookie() -> Netobj {
    Opaque::copy_from_slice(b"cookie")
}

trait Checked {
    fn checked(self) -> Status;
}

impl Checked for LockResult {
    fn checked(self) -> Status {
        assert_eq!(self.cookie, cookie());
        self.status
    }
}

/// A machine that locks.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) address: IpAddr,
    /// Its state number.
    pub(crate) state: i32,
    pub(crate) process: i32,
}

impl Client {
    pub(crate) fn new(name: &'static str, number: u8) -> Self {
        Self { name, address: [127, 0, 0, number].into(), state: 1, process: 1 }
    }

    pub(crate) fn lock(&self, wish: &Wish) -> Lock<u64> {
        Lock {
            caller_name: Opaque::copy_from_slice(self.name.as_bytes()),
            handle: Opaque::copy_from_slice(wish.file.as_bytes()),
            owner: Opaque::copy_from_slice(format!("{}@{}", self.process, self.name).as_bytes()),
            svid: self.process,
            offset: wish.offset,
            length: wish.length,
        }
    }
}

/// Which lock, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    pub(crate) file: &'static str,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) exclusive: bool,
    pub(crate) block: bool,
    pub(crate) reclaim: bool,
}

/// All of a file, exclusively, at once or never.
pub(crate) const WRITE: Wish =
    Wish { file: "file", offset: 0, length: 0, exclusive: true, block: false, reclaim: false };
/// As [`WRITE`], shared.
pub(crate) const READ: Wish = Wish { exclusive: false, ..WRITE };
/// As [`WRITE`], waiting for its turn.
pub(crate) const WAIT: Wish = Wish { block: true, ..WRITE };
/// As [`WRITE`], from before the restart.
pub(crate) const RECLAIM: Wish = Wish { reclaim: true, ..WRITE };
