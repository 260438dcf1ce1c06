//! The journal in words, for people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use standfast_journal::DirectoryStorage;
use standfast_nfs::nlm::record;
use standfast_nfs::v4::keeper::RecordKind;
use standfast_nfs::v4::state::Change;

use crate::instance::DEFAULT;
use crate::place::{JOURNAL, Note};
use crate::replies;

/// Why a journal cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// It cannot be opened.
    #[error("cannot open the journal in {path}: {error}")]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Nobody knows where it is.
    #[error("{state_dir} knows of no journal; give the directory that is exported")]
    Unknown {
        /// The state directory of this node.
        state_dir: PathBuf,
    },
}

/// A journal to be looked at: that of an exported directory, the journal's directory itself, or,
/// without a directory, the one that the state directory of this node knows of.
///
/// # Errors
/// See [`FindError`].
pub fn find_journal(
    directory: Option<&Path>,
    state_dir: &Path,
) -> Result<(PathBuf, DirectoryStorage), FindError> {
    let given = match directory {
        Some(directory) => directory.to_owned(),
        None => {
            let note = Note::read(&state_dir.join("services").join(DEFAULT)).ok().flatten();
            let unknown = || FindError::Unknown { state_dir: state_dir.to_owned() };
            note.ok_or_else(unknown)?.directory
        }
    };
    let within = [given.join(".standfast").join(JOURNAL), given.join(JOURNAL)];
    let path = within.into_iter().find(|path| path.is_dir()).unwrap_or(given);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&path, flags, Mode::empty()).map_err(std::io::Error::from);
    let storage = opened.and_then(DirectoryStorage::new);
    let storage = storage.map_err(|error| FindError::Open { path: path.clone(), error })?;
    Ok((path, storage))
}

/// What a record of this kind says, in words; `None`: this version does not know.
pub fn describe(tag: u16, payload: &[u8]) -> Option<String> {
    let payload = Bytes::copy_from_slice(payload);
    let mut text = String::new();
    // Writing to a string does not fail.
    match RecordKind::from_tag(tag)? {
        RecordKind::State => join(&mut text, Change::decode_all(&payload).ok()?),
        RecordKind::Locks => {
            let (state, locks) = record::decode(&payload).ok()?;
            join(&mut text, state);
            join(&mut text, locks);
        }
        RecordKind::Reply => {
            for reply in replies::decode(&payload).ok()? {
                let _written = write!(text, "{}Replied({reply})", separator(&text));
            }
        }
    }
    Some(text)
}

fn separator(text: &str) -> &'static str {
    if text.is_empty() { "" } else { "; " }
}

fn join<T: std::fmt::Debug>(text: &mut String, changes: impl IntoIterator<Item = T>) {
    for change in changes {
        let _written = write!(text, "{}{change:?}", separator(text));
    }
}
