//! No right to speak, no word.

use std::io;
use std::mem::MaybeUninit;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;
use standfast_rpc::Transport;
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::gate::{BootTime, ReplyGate};
use standfast_rpc::xdr::Opaque;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::program::{ECHO, Fixture, NULL, NUMBER, PATIENCE, VERSION, WAIT, small_limits, until};
use crate::wire::{Client, call, results};

#[tokio::test]
async fn what_is_ready_behind_a_closed_gate_leaves_when_it_opens() {
    let fixture = Fixture::start(small_limits());
    let (mut one, mut two) = (Client::connect(&fixture).await, Client::connect(&fixture).await);
    let data = Opaque::<8>::copy_from_slice(b"abcde");
    one.send_call(1, WAIT, &data).await;
    fixture.until_begun(1).await;
    fixture.server.gate().close();
    fixture.release(1);
    until(|| fixture.program.ended.load(Ordering::SeqCst) == 1).await;
    // A call that comes now does not even begin.
    let calls = fixture.server.counters().calls.load(Ordering::SeqCst);
    two.send_call(2, ECHO, &data).await;
    tokio::task::yield_now().await;
    assert_eq!(fixture.server.counters().bytes_sent.load(Ordering::SeqCst), 0);
    assert_eq!(fixture.server.counters().calls.load(Ordering::SeqCst), calls);
    fixture.server.gate().open_until(BootTime::now().after(Duration::from_secs(3600)));
    assert_eq!(results::<Opaque<8>>(&one.reply().await), (1, Ok(data.clone())));
    assert_eq!(results::<Opaque<8>>(&two.reply().await), (2, Ok(data)));
}

#[tokio::test]
async fn a_reply_over_udp_stays_behind_a_gate_that_is_shut() {
    let fixture = Fixture::start(small_limits());
    let port = fixture.serve_udp((Ipv4Addr::UNSPECIFIED, 0).into());
    let client = crate::datagrams::Client::new((Ipv4Addr::LOCALHOST, port).into()).await;
    client.send(&call(1, WAIT, &Opaque::<8>::default())).await;
    fixture.until_begun(1).await;
    fixture.server.gate().shut();
    // Whoever renews the lease does not know yet.
    fixture.server.gate().open_until(BootTime::now().after(Duration::from_secs(3600)));
    fixture.release(1);
    fixture.until_nothing_in_flight().await;
    until(|| fixture.server.registry().is_empty()).await;
    assert_eq!(fixture.program.ended.load(Ordering::SeqCst), 1);
    assert_eq!(fixture.server.counters().bytes_sent.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn calls_of_ours_leave_only_while_it_is_open() {
    let fixture = Fixture::start(small_limits());
    let port = fixture.serve_udp((Ipv4Addr::UNSPECIFIED, 0).into());
    let gate = Arc::new(ReplyGate::closed());
    let target = |transport| Target {
        address: match transport {
            Transport::Tcp => fixture.tcp,
            Transport::Udp => (Ipv4Addr::LOCALHOST, port).into(),
        },
        source: None,
        transport,
        procedure: (NUMBER, VERSION, NULL),
        credential: OpaqueAuth::none(),
        privileged: false,
        timeout: PATIENCE,
        gate: Arc::clone(&gate),
    };
    for transport in [Transport::Tcp, Transport::Udp] {
        let called = target(transport).call::<(), ()>(&()).await;
        assert!(matches!(called, Err(CallError::Silent)), "{called:?}");
    }
    let own = target(Transport::Tcp).open().await.expect("a connection");
    let call = own.channel().call((NUMBER, VERSION, NULL), &OpaqueAuth::none(), &());
    until(|| fixture.server.registry().len() == 1).await;
    assert_eq!(fixture.server.counters().calls.load(Ordering::SeqCst), 0);
    gate.open_until(BootTime::now().after(Duration::from_secs(3600)));
    assert_eq!(timeout(PATIENCE, call).await.expect("in time").expect("results").len(), 0);
    for transport in [Transport::Tcp, Transport::Udp] {
        target(transport).call::<(), ()>(&()).await.expect("an answer");
    }
}

/// Whether the connection is as if nobody had ended it: neither data nor an end has arrived.
fn is_undisturbed(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let peeked = SockRef::from(stream).peek(&mut byte);
    matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn a_service_that_moves_leaves_no_word_behind() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: a_service_that_moves_leaves_no_word_behind needs root");
        return;
    }
    let fixture = Fixture::start(small_limits());
    let (mut quiet, mut busy) = (Client::connect(&fixture).await, Client::connect(&fixture).await);
    assert_eq!(quiet.ask::<()>(1, NULL, &()).await, Ok(()));
    busy.send_call(2, WAIT, &Opaque::<8>::default()).await;
    fixture.until_begun(1).await;
    fixture.server.silence();
    fixture.shutdown.send(true).expect("a server that listens");
    until(|| fixture.server.registry().is_empty()).await;
    // The call ends, and its reply goes nowhere.
    fixture.release(1);
    until(|| fixture.program.ended.load(Ordering::SeqCst) == 1).await;
    for client in [&quiet, &busy] {
        assert!(is_undisturbed(&client.stream), "a FIN or a RST arrived");
    }
}
