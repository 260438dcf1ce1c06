//! Questions about files: NULL, GETATTR, LOOKUP.

use standfast_nfs::v3::protocol::{Attributes, FileHandle, FileType, LookupOk, Procedure};
use standfast_rpc::xdr::Decoder;

use super::calls::{expect, judge, numbered_place, procedure};
use crate::Error;
use crate::load::{Field, Outbox, Progress, Random, Template, Work};

/// NULL.
pub(super) struct Nulls(Template);

impl Nulls {
    pub(super) fn new() -> Self {
        Self(Template::new(procedure(Procedure::Null), &(), Field::None))
    }
}

impl Work for Nulls {
    fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        outbox.push(&self.0, xid, 0);
        true
    }

    fn judge(&mut self, _slot: usize, _results: &mut Decoder<'_>) -> Result<Progress, Error> {
        Ok(Progress::Done(1))
    }
}

/// GETATTR of many regular files in random order.
pub(super) struct GetAttrs {
    templates: Vec<Template>,
    random: Random,
}

impl GetAttrs {
    pub(super) fn new(files: &[FileHandle], seed: u64) -> Self {
        let template = |file| Template::new(procedure(Procedure::GetAttr), file, Field::None);
        Self { templates: files.iter().map(template).collect(), random: Random::new(seed) }
    }
}

impl Work for GetAttrs {
    fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        let chosen = self.random.below(self.templates.len() as u64);
        let Some(template) = self.templates.get(chosen as usize) else { return false };
        outbox.push(template, xid, 0);
        true
    }

    fn judge(&mut self, _slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        let attributes: Attributes = judge::<_, ()>(results)?;
        expect(attributes.kind == FileType::Reg, || format!("a file is {:?}", attributes.kind))?;
        Ok(Progress::Done(1))
    }
}

/// LOOKUP of numbered names, in random order.
pub(super) struct Lookups {
    template: Template,
    count: u64,
    random: Random,
}

impl Lookups {
    /// Of the numbers below `count`.
    pub(super) fn new(directory: &FileHandle, prefix: u8, count: u64, seed: u64) -> Self {
        let place = numbered_place(directory, prefix);
        let template = Template::new(procedure(Procedure::Lookup), &place, Field::Digits);
        Self { template, count, random: Random::new(seed) }
    }
}

impl Work for Lookups {
    fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        outbox.push(&self.template, xid, self.random.below(self.count));
        true
    }

    fn judge(&mut self, _slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        let found: LookupOk = judge::<_, Option<Attributes>>(results)?;
        expect(!found.object.is_empty(), || "a handle is empty".into())?;
        Ok(Progress::Done(1))
    }
}

/// LOOKUP of numbered names one after the other, then GETATTR of the handle that came.
pub(super) struct Stats {
    lookup: Template,
    /// Where the next name is, and how many there are.
    next: u64,
    count: u64,
    /// Of each slot whose LOOKUP was answered.
    found: Vec<Option<FileHandle>>,
    asked_attributes: Vec<bool>,
}

impl Stats {
    pub(super) fn new(directory: &FileHandle, prefix: u8, count: u64, depth: usize) -> Self {
        let place = numbered_place(directory, prefix);
        Self {
            lookup: Template::new(procedure(Procedure::Lookup), &place, Field::Digits),
            next: 0,
            count,
            found: vec![None; depth],
            asked_attributes: vec![false; depth],
        }
    }
}

impl Work for Stats {
    fn next(&mut self, slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        let found = self.found[slot].take();
        self.asked_attributes[slot] = found.is_some();
        match found {
            Some(object) => {
                let call = Template::new(procedure(Procedure::GetAttr), &object, Field::None);
                outbox.push(&call, xid, 0);
            }
            None if self.count == 0 => return false,
            None => {
                outbox.push(&self.lookup, xid, self.next % self.count);
                self.next += 1;
            }
        }
        true
    }

    fn judge(&mut self, slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        if self.asked_attributes[slot] {
            judge::<Attributes, ()>(results)?;
            return Ok(Progress::Done(1));
        }
        let found: LookupOk = judge::<_, Option<Attributes>>(results)?;
        self.found[slot] = Some(super::calls::own(&found.object));
        Ok(Progress::More)
    }
}
