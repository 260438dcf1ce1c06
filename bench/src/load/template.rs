//! Calls that are encoded once and patched for each use.

use bytes::{BufMut, Bytes, BytesMut};
use standfast_rpc::message::CallMessage;
use standfast_rpc::record::{LAST_FRAGMENT, MARK_SIZE};
use standfast_rpc::xdr::{Encode, Encoder, to_bytes};

use super::session::credential;

/// Digits of a number in a name.
pub const DIGITS: usize = 11;
/// Stands in arguments where [`Field::Digits`] go, as part of a name.
pub const MARKED_NAME: [u8; DIGITS] = [b'#'; DIGITS];
/// Stands in arguments where a [`Field::Word`] goes.
pub const MARKED_WORD: u64 = 0xF1E2_D3C4_B5A6_9788;
/// What is copied of a call for each use; the rest of a longer one is shared.
const HEAD: usize = 8 << 10;

/// What differs from one use to the next, apart from the transaction id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Nothing.
    None,
    /// Wherever the arguments have [`MARKED_WORD`].
    Word,
    /// Wherever the arguments have [`MARKED_NAME`].
    Digits,
}

/// A call with its record mark.
#[derive(Debug, Clone)]
pub struct Template {
    head: Vec<u8>,
    tail: Bytes,
    field: Field,
    places: Vec<usize>,
}

impl Template {
    /// A call of `procedure` (program, version and number).
    pub fn new(procedure: (u32, u32, u32), arguments: &impl Encode, field: Field) -> Self {
        let mut encoder = Encoder::default();
        CallMessage::encode_header(&mut encoder, 0, procedure, &credential());
        arguments.encode(&mut encoder);
        let length = encoder.len();
        let mut record = BytesMut::with_capacity(MARK_SIZE + length);
        record.put_u32(length as u32 | LAST_FRAGMENT);
        encoder.into_segments().iter().for_each(|segment| record.extend_from_slice(segment));
        let tail = record.split_off(record.len().min(HEAD)).freeze();
        let places = match field {
            Field::None => Vec::new(),
            Field::Word => occurrences(&record, &to_bytes(&MARKED_WORD)),
            Field::Digits => occurrences(&record, &MARKED_NAME),
        };
        Self { head: record.into(), tail, field, places }
    }

    /// The part that must be sent first, patched, is appended to `buffer`; the part to be sent
    /// after it is returned.
    pub(super) fn write(&self, xid: u32, value: u64, buffer: &mut BytesMut) -> &Bytes {
        let start = buffer.len();
        buffer.extend_from_slice(&self.head);
        let call = &mut buffer[start..];
        call[MARK_SIZE..MARK_SIZE + 4].copy_from_slice(&xid.to_be_bytes());
        for &place in &self.places {
            match self.field {
                Field::Digits => write_digits(&mut call[place..place + DIGITS], value),
                Field::Word | Field::None => {
                    call[place..place + 8].copy_from_slice(&value.to_be_bytes());
                }
            }
        }
        &self.tail
    }
}

/// Where `needle` is in `haystack`.
fn occurrences(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    let windows = haystack.windows(needle.len()).enumerate();
    windows.filter(|(_, window)| *window == needle).map(|(place, _)| place).collect()
}

fn write_digits(place: &mut [u8], mut value: u64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use standfast_rpc::xdr::{self, Opaque};

    type Argument = Opaque<0x10_0000>;

    fn written(template: &Template, value: u64) -> (CallMessage, Bytes) {
        let mut buffer = BytesMut::new();
        let tail = template.write(0xABCD, value, &mut buffer);
        buffer.extend_from_slice(tail);
        let record = buffer.freeze();
        let length = record.len() - MARK_SIZE;
        assert_eq!(record[..MARK_SIZE], (length as u32 | LAST_FRAGMENT).to_be_bytes());
        let call = CallMessage::decode(&record.slice(MARK_SIZE..)).unwrap();
        let arguments = call.arguments.clone();
        (call, arguments)
    }

    #[test]
    fn patches_digits() {
        let name = Argument::copy_from_slice(&[b"f".as_slice(), &MARKED_NAME].concat());
        let (call, arguments) = written(&Template::new((1, 2, 3), &name, Field::Digits), 42);
        assert_eq!((call.xid, call.program, call.version, call.procedure), (0xABCD, 1, 2, 3));
        let name: Argument = xdr::from_bytes(&arguments).unwrap();
        assert_eq!(&*name, b"f00000000042");
    }

    #[test]
    fn patches_the_head_of_a_long_call() {
        let mut payload = MARKED_WORD.to_be_bytes().to_vec();
        payload.resize(100_000, 7);
        let payload = Argument::from(payload);
        let (_, arguments) = written(&Template::new((1, 2, 3), &payload, Field::Word), 9);
        let payload: Argument = xdr::from_bytes(&arguments).unwrap();
        assert_eq!(payload[..8], 9_u64.to_be_bytes());
        assert!(payload.len() == 100_000 && payload[8..].iter().all(|byte| *byte == 7));
    }
}
