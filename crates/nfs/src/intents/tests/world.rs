//! A server that dies after so many steps, and what outlives it.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_rpc::auth::{AuthSys, Credential};
use standfast_rpc::reply_cache::{Keeping, RequestKey};
use standfast_rpc::server::Activity;
use standfast_rpc::xdr::{Decode, Decoder, List, Opaque, to_bytes};
use standfast_rpc::{Call, Peer, Program, Reply, Transport};
use standfast_settings::{
    ClientAccess, ClientMatch, ClientRule, ExportSettings, GroupLookup, Squash,
};
use standfast_vfs::{Caller, Context, Options, PosixFileSystem, Wait};

use super::stories::{Ask, name};
use crate::callers::Callers;
use crate::exports::{Names, SystemNames};
use crate::handles::{HandleCodec, HandleKey};
use crate::intents::{LastRun, RequestName, StepStore, settle};
use crate::locks::LockLimits;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::service::{Parts, PayloadLimits, Service, Storage};
use crate::v3::Nfs3;
use crate::v4::Nfs4;
use crate::v4::keeper::{Covers, Keeper, Log, LogStopped, Order, RecordKind, Ticket};
use crate::v4::protocol::*;
use crate::v4::state::{Change, Settings, State};

/// How a request comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V40,
    V42,
}

/// When the server dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Death {
    Never,
    /// Before it writes for the time after so many.
    Before(usize),
    /// After that, before it does anything else.
    After(usize),
}

/// What outlives the server.
#[derive(Clone, Default)]
pub(super) struct Remains {
    records: Vec<Bytes>,
    /// Of each epoch.
    stores: BTreeMap<u64, BTreeMap<u32, Bytes>>,
    replies: HashMap<RequestKey, Bytes>,
}

/// The life of a server: what it writes until it dies.
struct Life {
    epoch: u64,
    death: Death,
    written: Mutex<(Remains, usize, bool)>,
}

impl Life {
    /// Writes something; `false`: the server is dead.
    fn write(&self, write: impl FnOnce(&mut Remains)) -> bool {
        let mut written = self.written.lock();
        let (remains, steps, is_dead) = &mut *written;
        if *is_dead || self.death == Death::Before(*steps) {
            *is_dead = true;
            return false;
        }
        write(remains);
        *is_dead = self.death == Death::After(*steps);
        *steps += 1;
        !*is_dead
    }

    fn is_dead(&self) -> bool {
        self.written.lock().2
    }
}

fn dead() -> Ticket {
    Ticket::waiting(async { Err(LogStopped("the server died".into())) })
}

impl Log for Life {
    fn append(&self, _: RecordKind, record: &[u8], _: Covers) -> Ticket {
        let record = Bytes::copy_from_slice(record);
        if self.write(|remains| remains.records.push(record)) { Ticket::done() } else { dead() }
    }

    fn barrier(&self) -> Ticket {
        if self.is_dead() { dead() } else { Ticket::done() }
    }

    fn order(&self, _: u64) -> Order {
        Order::Loose
    }
}

impl StepStore for Life {
    fn put(&self, place: u32, step: &[u8]) -> io::Result<()> {
        let step = Bytes::copy_from_slice(step);
        let lives = self.write(|remains| {
            remains.stores.entry(self.epoch).or_default().insert(place, step);
        });
        if lives { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    }
}

/// A request, as it is sent again and again.
#[derive(Clone)]
pub(super) struct Request {
    version: u32,
    procedure: u32,
    arguments: Bytes,
    xid: u32,
}

/// The results of a call.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn is_ok(&self) -> bool {
        self.bytes.first_chunk::<4>() == Some(&[0; 4])
    }
}

/// Who a request of NFSv4 is from.
#[derive(Clone, Copy)]
pub(super) enum Client {
    /// Without sessions, or without NFSv4.
    Plain(u64),
    Session(SessionId),
}

/// A server over a directory.
pub(super) struct Server {
    service: Arc<Service>,
    keeper: Arc<Keeper>,
    nfs3: Arc<Nfs3>,
    nfs4: Arc<Nfs4>,
    life: Arc<Life>,
}

