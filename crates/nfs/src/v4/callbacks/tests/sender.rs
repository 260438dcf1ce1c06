//! The sender, with clients that answer over loopback.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::client::{OwnChannel, Target};
use standfast_rpc::gate::ReplyGate;
use standfast_rpc::message::CallMessage;
use standfast_rpc::record::RecordReader;
use standfast_rpc::results::Results;
use standfast_rpc::xdr::from_bytes;
use standfast_rpc::{CallChannel, Transport};
use standfast_vfs::Handle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::super::keeper::{Callbacks, Keeper, MemoryLog, ServiceState};
use super::super::super::protocol::{
    CallbackClient, ChannelAttributes, ChannelWanted, CreateSessionArgs, Detailed, NetAddress,
    SetClientIdArgs, SetClientIdOk, create_session_flags,
};
use super::super::super::state::{
    ExchangeId, OpenRequest, Principal, Settings as StateSettings, State,
};
use super::*;
use crate::handles::{HandleCodec, HandleKey};
use crate::locks::{FileKey, LockLimits};

const PATIENCE: Duration = Duration::from_secs(60);
const PROGRAM: u32 = 0x4000_0000;

struct Server {
    keeper: Arc<Keeper>,
    sender: Arc<Sender>,
}

impl Server {
    fn start() -> Self {
        let state = State::new(1, StateSettings::default(), LockLimits::default());
        let keeper = Keeper::new(state, Arc::new(MemoryLog::default()));
        let handles = HandleCodec::new(&HandleKey::new([1; 16]));
        let settings = SenderSettings { privileged: false, ..SenderSettings::default() };
        let sender = Sender::start(&keeper, handles, Arc::new(ReplyGate::default()), settings);
        Self { keeper, sender }
    }

    fn with<R>(&self, change: impl FnOnce(&mut ServiceState, Instant) -> R) -> R {
        self.keeper.with(change).0
    }

    /// A client opens the file and is given a delegation.
    fn delegate(&self, client: u64) {
        let request = OpenRequest {
            client,
            owner: b"owner",
            file: file(),
            access: 1,
            deny: 0,
            reclaim: false,
        };
        let given = self.with(|state, now| {
            let opened = state.open(&request, now).unwrap();
            state.delegate(&opened.stateid, now)
        });
        assert!(given.is_some());
    }

    /// Somebody wants to write.
    fn conflict(&self) {
        let result = self.with(|state, now| state.recall_for(&file(), None, true, now));
        assert_eq!(result, Err(Status::Delay));
    }

    async fn until_reached(&self, client: u64, wanted: bool) {
        let wait = async {
            while self.keeper.reaches(client) != wanted {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, wait).await.expect("the callback path");
    }
}

fn file() -> FileKey {
    FileKey { export: 1, handle: Handle::new(0, 1, &[7]).unwrap() }
}

fn principal() -> Principal {
    Principal::copy_from_slice(b"root")
}

/// Answers callbacks as a client does, and tells of each.
async fn answer(mut stream: TcpStream, told: mpsc::UnboundedSender<CallbackArgs>) {
    let (mut reader, mut buffer) = (RecordReader::new(1 << 16), BytesMut::new());
    loop {
        while let Some(record) = reader.next(&mut buffer).unwrap() {
            let call = CallMessage::decode(&record).unwrap();
            assert_eq!((call.program, call.version), (PROGRAM, 1));
            let reply = if call.procedure == 0 {
                Results::new(&())
            } else {
                let compound: CallbackArgs = from_bytes(&call.arguments).unwrap();
                let first = (compound.minor > 0).then(|| sequenced(&compound));
                let own = recalled(&compound).map(|_| CallbackResult::Recall(Status::Ok));
                let Answer::Results(results) = results(first.into_iter().chain(own).collect())
                else {
                    panic!()
                };
                let _nobody_waits = told.send(compound);
                Results::new(&results)
            };
            let reply = reply.into_record(call.xid).to_bytes();
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
        match stream.read_buf(&mut buffer).await {
            Ok(1..) => {}
            _ => return,
        }
    }
}

/// A client that listens; each connection is answered until the listener is dropped.
async fn listen() -> (SocketAddr, mpsc::UnboundedReceiver<CallbackArgs>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, told.clone()));
        }
    });
    (address, heard)
}

