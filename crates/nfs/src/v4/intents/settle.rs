//! What became of an operation that was about to do something when the server died: the filesystem
//! knows.
//!
//! Nothing else can have changed the names in between: while an operation runs they are locked
//! ([`crate::name_locks`]), and after a start this looks before anything is served.

use std::sync::Arc;

use rustix::io::Errno;
use standfast_rpc::xdr;
use standfast_settings::ExportId;
use standfast_vfs::{Caller, Context, Error, FileSystem, Found, Handle, Result, Wait};

use super::record::{AttributeIntent, Intended, Intent, NameIntent, Settled, Step};
use crate::service::Service;
use crate::v4::keeper::{Keeper, Pending};
use crate::v4::state::{FileRecord, Kept};

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) happened: bool,
    /// What the name stands for since.
    pub(super) object: Option<FileRecord>,
}

impl Outcome {
    const NO: Self = Self { happened: false, object: None };

    fn of(happened: bool) -> Self {
        Self { happened, object: None }
    }
}

/// The export that an intent is for.
pub(super) fn export_of(intent: &Intent) -> u64 {
    match intent {
        Intent::Make(it) | Intent::Take(it) => it.directory.export,
        Intent::Move(it) => it.from.directory.export,
        Intent::Link(it) => it.place.directory.export,
        Intent::MakeAttribute(it) | Intent::TakeAttribute(it) => it.file.export,
    }
}

/// Looks whether it happened. Blocks.
///
/// # Errors
/// The filesystem does not tell.
pub(super) fn look(files: &dyn FileSystem, intent: &Intent) -> Result<Outcome> {
    Ok(match intent {
        Intent::Make(place) => match find(files, place)? {
            Some(found) => {
                Outcome { happened: true, object: Some(record(&place.directory, &found)) }
            }
            None => Outcome::NO,
        },
        Intent::Take(place) => Outcome::of(!stands_for(files, place, place.object.as_ref())?),
        Intent::Move(it) => {
            let moved = it.from.object.as_ref();
            let arrived = stands_for(files, &it.to, moved)?;
            let left = !stands_for(files, &it.from, moved)?;
            Outcome::of(arrived && left)
        }
        Intent::Link(it) => Outcome::of(stands_for(files, &it.place, Some(&it.object))?),
        Intent::MakeAttribute(it) => Outcome::of(has_attribute(files, it)?),
        Intent::TakeAttribute(it) => Outcome::of(!has_attribute(files, it)?),
    })
}

fn record(directory: &FileRecord, found: &Found) -> FileRecord {
    let key = crate::locks::FileKey { export: directory.export, handle: found.handle };
    (&key).into()
}

fn with_root<T>(look: impl FnOnce(Context<'_>) -> Result<T>) -> Result<T> {
    let root = Caller { uid: 0, gid: 0, groups: Arc::from([]) };
    look(Context { caller: &root, wait: Wait::Allowed, deferred: None })
}

fn handle(record: &FileRecord) -> Result<Handle> {
    record.key().map(|key| key.handle).ok_or(Error::BadHandle)
}

/// What a name stands for now. In a directory that is gone no name stands for anything.
fn find(files: &dyn FileSystem, place: &NameIntent) -> Result<Option<Found>> {
    let directory = handle(&place.directory)?;
    match with_root(|context| files.lookup(context, &directory, &place.name)) {
        Ok(found) => Ok(Some(found)),
        Err(Error::Os(Errno::NOENT | Errno::NOTDIR) | Error::Stale) => Ok(None),
        Err(error) => Err(error),
    }
}

fn stands_for(
    files: &dyn FileSystem,
    place: &NameIntent,
    object: Option<&FileRecord>,
) -> Result<bool> {
    let found = find(files, place)?.map(|found| record(&place.directory, &found));
    Ok(found.is_some() && found.as_ref() == object)
}

fn has_attribute(files: &dyn FileSystem, intent: &AttributeIntent) -> Result<bool> {
    let file = handle(&intent.file)?;
    match with_root(|context| files.extended_attribute(context, &file, &intent.name)) {
        Ok(_) => Ok(true),
        Err(Error::Os(Errno::NODATA) | Error::Stale) => Ok(false),
        Err(error) => Err(error),
    }
}

/// After a start, before anything is served: finds out what became of all operations that were
/// about to do something when the server died. Blocks. Where an export is not there, its
/// operations are looked at when they come again.
pub fn settle(service: &Service, keeper: &Keeper) -> Pending {
    let mut pending = Pending::none();
    let open = keeper.look(|state| {
        let last = |(name, steps): (_, &[crate::v4::state::IntentRecord])| {
            let step = xdr::from_bytes(&steps.last()?.intent.0).ok()?;
            let Step::Intended(intended) = step else { return None };
            Some((name, intended))
        };
        state.unfinished().filter_map(last).collect::<Vec<_>>()
    });
    for (name, Intended { position, intent }) in open {
        let Some(export) = service.export(ExportId(export_of(&intent))) else { continue };
        match look(&**export.file_system(), &intent) {
            Ok(Outcome { happened, object }) => {
                let step = Step::Settled(Settled { position, happened, object });
                let step = Kept::from(xdr::to_bytes(&step));
                pending.join(keeper.with(|state, now| state.settle(name, step, now)).1);
            }
            Err(error) => {
                tracing::error!(export = %export.settings().export_path.display(), %error,
                    "an operation was under way at the end of the last run, and the filesystem \
                     does not tell whether it happened");
            }
        }
    }
    pending
}
