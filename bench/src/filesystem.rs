//! What the filesystem does by itself, one call at a time: the measure for rows that must be stable.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use serde::Serialize;

use crate::Error;
use crate::rows::SMALL;

/// How long each of the rates is measured.
const TIME: Duration = Duration::from_millis(500);
/// The blocks that are written in turn.
const BLOCKS: u64 = 256;

/// Rates without a server, per second.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Filesystem {
    /// Writes of 4 KiB with `O_DSYNC`.
    pub stable_writes: f64,
    /// Creations of a file, its directory flushed after each.
    pub stable_creates: f64,
}

impl Filesystem {
    /// Measures the filesystem of `parent`, in a directory of its own.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn measure(parent: &Path) -> Result<Self, Error> {
        let directory = parent.join("filesystem");
        let failed = |source| Error::path("measure the filesystem in", &directory)(source);
        fs::create_dir(&directory).map_err(failed)?;
        let flags = OFlags::DSYNC.bits().cast_signed();
        let path = directory.join("stable");
        let file = File::options().write(true).create_new(true).custom_flags(flags).open(path);
        let file = file.map_err(failed)?;
        let block = [1; SMALL];
        let write = |number| file.write_all_at(&block, number % BLOCKS * SMALL as u64);
        (0..BLOCKS).try_for_each(write).map_err(failed)?;
        let stable_writes = rate(write).map_err(failed)?;
        let itself = File::open(&directory).map_err(failed)?;
        let create = |number: u64| {
            File::create_new(directory.join(number.to_string()))?;
            itself.sync_all()
        };
        let stable_creates = rate(create).map_err(failed)?;
        fs::remove_dir_all(&directory).map_err(failed)?;
        Ok(Self { stable_writes, stable_creates })
    }
}

impl fmt::Display for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Without a server, one by one: {:.0} O_DSYNC writes of 4 KiB, {:.0} creations with \
             fsync of the directory per second.",
            self.stable_writes, self.stable_creates
        )
    }
}

/// How often a second `call` is done.
fn rate(mut call: impl FnMut(u64) -> std::io::Result<()>) -> std::io::Result<f64> {
    let begin = Instant::now();
    let mut done = 0;
    while begin.elapsed() < TIME {
        call(done)?;
        done += 1;
    }
    Ok(done as f64 / begin.elapsed().as_secs_f64())
}
