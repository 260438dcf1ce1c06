//! Our own rpcbind over loopback, asked in all its versions.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use standfast_rpc::auth::{AuthStat, Credential, OpaqueAuth};
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::record::MARK_SIZE;
use standfast_rpc::rpcbind::protocol::{
    Mapping, Netbuf, PORTMAP_VERSION, PROGRAM, PROTOCOL_TCP, PROTOCOL_UDP, PortmapProcedure,
    RPCBIND_VERSION_3, RPCBIND_VERSION_4, Rpcb, RpcbEntry, RpcbindProcedure, Text,
};
use standfast_rpc::rpcbind::{LookupError, Registration, Rpcbind, port_at};
use standfast_rpc::server::{Activity, Binding, Reactors, ServerLimits, listen_tcp, listen_udp};
use standfast_rpc::xdr::{Chain, Decode, Decoder, Encode, to_bytes};
use standfast_rpc::{Call, Peer, Program, Reply, Server, Transport};
use tokio::sync::watch;

const NFS: u32 = 100_003;
const PATIENCE: Duration = Duration::from_secs(60);

/// An rpcbind that knows NFS version 3 at port 2049, over TCP.
struct Fixture {
    tcp: SocketAddr,
    udp: SocketAddr,
    _shutdown: watch::Sender<bool>,
}

impl Fixture {
    async fn start(ip: &str) -> Self {
        let any: SocketAddr = SocketAddr::new(ip.parse().expect("an address"), 0);
        let wildcard = if any.is_ipv4() { "0.0.0.0:2049" } else { "[::]:2049" };
        let nfs = Registration {
            program: NFS,
            version: 3,
            transport: Transport::Tcp,
            address: wildcard.parse().expect("an address"),
        };
        let program = Rpcbind::new(vec![nfs]);
        let server = Server::new(
            vec![program],
            ServerLimits::default(),
            Arc::new(|| Box::new(())),
            Reactors::default(),
        );
        let (shutdown, stop) = watch::channel(false);
        let listener = listen_tcp(any, Binding::Present).expect("a listener");
        let socket = listen_udp(any, Binding::Present).expect("a socket");
        let tcp = listener.local_addr().expect("an address");
        let udp = socket.local_addr().expect("an address");
        tokio::spawn(Arc::clone(&server).serve_tcp(listener, stop.clone()));
        tokio::spawn(server.serve_udp(socket, stop));
        Self { tcp, udp, _shutdown: shutdown }
    }

    fn target(&self, transport: Transport, version: u32, procedure: u32) -> Target {
        Target {
            address: if transport == Transport::Tcp { self.tcp } else { self.udp },
            source: None,
            transport,
            procedure: (PROGRAM, version, procedure),
            credential: OpaqueAuth::none(),
            privileged: false,
            timeout: PATIENCE,
            gate: Arc::default(),
        }
    }

    async fn portmap<A: Encode, R: Decode>(
        &self,
        procedure: PortmapProcedure,
        arguments: &A,
    ) -> Result<R, CallError> {
        self.target(Transport::Udp, PORTMAP_VERSION, procedure as u32).call(arguments).await
    }

    async fn rpcbind<A: Encode, R: Decode>(
        &self,
        procedure: RpcbindProcedure,
        arguments: &A,
    ) -> Result<R, CallError> {
        self.target(Transport::Tcp, RPCBIND_VERSION_4, procedure as u32).call(arguments).await
    }
}

fn text(value: &str) -> Text {
    Text::copy_from_slice(value.as_bytes())
}

fn rpcb(version: u32, netid: &str, address: &str) -> Rpcb {
    let [netid, address, owner] = [text(netid), text(address), text("")];
    Rpcb { program: NFS, version, netid, address, owner }
}

fn mapping(version: u32, protocol: u32, port: u32) -> Mapping {
    Mapping { program: NFS, version, protocol, port }
}

