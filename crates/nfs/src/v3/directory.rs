//! READDIR and READDIRPLUS.

use standfast_rpc::xdr::Chain;
use standfast_vfs::{DirectoryEntry, Error, Listing};

use super::attributes::failed_attributes;
use super::protocol::{
    Attributes, Entry, EntryPlus, FileHandle, Outcome, ReadDirArgs, ReadDirOk, ReadDirPlusArgs,
    ReadDirPlusOk, Status, Verifier,
};
use super::request::{Object, Request};

/// The status, the attributes, the verifier, the end of the list and the end mark.
const RESULT_SIZE: usize = 4 + ATTRIBUTES_SIZE + 8 + 4 + 4;
/// `post_op_attr` with attributes.
const ATTRIBUTES_SIZE: usize = 4 + 84;
/// "One more follows", the file id, the length of the name and the cookie.
const ENTRY_SIZE: usize = 4 + 8 + 4 + 8;
/// What READDIRPLUS adds: attributes, "a handle follows", the length of the handle.
const PLUS_SIZE: usize = ATTRIBUTES_SIZE + 4 + 4;

/// Cookies stay valid for as long as the directory exists, so there is nothing to verify.
const VERIFIER: Verifier = [0; 8];

/// Fills a result of limited size.
struct Room {
    left: usize,
    names_left: usize,
    full: bool,
}

impl Room {
    fn new(limit: usize, names: usize) -> Self {
        Self { left: limit.saturating_sub(RESULT_SIZE), names_left: names, full: false }
    }

    /// Whether an entry of this size still fits.
    fn take(&mut self, name: &[u8], extra: usize) -> bool {
        let names = ENTRY_SIZE + name.len().next_multiple_of(4);
        let fits = names <= self.names_left && names + extra <= self.left;
        if fits {
            self.names_left -= names;
            self.left -= names + extra;
        }
        self.full |= !fits;
        fits
    }
}

/// READDIR (RFC 1813 section 3.3.16).
pub(super) async fn read_dir(
    request: &Request<'_>,
    args: ReadDirArgs,
) -> Outcome<ReadDirOk, Option<Attributes>> {
    let object = match request.object(&args.directory).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    let limit = (args.count as usize).min(request.limits().max_read);
    let fill = move |room: &mut Room, entry: DirectoryEntry| {
        room.take(&entry.name, 0).then(|| Entry {
            file_id: entry.file_id,
            name: entry.name.into(),
            cookie: entry.cookie,
        })
    };
    match list(&object, args.cookie, false, Room::new(limit, limit), fill).await {
        Ok((entries, listing)) => Outcome::Ok(ReadDirOk {
            attributes: Some(object.wire(&listing.attributes)),
            verifier: VERIFIER,
            entries: Chain(entries),
            end: listing.end,
        }),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// READDIRPLUS (section 3.3.17).
pub(super) async fn read_dir_plus(
    request: &Request<'_>,
    args: ReadDirPlusArgs,
) -> Outcome<ReadDirPlusOk, Option<Attributes>> {
    let object = match request.object(&args.directory).await {
        Ok(object) => object,
        Err(status) => return Outcome::Fail(status, None),
    };
    if !object.access.readdirplus {
        return Outcome::Fail(Status::NotSupp, object.attributes().await);
    }
    let limit = (args.max_count as usize).min(request.limits().max_read);
    // Some clients ask for fewer bytes of names than one name takes; the whole reply has room.
    let names = (args.dir_count as usize).max(1024);
    let (handles, export) = (request.service.handles().clone(), object.export.id());
    let fill = move |room: &mut Room, entry: DirectoryEntry| {
        let handle = entry.found.as_ref().map(|found| handles.seal(export, &found.handle));
        let length = handle.as_ref().map_or(0, |handle| handle.len().next_multiple_of(4));
        room.take(&entry.name, PLUS_SIZE + length).then(|| EntryPlus {
            file_id: entry.file_id,
            name: entry.name.into(),
            cookie: entry.cookie,
            attributes: entry
                .found
                .map(|found| super::convert::attributes(export, &found.attributes)),
            handle: handle.map(FileHandle::from),
        })
    };
    match list(&object, args.cookie, true, Room::new(limit, names), fill).await {
        Ok((entries, listing)) => Outcome::Ok(ReadDirPlusOk {
            attributes: Some(object.wire(&listing.attributes)),
            verifier: VERIFIER,
            entries: Chain(entries),
            end: listing.end,
        }),
        Err(status) => Outcome::Fail(status, failed_attributes(status, &object).await),
    }
}

/// Reads entries until the room is full.
async fn list<E, F>(
    object: &Object,
    cookie: u64,
    with_found: bool,
    mut room: Room,
    mut fill: F,
) -> Result<(Vec<E>, Listing), Status>
where
    E: Send + 'static,
    F: FnMut(&mut Room, DirectoryEntry) -> Option<E> + Send + 'static,
{
    let listed = object
        .run(move |fs, context, directory| {
            let mut entries = Vec::new();
            let mut sink = |entry| {
                let filled = fill(&mut room, entry);
                let goes_on = filled.is_some();
                entries.extend(filled);
                goes_on
            };
            let listing = fs.read_directory(context, directory, cookie, with_found, &mut sink)?;
            Ok::<_, Error>((entries, listing, room.full))
        })
        .await?;
    match listed {
        Ok((entries, _, true)) if entries.is_empty() => Err(Status::TooSmall),
        Ok((entries, listing, _)) => Ok((entries, listing)),
        Err(error) => Err(object.status(&error)),
    }
}
