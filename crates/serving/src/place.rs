//! Where the journal of a service lies.
//!
//! It lies with the data, in the directory that no client reaches of the first export's storage,
//! so that it moves with the data and is lost only with the data. A note in the state directory of
//! this node remembers where: exports may be put in another order, and a journal that was there and
//! is not any more is *lost*, which is not the same as a first start.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, openat};
use serde::{Deserialize, Serialize};
use standfast_journal::{Access, DirectoryStorage, Storage as _};
use standfast_vfs::PosixFileSystem;

/// The name of the journal's directory.
pub const JOURNAL: &str = "journal";

/// The name of the directory of an export that no client reaches.
const HIDDEN: &str = ".standfast";

/// The name of the note about it.
const NOTE: &str = "journal.json";

/// Why there is no place for the journal.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A directory cannot be used.
    #[error("cannot {action} {path}, where the journal is to be kept: {error}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Another process uses it.
    #[error(
        "the journal in {0} is in use by another process of Standfast; stop it, or give this one a \
         journal of its own with `directory` in [journal]"
    )]
    InUse(PathBuf),
    /// The settings name another place than the one where the journal is.
    #[error(
        "the journal is in {old}, and `directory` in [journal] says {new}; move it while the server \
         is stopped (mv {old}/* {new}/), or set `directory` back"
    )]
    Moved {
        /// Where it is.
        old: PathBuf,
        /// Where the settings want it.
        new: PathBuf,
    },
}

impl PlaceError {
    pub(crate) fn on(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { action, path: path.to_owned(), error }
    }
}

/// What this node remembers of the journal of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The directory that it lies in.
    pub(crate) directory: PathBuf,
    /// The last epoch that this node had.
    pub(crate) epoch: u64,
    /// A journal was lost, and the grace period that follows is not known to be over.
    #[serde(default)]
    pub(crate) recovering: bool,
}

impl Note {
    /// Reads what is kept in the state directory of a service.
    pub(crate) fn read(state: &Path) -> Result<Option<Self>, PlaceError> {
        let path = state.join(NOTE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(PlaceError::on("read", &path)(error)),
        };
        let note = serde_json::from_slice(&text).map_err(io::Error::from);
        note.map(Some).map_err(PlaceError::on("understand", &path))
    }

    /// Keeps it; a crash leaves this one or the one before.
    pub(crate) fn write(&self, state: &Path) -> Result<(), PlaceError> {
        let path = state.join(NOTE);
        self.replace(&path).map_err(PlaceError::on("write", &path))
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let new = path.with_extension("new");
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(&serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |parent| std::fs::File::open(parent)?.sync_all())
    }
}

/// The directory that the journal, the key and what else belongs to the service lies in.
pub(crate) struct Place {
    /// As people know it.
    pub(crate) shown: PathBuf,
    directory: OwnedFd,
}

/// The storage of an export.
pub(crate) struct Candidate {
    /// The directory that is exported.
    pub(crate) path: PathBuf,
    pub(crate) file_system: Arc<PosixFileSystem>,
}

impl Place {
    /// The directory `path` on this node, made if it is not there.
    fn local(path: &Path) -> Result<Self, PlaceError> {
        let path = &std::path::absolute(path).map_err(PlaceError::on("find", path))?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(PlaceError::on("make", path))?;
        Self::existing(path)
    }

    fn existing(path: &Path) -> Result<Self, PlaceError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
        Ok(Self {
            shown: path.to_owned(),
            directory: opened.map_err(PlaceError::on("open", path))?,
        })
    }

    /// The directory of an export that no client reaches.
    fn of_export(export: &Candidate) -> Result<Self, PlaceError> {
        let shown = export.path.join(HIDDEN);
        let opened = export.file_system.hidden_directory().map_err(|error| match error {
            standfast_vfs::Error::Os(errno) => io::Error::from(errno),
            other => io::Error::other(other),
        });
        Ok(Self { directory: opened.map_err(PlaceError::on("open", &shown))?, shown })
    }

    /// A path that leads to it as long as it is open.
    pub(crate) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.directory.as_raw_fd()).into()
    }

    /// Whether there is a journal.
    pub(crate) fn has_journal(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.directory, JOURNAL, flags, Mode::empty()).is_ok_and(|journal| {
            DirectoryStorage::new(journal).is_ok_and(|storage| {
                standfast_journal::latest_epoch(&storage).is_ok_and(|e| e.is_some())
            })
        })
    }

    /// The journal's directory, made if it is not there.
    pub(crate) fn storage(&self) -> Result<DirectoryStorage, PlaceError> {
        let path = self.shown.join(JOURNAL);
        let opened = DirectoryStorage::open_at(&self.directory, JOURNAL.as_ref());
        opened.map_err(PlaceError::on("open", &path))
    }

    /// Reads what a takeover reads.
    fn warm(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let storage =
            DirectoryStorage::new(openat(&self.directory, JOURNAL, flags, Mode::empty())?)?;
        for name in storage.list()? {
            // A file that has gone meanwhile was none that is needed.
            let _read = storage.open(&name, Access::Read).and_then(|file| file.read());
        }
        Ok(())
    }

    /// Keeps other processes of this machine from using it, until it is dropped.
    pub(crate) fn lock(&self) -> Result<(), PlaceError> {
        match flock(&self.directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(PlaceError::InUse(self.shown.clone())),
            // Not every cluster filesystem has it; the journal itself refuses a second holder.
            Err(error) => {
                tracing::debug!(path = %self.shown.display(), %error, "cannot be locked");
                Ok(())
            }
        }
    }

    /// Puts a journal aside that cannot be used, for people to look at.
    pub(crate) fn put_aside(&self) -> Result<PathBuf, PlaceError> {
        let path = self.shown.join(JOURNAL);
        for number in 1_u32.. {
            let name = format!("{JOURNAL}.lost-{number}");
            if rustix::fs::statat(&self.directory, &name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
                .is_ok()
            {
                continue;
            }
            let moved = rustix::fs::renameat(&self.directory, JOURNAL, &self.directory, &name);
            let moved = moved.and_then(|()| rustix::fs::fsync(&self.directory));
            moved.map_err(io::Error::from).map_err(PlaceError::on("put aside", &path))?;
            return Ok(self.shown.join(name));
        }
        Err(PlaceError::on("put aside", &path)(io::ErrorKind::AlreadyExists.into()))
    }

    /// Whether it is on this filesystem.
    pub(crate) fn is_on(&self, device: u64) -> bool {
        fstat(self.directory.as_fd()).is_ok_and(|stat| stat.st_dev == device)
    }
}

