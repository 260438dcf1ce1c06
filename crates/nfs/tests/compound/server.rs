//! A server over directories of its own.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use standfast_nfs::callers::Callers;
use standfast_nfs::exports::{Names, SystemNames};
use standfast_nfs::handles::{HandleCodec, HandleKey};
use standfast_nfs::locks::LockLimits;
use standfast_nfs::metrics::Metrics;
use standfast_nfs::pool::Pool;
use standfast_nfs::service::{Parts, PayloadLimits, Service, Storage};
use standfast_nfs::v4::Nfs4;
use standfast_nfs::v4::keeper::{Keeper, MemoryLog};
use standfast_nfs::v4::protocol::{
    Bitmap, CompoundArgs, CompoundResults, Fattr, FileHandle, GetAttrArgs, NameArgs, Operation,
    OperationResult, Outcome, Status, Tag, Value,
};
use standfast_nfs::v4::state::{Settings, State};
use standfast_rpc::auth::{AuthSys, Credential};
use standfast_rpc::server::Activity;
use standfast_rpc::xdr::{Decode, Decoder, List, Opaque, to_bytes};
use standfast_rpc::{Call, Peer, Program, Reply, Transport};
use standfast_settings::{ClientAccess, ClientRule, ExportSettings, GroupLookup, Squash};
use standfast_vfs::{Options, PosixFileSystem};
use tempfile::TempDir;

/// What a server and its clients are.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) service: Arc<Service>,
    program: Arc<Nfs4>,
    xid: AtomicU32,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Who {
    pub(crate) uid: u32,
    pub(crate) address: IpAddr,
}

/// The superuser of a client that may do everything.
pub(crate) const ROOT: Who = Who { uid: 0, address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)) };

/// An export: its path for clients, who may use it, and whether it is read-only.
pub(crate) struct Offer {
    pub(crate) path: &'static str,
    pub(crate) client: &'static str,
    pub(crate) read_only: bool,
}

pub(crate) const DATA: Offer = Offer { path: "/data", client: "*", read_only: false };

