//! Where the steps of requests are noted that are not answered yet: a file beside the journal, one
//! for each epoch, so that nobody writes into that of another.
//!
//! It is written and never flushed: it outlives the process in the page cache. After a power cut
//! it may be old or torn; a checksum tells what is whole.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use standfast_nfs::intents::{MAX_STEP_BYTES, StepStore};

/// What names of the files begin with; the epoch follows.
const PREFIX: &str = "steps-";

/// Bytes of a place: no write crosses a page, so none is cut off by the end of the process.
const PLACE_BYTES: usize = 2048;

/// Length and checksum.
const HEADER_BYTES: usize = 8;

/// Places that are there from the start, so that names can be taken away where no space is left.
const FIRST_PLACES: usize = 256;

const _: () = assert!(HEADER_BYTES + MAX_STEP_BYTES <= PLACE_BYTES);

/// The file of this epoch.
pub(crate) struct StepFile(File);

/// The files of earlier epochs, and what is in them.
pub(crate) struct Earlier {
    files: Vec<PathBuf>,
    steps: Vec<Bytes>,
}

impl Earlier {
    /// All that is whole.
    pub(crate) fn steps(&self) -> Vec<Bytes> {
        self.steps.clone()
    }

    /// Removes the files.
    pub(crate) fn remove(&self) {
        for file in &self.files {
            if let Err(error) = std::fs::remove_file(file) {
                tracing::warn!(file = %file.display(), %error, "cannot remove what is not needed");
            }
        }
    }
}

impl StepFile {
    /// Makes the file of an epoch in a directory, and reads those of others.
    pub(crate) fn open(directory: &Path, epoch: u64) -> io::Result<(Self, Earlier)> {
        let mut earlier = Earlier { files: Vec::new(), steps: Vec::new() };
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX)) {
                earlier.files.push(entry.path());
            }
        }
        for file in &earlier.files {
            read(&File::open(file)?, &mut earlier.steps)?;
        }
        let file = make(directory, epoch)?;
        file.write_all_at(&vec![0; FIRST_PLACES * PLACE_BYTES], 0)?;
        Ok((Self(file), earlier))
    }
}

impl StepStore for StepFile {
    fn put(&self, place: u32, step: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + step.len());
        bytes.extend_from_slice(&(step.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&crc32fast::hash(step).to_be_bytes());
        bytes.extend_from_slice(step);
        if bytes.len() > PLACE_BYTES {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.0.write_all_at(&bytes, u64::from(place) * PLACE_BYTES as u64)
    }
}

/// A new file: an epoch may have begun before and not come far.
fn make(directory: &Path, epoch: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    let mut attempt = 0_u64;
    loop {
        match options.open(directory.join(format!("{PREFIX}{epoch:016x}-{attempt}"))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => attempt += 1,
            made => return made,
        }
    }
}

/// Adds what is whole in a file.
fn read(file: &File, steps: &mut Vec<Bytes>) -> io::Result<()> {
    let (place_bytes, end) = (PLACE_BYTES as u64, file.metadata()?.len());
    for place in 0..end.div_ceil(place_bytes) {
        let begin = place * place_bytes;
        // The last one ends where its step does.
        let mut bytes = vec![0; (end - begin).min(place_bytes) as usize];
        file.read_exact_at(&mut bytes, begin)?;
        steps.extend(whole(&bytes));
    }
    Ok(())
}

fn whole(place: &[u8]) -> Option<Bytes> {
    let (length, rest) = place.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let step = rest.get(..u32::from_be_bytes(*length) as usize)?;
    let is_whole = !step.is_empty() && crc32fast::hash(step) == u32::from_be_bytes(*checksum);
    is_whole.then(|| Bytes::copy_from_slice(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_last_is_found_by_the_next_epoch() {
        let directory = tempfile::tempdir().unwrap();
        let (first, earlier) = StepFile::open(directory.path(), 1).unwrap();
        assert!(earlier.steps().is_empty());
        first.put(7, b"an older one, which was longer").unwrap();
        first.put(7, b"intent").unwrap();
        let beyond = FIRST_PLACES as u32 + 3;
        first.put(beyond, &[1; MAX_STEP_BYTES]).unwrap();
        assert!(first.put(0, &[1; PLACE_BYTES]).is_err());
        for _again in 0..2 {
            let (_second, earlier) = StepFile::open(directory.path(), 2).unwrap();
            let found = earlier.steps();
            assert_eq!(found, [Bytes::from_static(b"intent"), vec![1; MAX_STEP_BYTES].into()]);
        }
        let (second, earlier) = StepFile::open(directory.path(), 2).unwrap();
        earlier.remove();
        second.put(0, b"step").unwrap();
        let (_third, earlier) = StepFile::open(directory.path(), 3).unwrap();
        assert_eq!(earlier.steps(), [Bytes::from_static(b"step")]);
    }

    #[test]
    fn what_is_torn_is_not_found() {
        let directory = tempfile::tempdir().unwrap();
        let (first, _) = StepFile::open(directory.path(), 1).unwrap();
        first.put(0, b"whole").unwrap();
        first.put(1, b"torn").unwrap();
        first.0.write_all_at(b"x", PLACE_BYTES as u64 + HEADER_BYTES as u64).unwrap();
        first.0.write_all_at(&u32::MAX.to_be_bytes(), 2 * PLACE_BYTES as u64).unwrap();
        let (_second, earlier) = StepFile::open(directory.path(), 2).unwrap();
        assert_eq!(earlier.steps(), [Bytes::from_static(b"whole")]);
    }
}
