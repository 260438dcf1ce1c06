//! READDIR.

use bytes::Bytes;
use standfast_rpc::xdr::{Encode, Encoder};
use standfast_vfs::{DirectoryEntry, Error};

use super::super::attributes::{Facts, Needs, write_only};
use super::super::context::Compound;
use super::super::object::{File, Object};
use super::super::protocol::{
    Attribute, Bitmap, Fattr, Outcome, ReadDirArgs, Status, Value, Verifier,
};
use super::super::pseudo::Node;
use super::attributes::owners_told;

/// Cookies stay valid for as long as the directory exists, so there is nothing to verify.
const VERIFIER: Verifier = [0; 8];

/// What the result holds beside the entries: verifier, end of the list, end mark.
const RESULT_SIZE: usize = 8 + 4 + 4;

/// The least that an entry takes: "one more follows", the cookie, the length of the name, an empty
/// mask, no values.
const LEAST_ENTRY: usize = 4 + 8 + 4 + 4 + 4;

/// A part of a directory, encoded.
pub(super) struct Listing {
    entries: Bytes,
    end: bool,
}

impl Encode for Listing {
    fn encode(&self, encoder: &mut Encoder) {
        VERIFIER.encode(encoder);
        encoder.append(self.entries.clone());
        false.encode(encoder);
        self.end.encode(encoder);
    }
}

/// An entry that was read.
struct Entry {
    name: Vec<u8>,
    cookie: u64,
    /// The file id that the directory itself knows: where something is mounted, the covered one.
    file_id: u64,
    seen: Seen,
}

/// What is known of an entry.
enum Seen {
    /// What the directory itself says.
    Name,
    /// The object.
    Object(Box<(Object, Facts)>),
    /// Why it cannot be looked at.
    Failure(Status),
}

impl From<Result<(Object, Facts), Status>> for Seen {
    fn from(looked: Result<(Object, Facts), Status>) -> Self {
        match looked {
            Ok(looked) => Self::Object(Box::new(looked)),
            Err(status) => Self::Failure(status),
        }
    }
}

/// READDIR (RFC 8881 section 18.23).
pub(super) async fn read_dir(context: &mut Compound<'_>, args: ReadDirArgs) -> Outcome<Listing> {
    list(context, args).await.into()
}

async fn list(context: &mut Compound<'_>, args: ReadDirArgs) -> Result<Listing, Status> {
    let object = context.current()?.clone();
    if !args.attributes.intersection(&write_only()).is_empty() {
        return Err(Status::Inval);
    }
    // One and two are never given; zero begins, with a verifier of zeros.
    if matches!(args.cookie, 1 | 2) {
        return Err(Status::BadCookie);
    }
    if args.cookie != 0 && args.verifier != VERIFIER {
        return Err(Status::NotSame);
    }
    let limit = (args.max_bytes as usize)
        .min(context.nfs.service.limits().max_read)
        .min(context.room.saturating_sub(8));
    let room = limit.checked_sub(RESULT_SIZE).ok_or(Status::TooSmall)?;
    let (entries, end) = match &object {
        Object::File(file) => read_file(context, file, &args, room).await?,
        Object::Node(node) => read_node(context, node, &args).await?,
    };
    let mut owners = Vec::new();
    for entry in &entries {
        if let Seen::Object(looked) = &entry.seen {
            let facts = &looked.1;
            owners.extend(owners_told(&args.attributes, facts));
        }
    }
    context.nfs.service.owners().prepare(owners).await;
    fill(context, entries, end, &args, room)
}

/// Encodes entries until the room is full.
fn fill(
    context: &Compound<'_>,
    entries: Vec<Entry>,
    end: bool,
    args: &ReadDirArgs,
    room: usize,
) -> Result<Listing, Status> {
    // The whole list is written once, so its size is worth a guess.
    let mut encoder = Encoder::with_capacity(room.min(entries.len() * 256));
    // Some clients ask for fewer bytes of names than one name takes; the whole reply has room.
    let names = (args.directory_bytes as usize).max(1024);
    let mut names_used = 0;
    for entry in entries {
        let mark = encoder.mark();
        names_used += 8 + entry.name.len().next_multiple_of(4);
        true.encode(&mut encoder);
        entry.cookie.encode(&mut encoder);
        encoder.opaque(&entry.name);
        match attributes_of(context, &entry, &args.attributes) {
            Ok(attributes) => attributes.encode(&mut encoder),
            // It went away, or may not be looked up, and nobody wants to hear of that.
            Err(Status::Access | Status::NoEnt | Status::Stale) => {
                encoder.reset(mark);
                continue;
            }
            Err(status) => return Err(status),
        }
        if encoder.len() > room || names_used > names {
            encoder.reset(mark);
            if encoder.is_empty() {
                return Err(Status::TooSmall);
            }
            return Ok(Listing { entries: encoder.into_segments().to_bytes(), end: false });
        }
    }
    Ok(Listing { entries: encoder.into_segments().to_bytes(), end })
}

