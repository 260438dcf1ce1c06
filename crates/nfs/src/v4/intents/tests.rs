//! Every operation that must not run twice, over a real directory, with the end of the server
//! between any two of its steps.

use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_rpc::auth::{AuthSys, Credential};
use standfast_rpc::server::Activity;
use standfast_rpc::xdr::{Decode, Decoder, List, Opaque, to_bytes};
use standfast_rpc::{Call, Peer, Program, Reply, Transport};
use standfast_settings::{
    ClientAccess, ClientMatch, ClientRule, ExportSettings, GroupLookup, Squash,
};
use standfast_vfs::{Options, PosixFileSystem};

use super::settle;
use crate::callers::Callers;
use crate::exports::{Names, SystemNames};
use crate::handles::{HandleCodec, HandleKey};
use crate::locks::LockLimits;
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::service::{Parts, PayloadLimits, Service, Storage};
use crate::v4::Nfs4;
use crate::v4::keeper::{Covers, Keeper, Log, LogStopped, Order, RecordKind, Ticket};
use crate::v4::protocol::*;
use crate::v4::state::{Change, Settings, State};

/// A log that ends after some records, as one whose server dies then.
struct MortalLog {
    records: Mutex<Vec<Bytes>>,
    most: usize,
}

impl MortalLog {
    fn is_dead(&self) -> bool {
        self.records.lock().len() >= self.most
    }
}

fn dead() -> Ticket {
    Ticket::waiting(async { Err(LogStopped("the server died".into())) })
}

impl Log for MortalLog {
    fn append(&self, _: RecordKind, record: &[u8], _: Covers) -> Ticket {
        if self.is_dead() {
            return dead();
        }
        self.records.lock().push(Bytes::copy_from_slice(record));
        Ticket::done()
    }

    fn barrier(&self) -> Ticket {
        if self.is_dead() { dead() } else { Ticket::done() }
    }

    fn order(&self, _: u64) -> Order {
        Order::Loose
    }
}

/// A server over a directory.
struct Server {
    nfs: Arc<Nfs4>,
    log: Arc<MortalLog>,
}

impl Server {
    fn start(directory: &Path, records: Vec<Bytes>, most: usize) -> Self {
        let now = Instant::now();
        let mut state = State::new(7, Settings::default(), LockLimits::default());
        for record in &records {
            let changes = Change::decode_all(record).unwrap();
            changes.iter().for_each(|change| state.apply(change, now));
        }
        state.resume(now);
        let log = Arc::new(MortalLog { records: Mutex::new(records), most });
        let keeper = Keeper::new(state, Arc::clone(&log) as _);
        let service = Service::new(Parts {
            handles: HandleCodec::new(&HandleKey::new([7; 16])),
            callers: Callers::new(GroupLookup::Never, Duration::from_secs(1)),
            names: Arc::new(Names::new(Arc::new(SystemNames))),
            limits: PayloadLimits { max_read: 65_536, max_write: 65_536 },
            metrics: Metrics::default(),
        });
        let files = Arc::new(PosixFileSystem::open(directory, &Options::default()).unwrap());
        let access = ClientAccess {
            read_only: false,
            squash: Squash::None,
            secure_ports: false,
            ..ClientAccess::default()
        };
        let mut settings = ExportSettings::new(directory);
        settings.export_path = PathBuf::from("/export");
        settings.clients = vec![ClientRule { client: ClientMatch::Anyone, access }];
        service.set_exports(vec![(settings, Storage::new(files, 1, Pool::new(2), 2))]);
        drop(settle(&service, &keeper));
        Self { nfs: Arc::new(Nfs4::new(service, keeper)), log }
    }

    /// Runs a COMPOUND; nothing if there was no reply.
    async fn send(&self, operations: &[Operation]) -> Option<CompoundResults> {
        let arguments = to_bytes(&CompoundArgs::new(Tag::default(), 2, operations));
        let address: SocketAddr = "127.0.0.1:700".parse().unwrap();
        let peer = Peer { address, local: address, transport: Transport::Tcp };
        let root = AuthSys {
            stamp: 0,
            machine_name: Opaque::default(),
            uid: 0,
            gid: 0,
            gids: List(Vec::new()),
        };
        let call = Call {
            xid: 1,
            version: 4,
            procedure: 1,
            credential: Credential::Sys(root),
            arguments,
            peer,
            activity: Arc::new(Activity::new(peer)),
            keeping: None,
        };
        match Arc::clone(&self.nfs).call(call).await {
            Reply::Success(results) => {
                // Mark, transaction id, and the header of a reply that was accepted.
                let results = results.into_record(1).to_bytes().slice(4 + 24..);
                Some(CompoundResults::decode(&mut Decoder::new(&results)).unwrap())
            }
            Reply::None => None,
            Reply::Refused(status) => panic!("{status:?}"),
        }
    }

