//! Whether a directory does what the design rests on: appends that last, renames, locks.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::EngineError;

const APPENDED: [&[u8]; 2] = [b"first\n", b"second\n"];

fn failed<'a>(
    action: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> EngineError + 'a {
    move |source| EngineError::Io { action, path: path.into(), source }
}

fn unfit(path: &Path, reason: &str) -> EngineError {
    EngineError::Unfit { path: path.into(), reason: reason.into() }
}

/// Tries it all in `directory`, with files that are this node's alone.
pub(crate) fn probe(directory: &Path, node: &str) -> Result<(), EngineError> {
    let file = directory.join(format!("probe-{node}"));
    let result = appends(&file).and_then(|()| locks(&file)).and_then(|()| renames(&file));
    let removed = match fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(failed("remove a file", &file)(error))
        }
        _ => Ok(()),
    };
    result.and(removed)
}

fn appends(path: &Path) -> Result<(), EngineError> {
    File::create(path).map_err(failed("make a file", path))?;
    for part in APPENDED {
        let mut file =
            OpenOptions::new().append(true).open(path).map_err(failed("open a file", path))?;
        file.write_all(part).map_err(failed("append to a file", path))?;
        file.sync_data().map_err(failed("make an append durable (fdatasync)", path))?;
    }
    let directory = path.parent().unwrap_or(path);
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed("make a directory durable (fsync)", directory))?;
    let mut read = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut read))
        .map_err(failed("read a file", path))?;
    if read == APPENDED.concat() {
        Ok(())
    } else {
        Err(unfit(path, "what was appended is not what is read; appends must not overwrite"))
    }
}

fn locks(path: &Path) -> Result<(), EngineError> {
    let open = || File::open(path).map_err(failed("open a file", path));
    let (first, second) = (open()?, open()?);
    let lock = FlockOperation::NonBlockingLockExclusive;
    let error = |error: Errno| failed("lock a file (flock)", path)(error.into());
    // A file lock over NFS needs a file that is open for writing.
    let lockable = |file: &File| match flock(file, lock) {
        Err(Errno::BADF) => None,
        other => Some(other),
    };
    match (lockable(&first), lockable(&second)) {
        (Some(Ok(())), Some(Err(Errno::WOULDBLOCK))) => Ok(()),
        (Some(Ok(())), Some(Ok(()))) => {
            Err(unfit(path, "two could lock a file at once; mount it with locks that work"))
        }
        (None, _) | (_, None) => locks_for_writing(path),
        (Some(Err(first)), _) => Err(error(first)),
        (_, Some(Err(second))) => Err(error(second)),
    }
}

fn locks_for_writing(path: &Path) -> Result<(), EngineError> {
    let open = || OpenOptions::new().append(true).open(path).map_err(failed("open a file", path));
    let (first, second) = (open()?, open()?);
    let lock = FlockOperation::NonBlockingLockExclusive;
    flock(&first, lock).map_err(|error| failed("lock a file (flock)", path)(error.into()))?;
    match flock(&second, lock) {
        Err(Errno::WOULDBLOCK) => Ok(()),
        _ => Err(unfit(path, "two could lock a file at once; mount it with locks that work")),
    }
}

fn renames(path: &Path) -> Result<(), EngineError> {
    // A node's name may have dots, so this is no extension.
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    File::create(new).map_err(failed("make a file", new))?;
    fs::rename(new, path).map_err(failed("rename a file over another", new))
}
