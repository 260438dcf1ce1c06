//! No right to speak, no word.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use standfast_rpc::gate::BootTime;
use standfast_rpc::xdr::Opaque;

use crate::program::{ECHO, Fixture, NULL, WAIT, small_limits, until};
use crate::wire::{Client, results};

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

/// The state of this socket in the kernel's table: 1 is established (`proc(5)`). Other connections
/// may have had its port before.
fn tcp_state(local: SocketAddr, remote: SocketAddr) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let [local, remote] = [local, remote].map(|address| format!(":{:04X}", address.port()));
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&local) && fields.get(2)?.ends_with(&remote);
        is_it.then(|| fields.get(3).map(|state| (*state).to_owned()))?
    })
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
        let local = client.stream.local_addr().expect("an address");
        assert_eq!(tcp_state(local, fixture.tcp).as_deref(), Some("01"), "a FIN or a RST arrived");
    }
}