#[tokio::test]
async fn portmap_tells_ports() {
    let fixture = Fixture::start("127.0.0.1").await;
    for (question, port) in [
        (mapping(3, PROTOCOL_TCP, 0), 2049),
        (mapping(4, PROTOCOL_TCP, 0), 2049),
        (mapping(3, PROTOCOL_UDP, 0), 0),
        (mapping(3, 99, 0), 0),
    ] {
        let answer: u32 =
            fixture.portmap(PortmapProcedure::GetPort, &question).await.expect("an answer");
        assert_eq!(answer, port, "{question:?}");
    }
    let all: Chain<Mapping> =
        fixture.portmap(PortmapProcedure::Dump, &()).await.expect("an answer");
    assert_eq!(all.0, [mapping(3, PROTOCOL_TCP, 2049)]);
}

#[tokio::test]
async fn rpcbind_tells_the_address_that_was_reached() {
    for (ip, netid) in [("127.0.0.1", "tcp"), ("::1", "tcp6")] {
        let fixture = Fixture::start(ip).await;
        let expected = text(&format!("{ip}.8.1"));
        for (procedure, question, answer) in [
            (RpcbindProcedure::GetAddress, rpcb(3, netid, ""), expected.clone()),
            (RpcbindProcedure::GetAddress, rpcb(4, "", ""), expected.clone()),
            (RpcbindProcedure::GetVersionAddress, rpcb(3, netid, ""), expected.clone()),
            (RpcbindProcedure::GetVersionAddress, rpcb(4, netid, ""), text("")),
        ] {
            let found: Text = fixture.rpcbind(procedure, &question).await.expect("an answer");
            assert_eq!(found, answer, "{procedure:?} {question:?}");
        }
        let list: Chain<RpcbEntry> = fixture
            .rpcbind(RpcbindProcedure::GetAddressList, &rpcb(3, netid, ""))
            .await
            .expect("an answer");
        let family = if netid == "tcp" { "inet" } else { "inet6" };
        let entry = RpcbEntry {
            address: expected,
            netid: text(netid),
            semantics: 3,
            family: text(family),
            protocol: text("tcp"),
        };
        assert_eq!(list.0, [entry]);
    }
}

#[tokio::test]
async fn transport_addresses_go_both_ways() {
    let fixture = Fixture::start("127.0.0.1").await;
    let universal = text("192.0.2.1.8.1");
    let netbuf: Netbuf =
        fixture.rpcbind(RpcbindProcedure::ToTransportAddress, &universal).await.expect("a netbuf");
    let back: Text =
        fixture.rpcbind(RpcbindProcedure::ToUniversalAddress, &netbuf).await.expect("text");
    assert_eq!(back, universal);
    let time: u32 = fixture.rpcbind(RpcbindProcedure::GetTime, &()).await.expect("a time");
    assert!(time > 1_700_000_000);
}

#[tokio::test]
async fn a_port_is_looked_up() {
    for ip in ["127.0.0.1", "::1"] {
        let fixture = Fixture::start(ip).await;
        let port = port_at(fixture.tcp, NFS, 3, Transport::Tcp, PATIENCE).await.expect("a port");
        assert_eq!(port, 2049);
        let none = port_at(fixture.udp, NFS, 3, Transport::Udp, PATIENCE).await;
        assert!(matches!(none, Err(LookupError::NotRegistered { .. })), "{none:?}");
    }
}

#[tokio::test]
async fn only_reserved_ports_may_register() {
    let fixture = Fixture::start("127.0.0.1").await;
    let arguments = rpcb(4, "tcp", "0.0.0.0.8.1");
    for procedure in [RpcbindProcedure::Set, RpcbindProcedure::Unset] {
        let refused: Result<bool, _> = fixture.rpcbind(procedure, &arguments).await;
        let weak = ReplyStatus::AuthError(AuthStat::TooWeak);
        assert!(matches!(&refused, Err(CallError::Refused(status)) if *status == weak));
    }
}

