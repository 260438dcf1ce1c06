//! The files that OPEN finds and makes.

use standfast_vfs::{CreateHow as Creation, FileKind, SetAttributes};

use super::super::attributes::{Wishes, exclusive_create, read_wishes};
use super::super::context::Compound;
use super::super::intents::Begun;
use super::super::object::{File, Object};
use super::super::protocol::{
    Attribute, Bitmap, ChangeInfo, Component, CreateHow, Fattr, Status, Verifier,
};
use super::attributes::set_lists;
use super::names::{changed_directory, finish_attributes};
use crate::intents::Wish;

/// How often to look again where others make and remove the name at the same time.
const TRIES: usize = 8;

/// The attributes that hold the verifier of an exclusive creation: the client sets them anew.
const VERIFIER: [Attribute; 2] = [Attribute::AccessTime, Attribute::ModifyTime];

/// A file that is about to be opened.
pub(super) struct Found {
    pub(super) file: File,
    /// The directory before and after.
    pub(super) directory: ChangeInfo,
    /// The attributes that were set with its creation.
    pub(super) attributes: Bitmap,
    /// Made by this request: what its mode says does not hold for it.
    pub(super) is_new: bool,
    /// To be emptied once it is open.
    pub(super) truncate: bool,
}

impl Found {
    /// One that was there.
    pub(super) fn existing(file: File, directory: ChangeInfo) -> Self {
        Self { file, directory, attributes: Bitmap::EMPTY, is_new: false, truncate: false }
    }
}

/// The file of this name in the current directory.
///
/// # Errors
/// Those of LOOKUP; `ISDIR`.
pub(super) async fn look_up(context: &mut Compound<'_>, name: &[u8]) -> Result<Found, Status> {
    let directory = match context.current()? {
        Object::File(directory) => directory.attributes().await?.change,
        Object::Node(_) => 0,
    };
    match context.lookup(name).await? {
        Object::File(file) => {
            let info = ChangeInfo { atomic: true, before: directory, after: directory };
            Ok(Found::existing(file, info))
        }
        Object::Node(_) => Err(Status::IsDir),
    }
}

/// Makes a file in the current directory, or finds the one that will do.
///
/// # Errors
/// `EXIST`, `ROFS`, `NOTDIR`, `INVAL`, `ATTRNOTSUPP` and those of the filesystem.
pub(super) async fn create(
    context: &mut Compound<'_>,
    name: &Component,
    how: &CreateHow,
) -> Result<Found, Status> {
    let directory = directory_to_change(context, name).await?;
    match how {
        CreateHow::Unchecked(attributes) => {
            let wishes = wishes(context, attributes).await?;
            unchecked(context, &directory, name, wishes).await
        }
        CreateHow::Guarded(attributes) => {
            let wishes = wishes(context, attributes).await?;
            make(context, &directory, name, &wishes).await
        }
        CreateHow::Exclusive(verifier) => {
            exclusive(context, &directory, name, *verifier, Wishes::default()).await
        }
        CreateHow::ExclusiveWith(create) if context.minor > 0 => {
            let wishes = wishes(context, &create.attributes).await?;
            if !wishes.mask.difference(&exclusive_create(context.minor)).is_empty() {
                return Err(Status::Inval);
            }
            exclusive(context, &directory, name, create.verifier, wishes).await
        }
        CreateHow::ExclusiveWith(_) => Err(Status::Inval),
    }
}

async fn wishes(context: &Compound<'_>, attributes: &Fattr) -> Result<Wishes, Status> {
    let mut wishes = read_wishes(context.nfs, context.minor, attributes).await?;
    if let Some((value, mask)) = wishes.masked_mode {
        wishes.set.mode = Some(value & mask);
    }
    Ok(wishes)
}

