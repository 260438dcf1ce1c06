//! The checks of the fuzz targets, on inputs that need no fuzzer.

use bytes::Bytes;
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::message::{CallMessage, ReplyStatus};
use standfast_rpc::record::LAST_FRAGMENT;
use standfast_rpc::rpcbind::protocol::{Mapping, Netbuf, Rpcb, Text};
use standfast_rpc::xdr::{Encoder, List, Opaque, to_bytes};

#[path = "../../../fuzz/checks/record.rs"]
mod record;
#[path = "../../../fuzz/checks/rpc_message.rs"]
mod rpc_message;
#[path = "../../../fuzz/checks/rpcbind.rs"]
mod rpcbind;
#[path = "../../../fuzz/checks/smoke.rs"]
mod smoke;

fn identity() -> OpaqueAuth {
    OpaqueAuth::sys(&AuthSys {
        stamp: 7,
        machine_name: Opaque::copy_from_slice(b"client.example"),
        uid: 1000,
        gid: 100,
        gids: List(vec![100, 101, 102]),
    })
}

#[test]
fn records() {
    let fragment = |length: u32, last: bool| {
        let mark = length | if last { LAST_FRAGMENT } else { 0 };
        [mark.to_be_bytes().to_vec(), vec![7; length as usize]].concat()
    };
    let seeds = [
        [vec![1], fragment(100, true)].concat(),
        [vec![7], fragment(10, false), fragment(0, false), fragment(20, true)].concat(),
        [vec![100], fragment(0, true), fragment(300, true), fragment(1, false)].concat(),
        [vec![3], fragment(40_000, false), fragment(20_000, false), fragment(9, true)].concat(),
    ];
    smoke::smoke(&seeds[..3], record::check);
    record::check(&seeds[3]);
}

#[test]
fn messages() {
    let call = |credential: &OpaqueAuth| {
        let mut encoder = Encoder::default();
        CallMessage::encode_header(&mut encoder, 7, (100_003, 3, 1), credential);
        encoder.into_segments().to_bytes().to_vec()
    };
    let reply = |status: ReplyStatus| {
        let mut encoder = Encoder::default();
        status.encode_header(&mut encoder, 7);
        encoder.into_segments().to_bytes().to_vec()
    };
    let seeds = [
        call(&OpaqueAuth::none()),
        call(&identity()),
        reply(ReplyStatus::Success),
        reply(ReplyStatus::ProgramMismatch { low: 2, high: 4 }),
        reply(ReplyStatus::RpcMismatch),
    ];
    smoke::smoke(&seeds, rpc_message::check);
}

#[test]
fn calls_of_rpcbind() {
    let text = |value: &str| Text::copy_from_slice(value.as_bytes());
    let call = |version: u8, procedure: u8, arguments: Bytes| {
        [vec![version, procedure, 0, (arguments.len() / 4) as u8], arguments.to_vec()].concat()
    };
    let mapping = to_bytes(&Mapping { program: 100_005, version: 3, protocol: 6, port: 635 });
    let rpcb = to_bytes(&Rpcb {
        program: 100_005,
        version: 3,
        netid: text("udp"),
        address: text("0.0.0.0.2.123"),
        owner: text(""),
    });
    let netbuf = to_bytes(&Netbuf { capacity: 16, bytes: Opaque::from(vec![2; 16]) });
    let empty = Bytes::new();
    let seeds = [
        [call(0, 1, mapping.clone()), call(0, 3, mapping), call(0, 4, empty.clone())].concat(),
        [call(2, 1, rpcb.clone()), call(2, 3, rpcb.clone()), call(2, 11, rpcb)].concat(),
        [call(1, 8, netbuf), call(1, 7, to_bytes(&text("::1.8.1"))), call(1, 4, empty)].concat(),
    ];
    smoke::smoke(&seeds, rpcbind::check);
}
