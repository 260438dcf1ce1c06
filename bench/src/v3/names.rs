//! Operations that use up a name each: CREATE, RENAME, REMOVE, MKDIR, RMDIR.

use standfast_nfs::v3::protocol::{
    CreateArgs, CreateHow, CreateOk, FileHandle, MkDirArgs, Procedure, RenameArgs, RenameWcc,
    SetAttributes, SetTime, WccData,
};
use standfast_rpc::xdr::Decoder;

use super::calls::{judge, numbered_place, procedure};
use crate::Error;
use crate::load::{Field, Outbox, Progress, Template, Work};

/// Reads the results of a call.
type Judge = fn(&mut Decoder<'_>) -> Result<(), Error>;

/// First letters of the names of files, of files after RENAME, and of directories.
pub(super) const FILE: u8 = b'f';
const RENAMED: u8 = b'g';
const DIRECTORY: u8 = b'd';

/// One operation per name, numbers ascending.
pub(super) struct Names {
    template: Template,
    judge: Judge,
    next: u64,
    count: u64,
}

impl Names {
    fn new<A: standfast_rpc::xdr::Encode>(
        of: Procedure,
        arguments: &A,
        judge: Judge,
        count: u64,
    ) -> Self {
        Self {
            template: Template::new(procedure(of), arguments, Field::Digits),
            judge,
            next: 0,
            count,
        }
    }

    /// CREATE of up to `count` files.
    pub(super) fn create(directory: &FileHandle, count: u64) -> Self {
        let how = CreateHow::Guarded(with_mode(0o644));
        let arguments = CreateArgs { place: numbered_place(directory, FILE), how };
        Self::new(Procedure::Create, &arguments, created, count)
    }

    /// RENAME of files that [`Names::create`] made.
    pub(super) fn rename(directory: &FileHandle, count: u64) -> Self {
        let from = numbered_place(directory, FILE);
        let arguments = RenameArgs { from, to: numbered_place(directory, RENAMED) };
        Self::new(Procedure::Rename, &arguments, renamed, count)
    }

    /// REMOVE of files that [`Names::rename`] renamed.
    pub(super) fn unlink(directory: &FileHandle, count: u64) -> Self {
        Self::new(Procedure::Remove, &numbered_place(directory, RENAMED), removed, count)
    }

    /// MKDIR of up to `count` directories.
    pub(super) fn make_directories(directory: &FileHandle, count: u64) -> Self {
        let place = numbered_place(directory, DIRECTORY);
        let arguments = MkDirArgs { place, attributes: with_mode(0o755) };
        Self::new(Procedure::MkDir, &arguments, created, count)
    }

    /// RMDIR of directories that [`Names::make_directories`] made.
    pub(super) fn remove_directories(directory: &FileHandle, count: u64) -> Self {
        Self::new(Procedure::RmDir, &numbered_place(directory, DIRECTORY), removed, count)
    }
}

impl Work for Names {
    fn next(&mut self, _slot: usize, xid: u32, outbox: &mut Outbox) -> bool {
        if self.next == self.count {
            return false;
        }
        outbox.push(&self.template, xid, self.next);
        self.next += 1;
        true
    }

    fn judge(&mut self, _slot: usize, results: &mut Decoder<'_>) -> Result<Progress, Error> {
        (self.judge)(results)?;
        Ok(Progress::Done(1))
    }
}

fn created(results: &mut Decoder<'_>) -> Result<(), Error> {
    judge::<CreateOk, WccData>(results).map(|_| ())
}

fn renamed(results: &mut Decoder<'_>) -> Result<(), Error> {
    judge::<RenameWcc, RenameWcc>(results).map(|_| ())
}

fn removed(results: &mut Decoder<'_>) -> Result<(), Error> {
    judge::<WccData, WccData>(results).map(|_| ())
}

fn with_mode(mode: u32) -> SetAttributes {
    SetAttributes {
        mode: Some(mode),
        uid: None,
        gid: None,
        size: None,
        atime: SetTime::Keep,
        mtime: SetTime::Keep,
    }
}
