//! Clients that ask for too much, or never end what they begin.

use std::sync::atomic::Ordering;
use std::time::Duration;

use standfast_rpc::record::LAST_FRAGMENT;
use standfast_rpc::server::ServerLimits;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::program::{Data, ECHO, Fixture, LARGE, NULL, WAIT, small_limits, until};
use crate::wire::{Client, call, fragment, record, results};

/// Limits of time that come soon. The tests that reach them run on a clock that jumps ahead
/// whenever nothing else is left to do.
fn short_times() -> ServerLimits {
    ServerLimits {
        idle_timeout: Duration::from_secs(30),
        record_timeout: Duration::from_secs(5),
        send_timeout: Duration::from_secs(10),
        ..small_limits()
    }
}

/// The beginning of a record of `length` bytes.
fn beginning(length: u32, bytes: usize) -> Vec<u8> {
    [&(length | LAST_FRAGMENT).to_be_bytes()[..], &vec![0; bytes]].concat()
}

async fn served(fixture: &Fixture) {
    let mut client = Client::connect(fixture).await;
    assert_eq!(client.ask::<()>(1, NULL, &()).await, Ok(()));
}

fn timed_out(fixture: &Fixture) -> u64 {
    fixture.server.counters().timed_out.load(Ordering::Relaxed)
}

#[tokio::test]
async fn calls_of_a_connection_are_limited() {
    let fixture = Fixture::start(small_limits());
    let limit = small_limits().requests_per_connection;
    let calls = 3 * limit;
    let mut client = Client::connect(&fixture).await;
    for xid in 0..calls {
        client.send_call(xid as u32, WAIT, &Data::default()).await;
    }
    fixture.until_begun(limit as u32).await;
    until(|| fixture.server.counters().paused.load(Ordering::Relaxed) > 0).await;
    served(&fixture).await;
    assert_eq!(fixture.program.begun.load(Ordering::SeqCst), limit as u32);
    fixture.release(calls);
    for _ in 0..calls {
        client.reply().await;
    }
    fixture.until_nothing_in_flight().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_cut_off() {
    let fixture = Fixture::start(short_times());
    let mut client = Client::connect(&fixture).await;
    let calls: Vec<u8> =
        (0..1000).flat_map(|xid| record(&call(xid, LARGE, &100_000_u32))).collect();
    client.send(&calls).await;
    until(|| fixture.server.bytes_in_flight() > 0).await;
    served(&fixture).await;
    assert!(fixture.server.bytes_in_flight() <= short_times().bytes_per_connection);
    until(|| timed_out(&fixture) > 0).await;
    let calls = fixture.server.counters().calls.load(Ordering::Relaxed);
    assert!(calls < 1000, "not all of the replies fit into the sockets");
    fixture.until_nothing_in_flight().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_sender_is_cut_off() {
    let fixture = Fixture::start(short_times());
    let mut client = Client::connect(&fixture).await;
    client.send_call(1, NULL, &()).await;
    client.reply().await;
    let (mut read, mut write) = client.stream.into_split();
    let trickle = async {
        // The last writes may meet a closed connection.
        while write.write_all(&[0]).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    };
    let mut reply = [0; 1];
    tokio::select! {
        () = trickle => {}
        end = tokio::io::AsyncReadExt::read(&mut read, &mut reply) => {
            assert!(!matches!(end, Ok(1..)), "{end:?}");
        }
    }
    until(|| timed_out(&fixture) == 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_begins_behind_another_must_end_too() {
    let fixture =
        Fixture::start(ServerLimits { idle_timeout: Duration::from_secs(3600), ..short_times() });
    for partial in [beginning(100, 3), beginning(500_000, 9), vec![0], fragment(&[], false)] {
        let mut client = Client::connect(&fixture).await;
        client.send(&[record(&call(1, NULL, &())), partial].concat()).await;
        assert_eq!(results(&client.reply().await), (1, Ok(())));
        client.until_closed().await;
    }
    assert_eq!(timed_out(&fixture), 4);
    fixture.until_nothing_in_flight().await;
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_a_waiting_one_is_not() {
    let fixture = Fixture::start(short_times());
    let mut idle = Client::connect(&fixture).await;
    let mut waiting = Client::connect(&fixture).await;
    waiting.send_call(1, WAIT, &Data::default()).await;
    fixture.until_begun(1).await;
    idle.until_closed().await;
    sleep(3 * short_times().idle_timeout).await;
    assert_eq!(fixture.server.registry().len(), 1);
    fixture.release(1);
    assert_eq!(results(&waiting.reply().await), (1, Ok(Data::default())));
    waiting.until_closed().await;
    assert_eq!(timed_out(&fixture), 2);
}

#[tokio::test(start_paused = true)]
async fn fragments_are_counted_while_they_gather() {
    let fixture = Fixture::start(short_times());
    let mut client = Client::connect(&fixture).await;
    let part = fragment(&[0; 1000], false);
    client.send(&part.repeat(200)).await;
    until(|| fixture.server.bytes_in_flight() >= 200_000).await;
    client.until_closed().await;
    fixture.until_nothing_in_flight().await;
}

/// Sixteen times the memory for records that arrive is asked for at once, by records that never
/// end; those which do end get their turn, and the memory comes back.
#[tokio::test(start_paused = true)]
async fn records_that_never_end_do_not_lock_others_out() {
    let limits = ServerLimits { idle_timeout: Duration::from_secs(3600), ..short_times() };
    let fixture = Fixture::start(limits);
    let mut stuck = JoinSet::new();
    for _ in 0..32 {
        let mut client = Client::connect(&fixture).await;
        stuck.spawn(async move {
            client.send(&beginning(1 << 20, 500_000)).await;
            while client.try_reply().await.is_ok() {}
        });
    }
    until(|| fixture.server.bytes_in_flight() > limits.bytes_in_flight / 8).await;
    assert!(fixture.server.bytes_in_flight() <= limits.bytes_in_flight);
    served(&fixture).await;
    let mut good = Client::connect(&fixture).await;
    let data = Data::from(vec![1; 1_000_000]);
    good.send_call(1, ECHO, &data).await;
    let reply = good.try_reply().await.expect("a reply, in its turn");
    assert_eq!(results(&reply), (1, Ok(data)));
    while stuck.join_next().await.is_some() {}
    assert_eq!(timed_out(&fixture), 32);
    fixture.until_nothing_in_flight().await;
}

/// More large calls at once than there is memory for: all are served, some later.
#[tokio::test]
async fn large_calls_wait_for_memory() {
    let fixture = Fixture::start(ServerLimits { bytes_in_flight: 4 << 20, ..small_limits() });
    let data = Data::from(vec![1; 1_000_000]);
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let mut client = Client::connect(&fixture).await;
        let data = data.clone();
        clients.spawn(async move {
            for xid in 0..5 {
                assert_eq!(client.ask(xid, ECHO, &data).await, Ok(data.clone()));
            }
        });
    }
    while let Some(client) = clients.join_next().await {
        client.expect("a client that was served");
    }
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn connections_are_limited() {
    let fixture = Fixture::start(ServerLimits { connections: 3, ..small_limits() });
    let mut clients = vec![];
    for _ in 0..3 {
        let mut client = Client::connect(&fixture).await;
        assert_eq!(client.ask::<()>(1, NULL, &()).await, Ok(()));
        clients.push(client);
    }
    Client::connect(&fixture).await.until_closed().await;
    assert_eq!(fixture.server.counters().refused.load(Ordering::Relaxed), 1);
    clients.pop();
    until(|| fixture.server.registry().len() == 2).await;
    served(&fixture).await;
}
