//! Space and holes: ALLOCATE, DEALLOCATE, SEEK, READ_PLUS and IO_ADVISE.

use standfast_rpc::xdr::{List, Opaque};
use standfast_vfs::{Advice, Changed, Context, Error, FileSystem, Handle, Wait};

use super::super::context::Compound;
use super::super::object::File;
use super::super::protocol::{
    Bitmap, Content, DataSegment, Extent, IoAdviseArgs, Outcome, ReadArgs, ReadPlusOk, SeekArgs,
    SeekOk, Segment, SpaceArgs, Status,
};
use super::super::state::Access;
use super::data::wrong_type;
use super::plain;
use crate::buffers::Buffers;

/// ALLOCATE (RFC 7862 section 15.1).
pub(super) async fn allocate(context: &mut Compound<'_>, args: SpaceArgs) -> Status {
    let reserve = |fs: &dyn FileSystem, context: Context<'_>, file: &Handle, extent: Extent| {
        fs.allocate(context, file, extent.offset, extent.length)
    };
    plain(change_space(context, &args, reserve).await)
}

/// DEALLOCATE (RFC 7862 section 15.4).
pub(super) async fn deallocate(context: &mut Compound<'_>, args: SpaceArgs) -> Status {
    let punch = |fs: &dyn FileSystem, context: Context<'_>, file: &Handle, extent: Extent| {
        fs.deallocate(context, file, extent.offset, extent.length)
    };
    plain(change_space(context, &args, punch).await)
}

async fn change_space(
    context: &mut Compound<'_>,
    args: &SpaceArgs,
    change: impl FnOnce(&dyn FileSystem, Context<'_>, &Handle, Extent) -> Changed<()> + Send + 'static,
) -> Result<(), Status> {
    context.file_to_change()?;
    let extent = args.extent.clone();
    if extent.length == 0 || extent.offset.checked_add(extent.length).is_none() {
        return Err(Status::Inval);
    }
    context.check_access(args.stateid, Access::Write)?;
    let file = context.file()?;
    let changed = file.change_alone(move |fs, context, file| change(fs, context, file, extent));
    match changed.await?.result {
        Ok(()) => Ok(()),
        Err(error) => Err(wrong_type(file, context.minor, file.status(&error)).await),
    }
}

/// SEEK (RFC 7862 section 15.11).
pub(super) async fn seek(context: &mut Compound<'_>, args: SeekArgs) -> Outcome<SeekOk> {
    find(context, &args).await.into()
}

async fn find(context: &mut Compound<'_>, args: &SeekArgs) -> Result<SeekOk, Status> {
    context.check_access(args.stateid, Access::Read)?;
    let file = context.file()?;
    let (offset, what) = (args.offset, args.what.into());
    let looked = file.run(move |fs, context, file| {
        let found = fs.seek(context, file, offset, what)?;
        Ok((found, fs.attributes(context, file)?.size))
    });
    match looked.await {
        // The end of the file counts as a hole.
        Ok((Some(found), size)) => Ok(SeekOk { end: found >= size, offset: found }),
        Ok((None, size)) => Ok(SeekOk { end: true, offset: size }),
        Err(status) => Err(wrong_type(file, context.minor, status).await),
    }
}

/// What the result of READ_PLUS holds beside its segments: number, status, end, their count.
const READ_PLUS_OVERHEAD: usize = 16;
/// A segment beside its data: kind, offset, length, padding.
const SEGMENT_OVERHEAD: usize = 20;
/// Most segments of a reply: a file with many small holes is read as data from there on.
const MOST_SEGMENTS: usize = 32;

/// READ_PLUS (RFC 7862 section 15.10).
pub(super) async fn read_plus(context: &mut Compound<'_>, args: ReadArgs) -> Outcome<ReadPlusOk> {
    read_segments(context, &args).await.into()
}

async fn read_segments(context: &mut Compound<'_>, args: &ReadArgs) -> Result<ReadPlusOk, Status> {
    context.check_access(args.stateid, Access::Read)?;
    let overhead = READ_PLUS_OVERHEAD + MOST_SEGMENTS * SEGMENT_OVERHEAD;
    let room = context.room.saturating_sub(overhead);
    let most = (args.count as usize).min(context.nfs.service.limits().max_read).min(room);
    let buffers = context.nfs.service.buffers().clone();
    let (offset, count) = (args.offset, args.count);
    let file = context.file()?;
    let looked = file.look(move |fs, context, file| {
        let reader = Reader { fs, context, file, buffers: &buffers };
        reader.segments(offset, u64::from(count), most)
    });
    match looked.await {
        Ok(ok) => {
            file.place.export.metrics().read(data_length(&ok));
            Ok(ok)
        }
        Err(status) => Err(wrong_type(file, context.minor, status).await),
    }
}

fn data_length(read: &ReadPlusOk) -> usize {
    let length = |segment: &Segment| match segment {
        Segment::Data(data) => data.data.len(),
        Segment::Hole(_) => 0,
    };
    read.segments.0.iter().map(length).sum()
}

/// Reads a part of a file.
struct Reader<'a> {
    fs: &'a dyn FileSystem,
    context: Context<'a>,
    file: &'a Handle,
    buffers: &'a Buffers,
}

