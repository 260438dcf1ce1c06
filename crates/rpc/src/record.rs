//! Record marking on a byte stream (RFC 5531 section 11).

use bytes::{Buf, Bytes, BytesMut};

/// The bit of a record mark that says "last fragment".
pub const LAST_FRAGMENT: u32 = 0x8000_0000;

/// The bytes of a record mark.
pub const MARK_SIZE: usize = 4;

/// A record is longer than the limit: the stream is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record of at least {length} bytes is above the limit of {limit} bytes")]
pub struct RecordTooLong {
    /// Bytes announced so far.
    pub length: usize,
    /// The limit in force.
    pub limit: usize,
}

/// Takes records out of a stream of bytes.
///
/// A record of one fragment, as nearly all are, is taken out as a slice of the receive buffer;
/// only a record of several fragments is put together by copying.
#[derive(Debug)]
pub struct RecordReader {
    limit: usize,
    assembled: BytesMut,
    /// Inside a record of several fragments.
    inside: bool,
}

/// What is known of the record that arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arriving {
    /// Bytes of its fragments so far, the one that arrives included.
    pub size: usize,
    /// Bytes that the fragment which arrives still lacks.
    pub missing: usize,
    /// Bytes that it may grow to.
    pub most: usize,
}

impl RecordReader {
    /// Accepts records of up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, assembled: BytesMut::new(), inside: false }
    }

    /// The next whole record, if `buffer` holds its end.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, RecordTooLong> {
        while let Some((length, last)) = self.mark(buffer)? {
            if buffer.len() < MARK_SIZE + length {
                return Ok(None);
            }
            buffer.advance(MARK_SIZE);
            let fragment = buffer.split_to(length);
            self.inside = !last;
            if last && self.assembled.is_empty() {
                return Ok(Some(fragment.freeze()));
            }
            self.assembled.extend_from_slice(&fragment);
            if last {
                return Ok(Some(std::mem::take(&mut self.assembled).freeze()));
            }
        }
        Ok(None)
    }

    /// What is known of the record that arrives.
    pub fn arriving(&self, buffer: &BytesMut) -> Result<Arriving, RecordTooLong> {
        let assembled = self.assembled.len();
        Ok(match self.mark(buffer)? {
            None if !self.inside => Arriving::default(),
            None => Arriving { size: assembled, missing: 0, most: self.limit },
            Some((length, last)) => {
                let size = assembled + length;
                let missing = (MARK_SIZE + length).saturating_sub(buffer.len());
                Arriving { size, missing, most: if last { size } else { self.limit } }
            }
        })
    }

    /// Whether a record has begun and not ended.
    pub fn is_partial(&self, buffer: &BytesMut) -> bool {
        !buffer.is_empty() || self.inside
    }

    fn mark(&self, buffer: &BytesMut) -> Result<Option<(usize, bool)>, RecordTooLong> {
        let Some(bytes) = buffer.first_chunk::<MARK_SIZE>() else { return Ok(None) };
        let mark = u32::from_be_bytes(*bytes);
        let length = (mark & !LAST_FRAGMENT) as usize;
        let total = self.assembled.len() + length;
        if total > self.limit {
            return Err(RecordTooLong { length: total, limit: self.limit });
        }
        Ok(Some((length, mark & LAST_FRAGMENT != 0)))
    }
}
