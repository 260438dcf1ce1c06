//! A client that can say anything.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::message::{CallMessage, ReplyStatus};
use standfast_rpc::record::{LAST_FRAGMENT, RecordReader};
use standfast_rpc::xdr::{Decode, Decoder, Encode, Encoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::program::{Fixture, NUMBER, PATIENCE, VERSION};

/// A call to the test program.
pub(crate) fn call(xid: u32, procedure: u32, arguments: &impl Encode) -> Bytes {
    call_with(xid, (NUMBER, VERSION, procedure), &OpaqueAuth::none(), arguments)
}

pub(crate) fn call_with(
    xid: u32,
    procedure: (u32, u32, u32),
    credential: &OpaqueAuth,
    arguments: &impl Encode,
) -> Bytes {
    let mut encoder = Encoder::default();
    CallMessage::encode_header(&mut encoder, xid, procedure, credential);
    arguments.encode(&mut encoder);
    encoder.into_segments().to_bytes()
}

/// A message as a record of one fragment.
pub(crate) fn record(message: &[u8]) -> Vec<u8> {
    fragment(message, true)
}

pub(crate) fn fragment(part: &[u8], last: bool) -> Vec<u8> {
    let mark = part.len() as u32 | if last { LAST_FRAGMENT } else { 0 };
    [&mark.to_be_bytes()[..], part].concat()
}

/// The results of a reply to the call `xid`, or what else became of it.
pub(crate) fn results<T: Decode>(reply: &Bytes) -> (u32, Result<T, ReplyStatus>) {
    let mut decoder = Decoder::new(reply);
    let (xid, status) = ReplyStatus::decode(&mut decoder).expect("a reply");
    let results = match status {
        ReplyStatus::Success => Ok(T::decode(&mut decoder).expect("results")),
        other => Err(other),
    };
    decoder.finish().expect("the end of the reply");
    (xid, results)
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    reader: RecordReader,
    buffer: BytesMut,
}

impl Client {
    pub(crate) async fn connect(fixture: &Fixture) -> Self {
        Self::connect_to(fixture.tcp).await
    }

    pub(crate) async fn connect_to(server: SocketAddr) -> Self {
        let stream = TcpStream::connect(server).await.expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, reader: RecordReader::new(4 << 20), buffer: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("room in the socket");
    }

    pub(crate) async fn send_call(&mut self, xid: u32, procedure: u32, arguments: &impl Encode) {
        self.send(&record(&call(xid, procedure, arguments))).await;
    }

    /// The next reply, without its mark.
    pub(crate) async fn reply(&mut self) -> Bytes {
        timeout(PATIENCE, self.try_reply()).await.expect("a reply in time").expect("a reply")
    }

    /// The next reply; an error if the server closes the connection.
    pub(crate) async fn try_reply(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(reply) = self.reader.next(&mut self.buffer).map_err(io::Error::other)? {
                return Ok(reply);
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// A call that is answered, and its results.
    pub(crate) async fn ask<T: Decode>(
        &mut self,
        xid: u32,
        procedure: u32,
        arguments: &impl Encode,
    ) -> Result<T, ReplyStatus> {
        self.send_call(xid, procedure, arguments).await;
        let (answered, results) = results(&self.reply().await);
        assert_eq!(answered, xid);
        results
    }

    /// Waits until the server closes the connection, without any reply.
    pub(crate) async fn until_closed(&mut self) {
        let end = timeout(PATIENCE, self.try_reply()).await.expect("an end in time");
        assert!(end.is_err(), "a reply: {end:?}");
    }
}