/// A channel to that client: for the sender, it is one that the client opened.
async fn channel(address: SocketAddr) -> OwnChannel {
    let target = Target {
        address,
        source: None,
        transport: Transport::Tcp,
        procedure: (PROGRAM, 1, 0),
        credential: OpaqueAuth::none(),
        privileged: false,
        timeout: PATIENCE,
        gate: Arc::default(),
    };
    target.open().await.unwrap()
}

fn attach(server: &Server, channel: &CallChannel) -> Connection {
    Callbacks::attach(&server.sender, channel);
    Connection(channel.id())
}

fn client_with_session(server: &Server, connection: Connection) -> (u64, SessionId) {
    let channel = ChannelAttributes {
        header_pad: 0,
        max_request: 4096,
        max_response: 4096,
        max_response_cached: 0,
        max_operations: 8,
        max_requests: 4,
        rdma_ird: List(Vec::new()),
    };
    server.with(|state, now| {
        let exchange =
            ExchangeId { owner: b"client", verifier: [1; 8], flags: 0, principal: &principal() };
        let exchanged = state.exchange_id(&exchange, now).unwrap();
        let request = CreateSessionArgs {
            client: exchanged.client,
            sequence: exchanged.sequence,
            flags: create_session_flags::BACK_CHANNEL,
            fore: channel.clone(),
            back: channel,
            callback_program: PROGRAM,
            callback_security: List(vec![CallbackSecurity::None]),
        };
        match state.create_session(&request, 1, &principal(), connection, now) {
            Outcome::Ok(ok) => (exchanged.client, ok.session),
            Outcome::Fail(status) => panic!("{status:?}"),
        }
    })
}

async fn next_recall(heard: &mut mpsc::UnboundedReceiver<CallbackArgs>) -> CallbackArgs {
    loop {
        let compound = timeout(PATIENCE, heard.recv()).await.expect("in time").expect("a recall");
        if recalled(&compound).is_some() {
            return compound;
        }
    }
}

#[tokio::test]
async fn over_the_connections_of_a_session() {
    let (address, mut heard) = listen().await;
    let server = Server::start();
    let own = channel(address).await;
    let connection = attach(&server, own.channel());
    let (client, session) = client_with_session(&server, connection);
    assert!(!server.keeper.reaches(client));
    server.keeper.callbacks_changed(client);
    server.until_reached(client, true).await;
    server.with(|state, now| state.reclaim_complete(client, false, now)).unwrap();
    server.delegate(client);
    server.conflict();
    assert_eq!(next_recall(&mut heard).await.minor, 1);
    // The connection ends, and with it the path.
    drop(own);
    server.until_reached(client, false).await;
    assert_eq!(server.keeper.look(|state| state.back_channel(&session).count()), 0);
    let own = channel(address).await;
    let connection = attach(&server, own.channel());
    let bound = server.with(|state, now| {
        state.bind_connection(&session, ChannelWanted::ForeOrBoth, connection, now)
    });
    assert!(bound.is_ok());
    server.keeper.callbacks_changed(client);
    server.until_reached(client, true).await;
}

#[tokio::test]
async fn over_a_connection_of_our_own() {
    let (address, mut heard) = listen().await;
    let server = Server::start();
    let [high, low] = address.port().to_be_bytes();
    let universal = format!("{}.{high}.{low}", address.ip());
    let request = SetClientIdArgs {
        verifier: [1; 8],
        id: b"client".to_vec().into(),
        callback: CallbackClient {
            program: PROGRAM,
            address: NetAddress {
                netid: b"tcp".to_vec().into(),
                address: universal.into_bytes().into(),
            },
        },
        callback_ident: 77,
    };
    let client = server.with(|state, now| {
        let Detailed::Plain(Outcome::Ok(SetClientIdOk { client, confirm })) =
            state.set_client_id(&request, &principal(), now)
        else {
            panic!("no client")
        };
        state.confirm_client_id(client, confirm, &principal(), now).unwrap();
        client
    });
    server.keeper.callbacks_changed(client);
    server.until_reached(client, true).await;
    server.delegate(client);
    server.conflict();
    let compound = next_recall(&mut heard).await;
    assert_eq!((compound.minor, compound.ident), (0, 77));
}