/// The attributes of an entry, or why there are none, if the client wants to hear of that.
fn attributes_of(context: &Compound<'_>, entry: &Entry, wanted: &Bitmap) -> Result<Fattr, Status> {
    let wants = |attribute: Attribute| wanted.contains(attribute as u32);
    let failure =
        |status| wants(Attribute::ReadAttributeError).then_some(Value::ReadAttributeError(status));
    match &entry.seen {
        Seen::Object(looked) => {
            let (object, facts) = &**looked;
            Ok(context.encode_entry(object, facts, wanted, entry.file_id))
        }
        Seen::Name => {
            let id = Value::MountedOnFileId(entry.file_id);
            let id = wants(Attribute::MountedOnFileId).then_some(id);
            Ok(Fattr::new(failure(Status::Ok).into_iter().chain(id)))
        }
        Seen::Failure(status) => failure(*status).map(|it| Fattr::new([it])).ok_or(*status),
    }
}

/// What the filesystem knows of an entry.
type Read = (DirectoryEntry, Option<Result<Facts, Error>>);

/// Reads as many entries of a directory as can fit.
async fn read_file(
    context: &mut Compound<'_>,
    file: &File,
    args: &ReadDirArgs,
    room: usize,
) -> Result<(Vec<Entry>, bool), Status> {
    let cookie = args.cookie;
    let needs = needs_look_up(&args.attributes).then(|| Needs::of(&args.attributes));
    let listed = file.run(move |fs, context, directory| {
        let (mut left, mut found) = (room, Vec::new());
        let mut sink = |entry: DirectoryEntry| {
            if matches!(&entry.name[..], b"." | b"..") {
                return true;
            }
            let size = LEAST_ENTRY + entry.name.len().next_multiple_of(4);
            let fits = size <= left || found.is_empty();
            left = left.saturating_sub(size);
            if fits {
                found.push(entry);
            }
            fits
        };
        let listing = fs.read_directory(context, directory, cookie, needs.is_some(), &mut sink)?;
        let complete = |entry: DirectoryEntry| {
            let facts = entry.found.as_ref().zip(needs).map(|(found, needs)| {
                Facts::complete(fs, context, &found.handle, found.attributes.clone(), needs)
            });
            (entry, facts)
        };
        Ok((found.into_iter().map(complete).collect::<Vec<Read>>(), listing.end))
    });
    let (found, end) = match listed.await {
        Ok(listed) => listed,
        Err(Status::Inval) if cookie != 0 => return Err(Status::BadCookie),
        Err(status) => return Err(status),
    };
    let node = context.node_of(file).await;
    let mut entries = Vec::with_capacity(found.len());
    for read in found {
        entries.extend(entry_of(context, file, node.as_ref(), read, needs).await);
    }
    Ok((entries, end))
}

/// Whether these attributes are more than a listing has by itself.
fn needs_look_up(wanted: &Bitmap) -> bool {
    let cheap = [Attribute::ReadAttributeError, Attribute::MountedOnFileId];
    let cheap = cheap.iter().map(|attribute| *attribute as u32).collect();
    !wanted.difference(&cheap).is_empty()
}

/// An entry as the client sees it; none if it went away.
async fn entry_of(
    context: &mut Compound<'_>,
    file: &File,
    node: Option<&Node>,
    (entry, facts): Read,
    needs: Option<Needs>,
) -> Option<Entry> {
    let DirectoryEntry { file_id, name, cookie, found } = entry;
    let Some(needs) = needs else {
        return Some(Entry { name, cookie, file_id, seen: Seen::Name });
    };
    let covered = node.and_then(|node| node.child(&name)).filter(|it| it.export().is_some());
    if let Some(covered) = covered
        && let Ok(Some(object)) = context.enter_node(covered).await
    {
        let seen = with_facts(object, needs).await.into();
        return Some(Entry { name, cookie, file_id, seen });
    }
    let seen = match (found, facts) {
        (Some(found), Some(Ok(facts))) => {
            Seen::Object(Box::new((Object::File(file.sibling(found.handle)), facts)))
        }
        (_, Some(Err(Error::Stale))) => return None,
        (_, Some(Err(error))) => Seen::Failure(file.status(&error)),
        // It went away, or the directory may be read and not be searched.
        _ => Seen::Failure(Status::Access),
    };
    Some(Entry { name, cookie, file_id, seen })
}

async fn with_facts(object: Object, needs: Needs) -> Result<(Object, Facts), Status> {
    let facts = match &object {
        Object::File(file) => {
            file.look(move |fs, context, handle| Facts::gather(fs, context, handle, needs)).await?
        }
        Object::Node(node) => Facts::of_directory(node.attributes()),
    };
    Ok((object, facts))
}

/// Reads a directory of the tree: what the client may see.
async fn read_node(
    context: &mut Compound<'_>,
    node: &Node,
    args: &ReadDirArgs,
) -> Result<(Vec<Entry>, bool), Status> {
    let needs = Needs::of(&args.attributes);
    let mut children: Vec<_> = node.children().filter(|child| child.id() > args.cookie).collect();
    children.sort_unstable_by_key(Node::id);
    let mut entries = Vec::new();
    for child in children {
        let (name, id) = (child.name().to_vec(), child.id());
        match context.enter_node(child.clone()).await {
            Ok(None) => {}
            Ok(Some(object)) => {
                let seen = with_facts(object, needs).await.into();
                entries.push(Entry { name, cookie: id, file_id: id, seen });
            }
            Err(status) => {
                let seen = Seen::Failure(status);
                entries.push(Entry { name, cookie: id, file_id: id, seen });
            }
        }
    }
    Ok((entries, true))
}
