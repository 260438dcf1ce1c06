//! Calls on their way out.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};
use std::net::TcpStream;

use bytes::{Buf, Bytes, BytesMut};

use super::Template;

/// Most segments of one system call.
const SEGMENTS: usize = 64;

/// What is still to be sent on a connection.
#[derive(Debug, Default)]
pub struct Outbox {
    queue: VecDeque<Bytes>,
    /// After the queue.
    buffer: BytesMut,
}

impl Outbox {
    /// Adds a call.
    pub fn push(&mut self, template: &Template, xid: u32, value: u64) {
        let tail = template.write(xid, value, &mut self.buffer);
        if !tail.is_empty() {
            self.queue.push_back(self.buffer.split().freeze());
            self.queue.push_back(tail.clone());
        }
    }

    /// Whether everything has left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.buffer.is_empty()
    }

    /// Sends what the socket takes.
    ///
    /// # Errors
    /// Those of the socket, but not that it would block.
    pub(super) fn send(&mut self, mut stream: &TcpStream) -> io::Result<()> {
        while !self.is_empty() {
            let sent = {
                let mut slices = [IoSlice::new(&[]); SEGMENTS];
                let segments = self.queue.iter().map(|segment| segment.as_ref());
                let all = segments.chain([self.buffer.as_ref()]);
                let count = slices
                    .iter_mut()
                    .zip(all)
                    .map(|(slot, slice)| *slot = IoSlice::new(slice))
                    .count();
                stream.write_vectored(&slices[..count])
            };
            match sent {
                Ok(sent) => self.advance(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.queue.front_mut() {
            let step = count.min(first.len());
            first.advance(step);
            count -= step;
            if !first.is_empty() {
                return;
            }
            self.queue.pop_front();
        }
        self.buffer.advance(count);
    }
}
