//! Buffers for the payload of READ.
//!
//! Memory fresh from the kernel costs a page fault for every 4 KiB and has to be zeroed; large
//! buffers are therefore kept for the next request, a few of them.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// Sizes that are kept: powers of two from this one up.
const SMALLEST: usize = 32 << 10;
const CLASSES: usize = 6;

/// Buffers for payloads.
#[derive(Clone, Debug)]
pub struct Buffers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Most bytes of unused buffers in each class.
    most: usize,
    free: [Mutex<Vec<Vec<u8>>>; CLASSES],
}

/// A buffer; it goes back to its pool when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    length: usize,
    pool: Option<(Arc<Shared>, usize)>,
}

impl Buffers {
    /// A pool that keeps at most `most` bytes of unused buffers of each size.
    pub fn new(most: usize) -> Self {
        Self { shared: Arc::new(Shared { most, free: Default::default() }) }
    }

    /// A buffer of `length` bytes. What is in it is of no meaning.
    pub fn take(&self, length: usize) -> Buffer {
        let class = (length.div_ceil(SMALLEST)).next_power_of_two().trailing_zeros() as usize;
        let Some(free) = self.shared.free.get(class).filter(|_| length >= SMALLEST) else {
            return Buffer { bytes: vec![0; length], length, pool: None };
        };
        let kept = free.lock().pop();
        let bytes = kept.unwrap_or_else(|| vec![0; SMALLEST << class]);
        Buffer { bytes, length, pool: Some((Arc::clone(&self.shared), class)) }
    }
}

impl Buffer {
    /// The bytes, to be filled.
    pub fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// The first `length` bytes, for sending.
    pub fn into_bytes(mut self, length: usize) -> Bytes {
        self.length = self.length.min(length);
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some((pool, class)) = self.pool.take() else { return };
        let mut free = pool.free[class].lock();
        if free.len() * (SMALLEST << class) < pool.most {
            free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_buffer_is_used_again_and_a_small_one_is_not_kept() {
        let buffers = Buffers::new(64 << 10);
        let mut first = buffers.take(40 << 10);
        first.as_mut().fill(7);
        let address = first.as_ref().as_ptr();
        drop(first.into_bytes(10));
        assert_eq!(buffers.take(64 << 10).as_ref().as_ptr(), address);
        assert_eq!(buffers.take(32 << 10).bytes.len(), 32 << 10);
        assert_eq!(buffers.take(1 << 20).bytes.len(), 1 << 20);
        drop(buffers.take(100));
        let kept = buffers.shared.free.each_ref().map(|free| free.lock().len());
        assert_eq!(kept, [1, 1, 0, 0, 0, 1]);
    }
}
