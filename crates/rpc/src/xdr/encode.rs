//! Writing XDR.

use bytes::{BufMut, Bytes, BytesMut};

use super::decode::padding;

/// Opaque data from this size on is sent from where it lies instead of being copied.
const SHARE_FROM: usize = 512;

/// Zeros to pad with.
const ZEROS: [u8; 4] = [0; 4];

/// A message being written: small values are gathered in one buffer, large opaque data is kept
/// as a segment of its own, so that a payload is never copied on its way to the socket.
#[derive(Debug, Default)]
pub struct Encoder {
    /// What comes before the first segment, once there is one; it stays writable.
    head: BytesMut,
    /// The segments after it.
    rest: Vec<Bytes>,
    /// Bytes of both.
    gathered: usize,
    /// What comes last.
    buffer: BytesMut,
}

/// A place in a message that is being written, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    length: usize,
    segments: usize,
    buffered: usize,
}

/// A written message: parts to be sent one after the other.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    /// The first part.
    pub head: Bytes,
    /// The others; for most messages, none.
    pub rest: Vec<Bytes>,
}

impl Segments {
    /// The parts.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(&self.rest)
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.iter().map(Bytes::len).sum()
    }

    /// Whether the message is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The whole in one piece; copied if it is not.
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.head.clone();
        }
        let mut all = BytesMut::with_capacity(self.len());
        self.iter().for_each(|segment| all.extend_from_slice(segment));
        all.freeze()
    }
}

impl Encoder {
    /// An empty message with room for `capacity` bytes of small values.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { buffer: BytesMut::with_capacity(capacity), ..Self::default() }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.gathered + self.buffer.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An unsigned integer.
    pub fn u32(&mut self, value: u32) {
        self.buffer.put_u32(value);
    }

    /// Fixed-length opaque data.
    pub fn fixed(&mut self, value: &[u8]) {
        self.buffer.put_slice(value);
        self.pad(value.len());
    }

    /// Variable-length opaque data, copied.
    pub fn opaque(&mut self, value: &[u8]) {
        self.length(value.len());
        self.fixed(value);
    }

    /// Variable-length opaque data, shared if it is large.
    pub fn shared(&mut self, value: &Bytes) {
        if value.len() < SHARE_FROM {
            return self.opaque(value);
        }
        self.length(value.len());
        self.push_segment(value.clone());
        self.pad(value.len());
    }

    /// Values that are encoded already.
    pub fn append(&mut self, values: Bytes) {
        debug_assert!(values.len().is_multiple_of(4));
        if values.len() < SHARE_FROM {
            self.buffer.put_slice(&values);
        } else {
            self.push_segment(values);
        }
    }

    /// A length. Values longer than the 4 GiB that XDR can say do not occur: messages are far
    /// shorter.
    pub fn length(&mut self, length: usize) {
        debug_assert!(u32::try_from(length).is_ok());
        self.u32(length as u32);
    }

    /// The message as segments, to be sent one after the other.
    pub fn into_segments(mut self) -> Segments {
        if self.rest.is_empty() {
            return Segments { head: self.buffer.freeze(), rest: self.rest };
        }
        if !self.buffer.is_empty() {
            self.rest.push(self.buffer.freeze());
        }
        Segments { head: self.head.freeze(), rest: self.rest }
    }

    /// Overwrites bytes from `position` on, such as a header that was left open. They must have
    /// been written before any large data.
    pub fn set_at(&mut self, position: usize, value: &[u8]) {
        let start = if self.rest.is_empty() { &mut self.buffer } else { &mut self.head };
        start[position..position + value.len()].copy_from_slice(value);
    }

    /// This place.
    pub fn mark(&self) -> Mark {
        Mark { length: self.len(), segments: self.rest.len(), buffered: self.buffer.len() }
    }

    /// Takes back what was written since `mark`, which must be of this message and not behind its
    /// end.
    pub fn reset(&mut self, mark: Mark) {
        if self.rest.len() > mark.segments {
            // What was buffered then became the head or a segment.
            self.buffer = match mark.segments {
                0 => std::mem::take(&mut self.head),
                at if mark.buffered > 0 => BytesMut::from(self.rest.swap_remove(at)),
                _ => BytesMut::new(),
            };
            self.rest.truncate(mark.segments);
        }
        self.buffer.truncate(mark.buffered);
        self.gathered = mark.length - mark.buffered;
    }

    /// A copy of all from `position` on.
    pub fn copy_from(&self, position: usize) -> Bytes {
        let mut all = BytesMut::with_capacity(self.len() - position);
        let mut skip = position;
        let rest = self.rest.iter().map(|segment| &segment[..]);
        for part in std::iter::once(&self.head[..]).chain(rest).chain([&self.buffer[..]]) {
            let skipped = skip.min(part.len());
            all.extend_from_slice(&part[skipped..]);
            skip -= skipped;
        }
        all.freeze()
    }

    fn push_segment(&mut self, segment: Bytes) {
        let before = self.buffer.split();
        self.gathered += before.len() + segment.len();
        if self.rest.is_empty() {
            self.head = before;
        } else if !before.is_empty() {
            self.rest.push(before.freeze());
        }
        self.rest.push(segment);
    }

    fn pad(&mut self, length: usize) {
        match padding(length) {
            0 => {}
            missing => self.buffer.put_slice(&ZEROS[..missing]),
        }
    }
}

/// A value that can be written as XDR.
pub trait Encode {
    /// Appends the value.
    fn encode(&self, encoder: &mut Encoder);
}

/// One value as contiguous bytes.
pub fn to_bytes<T: Encode + ?Sized>(value: &T) -> Bytes {
    let mut encoder = Encoder::default();
    value.encode(&mut encoder);
    encoder.into_segments().to_bytes()
}