impl Server {
    /// Starts one where others died. If it dies while it starts, it is not [`Server::alive`].
    pub(super) fn start(disk: &Disk, remains: Remains, death: Death) -> io::Result<Self> {
        let now = Instant::now();
        let mut state = State::new(7, Settings::default(), LockLimits::default());
        for record in &remains.records {
            let changes = Change::decode_all(record).unwrap();
            changes.iter().for_each(|change| state.apply(change, now));
        }
        state.resume(now);
        let epoch = remains.stores.keys().last().copied().unwrap_or(0) + 1;
        let steps = remains.stores.values().flat_map(BTreeMap::values).cloned().collect();
        let answered = remains.replies.keys().copied().collect();
        let life = Arc::new(Life { epoch, death, written: Mutex::new((remains, 0, false)) });
        let keeper = Keeper::new(state, Arc::clone(&life) as _);
        let service = service(disk);
        let store = Arc::clone(&life) as _;
        let settled = settle(&service, &keeper, LastRun { store, epoch, steps, answered });
        match settled {
            Ok(pending) => drop(pending),
            Err(error) if !life.is_dead() => return Err(error),
            Err(_) => {}
        }
        if !life.is_dead() {
            life.written.lock().0.stores.retain(|known, _| *known == epoch);
        }
        let nfs3 = Arc::new(Nfs3::new(Arc::clone(&service)));
        let nfs4 = Arc::new(Nfs4::new(Arc::clone(&service), Arc::clone(&keeper)));
        Ok(Self { service, keeper, nfs3, nfs4, life })
    }

    pub(super) fn alive(&self) -> Option<&Self> {
        (!self.life.is_dead()).then_some(self)
    }

    pub(super) fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// What it wrote so far, in steps.
    pub(super) fn steps(&self) -> usize {
        self.life.written.lock().1
    }

    /// Requests that are under way or were.
    pub(super) fn unfinished(&self) -> usize {
        self.keeper.look(|state| state.unfinished().count()) + self.service.calls().len()
    }

    /// What is left if it ends now.
    pub(super) fn remains(&self) -> Remains {
        self.life.written.lock().0.clone()
    }

    /// Opens the file `old` over minor version 0 and gives the client a delegation; the request
    /// that gives it back, and its name.
    pub(super) async fn delegation(&self, client: Client) -> (Request, StateId) {
        let open = Ask::V4(|| vec![super::stories::open("old", OpenHow::NoCreate)]);
        let results = self.send(&self.request(open, Version::V40, client)).await.unwrap().bytes;
        let results = CompoundResults::decode(&mut Decoder::new(&results)).unwrap();
        let Some(OperationResult::Open(Outcome::Ok(opened))) = results.results.0.last() else {
            panic!("{results:?}")
        };
        let given = self.keeper.with(|state, now| {
            let confirmed = state.confirm_open(&opened.stateid, now)?;
            Ok::<_, Status>(state.delegate(&confirmed, now))
        });
        let held = given.0.expect("it is open").expect("a delegation").stateid;
        let file = NameArgs { name: name("old") };
        let root = [Operation::PutRootHandle, Operation::Lookup(NameArgs { name: name("export") })];
        let back = [Operation::Lookup(file), Operation::DelegReturn(held)];
        (compound(0, &[root, back].concat()).with_xid(98), held)
    }

    /// Whether a stateid names anything.
    pub(super) fn has(&self, id: &StateId) -> bool {
        self.keeper.look(|state| state.file_of(None, id)).is_ok()
    }

    /// Sends a request; nothing if there was no reply.
    pub(super) async fn send(&self, request: &Request) -> Option<Answer> {
        let key = request.key();
        let keeps = request.version == 3 || request.minor() == 0;
        if let Some(reply) = self.life.written.lock().0.replies.get(&key).filter(|_| keeps) {
            return Some(Answer { bytes: reply.clone() });
        }
        let bytes = self.run(request).await?;
        if keeps {
            let reply = bytes.clone();
            let is_kept = self.life.write(|remains| drop(remains.replies.insert(key, reply)));
            if !is_kept {
                return None;
            }
            self.service.calls().end(&RequestName::Call(key));
        }
        (!self.life.is_dead()).then_some(Answer { bytes })
    }

