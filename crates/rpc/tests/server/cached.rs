//! Calls that must not run twice, and come twice.

use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::SockRef;

use crate::program::{Fixture, ONCE, ONCE_SILENT, small_limits, until};
use crate::wire::{Client, results};

#[tokio::test]
async fn a_copy_waits_for_the_call_that_runs() {
    let fixture = Fixture::start(small_limits());
    let mut first = Client::connect(&fixture).await;
    let mut second = Client::connect(&fixture).await;
    first.send_call(1, ONCE, &()).await;
    fixture.until_begun(1).await;
    second.send_call(1, ONCE, &()).await;
    until(|| fixture.server.counters().reply_cache_hits.load(Ordering::Relaxed) == 1).await;
    fixture.release(1);
    let (one, other) = (first.reply().await, second.reply().await);
    assert_eq!(one, other);
    assert_eq!(results(&one), (1, Ok(0_u32)));
    assert_eq!(fixture.program.begun.load(Ordering::SeqCst), 1);
    // And again, now that it ran, also over the same connection.
    first.send_call(1, ONCE, &()).await;
    assert_eq!(first.reply().await, one);
    // Another call is another call.
    fixture.release(1);
    assert_eq!(first.ask(2, ONCE, &()).await, Ok(1_u32));
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn a_call_outlives_its_connection() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    client.send_call(1, ONCE, &()).await;
    fixture.until_begun(1).await;
    // The connection is reset, as by a client that crashed.
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).expect("no lingering");
    drop(client);
    until(|| fixture.server.registry().is_empty()).await;
    let mut again = Client::connect(&fixture).await;
    again.send_call(1, ONCE, &()).await;
    fixture.release(1);
    assert_eq!(results(&again.reply().await), (1, Ok(0_u32)));
    assert_eq!(fixture.program.ended.load(Ordering::SeqCst), 1);
    drop(again);
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn silence_is_not_remembered() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    fixture.release(1);
    client.send_call(1, ONCE_SILENT, &()).await;
    until(|| fixture.program.ended.load(Ordering::SeqCst) == 1).await;
    until(|| fixture.server.reply_cache().usage().0 == 0).await;
    fixture.until_nothing_in_flight().await;
    client.send_call(1, ONCE_SILENT, &()).await;
    fixture.until_begun(2).await;
    fixture.release(1);
}