impl World {
    /// `None`, and a word, without the rights that it takes.
    pub(crate) fn new(test: &str, offers: &[Offer]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: {test} needs root");
            return None;
        }
        let limits = PayloadLimits { max_read: 1 << 16, max_write: 1 << 16 };
        let service = Service::new(Parts {
            handles: HandleCodec::new(&HandleKey::new(*b"0123456789abcdef")),
            callers: Callers::new(GroupLookup::Never, Duration::from_secs(60)),
            names: Arc::new(Names::new(Arc::new(SystemNames))),
            limits,
            metrics: Metrics::default(),
        });
        let state = State::new(1, Settings::default(), LockLimits::default());
        let keeper = Keeper::new(state, Arc::new(MemoryLog::default()));
        let program = Arc::new(Nfs4::new(Arc::clone(&service), keeper));
        let directory = tempfile::tempdir().unwrap();
        let world = Self { directory, service, program, xid: AtomicU32::new(1) };
        world.offer(offers);
        Some(world)
    }

    /// Puts these exports in force, each over a directory that is named after it.
    pub(crate) fn offer(&self, offers: &[Offer]) {
        let pool = Pool::new(4);
        let exports = offers.iter().map(|offer| {
            let path = self.path_of(offer.path);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let mut settings = ExportSettings::new(&path);
            settings.export_path = offer.path.into();
            let access = ClientAccess {
                read_only: offer.read_only,
                squash: Squash::None,
                secure_ports: false,
                ..ClientAccess::default()
            };
            settings.clients = vec![ClientRule { client: offer.client.parse().unwrap(), access }];
            let file_system = PosixFileSystem::open(&path, &Options::default()).unwrap();
            let storage = Storage::new(Arc::new(file_system), 7, Arc::clone(&pool), 4);
            (settings, storage)
        });
        self.service.set_exports(exports.collect());
    }

    /// The directory of an export.
    pub(crate) fn path_of(&self, export: &str) -> PathBuf {
        self.directory.path().join(format!("export{}", export.replace('/', "_")))
    }

    /// Sends a call as it is.
    pub(crate) async fn call(&self, who: Who, args: &CompoundArgs) -> Reply {
        let peer = Peer {
            address: SocketAddr::new(who.address, 700),
            local: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 2049),
            transport: Transport::Tcp,
        };
        let call = Call {
            xid: self.xid.fetch_add(1, Ordering::Relaxed),
            version: 4,
            procedure: 1,
            credential: Credential::Sys(AuthSys {
                stamp: 0,
                machine_name: Opaque::copy_from_slice(b"client"),
                uid: who.uid,
                gid: who.uid,
                gids: List(Vec::new()),
            }),
            arguments: to_bytes(args),
            peer,
            activity: Arc::new(Activity::new(peer)),
            keeping: None,
        };
        Arc::clone(&self.program).call(call).await
    }

    /// Runs a COMPOUND of minor version 0.
    pub(crate) async fn run_as(&self, who: Who, operations: &[Operation]) -> CompoundResults {
        self.run_minor(who, 0, operations).await
    }

    pub(crate) async fn run_minor(
        &self,
        who: Who,
        minor: u32,
        operations: &[Operation],
    ) -> CompoundResults {
        let tag = Tag::copy_from_slice(b"a tag");
        let reply = self.call(who, &CompoundArgs::new(tag.clone(), minor, operations)).await;
        let results = results(reply);
        assert_eq!(results.tag, tag);
        let last = results.results.0.last().map_or(results.status, OperationResult::status);
        assert_eq!(last, results.status);
        results
    }

    pub(crate) async fn run(&self, operations: &[Operation]) -> CompoundResults {
        self.run_as(ROOT, operations).await
    }

    /// The status of the last operation.
    pub(crate) async fn status(&self, operations: &[Operation]) -> Status {
        self.run(operations).await.status
    }

    /// The handle that operations lead to.
    pub(crate) async fn handle(&self, operations: Vec<Operation>) -> FileHandle {
        let operations = [operations, vec![Operation::GetHandle]].concat();
        match self.run(&operations).await.results.0.pop() {
            Some(OperationResult::GetHandle(Outcome::Ok(handle))) => handle,
            other => panic!("no handle: {other:?}"),
        }
    }

    /// Attributes of what operations lead to.
    pub(crate) async fn attributes(&self, operations: Vec<Operation>, of: &[u32]) -> Vec<Value> {
        let operations = [operations, vec![get_attr(of)]].concat();
        match self.run(&operations).await.results.0.pop() {
            Some(OperationResult::GetAttr(Outcome::Ok(fattr))) => fattr.values().unwrap(),
            other => panic!("no attributes: {other:?}"),
        }
    }
}

/// Writes a file that everybody may read.
pub(crate) fn write_file(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// What COMPOUND gave.
fn body(reply: Reply) -> Bytes {
    let Reply::Success(results) = reply else { panic!("not run: {reply:?}") };
    let record = results.into_record(1).to_bytes();
    // The record mark and the header of a reply that was accepted.
    record.slice(4 + 24..)
}

/// The status in a reply, which may have the result of an operation that does not exist.
pub(crate) fn status_of(reply: Reply) -> Status {
    Status::decode(&mut Decoder::new(&body(reply))).unwrap()
}

/// The results in a reply.
pub(crate) fn results(reply: Reply) -> CompoundResults {
    let body = body(reply);
    let mut decoder = Decoder::new(&body);
    let results = CompoundResults::decode(&mut decoder).unwrap();
    decoder.finish().unwrap();
    results
}

/// Operations that lead along a path.
pub(crate) fn to(path: &str) -> Vec<Operation> {
    let names = Path::new(path).iter().skip(1);
    let lookups = names.map(|it| lookup(it.to_str().unwrap()));
    std::iter::once(Operation::PutRootHandle).chain(lookups).collect()
}

pub(crate) fn with(mut operations: Vec<Operation>, last: Operation) -> Vec<Operation> {
    operations.push(last);
    operations
}

pub(crate) fn name(name: &str) -> NameArgs {
    NameArgs { name: Opaque::copy_from_slice(name.as_bytes()) }
}

pub(crate) fn lookup(to: &str) -> Operation {
    Operation::Lookup(name(to))
}

pub(crate) fn get_attr(of: &[u32]) -> Operation {
    Operation::GetAttr(GetAttrArgs { attributes: of.iter().copied().collect() })
}

/// The mask that a bitmap is.
pub(crate) fn mask(of: &[u32]) -> Bitmap {
    of.iter().copied().collect()
}

pub(crate) fn fattr(values: impl IntoIterator<Item = Value>) -> Fattr {
    Fattr::new(values)
}