    /// Runs a request; its reply gets nowhere.
    pub(super) async fn run(&self, request: &Request) -> Option<Bytes> {
        let address: SocketAddr = "127.0.0.1:700".parse().unwrap();
        let peer = Peer { address, local: address, transport: Transport::Tcp };
        let root = AuthSys {
            stamp: 0,
            machine_name: Opaque::default(),
            uid: 0,
            gid: 0,
            gids: List(Vec::new()),
        };
        let keeps = request.version == 3 || request.minor() == 0;
        let call = Call {
            xid: request.xid,
            version: request.version,
            procedure: request.procedure,
            credential: Credential::Sys(root),
            arguments: request.arguments.clone(),
            peer,
            activity: Arc::new(Activity::new(peer)),
            keeping: keeps.then(|| Arc::new(Keeping::new(request.key()))),
        };
        let reply = match request.version {
            3 => Arc::clone(&self.nfs3).call(call).await,
            _ => Arc::clone(&self.nfs4).call(call).await,
        };
        match reply {
            // Mark, transaction id, and the header of a reply that was accepted.
            Reply::Success(results) => Some(results.into_record(1).to_bytes().slice(4 + 24..)),
            Reply::None => None,
            Reply::Refused(status) => panic!("{status:?}"),
        }
    }

    async fn must(&self, minor: u32, operations: &[Operation]) -> Vec<OperationResult> {
        let request = compound(minor, operations);
        let results = self.send(&request).await.expect("a reply").bytes;
        let results = CompoundResults::decode(&mut Decoder::new(&results)).unwrap();
        assert_eq!(results.status, Status::Ok, "{:?}", results.results);
        results.results.0
    }

    /// A new client.
    pub(super) async fn introduce(&self, version: Version) -> Client {
        match version {
            Version::V3 => Client::Plain(0),
            Version::V40 => self.introduce_without_session().await,
            Version::V42 => self.introduce_with_session().await,
        }
    }

    async fn introduce_without_session(&self) -> Client {
        let address = NetAddress { netid: name("tcp"), address: name("127.0.0.1.0.7") };
        let client = SetClientIdArgs {
            verifier: [1; 8],
            id: name("client"),
            callback: CallbackClient { program: 0, address },
            callback_ident: 0,
        };
        let results = self.must(0, &[Operation::SetClientId(client)]).await;
        let OperationResult::SetClientId(set) = &results[0] else { panic!("{results:?}") };
        let Detailed::Plain(Outcome::Ok(ok)) = set else { panic!("{set:?}") };
        let confirm = SetClientIdConfirmArgs { client: ok.client, confirm: ok.confirm };
        self.must(0, &[Operation::SetClientIdConfirm(confirm)]).await;
        Client::Plain(ok.client)
    }

    async fn introduce_with_session(&self) -> Client {
        let exchange = ExchangeIdArgs {
            verifier: [1; 8],
            owner: name("client"),
            flags: 0,
            protect: StateProtect::None,
            implementation: List(Vec::new()),
        };
        let results = self.must(2, &[Operation::ExchangeId(exchange)]).await;
        let OperationResult::ExchangeId(Outcome::Ok(client)) = &results[0] else { panic!() };
        let channel = ChannelAttributes {
            header_pad: 0,
            max_request: 65_536,
            max_response: 65_536,
            max_response_cached: 4096,
            max_operations: 16,
            max_requests: 2,
            rdma_ird: List(Vec::new()),
        };
        let create = CreateSessionArgs {
            client: client.client,
            sequence: client.sequence,
            flags: 1,
            fore: channel.clone(),
            back: channel,
            callback_program: 0,
            callback_security: List(Vec::new()),
        };
        let results = self.must(2, &[Operation::CreateSession(create)]).await;
        let OperationResult::CreateSession(Outcome::Ok(made)) = &results[0] else { panic!() };
        let session = made.session;
        self.must(2, &[sequence(session, 0, 1), Operation::ReclaimComplete(false)]).await;
        Client::Session(session)
    }

