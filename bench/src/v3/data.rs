//! READ and WRITE.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use standfast_nfs::v3::protocol::{
    Attributes, FileHandle, Procedure, ReadArgs, ReadOk, StableHow, WccData, WriteArgs, WriteOk,
};
use standfast_rpc::xdr::{Decoder, Opaque};

use super::calls::{expect, judge, procedure};
use crate::load::{Field, MARKED_WORD, Outbox, Progress, Random, Template, Work};
use crate::rows::{Order, Stability};
use crate::{Error, pattern};

/// Which block of a file is next.
pub(super) struct Blocks {
    size: usize,
    first: u64,
    count: u64,
    order: Order,
    random: Random,
    /// Blocks given so far.
    given: u64,
    /// The offset that each slot was given.
    offsets: Vec<u64>,
}

impl Blocks {
    /// Blocks of `size` bytes of a file of `length` bytes that `share.1` connections share, of
    /// which this is number `share.0`. `seed` makes one run differ from another.
    pub(super) fn new(
        (size, order): (usize, Order),
        length: u64,
        (index, of): (usize, usize),
        seed: u64,
    ) -> Self {
        let all = length / size as u64;
        let count = match order {
            Order::Random => all,
            Order::Sequential => all / of as u64,
        };
        let first = match order {
            Order::Random => 0,
            Order::Sequential => count * index as u64,
        };
        let random = Random::new(seed);
        Self { size, first, count, order, random, given: 0, offsets: Vec::new() }
    }

    fn next(&mut self, slot: usize) -> u64 {
        let block = match self.order {
            Order::Random => self.random.below(self.count),
            Order::Sequential => self.given % self.count.max(1),
        };
        self.given += 1;
        let offset = (self.first + block) * self.size as u64;
        if self.offsets.len() <= slot {
            self.offsets.resize(slot + 1, 0);
        }
        self.offsets[slot] = offset;
        offset
    }
}

/// READ of a file that has the pattern.
pub(super) struct Reads {
    template: Template,
    blocks: Blocks,
    thorough: bool,
}

impl Reads {
    pub(super) fn new(file: &FileHandle, blocks: Blocks) -> Self {
        let count = blocks.size as u32;
        let arguments = ReadArgs { file: file.clone(), offset: MARKED_WORD, count };
        let template = Template::new(procedure(Procedure::Read), &arguments, Field::Word);
        Self { template, blocks, thorough: true }
    }
}

impl Work for Reads {
    fn next(&mut self, slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        outbox.push(&self.template, xid, self.blocks.next(slot));
        true
    }

    fn judge(&mut self, slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        let read: ReadOk = judge::<_, Option<Attributes>>(results)?;
        let (offset, size) = (self.blocks.offsets[slot], self.blocks.size);
        expect(read.data.len() == size && read.count as usize == size, || {
            format!("{} bytes instead of {size} at {offset}", read.data.len())
        })?;
        let check = if self.thorough { pattern::is_at } else { pattern::begins_at };
        expect(check(offset, &read.data), || format!("wrong bytes in the block at {offset}"))?;
        Ok(Progress::Done(size as u64))
    }

    fn warmed_up(&mut self) {
        self.thorough = false;
    }
}

/// WRITE to a file, which is looked at afterwards.
pub(super) struct Writes {
    template: Template,
    blocks: Blocks,
    stability: Stability,
    /// The file itself, past the server.
    path: PathBuf,
    verifier: Option<[u8; 8]>,
    /// Blocks that were written.
    written: Vec<bool>,
}

impl Writes {
    pub(super) fn new(
        file: &FileHandle,
        blocks: Blocks,
        stability: Stability,
        path: PathBuf,
    ) -> Self {
        let arguments = WriteArgs {
            file: file.clone(),
            offset: MARKED_WORD,
            count: blocks.size as u32,
            stable: match stability {
                Stability::Unstable => StableHow::Unstable,
                Stability::FileSync => StableHow::FileSync,
            },
            data: Opaque::from(pattern::payload(MARKED_WORD, blocks.size)),
        };
        let template = Template::new(procedure(Procedure::Write), &arguments, Field::Word);
        let written = vec![false; (blocks.first + blocks.count) as usize];
        Self { template, blocks, stability, path, verifier: None, written }
    }
}

impl Work for Writes {
    fn next(&mut self, slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        outbox.push(&self.template, xid, self.blocks.next(slot));
        true
    }

    fn judge(&mut self, slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        let wrote: WriteOk = judge::<_, WccData>(results)?;
        let (offset, size) = (self.blocks.offsets[slot], self.blocks.size);
        expect(wrote.count as usize == size, || {
            format!("{} bytes written instead of {size} at {offset}", wrote.count)
        })?;
        let stable =
            self.stability == Stability::Unstable || wrote.committed == StableHow::FileSync;
        expect(stable, || format!("FILE_SYNC was answered with {:?}", wrote.committed))?;
        let verifier = *self.verifier.get_or_insert(wrote.verifier);
        expect(verifier == wrote.verifier, || "the write verifier changed".into())?;
        if let Some(block) = self.written.get_mut((offset / size as u64) as usize) {
            *block = true;
        }
        Ok(Progress::Done(size as u64))
    }

    fn finish(&mut self) -> Result<(), Error> {
        let file = File::open(&self.path).map_err(Error::path("open", &self.path))?;
        let size = self.blocks.size;
        let (mut right, mut block) = (pattern::payload(0, size), vec![0; size]);
        let written = self.written.iter().enumerate().filter(|(_, written)| **written);
        for offset in written.map(|(index, _)| (index * size) as u64) {
            right[..8].copy_from_slice(&offset.to_be_bytes());
            file.read_exact_at(&mut block, offset).map_err(Error::path("read", &self.path))?;
            expect(block == right, || {
                format!("the block at {offset} is not in {}", self.path.display())
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use standfast_nfs::v3::protocol::Outcome;
    use standfast_rpc::xdr::to_bytes;

    fn judged(reads: &mut Reads, data: &[u8]) -> Result<Progress, Error> {
        let read = ReadOk {
            attributes: None,
            count: data.len() as u32,
            end_of_file: false,
            data: Opaque::copy_from_slice(data),
        };
        let outcome: Outcome<ReadOk, Option<Attributes>> = Outcome::Ok(read);
        let reply: Bytes = to_bytes(&outcome);
        reads.judge(0, &mut Decoder::new(&reply))
    }

    #[test]
    fn wrong_data_fails_a_row() {
        let blocks = Blocks::new((4096, Order::Random), 1 << 20, (0, 1), 1);
        let mut reads = Reads::new(&FileHandle::default(), blocks);
        assert!(reads.next(0, 1, &mut Outbox::default()));
        let mut right = vec![0; 4096];
        pattern::fill(reads.blocks.offsets[0], &mut right);
        assert_eq!(judged(&mut reads, &right).unwrap(), Progress::Done(4096));
        assert!(judged(&mut reads, &right[..2048]).is_err());
        right[4095] ^= 1;
        assert!(judged(&mut reads, &right).is_err());
        reads.warmed_up();
        assert!(judged(&mut reads, &right).is_ok());
        right[0] ^= 1;
        assert!(judged(&mut reads, &right).is_err());
    }

    #[test]
    fn connections_share_a_file_in_sequence() {
        let mut second = Blocks::new((1 << 20, Order::Sequential), 8 << 20, (1, 4), 1);
        let offsets: Vec<_> = (0..3).map(|_| second.next(0) >> 20).collect();
        assert_eq!(offsets, [2, 3, 2]);
    }
}
