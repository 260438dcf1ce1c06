//! Copies inside the server: COPY, CLONE, OFFLOAD_STATUS and OFFLOAD_CANCEL.
//!
//! A copy is done when it is answered. A long one is answered before it is whole, with the number
//! of bytes that were copied; the client asks for the rest (RFC 7862 section 15.2.3). So a copy
//! holds no slot for long, and there is nothing that a restart could lose: a client that waited
//! for the callback of a copy would wait for ever, as it does not notice the restart.

use standfast_rpc::xdr::List;
use standfast_vfs::{Stability, Wait};

use super::super::context::Compound;
use super::super::object::{File, Object};
use super::super::protocol::{
    CloneArgs, CopyArgs, CopyOk, CopyRequirements, Detailed, OffloadStatusOk, Outcome, StableHow,
    StateId, Status, WriteResponse,
};
use super::super::state::Access;
use super::data::wrong_type;
use super::plain;

/// Most bytes that are copied before an answer.
const MOST: u64 = 64 << 20;

/// Bytes that are read and written at once between two exports.
const PIECE: usize = 1 << 20;

/// COPY (RFC 7862 section 15.2).
pub(super) async fn copy(
    context: &mut Compound<'_>,
    args: CopyArgs,
) -> Detailed<CopyOk, CopyRequirements> {
    Detailed::Plain(copy_some(context, &args).await.into())
}

async fn copy_some(context: &mut Compound<'_>, args: &CopyArgs) -> Result<CopyOk, Status> {
    if !args.servers.0.is_empty() {
        return Err(Status::PartnerNotSupp);
    }
    let (source, target) = check_pair(context, args.source, args.destination)?;
    let size = regular_size(&source, context.minor).await?;
    let count = match args.count {
        0 => size.checked_sub(args.source_offset),
        count => {
            let end = args.source_offset.checked_add(count);
            end.filter(|end| *end <= size).map(|_| count)
        }
    };
    let count = count.ok_or(Status::Inval)?;
    regular_size(&target, context.minor).await?;
    // Taken before the first write, as in WRITE.
    let verifier = target.place.export.write_verifier();
    let job = Job {
        source,
        target,
        from: args.source_offset,
        to: args.destination_offset,
        count: count.min(MOST),
    };
    let copied = job.run().await?;
    job.target.place.export.metrics().written(usize::try_from(copied).unwrap_or(usize::MAX));
    Ok(CopyOk {
        response: WriteResponse {
            callback: List(Vec::new()),
            count: copied,
            committed: StableHow::Unstable,
            verifier,
        },
        requirements: CopyRequirements { consecutive: true, synchronous: true },
    })
}

/// The saved object, to be read, and the current one, to be written.
fn check_pair(
    context: &mut Compound<'_>,
    source: StateId,
    target: StateId,
) -> Result<(File, File), Status> {
    let (from, to) = (context.saved()?.file()?.clone(), context.file_to_change()?.clone());
    let source = context.saved_stateid(source)?;
    let client = context.client();
    let key = from.key();
    context.state(|state, now| state.check_access(client, &source, &key, Access::Read, now))?;
    context.check_access(target, Access::Write)?;
    Ok((from, to))
}

/// The size of a regular file.
async fn regular_size(file: &File, minor: u32) -> Result<u64, Status> {
    let attributes = file.attributes().await?;
    match attributes.kind {
        standfast_vfs::FileKind::Regular => Ok(attributes.size),
        _ => Err(wrong_type(file, minor, Status::Inval).await),
    }
}

/// A copy to be done.
struct Job {
    source: File,
    target: File,
    from: u64,
    to: u64,
    count: u64,
}

impl Job {
    /// Copies, and gives how much. What was copied before an error counts.
    async fn run(&self) -> Result<u64, Status> {
        let mut copied = 0;
        while copied < self.count {
            match self.slice(copied).await {
                Ok(0) => break,
                Ok(more) => copied += more,
                Err(_) if copied > 0 => break,
                Err(status) => return Err(status),
            }
        }
        Ok(copied)
    }

    async fn slice(&self, done: u64) -> Result<u64, Status> {
        let (from, to, length) = (self.from + done, self.to + done, self.count - done);
        if self.source.place.export.id() != self.target.place.export.id() {
            return self.by_hand(from, to, length).await;
        }
        let source = self.source.handle;
        let changed = self.target.change_alone(move |fs, context, target| {
            fs.copy_range(context, (&source, from), (target, to), length)
        });
        changed.await?.result.map_err(|error| self.target.status(&error))
    }

    /// Copies between two exports.
    async fn by_hand(&self, from: u64, to: u64, length: u64) -> Result<u64, Status> {
        let length = usize::try_from(length).unwrap_or(PIECE).min(PIECE);
        let read = self.source.run(move |fs, context, source| {
            debug_assert!(context.wait == Wait::Allowed);
            let mut data = vec![0; length];
            let read = fs.read(context, source, from, &mut data)?;
            data.truncate(read.length);
            Ok(data)
        });
        let data = read.await?;
        let count = data.len() as u64;
        if count == 0 {
            return Ok(0);
        }
        let written = self.target.change_alone(move |fs, context, target| {
            fs.write(context, target, to, &data, Stability::Unstable)
        });
        written.await?.result.map_err(|error| self.target.status(&error))?;
        Ok(count)
    }
}

/// CLONE (RFC 7862 section 15.13).
pub(super) async fn clone(context: &mut Compound<'_>, args: CloneArgs) -> Status {
    plain(share(context, &args).await)
}

async fn share(context: &mut Compound<'_>, args: &CloneArgs) -> Result<(), Status> {
    let (source, target) = check_pair(context, args.source, args.destination)?;
    if source.place.export.id() != target.place.export.id() {
        return Err(Status::XDev);
    }
    let (from, to, count) = (args.source_offset, args.destination_offset, args.count);
    let handle = source.handle;
    let cloned = target.change_alone(move |fs, context, target| {
        fs.clone_range(context, (&handle, from), (target, to), count)
    });
    match cloned.await?.result {
        Ok(()) => Ok(()),
        Err(error) => {
            let status = target.status(&error);
            let status = wrong_type(&source, context.minor, status).await;
            Err(wrong_type(&target, context.minor, status).await)
        }
    }
}

/// OFFLOAD_CANCEL (RFC 7862 section 15.8): no copy goes on after its answer.
pub(super) async fn offload_cancel(context: &mut Compound<'_>, _copy: StateId) -> Status {
    match context.current() {
        Ok(Object::File(_) | Object::Node(_)) => Status::BadStateId,
        Err(status) => status,
    }
}

/// OFFLOAD_STATUS (RFC 7862 section 15.9): no copy goes on after its answer.
pub(super) async fn offload_status(
    context: &mut Compound<'_>,
    copy: StateId,
) -> Outcome<OffloadStatusOk> {
    Outcome::Fail(offload_cancel(context, copy).await)
}