    /// What a story asks for, as a request of a client.
    pub(super) fn request(&self, ask: Ask, version: Version, client: Client) -> Request {
        match ask {
            Ask::V3(ask) => {
                let export = &self.service.exports()[0];
                let files = export.file_system();
                let root = files.root();
                let caller = Caller::root();
                let context = Context { caller: &caller, wait: Wait::Allowed, deferred: None };
                let old = files.lookup(context, &root, b"old").map_or(root, |it| it.handle);
                let seal = |handle| Opaque(self.service.handles().seal(export.id(), &handle));
                let (procedure, arguments) = ask(seal(root), seal(old));
                Request { version: 3, procedure: procedure as u32, arguments, xid: 77 }
            }
            Ask::V4(ask) | Ask::V41(ask) => {
                let mut operations = vec![
                    Operation::PutRootHandle,
                    Operation::Lookup(NameArgs { name: name("export") }),
                    Operation::SaveHandle,
                ];
                operations.extend(ask());
                if let Client::Session(session) = client {
                    operations.insert(0, sequence(session, 0, 2));
                }
                for operation in &mut operations {
                    if let (Operation::Open(open), Client::Plain(id)) = (operation, client) {
                        open.owner.client = id;
                    }
                }
                compound(if version == Version::V40 { 0 } else { 2 }, &operations)
            }
        }
    }
}

impl Request {
    /// The same of another client.
    pub(super) fn with_xid(self, xid: u32) -> Self {
        Self { xid, ..self }
    }

    fn key(&self) -> RequestKey {
        RequestKey::new(IpAddr::from([127, 0, 0, 1]), self.xid, &self.arguments)
    }

    fn minor(&self) -> u32 {
        let tag = self.arguments.first_chunk::<4>().map_or(0, |tag| u32::from_be_bytes(*tag));
        let at = 4 + tag as usize;
        let minor = self.arguments.get(at..at + 4).and_then(|it| it.try_into().ok());
        minor.map_or(0, u32::from_be_bytes)
    }
}

pub(super) fn compound(minor: u32, operations: &[Operation]) -> Request {
    let arguments = to_bytes(&CompoundArgs::new(Tag::default(), minor, operations));
    Request { version: 4, procedure: 1, arguments, xid: 1 }
}

fn sequence(session: SessionId, slot: u32, sequence: u32) -> Operation {
    let highest_slot = 1;
    Operation::Sequence(SequenceArgs { session, sequence, slot, highest_slot, cache_this: true })
}

/// A directory that is exported, by one server after the other.
pub(super) struct Disk {
    directory: tempfile::TempDir,
    storage: Arc<Storage>,
}

impl Disk {
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let files = PosixFileSystem::open(directory.path(), &Options::default()).unwrap();
        let storage = Storage::new(Arc::new(files), 1, Pool::new(2), 2);
        Self { directory, storage }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes all away that is in it.
    pub(super) fn clear(&self) {
        for entry in std::fs::read_dir(self.path()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(path).unwrap();
            } else {
                std::fs::remove_file(path).unwrap();
            }
        }
    }
}

fn service(disk: &Disk) -> Arc<Service> {
    let service = Service::new(Parts {
        handles: HandleCodec::new(&HandleKey::new([7; 16])),
        callers: Callers::new(GroupLookup::Never, Duration::from_secs(1)),
        names: Arc::new(Names::new(Arc::new(SystemNames))),
        limits: PayloadLimits { max_read: 65_536, max_write: 65_536 },
        metrics: Metrics::default(),
    });
    let access = ClientAccess {
        read_only: false,
        squash: Squash::None,
        secure_ports: false,
        ..ClientAccess::default()
    };
    let mut settings = ExportSettings::new(disk.path());
    settings.export_path = PathBuf::from("/export");
    settings.clients = vec![ClientRule { client: ClientMatch::Anyone, access }];
    service.set_exports(vec![(settings, Arc::clone(&disk.storage))]);
    service
}
