//! Calls over UDP.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::program::{Data, ECHO, Fixture, LARGE, NULL, ONCE, PATIENCE, small_limits, until};
use crate::wire::{call, results};

pub(crate) struct Client {
    socket: UdpSocket,
    server: SocketAddr,
}

impl Client {
    pub(crate) async fn new(server: SocketAddr) -> Self {
        let own: SocketAddr = if server.is_ipv4() {
            (Ipv4Addr::UNSPECIFIED, 0).into()
        } else {
            (Ipv6Addr::UNSPECIFIED, 0).into()
        };
        Self { socket: UdpSocket::bind(own).await.expect("a socket"), server }
    }

    pub(crate) async fn send(&self, message: &[u8]) {
        self.socket.send_to(message, self.server).await.expect("a datagram sent");
    }

    /// The next reply; it must come from the address that was asked.
    pub(crate) async fn reply(&self) -> Bytes {
        let mut buffer = vec![0; 65_536];
        let received = timeout(PATIENCE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("a reply in time").expect("a reply");
        assert_eq!(from, self.server);
        buffer.truncate(length);
        buffer.into()
    }
}

async fn v4(fixture: &Fixture) -> Client {
    let port = fixture.serve_udp((Ipv4Addr::UNSPECIFIED, 0).into());
    Client::new((Ipv4Addr::LOCALHOST, port).into()).await
}

#[tokio::test]
async fn the_reply_comes_from_the_address_that_was_asked() {
    let fixture = Fixture::start(small_limits());
    let v4 = fixture.serve_udp((Ipv4Addr::UNSPECIFIED, 0).into());
    let v6 = fixture.serve_udp((Ipv6Addr::UNSPECIFIED, 0).into());
    let servers: [SocketAddr; 3] = [
        ([127, 0, 0, 2], v4).into(),
        ([127, 0, 0, 1], v4).into(),
        (Ipv6Addr::LOCALHOST, v6).into(),
    ];
    for server in servers {
        let client = Client::new(server).await;
        client.send(&call(1, NULL, &())).await;
        assert_eq!(results(&client.reply().await), (1, Ok(())));
    }
    until(|| fixture.server.registry().is_empty()).await;
}

#[tokio::test]
async fn datagrams_are_large_and_replies_no_larger() {
    let fixture = Fixture::start(small_limits());
    let client = v4(&fixture).await;
    let data = Data::from(vec![3; 65_000]);
    client.send(&call(1, ECHO, &data)).await;
    assert_eq!(results(&client.reply().await), (1, Ok(data)));
    // No datagram can carry this; the client would ask again, in vain, but others go on.
    client.send(&call(2, LARGE, &100_000_u32)).await;
    client.send(&call(3, NULL, &())).await;
    assert_eq!(results(&client.reply().await), (3, Ok(())));
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn duplicates_run_once() {
    let fixture = Fixture::start(small_limits());
    let client = v4(&fixture).await;
    let message = call(1, ONCE, &());
    client.send(&message).await;
    fixture.until_begun(1).await;
    client.send(&message).await;
    until(|| fixture.server.counters().reply_cache_hits.load(Ordering::Relaxed) == 1).await;
    fixture.release(1);
    let first = client.reply().await;
    assert_eq!(results(&first), (1, Ok(0_u32)));
    assert_eq!(client.reply().await, first);
    client.send(&message).await;
    assert_eq!(client.reply().await, first);
    assert_eq!(fixture.program.begun.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn what_is_no_call_is_not_answered() {
    let fixture = Fixture::start(small_limits());
    let client = v4(&fixture).await;
    let message = call(1, NULL, &());
    for length in 0..message.len() {
        client.send(&message[..length]).await;
    }
    client.send(&[0xff; 2000]).await;
    client.send(&message).await;
    assert_eq!(results(&client.reply().await), (1, Ok(())));
}

#[tokio::test]
async fn calls_that_wait_are_limited() {
    let fixture = Fixture::start(small_limits());
    let client = v4(&fixture).await;
    let limit = small_limits().requests_per_connection as u32;
    for xid in 0..limit + 5 {
        client.send(&call(xid, ONCE, &())).await;
    }
    fixture.until_begun(limit).await;
    fixture.release(limit as usize + 5);
    for _ in 0..limit + 5 {
        client.reply().await;
    }
    assert_eq!(fixture.program.ended.load(Ordering::SeqCst), limit + 5);
    fixture.until_nothing_in_flight().await;
}
