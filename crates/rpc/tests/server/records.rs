//! Records in all the ways in which a stream may bring them.

use bytes::Bytes;
use standfast_rpc::record::LAST_FRAGMENT;
use tokio::io::AsyncWriteExt;

use crate::program::{Data, ECHO, Fixture, NULL, WAIT, small_limits};
use crate::wire::{Client, call, fragment, record, results};

fn data(size: usize) -> Data {
    Data::from((0..size).map(|index| index as u8).collect::<Vec<_>>())
}

#[tokio::test]
async fn fragments_of_one_byte_sent_byte_by_byte() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    let message = call(7, ECHO, &data(100));
    let (last, others) = message.split_last().expect("a message");
    let mut stream: Vec<u8> = others.iter().flat_map(|byte| fragment(&[*byte], false)).collect();
    stream.extend(fragment(&[*last], true));
    for byte in stream {
        client.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(results(&client.reply().await), (7, Ok(data(100))));
}

#[tokio::test]
async fn empty_fragments_add_nothing() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    let message = call(7, ECHO, &data(100));
    let empty = fragment(&[], false);
    let part = fragment(&message[..50], false);
    client.send(&[&empty[..], &part, &empty, &empty].concat()).await;
    client.send(&[fragment(&message[50..], false), fragment(&[], true)].concat()).await;
    assert_eq!(results(&client.reply().await), (7, Ok(data(100))));
    client.send(&fragment(&[], true)).await;
    client.until_closed().await;
}

#[tokio::test]
async fn a_record_is_split_anywhere() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    let stream = [record(&call(1, ECHO, &data(30))), record(&call(2, NULL, &()))].concat();
    for middle in 0..=stream.len() {
        client.send(&stream[..middle]).await;
        tokio::task::yield_now().await;
        client.send(&stream[middle..]).await;
        assert_eq!(results(&client.reply().await), (1, Ok(data(30))));
        assert_eq!(results(&client.reply().await), (2, Ok(())));
    }
}

#[tokio::test]
async fn many_records_in_one_segment() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    let calls = 500;
    let stream: Vec<u8> =
        (0..calls).flat_map(|xid| record(&call(xid, ECHO, &data(xid as usize)))).collect();
    client.send(&stream).await;
    for xid in 0..calls {
        assert_eq!(results(&client.reply().await), (xid, Ok(data(xid as usize))));
    }
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn large_records_whole_and_in_fragments() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    let sent = data((1 << 20) - 100);
    let message = call(1, ECHO, &sent);
    client.send(&record(&message)).await;
    assert_eq!(results(&client.reply().await), (1, Ok(sent.clone())));
    for size in [1_000, 17_000, 500_000] {
        let parts: Vec<Vec<u8>> = message.chunks(size).map(|part| fragment(part, false)).collect();
        client.send(&parts.concat()).await;
        client.send(&fragment(&[], true)).await;
        assert_eq!(results(&client.reply().await), (1, Ok(sent.clone())));
    }
    fixture.until_nothing_in_flight().await;
}

#[tokio::test]
async fn replies_overtake_each_other() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    client.send_call(1, WAIT, &data(1)).await;
    client.send_call(2, ECHO, &data(2)).await;
    assert_eq!(results(&client.reply().await), (2, Ok(data(2))));
    client.send_call(3, WAIT, &data(3)).await;
    client.send_call(4, ECHO, &data(4)).await;
    assert_eq!(results(&client.reply().await), (4, Ok(data(4))));
    fixture.release(2);
    let mut late: Vec<(u32, Result<Data, _>)> = vec![];
    for _ in 0..2 {
        late.push(results(&client.reply().await));
    }
    late.sort_by_key(|(xid, _)| *xid);
    assert_eq!(late, [(1, Ok(data(1))), (3, Ok(data(3)))]);
}

#[tokio::test]
async fn a_client_that_ends_its_stream_gets_its_replies() {
    let fixture = Fixture::start(small_limits());
    let mut client = Client::connect(&fixture).await;
    // Two that do not fit into the limit of a connection at once.
    for xid in [1, 2] {
        client.send_call(xid, WAIT, &data(500_000)).await;
    }
    client.stream.shutdown().await.expect("a half-closed stream");
    fixture.until_begun(1).await;
    fixture.release(2);
    for xid in [1, 2] {
        assert_eq!(results(&client.reply().await), (xid, Ok(data(500_000))));
    }
    client.until_closed().await;
}

#[tokio::test]
async fn what_is_no_call_closes_the_connection() {
    let reply = [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0];
    let message = call(1, ECHO, &data(4));
    let long_credential = {
        let mut message = message.to_vec();
        message[28..32].copy_from_slice(&401_u32.to_be_bytes());
        message
    };
    for bad in
        [&b"GET / HTTP/1.1\r\n\r\n"[..], &reply, &message[..39], &message[..3], &long_credential]
    {
        let fixture = Fixture::start(small_limits());
        let mut client = Client::connect(&fixture).await;
        client.send(&record(bad)).await;
        client.until_closed().await;
    }
}

#[tokio::test]
async fn a_record_above_the_limit_closes_the_connection() {
    let limit = small_limits().record_size as u32;
    let rest = Bytes::from(vec![0; 10]);
    for stream in [
        (LAST_FRAGMENT | (limit + 1)).to_be_bytes().to_vec(),
        u32::MAX.to_be_bytes().to_vec(),
        [fragment(&rest, false), limit.to_be_bytes().to_vec()].concat(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let fixture = Fixture::start(small_limits());
        let mut client = Client::connect(&fixture).await;
        client.send(&stream).await;
        client.until_closed().await;
        fixture.until_nothing_in_flight().await;
    }
}