    async fn must(&self, operations: &[Operation]) -> Vec<OperationResult> {
        let results = self.send(operations).await.expect("a reply");
        assert_eq!(results.status, Status::Ok, "{:?}", results.results);
        results.results.0
    }

    /// A session of a new client.
    async fn introduce(&self) -> SessionId {
        let exchange = ExchangeIdArgs {
            verifier: [1; 8],
            owner: Opaque::copy_from_slice(b"client"),
            flags: 0,
            protect: StateProtect::None,
            implementation: List(Vec::new()),
        };
        let results = self.must(&[Operation::ExchangeId(exchange)]).await;
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
        let results = self.must(&[Operation::CreateSession(create)]).await;
        let OperationResult::CreateSession(Outcome::Ok(made)) = &results[0] else { panic!() };
        let session = made.session;
        self.must(&[sequence(session, 0, 1), Operation::ReclaimComplete(false)]).await;
        session
    }
}

fn sequence(session: SessionId, slot: u32, sequence: u32) -> Operation {
    let highest_slot = 1;
    Operation::Sequence(SequenceArgs { session, sequence, slot, highest_slot, cache_this: true })
}

fn name<const MAX: usize>(name: &str) -> Opaque<MAX> {
    Opaque::copy_from_slice(name.as_bytes())
}

fn named(text: &str) -> NameArgs {
    NameArgs { name: name(text) }
}

fn open(text: &str, how: OpenHow) -> Operation {
    Operation::Open(OpenArgs {
        seqid: 0,
        access: 3,
        deny: 0,
        owner: StateOwner { client: 0, name: name("owner") },
        how,
        claim: OpenClaim::Null(name(text)),
    })
}

fn mode(mode: u32) -> Fattr {
    Fattr::new([Value::Mode(mode)])
}

/// A thing to do once.
struct Story {
    name: &'static str,
    /// What is there before.
    before: fn(&Path),
    /// With the export's root as the current and the saved object.
    operations: fn() -> Vec<Operation>,
    /// Whether it was done, once.
    is_done: fn(&Path) -> bool,
    /// What somebody else does after the restart, before the request comes again.
    meanwhile: fn(&Path),
    /// Whether what somebody else did is still there, after it came again.
    is_left_alone: fn(&Path) -> bool,
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn reads(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found == text)
}

fn xattr(path: &Path) -> bool {
    let mut value = [0; 16];
    rustix::fs::getxattr(path, "user.key", &mut value).is_ok()
}