/// A call as it would come from a service of this machine, on a reserved port.
async fn call_from_reserved_port<A: Encode, R: Decode>(
    program: &Arc<Rpcbind>,
    (version, procedure): (u32, u32),
    arguments: &A,
) -> R {
    let peer = Peer {
        address: (Ipv4Addr::LOCALHOST, 1023).into(),
        local: (Ipv4Addr::LOCALHOST, 111).into(),
        transport: Transport::Udp,
    };
    let call = Call {
        xid: 1,
        version,
        procedure,
        credential: Credential::None,
        arguments: to_bytes(arguments),
        peer,
        activity: Arc::new(Activity::new(peer)),
        keeping: None,
    };
    match Arc::clone(program).call(call).await {
        Reply::Success(results) => {
            let message = results.into_record(1).to_bytes().slice(MARK_SIZE..);
            let mut decoder = Decoder::new(&message);
            ReplyStatus::decode(&mut decoder).expect("a header");
            R::decode(&mut decoder).expect("results")
        }
        other => unreachable!("{other:?}"),
    }
}

#[tokio::test]
async fn other_services_register() {
    let program = Rpcbind::new(vec![]);
    let set = (RPCBIND_VERSION_4, RpcbindProcedure::Set as u32);
    let unset = (RPCBIND_VERSION_4, RpcbindProcedure::Unset as u32);
    let get_port = (PORTMAP_VERSION, PortmapProcedure::GetPort as u32);
    assert!(call_from_reserved_port(&program, set, &rpcb(4, "udp", "0.0.0.0.8.1")).await);
    let question = mapping(4, PROTOCOL_UDP, 0);
    let port: u32 = call_from_reserved_port(&program, get_port, &question).await;
    assert_eq!(port, 2049);
    for (procedure, arguments, expected) in [
        (set, rpcb(4, "udp", "0.0.0.0.8.2"), false),
        (set, rpcb(4, "udp6", "0.0.0.0.8.1"), false),
        (set, rpcb(4, "local", "/run/x"), false),
        (unset, rpcb(4, "tcp", ""), false),
        (unset, rpcb(4, "", ""), true),
        (unset, rpcb(4, "", ""), false),
    ] {
        let done: bool = call_from_reserved_port(&program, procedure, &arguments).await;
        assert_eq!(done, expected, "{arguments:?}");
    }
    let set = (PORTMAP_VERSION, PortmapProcedure::Set as u32);
    let unset = (PORTMAP_VERSION, PortmapProcedure::Unset as u32);
    for (procedure, arguments, expected) in [
        (set, mapping(3, PROTOCOL_TCP, 2049), true),
        (set, mapping(3, PROTOCOL_UDP, 2049), true),
        (set, mapping(3, PROTOCOL_UDP, 70_000), false),
        (set, mapping(3, 1, 2049), false),
        (unset, mapping(3, 0, 0), true),
        (unset, mapping(3, 0, 0), false),
    ] {
        let done: bool = call_from_reserved_port(&program, procedure, &arguments).await;
        assert_eq!(done, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn calls_for_others_are_never_made() {
    let fixture = Fixture::start("127.0.0.1").await;
    let arguments = mapping(3, 0, 0);
    let relay =
        |transport, version| fixture.target(transport, version, PortmapProcedure::CallIt as u32);
    for version in [PORTMAP_VERSION, RPCBIND_VERSION_3, RPCBIND_VERSION_4] {
        let answer: Result<(), _> = relay(Transport::Tcp, version).call(&arguments).await;
        let unavailable = ReplyStatus::ProcedureUnavailable;
        assert!(
            matches!(&answer, Err(CallError::Refused(status)) if *status == unavailable),
            "{answer:?}"
        );
    }
    let mut unanswered = relay(Transport::Udp, PORTMAP_VERSION);
    unanswered.timeout = Duration::from_millis(300);
    let answer: Result<(), _> = unanswered.call(&arguments).await;
    assert!(matches!(answer, Err(CallError::Timeout(_))), "{answer:?}");
}
