//! Calls of the server over a connection that its client opened, and over one of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::channel::REPLY_LIMIT;
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::gate::ReplyGate;
use standfast_rpc::message::{CallMessage, ReplyStatus};
use standfast_rpc::results::Results;
use standfast_rpc::xdr::{Encode, from_bytes};
use standfast_rpc::{CallChannel, Transport};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::program::{CALL_ME, Data, ECHO, Fixture, PATIENCE, WAIT, small_limits, until};
use crate::wire::{Client, record, results};

const CALLBACK: (u32, u32, u32) = (0x4000_0000, 1, 1);

/// A client, and the server's way to call it.
async fn called(fixture: &Fixture) -> (Client, CallChannel) {
    let mut client = Client::connect(fixture).await;
    client.ask::<()>(1, CALL_ME, &()).await.expect("an answer");
    let channel = fixture.program.channels.lock().pop().expect("a channel");
    (client, channel)
}

fn reply(xid: u32, value: &impl Encode) -> Vec<u8> {
    Results::new(value).into_record(xid).to_bytes().to_vec()
}

async fn next_call(client: &mut Client) -> CallMessage {
    CallMessage::decode(&client.reply().await).expect("a call")
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("an end in time")
}

#[tokio::test]
async fn calls_go_to_the_client_and_replies_come_back_in_any_order() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let first = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    let second = channel.call(CALLBACK, &OpaqueAuth::none(), &8_u32);
    let calls = [next_call(&mut client).await, next_call(&mut client).await];
    assert_eq!((calls[0].program, calls[0].version, calls[0].procedure), CALLBACK);
    assert_ne!(calls[0].xid, calls[1].xid);
    for call in calls.iter().rev() {
        let value: u32 = from_bytes(&call.arguments).expect("the arguments");
        client.send(&reply(call.xid, &(value + 100))).await;
    }
    let [first, second] = [soon(first).await, soon(second).await];
    assert_eq!(from_bytes::<u32>(&first.expect("results")), Ok(107));
    assert_eq!(from_bytes::<u32>(&second.expect("results")), Ok(108));
}

#[tokio::test]
async fn calls_in_both_directions_do_not_disturb_each_other() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    client.send_call(10, WAIT, &Data::from(vec![1; 100])).await;
    fixture.until_begun(1).await;
    let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    let xid = next_call(&mut client).await.xid;
    let data = Data::from(vec![2; 200_000]);
    client.send_call(11, ECHO, &data).await;
    client.send(&reply(xid, &9_u32)).await;
    assert_eq!(results(&client.reply().await), (11, Ok(data)));
    assert_eq!(from_bytes::<u32>(&soon(call).await.expect("results")), Ok(9));
    fixture.release(1);
    assert_eq!(results(&client.reply().await), (10, Ok(Data::from(vec![1; 100]))));
}

#[tokio::test]
async fn a_refusal_is_told() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    let xid = next_call(&mut client).await.xid;
    let words = [xid, 1, 0, 0, 0, 1].map(u32::to_be_bytes).concat();
    client.send(&record(&words)).await;
    let refused = soon(call).await;
    assert!(
        matches!(refused, Err(CallError::Refused(ReplyStatus::ProgramUnavailable))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn the_channel_dies_with_its_connection() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    next_call(&mut client).await;
    assert!(!channel.is_closed());
    drop(client);
    assert!(matches!(soon(call).await, Err(CallError::Closed)));
    soon(channel.closed()).await;
    let late = soon(channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32)).await;
    assert!(matches!(late, Err(CallError::Closed)));
}