impl Reader<'_> {
    /// The `count` bytes at `offset`, of which `most` are read.
    fn segments(&self, offset: u64, count: u64, most: usize) -> Result<ReadPlusOk, Error> {
        let attributes = self.fs.attributes(self.context, self.file)?;
        let wanted_end = offset.saturating_add(count);
        let end = wanted_end.min(attributes.size);
        // A file that takes as much space as it is long has no holes to look for.
        if attributes.used >= attributes.size || offset >= end {
            let most = most.min(usize::try_from(count).unwrap_or(usize::MAX));
            let (data, end) = self.data(offset, most)?;
            return Ok(ReadPlusOk { end, segments: List(Vec::from_iter(data)) });
        }
        if self.context.wait == Wait::Never {
            return Err(Error::WouldBlock);
        }
        let mut segments = Vec::new();
        let (mut at, mut left) = (offset, most);
        while at < end {
            let last = segments.len() + 2 >= MOST_SEGMENTS;
            let data = if last { at } else { self.next(at, standfast_vfs::Content::Data, end)? };
            if data > at {
                segments.push(Segment::Hole(Extent { offset: at, length: data - at }));
                at = data;
                continue;
            }
            let hole = if last { end } else { self.next(at, standfast_vfs::Content::Hole, end)? };
            let wanted = usize::try_from(hole - at).unwrap_or(usize::MAX).min(left);
            if wanted == 0 {
                break;
            }
            let (read, ended) = self.data(at, wanted)?;
            let length = read.as_ref().map_or(0, segment_length);
            segments.extend(read);
            at += length;
            left -= length as usize;
            if ended || length == 0 {
                return Ok(ReadPlusOk { end: ended, segments: List(segments) });
            }
        }
        Ok(ReadPlusOk { end: at >= attributes.size, segments: List(segments) })
    }

    /// Where such content begins at or after `at`, at most `end`.
    fn next(&self, at: u64, what: standfast_vfs::Content, end: u64) -> Result<u64, Error> {
        match self.fs.seek(self.context, self.file, at, what) {
            Ok(found) => Ok(found.unwrap_or(end).clamp(at, end)),
            // It was truncated meanwhile: the read will tell.
            Err(Error::Os(rustix::io::Errno::NXIO)) => Ok(at),
            Err(error) => Err(error),
        }
    }

    fn data(&self, offset: u64, length: usize) -> Result<(Option<Segment>, bool), Error> {
        let mut buffer = self.buffers.take(length);
        let read = self.fs.read(self.context, self.file, offset, buffer.as_mut())?;
        let data = Opaque(buffer.into_bytes(read.length));
        let segment = (read.length > 0).then(|| Segment::Data(DataSegment { offset, data }));
        Ok((segment, read.end_of_file))
    }
}

fn segment_length(segment: &Segment) -> u64 {
    match segment {
        Segment::Data(data) => data.data.len() as u64,
        Segment::Hole(hole) => hole.length,
    }
}

/// `IO_ADVISE4_WILLNEED`, `IO_ADVISE4_WILLNEED_OPPORTUNISTIC`, `IO_ADVISE4_DONTNEED`.
const WILL_NEED: [u32; 2] = [4, 5];
const DONT_NEED: u32 = 6;

/// IO_ADVISE (RFC 7862 section 15.5). What concerns a part of a file is acted upon; what is about
/// the manner of access is not, since the kernel would take it for all clients.
pub(super) async fn io_advise(context: &mut Compound<'_>, args: IoAdviseArgs) -> Outcome<Bitmap> {
    advise(context, &args).await.into()
}

async fn advise(context: &mut Compound<'_>, args: &IoAdviseArgs) -> Result<Bitmap, Status> {
    match context.check_access(args.stateid, Access::Read) {
        // Who may only write gives advice as well.
        Err(Status::OpenMode) => context.check_access(args.stateid, Access::Write)?,
        checked => checked?,
    }
    let file: &File = context.file()?;
    let asked = |number: &u32| args.hints.contains(*number);
    let taken: Bitmap = WILL_NEED.into_iter().chain([DONT_NEED]).filter(asked).collect();
    let advice = match asked(&DONT_NEED) {
        _ if taken.is_empty() => return Ok(taken),
        // Both make no sense; to keep it does no harm.
        true if WILL_NEED.iter().any(asked) => Advice::WillNeed,
        true => Advice::DontNeed,
        false => Advice::WillNeed,
    };
    let Extent { offset, length } = args.extent.clone();
    let advised =
        file.run(move |fs, context, file| fs.advise(context, file, offset, length, advice));
    match advised.await {
        Ok(()) => Ok(taken),
        Err(Status::Stale) => Err(Status::Stale),
        Err(status @ (Status::IsDir | Status::Inval)) => {
            Err(wrong_type(file, context.minor, status).await)
        }
        // Advice that cannot be taken is no failure.
        Err(_) => Ok(Bitmap::EMPTY),
    }
}

impl From<Content> for standfast_vfs::Content {
    fn from(content: Content) -> Self {
        match content {
            Content::Data => Self::Data,
            Content::Hole => Self::Hole,
        }
    }
}
