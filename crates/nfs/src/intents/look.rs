//! What became of an operation that was about to do something when the server died: the filesystem
//! knows.
//!
//! Nothing else can have changed the names in between: while an operation runs they are locked
//! ([`crate::name_locks`]), before they are unlocked what became of it is noted
//! ([`super::Ongoing::end`]), and after a start this looks before anything is served.

use std::sync::Arc;

use rustix::io::Errno;
use standfast_settings::ExportId;
use standfast_vfs::{
    Caller, Context, Error, FileSystem, Found, Handle, Result, SetAttributes, SetTime, Wait,
};

use super::record::{AttributeIntent, Intent, NameIntent, Outcome};
use crate::service::Service;
use crate::v4::keeper::Keeper;
use crate::v4::protocol::StateId;
use crate::v4::state::FileRecord;

impl Outcome {
    /// It did not happen.
    pub(crate) const NO: Self = Self { happened: false, object: None };

    /// Whether it happened, where no object comes of it.
    pub(crate) fn of(happened: bool) -> Self {
        Self { happened, object: None }
    }
}

impl Intent {
    /// What it changes names or attributes of; nothing if it changes none.
    pub(crate) fn touches(&self) -> Vec<&FileRecord> {
        match self {
            Self::Make(it) | Self::Take(it) => vec![&it.directory],
            Self::Move(it) => vec![&it.from.directory, &it.to.directory],
            Self::Link(it) => vec![&it.object, &it.place.directory],
            Self::MakeAttribute(it) | Self::TakeAttribute(it) => vec![&it.file],
            Self::Return(_) => Vec::new(),
        }
    }

    /// The export that it is for, if it is for one.
    pub(crate) fn export(&self) -> Option<u64> {
        self.touches().first().map(|file| file.export)
    }
}

/// Looks whether it happened, and makes it stable if so: it may have been done just before the
/// server died. Blocks. `None`: its export is not there, or does not tell, which is logged.
pub(crate) fn outcome(service: &Service, keeper: &Keeper, intent: &Intent) -> Option<Outcome> {
    let Some(export) = intent.export() else {
        return Some(Outcome::of(matches!(intent, Intent::Return(id) if is_gone(keeper, id))));
    };
    let export = service.export(ExportId(export))?;
    match settled(&**export.file_system(), intent) {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            tracing::error!(export = %export.settings().export_path.display(), %error,
                "an operation was under way at the end of the last run, and the filesystem does \
                 not tell whether it happened");
            None
        }
    }
}

/// Only those who give a delegation back make nothing of it: one that was revoked is known.
fn is_gone(keeper: &Keeper, id: &StateId) -> bool {
    keeper.look(|state| state.file_of(None, id)).is_err()
}

/// The same where the filesystem is known.
///
/// # Errors
/// It does not tell.
pub(crate) fn settled(files: &dyn FileSystem, intent: &Intent) -> Result<Outcome> {
    let outcome = look(files, intent)?;
    if outcome.happened {
        for file in intent.touches() {
            // A change that does no harm and is stable when it returns, with those before it.
            let accessed = SetAttributes { accessed: SetTime::Now, ..SetAttributes::default() };
            let touched = with_root(|context| {
                files.set_attributes(context, &handle(file)?, &accessed, None).result
            });
            match touched {
                Ok(()) | Err(Error::Stale) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(outcome)
}

/// Looks whether it happened. Blocks.
///
/// # Errors
/// The filesystem does not tell.
fn look(files: &dyn FileSystem, intent: &Intent) -> Result<Outcome> {
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
        // That is for the state to know.
        Intent::Return(_) => Outcome::NO,
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
