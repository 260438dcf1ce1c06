//! Records: however a stream is cut up, the same records come out, within the limit.

use bytes::{Bytes, BytesMut};
use standfast_rpc::record::{RecordReader, RecordTooLong};

const LIMIT: usize = 64 << 10;

/// The first byte says how the rest, the stream, is cut up.
pub(crate) fn check(data: &[u8]) {
    let Some((step, stream)) = data.split_first() else { return };
    let whole = read(stream.chunks(stream.len().max(1)));
    let in_pieces = read(stream.chunks(usize::from(*step).max(1)));
    assert_eq!(whole, in_pieces);
}

/// The records of a stream that arrives in chunks, and how it ended.
fn read<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Result<(), RecordTooLong>) {
    let (mut reader, mut buffer, mut records) =
        (RecordReader::new(LIMIT), BytesMut::new(), Vec::new());
    for chunk in chunks {
        buffer.extend_from_slice(chunk);
        loop {
            match reader.next(&mut buffer) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => break,
                Err(error) => return (records, Err(error)),
            }
        }
        let arriving = match reader.arriving(&buffer) {
            Ok(arriving) => arriving,
            Err(error) => return (records, Err(error)),
        };
        assert!(arriving.size <= arriving.most && arriving.most <= LIMIT);
        assert!(reader.is_partial(&buffer) || arriving.size == 0);
    }
    assert!(records.iter().all(|record| record.len() <= LIMIT));
    (records, Ok(()))
}