/// Where the journal of a service lies, and whether one was there that is gone.
pub(crate) struct Chosen {
    pub(crate) place: Place,
    /// The note speaks of a journal that is not there.
    pub(crate) is_lost: bool,
}

/// Reads the journal into memory where it is, if it is anywhere. Makes and changes nothing.
pub(crate) fn warm(set: Option<&Path>, exports: &[Candidate]) {
    let hidden = exports.iter().map(|export| export.path.join(HIDDEN));
    let places = set.map(PathBuf::from).into_iter().chain(hidden.filter(|_| set.is_none()));
    for path in places {
        let warmed = Place::existing(&path).map(|place| place.warm());
        tracing::debug!(path = %path.display(), ?warmed, "read ahead");
    }
}

/// Finds the journal, or a place for one: where the settings say; else where it was; else where
/// there is one; else in the first storage that takes it; else on this node.
pub(crate) fn choose(
    set: Option<&Path>,
    note: Option<&Note>,
    exports: &[Candidate],
    state: &Path,
) -> Result<Chosen, PlaceError> {
    if let Some(set) = set {
        let place = Place::local(set)?;
        if let Some(note) = note.filter(|note| note.directory != set && !place.has_journal())
            && Place::existing(&note.directory).is_ok_and(|old| old.has_journal())
        {
            return Err(PlaceError::Moved { old: note.directory.clone(), new: set.to_owned() });
        }
        let is_lost = note.is_some() && !place.has_journal();
        return Ok(Chosen { place, is_lost });
    }
    let mut places = Vec::new();
    for export in exports {
        match Place::of_export(export) {
            Ok(place) => places.push(place),
            Err(error) => tracing::warn!(%error, "the journal is kept elsewhere"),
        }
    }
    if let Some(note) = note {
        let known = places.iter().position(|place| place.shown == note.directory);
        if let Some(index) = known.filter(|index| places[*index].has_journal()) {
            return Ok(Chosen { place: places.swap_remove(index), is_lost: false });
        }
        // It may be on this node, or of an export that is not served now.
        let elsewhere = known.is_none().then(|| Place::existing(&note.directory).ok()).flatten();
        if let Some(place) = elsewhere.filter(Place::has_journal) {
            return Ok(Chosen { place, is_lost: false });
        }
    }
    if let Some(index) = places.iter().position(Place::has_journal) {
        return Ok(Chosen { place: places.swap_remove(index), is_lost: false });
    }
    let is_lost = note.is_some();
    if let Some(place) = places.into_iter().find(|place| place.storage().is_ok()) {
        return Ok(Chosen { place, is_lost });
    }
    let place = Place::local(state)?;
    tracing::warn!(directory = %state.display(),
        "no export has room for the journal (read-only?), so it is kept on this node alone: its \
         state does not move with the data");
    Ok(Chosen { place, is_lost })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Note::read(directory.path()).unwrap(), None);
        let note = Note { directory: "/srv/a/.standfast".into(), epoch: 7, recovering: true };
        note.write(directory.path()).unwrap();
        assert_eq!(Note::read(directory.path()).unwrap(), Some(note));
        std::fs::write(directory.path().join(NOTE), b"{").unwrap();
        assert!(Note::read(directory.path()).is_err());
    }

    #[test]
    fn a_journal_that_was_there_is_lost_and_one_that_never_was_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let (state, set) = (directory.path().join("state"), directory.path().join("set"));
        let first = choose(Some(&set), None, &[], &state).unwrap();
        assert!(!first.is_lost && !first.place.has_journal());
        let note = Note { directory: set.clone(), epoch: 1, recovering: false };
        assert!(choose(Some(&set), Some(&note), &[], &state).unwrap().is_lost);
        let storage = first.place.storage().unwrap();
        let options = standfast_journal::Options::default();
        drop(standfast_journal::Journal::open(Arc::new(storage), 1, options).unwrap());
        assert!(!choose(Some(&set), Some(&note), &[], &state).unwrap().is_lost);
        let elsewhere = choose(Some(&state), Some(&note), &[], &state);
        assert!(matches!(elsewhere, Err(PlaceError::Moved { .. })));
        // Without a setting, the note finds it.
        let found = choose(None, Some(&note), &[], &state).unwrap();
        assert_eq!((found.place.shown.clone(), found.is_lost), (set.clone(), false));
        // It can be put aside, again and again.
        assert_eq!(found.place.put_aside().unwrap(), set.join("journal.lost-1"));
        found.place.storage().unwrap();
        assert_eq!(found.place.put_aside().unwrap(), set.join("journal.lost-2"));
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) =
            (Place::local(directory.path()).unwrap(), Place::local(directory.path()).unwrap());
        one.lock().unwrap();
        assert!(matches!(two.lock(), Err(PlaceError::InUse(_))));
        drop(one);
        two.lock().unwrap();
    }
}
