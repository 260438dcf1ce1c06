//! A reply on its way out: record mark, header and results in one buffer.

use crate::message::ReplyStatus;
use crate::record::{LAST_FRAGMENT, MARK_SIZE};
use crate::xdr::{Encode, Encoder, Segments};

/// Room for the mark, the header and the small values of most results.
const CAPACITY: usize = 192;

/// Encoded results of a call, behind a header that lacks the transaction id yet.
#[derive(Debug)]
pub struct Results(Encoder);

impl Results {
    /// Encodes results.
    pub fn new<T: Encode + ?Sized>(results: &T) -> Self {
        let mut encoder = header(ReplyStatus::Success);
        results.encode(&mut encoder);
        Self(encoder)
    }

    /// Begins results that are written piece by piece, up to [`Results::end`].
    pub fn begin() -> Encoder {
        header(ReplyStatus::Success)
    }

    /// The results that were written to what [`Results::begin`] gave.
    pub fn end(encoder: Encoder) -> Self {
        Self(encoder)
    }

    /// The reply to the call `xid`, as a record.
    pub fn into_record(self, xid: u32) -> Segments {
        finish(self.0, xid)
    }
}

/// A reply without results to the call `xid`, as a record.
pub(crate) fn refusal(xid: u32, status: ReplyStatus) -> Segments {
    finish(header(status), xid)
}

/// A record mark and a reply header, without what is not known yet.
fn header(status: ReplyStatus) -> Encoder {
    let mut encoder = Encoder::with_capacity(CAPACITY);
    encoder.u32(0);
    status.encode_header(&mut encoder, 0);
    encoder
}

fn finish(mut encoder: Encoder, xid: u32) -> Segments {
    let mark = (encoder.len() - MARK_SIZE) as u32 | LAST_FRAGMENT;
    encoder.set_at(0, &(u64::from(mark) << 32 | u64::from(xid)).to_be_bytes());
    encoder.into_segments()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xdr::{Decoder, Opaque};

    #[test]
    fn a_record_holds_header_and_results() {
        for size in [0, 5, 511, 512, 70_000] {
            let results = Opaque::<100_000>::from(vec![7; size]);
            let segments = Results::new(&(results.clone())).into_record(0x1234_5678);
            assert_eq!(segments.len(), segments.to_bytes().len());
            let record = segments.to_bytes();
            let mark = (record.len() - MARK_SIZE) as u32 | LAST_FRAGMENT;
            assert_eq!(record[..MARK_SIZE], mark.to_be_bytes());
            let message = record.slice(MARK_SIZE..);
            let mut decoder = Decoder::new(&message);
            let decoded = ReplyStatus::decode(&mut decoder);
            assert_eq!(decoded, Ok((0x1234_5678, ReplyStatus::Success)));
            assert_eq!(decoder.opaque(100_000), Ok(results.0));
            assert_eq!(decoder.finish(), Ok(()));
        }
    }
}
