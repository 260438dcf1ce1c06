//! Records on their way to the disk, in batches; no I/O.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::flush::Scope;
use crate::record::{self, Head, Kind};
use crate::ticket::Group;

/// Records that one flush makes durable.
pub(crate) struct Batch {
    /// Records as [`record::push`] makes them.
    pub(crate) bytes: Vec<u8>,
    pub(crate) last: u64,
    pub(crate) scope: Scope,
    /// Whether the batch starts a new segment.
    pub(crate) starts_segment: bool,
    pub(crate) group: Arc<Group>,
    /// Threads that wait for it.
    pub(crate) threads: usize,
    /// Whether a task or a callback waits for it.
    pub(crate) is_asked: bool,
    is_closed: bool,
}

/// The batches that wait, oldest first. The last one still takes records.
pub(crate) struct Queue {
    batches: VecDeque<Batch>,
    epoch: u64,
    /// The last sequence that was given out.
    last: u64,
    bytes: usize,
    batch_bytes: usize,
    /// Whether the next batch starts a new segment.
    cut: bool,
}

impl Queue {
    pub(crate) fn new(epoch: u64, last: u64, batch_bytes: usize) -> Self {
        Self { batches: VecDeque::new(), epoch, last, bytes: 0, batch_bytes, cut: false }
    }

    /// The last sequence that was given out.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Bytes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds a record; gives its sequence and who waits for it.
    pub(crate) fn push(&mut self, tag: u16, payload: &[u8], scope: Scope) -> (u64, Arc<Group>) {
        let size = record::size_for(payload.len());
        let full = |batch: &Batch| batch.is_closed || batch.bytes.len() + size > self.batch_bytes;
        if self.batches.back().is_none_or(full) {
            self.batches.push_back(Batch {
                bytes: Vec::new(),
                last: self.last,
                scope: Scope::default(),
                starts_segment: std::mem::take(&mut self.cut),
                group: Arc::default(),
                threads: 0,
                is_asked: false,
                is_closed: false,
            });
        }
        self.last += 1;
        self.bytes += size;
        let head =
            Head { kind: Kind::Entry, tag, epoch: self.epoch, sequence: self.last, durable: 0 };
        let index = self.batches.len() - 1;
        let batch = &mut self.batches[index];
        record::push(&mut batch.bytes, head, payload);
        batch.last = self.last;
        batch.scope = batch.scope.max(scope);
        (self.last, Arc::clone(&batch.group))
    }

    /// Lets the next record start a new segment.
    pub(crate) fn cut(&mut self) {
        self.cut = true;
        if let Some(batch) = self.batches.back_mut() {
            batch.is_closed = true;
        }
    }

    /// The oldest batch, to be written.
    pub(crate) fn take(&mut self) -> Option<Batch> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.bytes.len();
        Some(batch)
    }

    /// The oldest batch.
    pub(crate) fn front(&self) -> Option<&Batch> {
        self.batches.front()
    }

    /// The newest batch.
    pub(crate) fn back(&self) -> Option<&Batch> {
        self.batches.back()
    }

    /// All batches, oldest first.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.iter()
    }

    /// The batch that this group waits for, unless it was taken.
    pub(crate) fn find(&mut self, group: &Arc<Group>) -> Option<&mut Batch> {
        self.batches.iter_mut().find(|batch| Arc::ptr_eq(&batch.group, group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_share_a_batch_until_it_is_full_or_cut() {
        let mut queue = Queue::new(1, 10, 2 * record::size_for(8));
        let push = |queue: &mut Queue| queue.push(0, &[0; 8], Scope::Record).0;
        assert_eq!([push(&mut queue), push(&mut queue), push(&mut queue)], [11, 12, 13]);
        queue.cut();
        push(&mut queue);
        let ranges: Vec<_> =
            queue.batches().map(|batch| (batch.last, batch.starts_segment)).collect();
        assert_eq!(ranges, [(12, false), (13, false), (14, true)]);
        let waiting = queue.bytes();
        let taken = queue.take().unwrap();
        assert_eq!(queue.bytes(), waiting - taken.bytes.len());
        assert_eq!(queue.last(), 14);
    }

    #[test]
    fn a_batch_has_the_widest_scope_of_its_records() {
        let mut queue = Queue::new(1, 0, 4096);
        for scope in [Scope::Record, Scope::Namespace, Scope::Record] {
            queue.push(0, b"", scope);
        }
        assert_eq!(queue.take().unwrap().scope, Scope::Namespace);
    }
}