fn stories() -> Vec<Story> {
    vec![
        Story {
            name: "make a directory",
            before: |_| {},
            operations: || {
                vec![Operation::Create(CreateArgs {
                    kind: CreateType::Directory,
                    name: name("new"),
                    attributes: mode(0o700),
                })]
            },
            is_done: |at| at.join("new").is_dir(),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists() && at.join("moved").is_dir(),
        },
        Story {
            name: "make a file",
            before: |_| {},
            operations: || vec![open("new", OpenHow::Create(CreateHow::Guarded(mode(0o444))))],
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| write(&at.join("new"), "by another"),
            is_left_alone: |at| reads(&at.join("new"), "by another"),
        },
        Story {
            name: "make a file or take what is there",
            before: |_| {},
            operations: || vec![open("new", OpenHow::Create(CreateHow::Unchecked(mode(0o444))))],
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| write(&at.join("new"), "by another"),
            is_left_alone: |at| reads(&at.join("new"), "by another"),
        },
        Story {
            name: "remove a file",
            before: |at| write(&at.join("old"), "old"),
            operations: || vec![Operation::Remove(named("old"))],
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| reads(&at.join("old"), "by another"),
        },
        Story {
            name: "remove a directory",
            before: |at| std::fs::create_dir(at.join("old")).unwrap(),
            operations: || vec![Operation::Remove(named("old"))],
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| std::fs::create_dir(at.join("old")).unwrap(),
            is_left_alone: |at| at.join("old").is_dir(),
        },
        Story {
            name: "rename over another file",
            before: |at| {
                write(&at.join("old"), "old");
                write(&at.join("new"), "new");
            },
            operations: || {
                vec![Operation::Rename(RenameArgs { from: name("old"), to: name("new") })]
            },
            is_done: |at| !at.join("old").exists() && reads(&at.join("new"), "old"),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| {
                reads(&at.join("old"), "by another") && reads(&at.join("new"), "old")
            },
        },
        Story {
            name: "make a link",
            before: |at| write(&at.join("old"), "old"),
            operations: || {
                vec![
                    Operation::Lookup(named("old")),
                    Operation::SaveHandle,
                    Operation::PutRootHandle,
                    Operation::Lookup(named("export")),
                    Operation::Link(named("new")),
                ]
            },
            is_done: |at| at.join("old").metadata().is_ok_and(|it| it.nlink() == 2),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists(),
        },
        Story {
            name: "make two directories, one after the other",
            before: |_| {},
            operations: || {
                let directory = |text| {
                    Operation::Create(CreateArgs {
                        kind: CreateType::Directory,
                        name: name(text),
                        attributes: mode(0o700),
                    })
                };
                vec![directory("new"), directory("below")]
            },
            is_done: |at| at.join("new/below").is_dir(),
            meanwhile: |at| std::fs::rename(at.join("new/below"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new/below").exists(),
        },
        Story {
            name: "make an extended attribute",
            before: |at| write(&at.join("file"), ""),
            operations: || {
                let set = SetXattrArgs {
                    how: SetXattrHow::Create,
                    name: name("key"),
                    value: name("value"),
                };
                vec![Operation::Lookup(named("file")), Operation::SetXattr(set)]
            },
            is_done: |at| xattr(&at.join("file")),
            meanwhile: |at| rustix::fs::removexattr(at.join("file"), "user.key").unwrap(),
            is_left_alone: |at| !xattr(&at.join("file")),
        },
        Story {
            name: "take an extended attribute away",
            before: |at| {
                write(&at.join("file"), "");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(at.join("file"), "user.key", b"value", flags).unwrap();
            },
            operations: || {
                vec![Operation::Lookup(named("file")), Operation::RemoveXattr(name("key"))]
            },
            is_done: |at| !xattr(&at.join("file")),
            meanwhile: |at| {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(at.join("file"), "user.key", b"again", flags).unwrap();
            },
            is_left_alone: |at| xattr(&at.join("file")),
        },
    ]
}

/// Runs a story on a server that takes `most` records more, restarts it, and sends the request
/// again, twice. Gives how many records the story took.
async fn tell(story: &Story, most: usize, interfere: bool) -> usize {
    let place = tempfile::tempdir().unwrap();
    let directory = &place.path().join("export");
    std::fs::create_dir(directory).unwrap();
    (story.before)(directory);
    let first = Server::start(directory, Vec::new(), usize::MAX);
    let session = first.introduce().await;
    let records = first.log.records.lock().clone();
    let begun = records.len();
    let mut request =
        vec![sequence(session, 0, 2), Operation::PutRootHandle, Operation::Lookup(named("export"))];
    request.push(Operation::SaveHandle);
    request.extend((story.operations)());
    drop(first);

    let mortal = Server::start(directory, records, begun.saturating_add(most));
    let reply = mortal.send(&request).await;
    let records = mortal.log.records.lock().clone();
    let taken = records.len() - begun;
    drop(mortal);

    let again = Server::start(directory, records, usize::MAX);
    let was_done = (story.is_done)(directory);
    let context = format!("{}, {most} records, done: {was_done}", story.name);
    if interfere && was_done {
        (story.meanwhile)(directory);
    }
    let second = again.send(&request).await.expect("a reply");
    assert_eq!(second.status, Status::Ok, "{context}: {second:?}");
    if let Some(first) = reply {
        assert_eq!(second, first, "{context}");
    }
    if interfere && was_done {
        assert!((story.is_left_alone)(directory), "{context}");
    } else {
        assert!((story.is_done)(directory), "{context}");
    }
    assert_eq!(again.send(&request).await, Some(second), "{context}");
    assert_eq!(again.nfs.keeper.look(|state| state.unfinished().count()), 0, "{context}");
    taken
}

#[tokio::test]
async fn what_must_not_run_twice_runs_once_wherever_the_server_dies() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: this needs root");
        return;
    }
    for story in stories() {
        for interfere in [false, true] {
            let all = tell(&story, usize::MAX - 1, interfere).await;
            assert!(all >= 2, "{} writes no intent", story.name);
            for most in 0..all {
                tell(&story, most, interfere).await;
            }
        }
    }
}