#[tokio::test]
async fn a_client_that_never_answers_is_sent_so_many_calls_only() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let limit = small_limits().callbacks_per_connection;
    for _ in 0..limit {
        // Given up at once.
        drop(channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32));
    }
    let busy = soon(channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32)).await;
    assert!(matches!(busy, Err(CallError::Busy)));
    // A late answer makes room.
    let first = next_call(&mut client).await;
    client.send(&reply(first.xid, &())).await;
    for _ in 1..limit {
        next_call(&mut client).await;
    }
    until(|| {
        let call = channel.call(CALLBACK, &OpaqueAuth::none(), &8_u32);
        // The call is made as soon as it is asked for.
        !matches!(futures_util::FutureExt::now_or_never(call), Some(Err(CallError::Busy)))
    })
    .await;
    assert_eq!(from_bytes::<u32>(&next_call(&mut client).await.arguments), Ok(8));
}

#[tokio::test]
async fn more_replies_than_calls_end_the_connection() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    let xid = next_call(&mut client).await.xid;
    // One of another xid is let pass, as it may be late; then nothing is owed any more.
    client.send(&reply(xid.wrapping_add(1), &())).await;
    client.send(&reply(xid, &())).await;
    client.until_closed().await;
    assert!(matches!(soon(call).await, Err(CallError::Closed)));
    assert_eq!(fixture.server.counters().malformed.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_reply_without_any_call_ends_the_connection() {
    let fixture = Fixture::start(small_limits());
    let (mut client, _channel) = called(&fixture).await;
    client.send(&reply(5, &())).await;
    client.until_closed().await;
}

#[tokio::test]
async fn a_giant_reply_ends_the_connection() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
    let xid = next_call(&mut client).await.xid;
    client.send(&reply(xid, &Data::from(vec![0; REPLY_LIMIT]))).await;
    client.until_closed().await;
    assert!(matches!(soon(call).await, Err(CallError::Closed)));
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn a_reply_that_is_cut_off_in_its_header_is_an_error_of_its_call() {
    let fixture = Fixture::start(small_limits());
    let (mut client, channel) = called(&fixture).await;
    for length in 2..6 {
        let call = channel.call(CALLBACK, &OpaqueAuth::none(), &7_u32);
        let xid = next_call(&mut client).await.xid;
        let words = [xid, 1, 0, 0, 0, 0].map(u32::to_be_bytes);
        client.send(&record(&words[..length].concat())).await;
        assert!(matches!(soon(call).await, Err(CallError::Decode(_))), "{length} words");
    }
}

/// A program of the test's own, called over a connection that the server opens.
#[tokio::test]
async fn a_connection_of_our_own_carries_many_calls() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let listener = TcpListener::bind(any).await.expect("a listener");
        let gate = Arc::<ReplyGate>::default();
        let target = Target {
            address: listener.local_addr().expect("an address"),
            source: None,
            transport: Transport::Tcp,
            procedure: CALLBACK,
            credential: OpaqueAuth::none(),
            privileged: false,
            timeout: Duration::from_secs(30),
            gate: Arc::clone(&gate),
        };
        let own = target.open().await.expect("a connection");
        let (stream, _) = soon(listener.accept()).await.expect("a connection");
        let mut peer = Client::over(stream);
        let calls: Vec<_> = (0..10_u32)
            .map(|value| own.channel().call(CALLBACK, &OpaqueAuth::none(), &value))
            .collect();
        for _ in &calls {
            let call = next_call(&mut peer).await;
            let value: u32 = from_bytes(&call.arguments).expect("the arguments");
            peer.send(&reply(call.xid, &(value + 100))).await;
        }
        for (value, call) in calls.into_iter().enumerate() {
            let answer: Bytes = soon(call).await.expect("results");
            assert_eq!(from_bytes::<u32>(&answer), Ok(value as u32 + 100));
        }
        // What is no reply ends it, as does the peer, as does dropping it.
        peer.send_call(1, 0, &()).await;
        soon(own.channel().closed()).await;
        let own = target.open().await.expect("a connection");
        let (mut second, _) = soon(listener.accept()).await.expect("a connection");
        let channel = own.channel().clone();
        drop(own);
        soon(channel.closed()).await;
        let mut byte = [0];
        let read = soon(tokio::io::AsyncReadExt::read(&mut second, &mut byte)).await;
        assert_eq!(read.expect("the end of the stream"), 0);
    }
}
