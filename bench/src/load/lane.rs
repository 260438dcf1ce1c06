//! One connection under load.

use std::net::TcpStream;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use rustix::net::{RecvFlags, recv};
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::record::RecordReader;
use standfast_rpc::xdr::Decoder;

use super::session::{REPLY_LIMIT, fresh_xid};
use super::{Outbox, Progress, Work};
use crate::Error;

/// Room to receive into, at least.
const ROOM: usize = 64 << 10;
/// Receive buffers are made this large: several of the longest replies.
const INBOX: usize = 4 << 20;

/// An operation in flight.
#[derive(Debug, Clone, Copy)]
struct Slot {
    /// Of its last call.
    xid: u32,
    started: Instant,
}

/// A connection with its operations in flight.
pub(super) struct Lane<'a> {
    stream: &'a TcpStream,
    work: Box<dyn Work + 'a>,
    reader: RecordReader,
    inbox: BytesMut,
    outbox: Outbox,
    slots: Vec<Option<Slot>>,
    /// The work has no more to ask.
    exhausted: bool,
    /// Operations that were answered.
    pub(super) completed: u64,
}

/// An operation that is done.
pub(super) struct Completion {
    pub(super) started: Instant,
    pub(super) units: u64,
}

impl<'a> Lane<'a> {
    pub(super) fn new(stream: &'a TcpStream, work: Box<dyn Work + 'a>, depth: usize) -> Self {
        Self {
            stream,
            work,
            reader: RecordReader::new(REPLY_LIMIT),
            inbox: BytesMut::with_capacity(INBOX),
            outbox: Outbox::default(),
            slots: vec![None; depth],
            exhausted: false,
            completed: 0,
        }
    }

    pub(super) fn stream(&self) -> &'a TcpStream {
        self.stream
    }

    pub(super) fn wants_to_send(&self) -> bool {
        !self.outbox.is_empty()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.slots.iter().all(Option::is_none)
    }

    pub(super) fn work(&mut self) -> &mut dyn Work {
        self.work.as_mut()
    }

    /// Begins an operation in each free slot.
    pub(super) fn fill(&mut self, now: Instant) {
        for index in 0..self.slots.len() {
            if self.exhausted {
                return;
            }
            if self.slots[index].is_none() {
                self.ask(index, now);
            }
        }
    }

    fn ask(&mut self, index: usize, started: Instant) {
        let xid = fresh_xid();
        if self.work.next(index, xid, &mut self.outbox) {
            self.slots[index] = Some(Slot { xid, started });
        } else {
            self.exhausted = true;
            self.slots[index] = None;
        }
    }

    pub(super) fn send(&mut self) -> Result<(), Error> {
        self.outbox.send(self.stream).map_err(Error::io("send calls"))
    }

    /// Takes in what has come, with one system call.
    pub(super) fn receive(&mut self) -> Result<(), Error> {
        if self.inbox.capacity() - self.inbox.len() < ROOM {
            self.inbox.reserve(INBOX);
        }
        match receive(self.stream, &mut self.inbox) {
            Ok(0) => Err(Error::Closed),
            Ok(_) => Ok(()),
            Err(error) if error == rustix::io::Errno::AGAIN || error == rustix::io::Errno::INTR => {
                Ok(())
            }
            Err(error) => Err(Error::io("receive replies")(error)),
        }
    }

    /// The next operation that is done, of those whose replies are here.
    pub(super) fn completion(&mut self) -> Result<Option<Completion>, Error> {
        while let Some(reply) = self.reader.next(&mut self.inbox)? {
            if let Some(completion) = self.take(&reply)? {
                self.completed += 1;
                return Ok(Some(completion));
            }
        }
        Ok(None)
    }

    fn take(&mut self, reply: &Bytes) -> Result<Option<Completion>, Error> {
        let mut decoder = Decoder::new(reply);
        let (xid, status) = ReplyStatus::decode(&mut decoder)?;
        let in_flight = self.slots.iter().enumerate().find_map(|(index, slot)| match slot {
            Some(slot) if slot.xid == xid => Some((index, slot.started)),
            _ => None,
        });
        let Some((index, started)) = in_flight else { return Err(Error::UnknownXid(xid)) };
        if status != ReplyStatus::Success {
            return Err(Error::Refused(status));
        }
        let progress = self.work.judge(index, &mut decoder)?;
        decoder.finish()?;
        match progress {
            Progress::More => {
                self.ask(index, started);
                Ok(None)
            }
            Progress::Done(units) => {
                self.slots[index] = None;
                Ok(Some(Completion { started, units }))
            }
        }
    }
}

/// Receives into the spare capacity of `buffer`.
fn receive(stream: &TcpStream, buffer: &mut BytesMut) -> rustix::io::Result<usize> {
    let ((received, _), _) = recv(stream, buffer.spare_capacity_mut(), RecvFlags::empty())?;
    let length = received.len();
    // SAFETY: `recv` has written the first `length` bytes of the spare capacity.
    unsafe { buffer.set_len(buffer.len() + length) };
    Ok(length)
}
