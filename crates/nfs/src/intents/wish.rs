//! What a request asks for that must not be done twice, and what is there before.

use rustix::io::Errno;
use standfast_vfs::{Caller, Context, Error, FileSystem, Result, SetAttributes};

use super::record::{AttributeIntent, Intent, LinkIntent, MoveIntent, NameIntent};
use crate::locks::FileKey;
use crate::name_locks::{NameLocks, NamesLocked, PlaceOfName};
use crate::v4::protocol::{Component, StateId};
use crate::v4::state::FileRecord;

/// A name in a directory, or of an extended attribute of a file.
#[derive(Clone, Debug)]
pub(crate) struct NameIn {
    pub(crate) directory: FileKey,
    pub(crate) name: Component,
}

impl NameIn {
    fn place(&self) -> PlaceOfName<'_> {
        (self.directory.export, &self.directory.handle, &self.name)
    }

    /// What it stands for.
    fn intent(&self, files: &dyn FileSystem, context: Context<'_>) -> Result<NameIntent> {
        let FileKey { export, handle } = self.directory;
        let change = files.attributes(context, &handle)?.change;
        let object = match files.lookup(context, &handle, &self.name) {
            Ok(found) => Some(FileRecord::from(&FileKey { export, handle: found.handle })),
            Err(Error::Os(Errno::NOENT)) => None,
            Err(error) => return Err(error),
        };
        let directory = (&self.directory).into();
        Ok(NameIntent { directory, change, name: self.name.clone(), object })
    }
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// To make an object of this name.
    Make(NameIn),
    /// To take this name away.
    Take(NameIn),
    /// To move a name.
    Move(NameIn, NameIn),
    /// To give an object this name.
    Link(FileKey, NameIn),
    /// To make an extended attribute.
    MakeAttribute(NameIn),
    /// To take an extended attribute away.
    TakeAttribute(NameIn),
    /// To give a delegation back.
    Return(StateId),
}

impl Wish {
    /// Waits until nobody else changes the names, and locks them.
    pub(crate) async fn lock<'l>(&self, locks: &'l NameLocks) -> Option<NamesLocked<'l>> {
        Some(match self {
            Self::Make(it)
            | Self::Take(it)
            | Self::Link(_, it)
            | Self::MakeAttribute(it)
            | Self::TakeAttribute(it) => locks.lock(it.place()).await,
            Self::Move(from, to) => locks.lock_both(from.place(), to.place()).await,
            Self::Return(_) => return None,
        })
    }

    /// What is to be noted before it is tried. `None`: it will fail, or change nothing. The names
    /// are locked.
    ///
    /// # Errors
    /// [`Error::WouldBlock`] alone.
    pub(crate) fn intent(
        &self,
        files: &dyn FileSystem,
        context: Context<'_>,
    ) -> Result<Option<Intent>> {
        match self.find(files, context) {
            Err(Error::WouldBlock) => Err(Error::WouldBlock),
            Err(_) => Ok(None),
            Ok(found) => Ok(found),
        }
    }

    fn find(&self, files: &dyn FileSystem, context: Context<'_>) -> Result<Option<Intent>> {
        Ok(match self {
            Self::Make(name) => {
                let place = name.intent(files, context)?;
                place.object.is_none().then_some(Intent::Make(place))
            }
            Self::Take(name) => {
                let place = name.intent(files, context)?;
                place.object.is_some().then_some(Intent::Take(place))
            }
            Self::Move(from, to) => {
                let (from, to) = (from.intent(files, context)?, to.intent(files, context)?);
                // Two names of one object: nothing moves.
                let moves = from.object.is_some() && from.object != to.object;
                moves.then_some(Intent::Move(MoveIntent { from, to }))
            }
            Self::Link(object, name) => {
                let place = name.intent(files, context)?;
                let is_new = place.object.is_none();
                is_new.then(|| Intent::Link(LinkIntent { object: object.into(), place }))
            }
            Self::MakeAttribute(it) | Self::TakeAttribute(it) => {
                let file = &it.directory.handle;
                let has = match files.extended_attribute(context, file, &it.name) {
                    Err(Error::WouldBlock) => return Err(Error::WouldBlock),
                    found => found.is_ok(),
                };
                let change = files.attributes(context, file)?.change;
                let (file, name) = ((&it.directory).into(), it.name.clone());
                let intent = AttributeIntent { file, change, name };
                match (self, has) {
                    (Self::MakeAttribute(_), false) => Some(Intent::MakeAttribute(intent)),
                    (Self::TakeAttribute(_), true) => Some(Intent::TakeAttribute(intent)),
                    _ => None,
                }
            }
            Self::Return(id) => Some(Intent::Return(*id)),
        })
    }
}

/// The attributes that an object may lack that was made just before the server died. Mode and size
/// come with its creation, and others than the superuser own what they make.
pub(crate) fn after_creation(set: SetAttributes, caller: &Caller) -> SetAttributes {
    let rest = SetAttributes { mode: None, size: None, ..set };
    if caller.uid == 0 { rest } else { SetAttributes { uid: None, gid: None, ..rest } }
}
