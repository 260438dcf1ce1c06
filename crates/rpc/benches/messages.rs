//! What a request costs before and after its program: records, headers, replies.

use bytes::{Bytes, BytesMut};
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use standfast_rpc::Reply;
use standfast_rpc::auth::{AuthSys, OpaqueAuth};
use standfast_rpc::message::CallMessage;
use standfast_rpc::record::{LAST_FRAGMENT, RecordReader};
use standfast_rpc::xdr::{Encoder, List, Opaque, Segments};
use standfast_rpc::xdr_struct;

xdr_struct! {
    /// As large as the attributes of a file in NFS version 3.
    pub struct Attributes {
        /// Small values.
        pub small: [u8; 20],
        /// Sizes and times.
        pub numbers: List<u64, 8>,
    }
}

fn main() {
    divan::main();
}

/// A call as a Linux client sends it: `AUTH_SYS` with three groups, a file handle of 32 bytes.
fn call() -> Bytes {
    let credential = OpaqueAuth::sys(&AuthSys {
        stamp: 1,
        machine_name: Opaque::copy_from_slice(b"client.example"),
        uid: 1000,
        gid: 1000,
        gids: List(vec![4, 24, 1000]),
    });
    let mut encoder = Encoder::default();
    CallMessage::encode_header(&mut encoder, 7, (100_003, 3, 1), &credential);
    encoder.opaque(&[3; 32]);
    encoder.into_segments().to_bytes()
}

fn attributes() -> Attributes {
    Attributes { small: [1; 20], numbers: List((0..8).collect()) }
}

fn record(xid: u32, reply: Reply) -> Segments {
    match reply {
        Reply::Success(results) => results.into_record(xid),
        Reply::Refused(_) | Reply::None => Segments::default(),
    }
}

#[divan::bench]
fn decode_call(bencher: Bencher<'_, '_>) {
    let message = call();
    bencher.bench_local(|| CallMessage::decode(black_box(&message)));
}

#[divan::bench]
fn encode_attributes(bencher: Bencher<'_, '_>) {
    let results = attributes();
    bencher.bench_local(|| record(black_box(7), Reply::success(black_box(&results))));
}

#[divan::bench(args = [4 << 10, 1 << 20])]
fn encode_data(bencher: Bencher<'_, '_>, size: usize) {
    let results = Opaque::<{ 1 << 20 }>::from(vec![7; size]);
    bencher.bench_local(|| record(black_box(7), Reply::success(black_box(&results))));
}

/// Sixteen records that came in one read.
#[divan::bench]
fn read_records(bencher: Bencher<'_, '_>) {
    let message = call();
    let mark = (message.len() as u32 | LAST_FRAGMENT).to_be_bytes();
    let stream = [&mark[..], &message].concat().repeat(16);
    let mut buffer = BytesMut::new();
    bencher.counter(BytesCount::new(stream.len())).bench_local(|| {
        let mut reader = RecordReader::new(1 << 20);
        buffer.reserve(64 << 10);
        buffer.extend_from_slice(&stream);
        let mut records = 0;
        while let Ok(Some(record)) = reader.next(&mut buffer) {
            black_box(record);
            records += 1;
        }
        records
    });
}
