//! The directory that is served, and the state of the kernel's caches.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::rows::{Action, Cache, Scene};
use crate::{Error, pattern};

/// A file with the pattern, to read.
pub const DATA: &str = "data";
/// A directory of files, to look up.
pub const NAMES: &str = "names";
/// How many there are.
pub const NAME_COUNT: u64 = 10_000;
/// How many of them have their attributes asked for.
pub const ATTRIBUTES: u64 = 1_000;
/// A large directory, to list.
pub const MANY: &str = "many";
/// How many names it has.
pub const MANY_COUNT: u64 = 100_000;

/// Where scenes work that change something.
const WORK: &str = "work";
/// Files are made and read in pieces of this size.
const PIECE: usize = 1 << 20;
/// Where the kernel is told to drop its caches (`proc(5)`).
const DROP_CACHES: &str = "/proc/sys/vm/drop_caches";

/// A directory with everything that scenes read; it goes when this is dropped.
#[derive(Debug)]
pub struct Fixture {
    directory: TempDir,
    data_length: u64,
}

impl Fixture {
    /// Makes it inside `parent`, with what `scenes` need. The file to read has `data_length`
    /// bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(parent: &Path, scenes: &[Scene], data_length: u64) -> Result<Self, Error> {
        let directory = tempfile::Builder::new()
            .prefix("standfast-bench-")
            .tempdir_in(parent)
            .map_err(Error::path("make a directory in", parent))?;
        let fixture = Self { directory, data_length };
        make_directory(&fixture.path().join(WORK))?;
        let needs = |wanted: fn(Action) -> bool| {
            scenes.iter().flat_map(|scene| scene.steps).any(|step| wanted(step.action))
        };
        if needs(|action| matches!(action, Action::Read(..))) {
            fixture.make_data()?;
        }
        if needs(|action| matches!(action, Action::GetAttr | Action::Lookup)) {
            fixture.make_names(NAMES, NAME_COUNT)?;
        }
        if needs(|action| action == Action::ReadDirPlus) {
            fixture.make_names(MANY, MANY_COUNT)?;
        }
        Ok(fixture)
    }

    /// The directory to serve.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The length of the file to read.
    #[must_use]
    pub fn data_length(&self) -> u64 {
        self.data_length
    }

    /// A place of its own for a scene, with a directory per connection.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn workplace(&self, name: &str, scene: &Scene) -> Result<Workplace, Error> {
        let path = self.path().join(WORK).join(name);
        make_directory(&path)?;
        let workplace = Workplace { path, name: name.into() };
        let writes = scene.steps.iter().any(|step| matches!(step.action, Action::Write(..)));
        for index in 0..scene.connections {
            make_directory(&workplace.directory(index))?;
            if writes {
                write_file(&workplace.file(index), Workplace::FILE_LENGTH, |_, piece| {
                    piece.fill(0)
                })?;
            }
        }
        Ok(workplace)
    }

    /// Writes out what the run before left, and brings the caches into the state that `scene` asks
    /// for.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn settle(&self, scene: &Scene) -> Result<(), Error> {
        let directory = File::open(self.path()).map_err(Error::path("open", self.path()))?;
        rustix::fs::syncfs(&directory).map_err(Error::path("sync", self.path()))?;
        match scene.cache {
            Cache::Cold => drop_caches(),
            Cache::Hot => self.warm(scene),
        }
    }

    /// Reads what the scene will read.
    fn warm(&self, scene: &Scene) -> Result<(), Error> {
        if scene.steps.iter().any(|step| matches!(step.action, Action::Read(..))) {
            let path = self.path().join(DATA);
            let mut piece = vec![0; PIECE];
            let read_all = |mut file: File| {
                while file.read(&mut piece)? > 0 {}
                Ok(())
            };
            File::open(&path).and_then(read_all).map_err(Error::path("read", &path))?;
        }
        Ok(())
    }

    fn make_data(&self) -> Result<(), Error> {
        write_file(&self.path().join(DATA), self.data_length, pattern::fill)
    }

    fn make_names(&self, name: &str, count: u64) -> Result<(), Error> {
        let directory = self.path().join(name);
        make_directory(&directory)?;
        let make = |number| File::create_new(directory.join(format!("f{number:011}"))).map(|_| ());
        (0..count).try_for_each(make).map_err(Error::path("make files in", &directory))
    }
}

/// Whether this process may make the kernel's caches cold.
#[must_use]
pub fn can_drop_caches() -> bool {
    File::options().write(true).open(DROP_CACHES).is_ok()
}

fn drop_caches() -> Result<(), Error> {
    fs::write(DROP_CACHES, "3").map_err(Error::path("write", Path::new(DROP_CACHES)))
}

/// Where one run of a scene works; it goes when this is dropped.
#[derive(Debug)]
pub struct Workplace {
    path: PathBuf,
    name: String,
}

impl Workplace {
    /// The file of each connection.
    pub const FILE: &'static str = "file";
    /// Its length. Eight of these do not make the kernel write back in the middle of a run.
    pub const FILE_LENGTH: u64 = 64 << 20;

    /// The names to look up, from the root of what is served to the directory of a connection.
    #[must_use]
    pub fn names(&self, connection: usize) -> [String; 3] {
        [WORK.into(), self.name.clone(), directory_name(connection)]
    }

    /// The file of a connection.
    #[must_use]
    pub fn file(&self, connection: usize) -> PathBuf {
        self.directory(connection).join(Self::FILE)
    }

    fn directory(&self, connection: usize) -> PathBuf {
        self.path.join(directory_name(connection))
    }
}

impl Drop for Workplace {
    fn drop(&mut self) {
        // A server may still hold the files open: they must not keep their blocks.
        for entry in fs::read_dir(&self.path).into_iter().flatten().flatten() {
            let path = entry.path().join(Self::FILE);
            let _ = File::options().write(true).open(path).and_then(|file| file.set_len(0));
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn directory_name(connection: usize) -> String {
    format!("c{connection}")
}

fn make_directory(path: &Path) -> Result<(), Error> {
    fs::create_dir(path).map_err(Error::path("make", path))
}

fn write_file(path: &Path, length: u64, fill: impl Fn(u64, &mut [u8])) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let mut file = File::create_new(path)?;
        let mut piece = vec![0; PIECE];
        for offset in (0..length).step_by(PIECE) {
            fill(offset, &mut piece);
            file.write_all(&piece)?;
        }
        Ok(())
    };
    write().map_err(Error::path("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows;

    #[test]
    fn a_workplace_comes_and_goes() {
        let parent = tempfile::tempdir().unwrap();
        let scenes = rows::select(rows::all(), &["create/c8".into()]);
        let fixture = Fixture::new(parent.path(), &scenes, 0).unwrap();
        let workplace = fixture.workplace("one", &scenes[0]).unwrap();
        let place = fixture.path().join(workplace.names(7).join("/"));
        assert!(place.is_dir());
        drop(workplace);
        assert!(!place.exists());
    }
}