/// The current directory, to make a file in it.
async fn directory_to_change(context: &mut Compound<'_>, name: &[u8]) -> Result<File, Status> {
    let directory = match context.current()? {
        Object::File(directory) => directory.clone(),
        Object::Node(_) => return Err(Status::RoFs),
    };
    match directory.kind().await? {
        FileKind::Directory => {}
        FileKind::Symlink => return Err(Status::Symlink),
        _ => return Err(Status::NotDir),
    }
    context.check_no_export(&directory, name).await.map_err(|_| Status::IsDir)?;
    Ok(directory)
}

/// An existing file will do; of the attributes, a size of zero alone is for it.
async fn unchecked(
    context: &mut Compound<'_>,
    directory: &File,
    name: &Component,
    wishes: Wishes,
) -> Result<Found, Status> {
    let mut was_begun = context.was_begun();
    for _ in 0..TRIES {
        match look_up(context, name).await {
            // What is there may be what it made before the server died.
            _ if std::mem::take(&mut was_begun) => {}
            Err(Status::NoEnt) => {}
            Err(status) => return Err(status),
            Ok(mut found) => {
                found.truncate = wishes.set.size == Some(0);
                if found.truncate {
                    found.attributes.insert(Attribute::Size as u32);
                }
                return Ok(found);
            }
        }
        match make(context, directory, name, &wishes).await {
            Err(Status::Exist) => {}
            made => return made,
        }
    }
    Err(Status::Delay)
}

/// The name must be new.
async fn make(
    context: &mut Compound<'_>,
    directory: &File,
    name: &Component,
    wishes: &Wishes,
) -> Result<Found, Status> {
    writable(directory)?;
    let lists = wishes.lists(false)?;
    let how = Creation::Guarded(wishes.set.clone());
    let (file, info, was_before) = new_file(context, directory, name, how).await?;
    if was_before {
        finish_attributes(&file, wishes.set.clone()).await?;
    }
    set_lists(&file, lists).await?;
    let attributes = wishes.mask;
    Ok(Found { file, directory: info, attributes, is_new: true, truncate: false })
}

/// Makes a file, or takes it from before the server died, which the last value says.
async fn new_file(
    context: &mut Compound<'_>,
    directory: &File,
    name: &Component,
    how: Creation,
) -> Result<(File, ChangeInfo, bool), Status> {
    let wish = Wish::Make(directory.name_in(name));
    let _locked = wish.lock(context.nfs.service.name_locks()).await;
    let begin = match context.begin(directory, wish).await? {
        Begun::Before(past) => {
            return Ok((past.file(directory)?, past.info(directory).await?, true));
        }
        Begun::Now(begin) => begin,
    };
    let name = name.clone();
    let made =
        directory.change(move |fs, context, directory| fs.create(context, directory, &name, &how));
    let made = made.await?;
    begin.end(&made.result, |found| Some(directory.sibling(found.handle)));
    let (found, info) = changed_directory(directory, made)?;
    Ok((directory.sibling(found.handle), info, false))
}

/// The name must be new, or that of the file which an earlier transmission made.
async fn exclusive(
    context: &mut Compound<'_>,
    directory: &File,
    name: &Component,
    verifier: Verifier,
    wishes: Wishes,
) -> Result<Found, Status> {
    writable(directory)?;
    let lists = wishes.lists(false)?;
    let how = Creation::Exclusive(verifier);
    let (file, info, _) = new_file(context, directory, name, how).await?;
    let mut attributes = wishes.mask;
    VERIFIER.iter().for_each(|attribute| attributes.insert(*attribute as u32));
    if wishes.set != SetAttributes::default() {
        let changed = file
            .change_alone(move |fs, context, file| {
                fs.set_attributes(context, file, &wishes.set, None)
            })
            .await?;
        changed.result.map_err(|error| file.status(&error))?;
    }
    set_lists(&file, lists).await?;
    Ok(Found { file, directory: info, attributes, is_new: true, truncate: false })
}

fn writable(directory: &File) -> Result<(), Status> {
    if directory.place.access.read_only { Err(Status::RoFs) } else { Ok(()) }
}
