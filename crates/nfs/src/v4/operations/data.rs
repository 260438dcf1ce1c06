//! READ, WRITE and COMMIT.

use standfast_rpc::xdr::Opaque;
use standfast_vfs::{FileKind, Stability};

use super::super::context::Compound;
use super::super::object::File;
use super::super::protocol::{
    CommitArgs, Outcome, ReadArgs, ReadOk, StableHow, StateId, Status, Verifier, WriteArgs, WriteOk,
};
use super::super::state::Access;

/// What the result of READ holds beside the data: number, status, end, length, padding.
const READ_OVERHEAD: usize = 20;

/// READ (RFC 8881 section 18.22).
pub(super) async fn read(context: &mut Compound<'_>, args: ReadArgs) -> Outcome<ReadOk> {
    read_checked(context, args).await.into()
}

async fn read_checked(context: &mut Compound<'_>, args: ReadArgs) -> Result<ReadOk, Status> {
    context.check_access(args.stateid, Access::Read)?;
    let room = context.room.saturating_sub(READ_OVERHEAD);
    let count = (args.count as usize).min(context.nfs.service.limits().max_read).min(room);
    let buffers = context.nfs.service.buffers().clone();
    let file = context.file()?;
    let looked = file.look(move |fs, context, file| {
        let mut buffer = buffers.take(count);
        let read = fs.read(context, file, args.offset, buffer.as_mut())?;
        Ok((buffer.into_bytes(read.length), read.end_of_file))
    });
    match looked.await {
        Ok((data, end)) => {
            file.place.export.metrics().read(data.len());
            Ok(ReadOk { end, data: Opaque(data) })
        }
        Err(status) => Err(wrong_type(file, context.minor, status).await),
    }
}

/// WRITE (section 18.32).
pub(super) async fn write(context: &mut Compound<'_>, args: WriteArgs) -> Outcome<WriteOk> {
    write_checked(context, args).await.into()
}

async fn write_checked(context: &mut Compound<'_>, args: WriteArgs) -> Result<WriteOk, Status> {
    context.file_to_change()?;
    context.check_access(args.stateid, Access::Write)?;
    let length = args.data.len().min(context.nfs.service.limits().max_write);
    // More than the server takes at once: the client sends the rest again.
    let data = args.data.0.slice(..length);
    let stability = Stability::from(args.stable);
    let file = context.file()?;
    // Taken before the write: if the storage loses something while it runs, the client sees a
    // verifier that is no longer in force, and sends again.
    let verifier = file.place.export.write_verifier();
    let changed = file.change_alone(move |fs, context, file| {
        fs.write(context, file, args.offset, &data, stability)
    });
    match changed.await?.result {
        Ok(committed) => {
            file.place.export.metrics().written(length);
            Ok(WriteOk { count: length as u32, committed: committed.into(), verifier })
        }
        Err(error) => Err(wrong_type(file, context.minor, file.status(&error)).await),
    }
}

/// COMMIT (section 18.3).
pub(super) async fn commit(context: &mut Compound<'_>, args: CommitArgs) -> Outcome<Verifier> {
    commit_checked(context, &args).await.into()
}

async fn commit_checked(context: &Compound<'_>, args: &CommitArgs) -> Result<Verifier, Status> {
    let file = context.file()?;
    if args.offset.checked_add(args.count.into()).is_none() {
        return Err(Status::Inval);
    }
    let changed = file.change_alone(|fs, context, file| fs.commit(context, file)).await?;
    match changed.result {
        // Taken after the flush: had it lost earlier data, the verifier would differ from the
        // one that those writes were answered with.
        Ok(()) => Ok(file.place.export.write_verifier()),
        Err(error) => Err(wrong_type(file, context.minor, file.status(&error)).await),
    }
}

impl Compound<'_> {
    /// Whether the data of the current object may be read or written by a stateid.
    ///
    /// # Errors
    /// Those of `State::check_access`; `ISDIR` for a directory of the tree.
    pub(in super::super) fn check_access(
        &mut self,
        stateid: StateId,
        access: Access,
    ) -> Result<(), Status> {
        let key = self.file()?.key();
        let (stateid, client) = (self.stateid(stateid)?, self.client());
        self.state(|state, now| state.check_access(client, &stateid, &key, access, now))
    }
}

/// The status where a regular file was needed (RFC 8881 section 15.1.2.10, RFC 7530 section
/// 16.23.4).
pub(in super::super) async fn wrong_type(file: &File, minor: u32, status: Status) -> Status {
    if !matches!(status, Status::Inval | Status::IsDir | Status::BadType | Status::NxIo) {
        return status;
    }
    match file.kind().await {
        Ok(FileKind::Regular) | Err(_) => status,
        Ok(FileKind::Directory) => Status::IsDir,
        Ok(FileKind::Symlink) if minor > 0 => Status::Symlink,
        Ok(_) if minor > 0 => Status::WrongType,
        Ok(_) => Status::Inval,
    }
}

impl From<StableHow> for Stability {
    fn from(stable: StableHow) -> Self {
        match stable {
            StableHow::Unstable => Self::Unstable,
            StableHow::DataSync => Self::DataSync,
            StableHow::FileSync => Self::FileSync,
        }
    }
}

impl From<Stability> for StableHow {
    fn from(stability: Stability) -> Self {
        match stability {
            Stability::Unstable => Self::Unstable,
            Stability::DataSync => Self::DataSync,
            Stability::FileSync => Self::FileSync,
        }
    }
}
