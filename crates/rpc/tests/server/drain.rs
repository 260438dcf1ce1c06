//! A server that drains begins no call, and ends those that run.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use standfast_rpc::xdr::Opaque;

use crate::program::{ECHO, Fixture, NULL, PATIENCE, WAIT, small_limits, until};
use crate::wire::{Client, call, results};

#[tokio::test]
async fn what_runs_is_answered_and_what_comes_waits_for_the_resumption() {
    let fixture = Fixture::start(small_limits());
    let (mut one, mut two) = (Client::connect(&fixture).await, Client::connect(&fixture).await);
    let data = Opaque::<8>::copy_from_slice(b"abcde");
    one.send_call(1, WAIT, &data).await;
    fixture.until_begun(1).await;
    // It does not end by itself.
    assert!(!fixture.server.drain(Duration::ZERO).await);
    let server = Arc::clone(&fixture.server);
    let drained = tokio::spawn(async move { server.drain(PATIENCE).await });
    one.send_call(2, ECHO, &data).await;
    two.send_call(3, ECHO, &data).await;
    fixture.release(1);
    assert_eq!(results::<Opaque<8>>(&one.reply().await), (1, Ok(data.clone())));
    assert!(drained.await.expect("a server that drained"));
    assert_eq!(fixture.server.bytes_in_flight(), 0);
    let late = Client::connect(&fixture).await;
    assert_eq!(fixture.server.counters().calls.load(Ordering::SeqCst), 1, "a call began");
    fixture.server.resume();
    assert_eq!(results::<Opaque<8>>(&one.reply().await), (2, Ok(data.clone())));
    assert_eq!(results::<Opaque<8>>(&two.reply().await), (3, Ok(data)));
    let mut late = late;
    assert_eq!(late.ask::<()>(4, NULL, &()).await, Ok(()));
}

#[tokio::test]
async fn datagrams_are_answered_before_and_after() {
    let fixture = Fixture::start(small_limits());
    let port = fixture.serve_udp((Ipv4Addr::UNSPECIFIED, 0).into());
    let server = (Ipv4Addr::LOCALHOST, port).into();
    let [one, two] =
        [crate::datagrams::Client::new(server).await, crate::datagrams::Client::new(server).await];
    one.send(&call(1, WAIT, &Opaque::<8>::default())).await;
    fixture.until_begun(1).await;
    let drain = fixture.server.drain(PATIENCE);
    fixture.release(1);
    assert!(drain.await);
    assert_eq!(results::<Opaque<8>>(&one.reply().await).0, 1);
    two.send(&call(2, NULL, &())).await;
    assert_eq!(fixture.server.counters().calls.load(Ordering::SeqCst), 1, "a call began");
    fixture.server.resume();
    // The first may have been lost, as datagrams are.
    two.send(&call(2, NULL, &())).await;
    assert_eq!(results(&two.reply().await), (2, Ok(())));
}

#[tokio::test]
async fn a_server_that_drained_may_go_without_a_word() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    assert_eq!(client.ask::<()>(1, NULL, &()).await, Ok(()));
    assert!(fixture.server.drain(PATIENCE).await);
    client.send_call(2, NULL, &()).await;
    fixture.server.silence();
    fixture.shutdown.send(true).expect("a server that listens");
    until(|| fixture.server.registry().is_empty()).await;
    assert_eq!(fixture.server.counters().calls.load(Ordering::SeqCst), 1, "a call began");
}
