//! What a call is answered with.

use std::sync::atomic::Ordering;

use standfast_rpc::auth::{AUTH_SYS, AuthStat, AuthSys, OpaqueAuth};
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr::{List, Opaque};

use crate::program::{
    ECHO, Fixture, NULL, NUMBER, PANIC_AT_ONCE, PANIC_LATER, VERSION, WAIT, small_limits, until,
};
use crate::wire::{Client, call, call_with, record, results};

const XID: u32 = 0x0102_0304;

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// Sends a message, and compares the whole reply.
async fn expect(message: &[u8], reply: &[u32]) {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    client.send(&record(message)).await;
    assert_eq!(client.reply().await, words(reply));
    // The connection is as good as before.
    assert_eq!(client.ask::<()>(9, NULL, &()).await, Ok(()));
}

#[tokio::test]
async fn results_follow_a_success() {
    let data = Opaque::<8>::copy_from_slice(b"abcde");
    let reply = [XID, 1, 0, 0, 0, 0, 5, 0x6162_6364, 0x6500_0000];
    expect(&call(XID, ECHO, &data), &reply).await;
}

#[tokio::test]
async fn another_version_of_rpc() {
    expect(&words(&[XID, 0, 3, NUMBER, VERSION, 0, 0, 0, 0, 0]), &[XID, 1, 1, 0, 2, 2]).await;
    expect(&words(&[XID, 0, 3]), &[XID, 1, 1, 0, 2, 2]).await;
}

#[tokio::test]
async fn unknown_program_version_and_procedure() {
    let none = OpaqueAuth::none();
    let program = call_with(XID, (NUMBER + 1, VERSION, 0), &none, &());
    expect(&program, &[XID, 1, 0, 0, 0, 1]).await;
    let version = call_with(XID, (NUMBER, 9, 0), &none, &());
    expect(&version, &[XID, 1, 0, 0, 0, 2, VERSION, VERSION + 1]).await;
    expect(&call(XID, 99, &()), &[XID, 1, 0, 0, 0, 3]).await;
}

#[tokio::test]
async fn arguments_that_cannot_be_read() {
    expect(&call(XID, ECHO, &7_u32), &[XID, 1, 0, 0, 0, 4]).await;
    expect(&call(XID, ECHO, &u32::MAX), &[XID, 1, 0, 0, 0, 4]).await;
    expect(&call(XID, ECHO, &0_u64), &[XID, 1, 0, 0, 0, 4]).await;
}

#[tokio::test]
async fn bad_credentials() {
    let with = |flavor, body: &[u8]| {
        let credential = OpaqueAuth { flavor, body: Opaque::copy_from_slice(body) };
        call_with(XID, (NUMBER, VERSION, NULL), &credential, &())
    };
    let refused = |stat: AuthStat| [XID, 1, 1, 1, stat as u32];
    expect(&with(AUTH_SYS, b""), &refused(AuthStat::BadCred)).await;
    expect(&with(AUTH_SYS, &words(&[0, 0, 0, 0, 17])), &refused(AuthStat::BadCred)).await;
    expect(&with(6, b"0123"), &refused(AuthStat::TooWeak)).await;
    let good = AuthSys {
        stamp: 1,
        machine_name: Opaque::copy_from_slice(b"client"),
        uid: 1000,
        gid: 1000,
        gids: List((0..16).collect()),
    };
    let message = call_with(XID, (NUMBER, VERSION, NULL), &OpaqueAuth::sys(&good), &());
    expect(&message, &[XID, 1, 0, 0, 0, 0]).await;
}

#[tokio::test]
async fn a_fault_costs_one_call() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    client.send_call(1, WAIT, &0_u32).await;
    for (xid, procedure) in [(2, PANIC_AT_ONCE), (3, PANIC_LATER)] {
        let answer = client.ask::<()>(xid, procedure, &()).await;
        assert_eq!(answer, Err(ReplyStatus::SystemError));
    }
    fixture.release(1);
    client.reply().await;
    let report = fixture.server.registry().report();
    assert_eq!(report.iter().map(|client| client.running).collect::<Vec<_>>(), [0]);
}

#[tokio::test]
async fn a_stop_finishes_what_runs() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    client.send_call(1, WAIT, &Opaque::<8>::copy_from_slice(b"late")).await;
    fixture.until_begun(1).await;
    fixture.shutdown.send(true).expect("a server");
    fixture.accepting.await.expect("the end of accepting");
    fixture.program.gate.add_permits(1);
    let reply = client.reply().await;
    assert_eq!(results(&reply), (1, Ok(Opaque::<8>::copy_from_slice(b"late"))));
    client.until_closed().await;
    until(|| fixture.server.registry().is_empty()).await;
    assert_eq!(fixture.program.ended.load(Ordering::SeqCst), 1);
}
