//! Where the journal keeps its files.

mod directory;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;

use std::io;

pub use directory::DirectoryStorage;

/// The longest file that is read, in bytes. Segments and snapshots are far below it; it keeps a
/// foreign or damaged file from taking all memory.
pub const MAX_FILE_BYTES: u64 = 4 << 30;

/// A flat directory of files.
///
/// What is created, published or removed is stable after [`Storage::sync`], what is written into a
/// file after one of the file's own.
pub trait Storage: Send + Sync {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Opens an existing file. A file opened for reading alone can be read and no more.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>>;

    /// Creates an empty file and opens it for writing; fails with
    /// [`io::ErrorKind::AlreadyExists`] if there is one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>>;

    /// Gives a file another name; fails with [`io::ErrorKind::AlreadyExists`] rather than replace
    /// a file. A crash, or a failure to remove the first name, may leave it with both.
    fn publish(&self, from: &str, to: &str) -> io::Result<()>;

    /// Gives a file another name, in place of whatever has that.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes the names stable.
    fn sync(&self) -> io::Result<()>;

    /// What the filesystem does.
    fn traits(&self) -> FilesystemTraits;
}

/// What matters of a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilesystemTraits {
    /// A file's bytes are overwritten where they lie. A filesystem that writes each new version
    /// elsewhere gains nothing from room that was written beforehand.
    pub overwrites_in_place: bool,
    /// All changes of names and attributes go through one ordered log, so that a change of one
    /// file's attributes cannot be stable before all earlier changes of any file are. See
    /// [`crate::LogFlusher`].
    pub has_one_log: bool,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read.
    Read,
    /// To be read and written.
    Write,
}

/// An open file.
pub trait StorageFile: Send + Sync {
    /// All bytes; fails above [`MAX_FILE_BYTES`].
    fn read(&self) -> io::Result<Vec<u8>>;

    /// Writes all of `bytes` at `offset`; a file grows as needed.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Cuts it off at `length`.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes stable and what is needed to read them back (`fdatasync(2)`).
    fn sync_data(&self) -> io::Result<()>;

    /// Makes the bytes and all attributes stable (`fsync(2)`).
    fn sync_all(&self) -> io::Result<()>;

    /// Makes everything on the file's filesystem stable (`syncfs(2)`).
    fn sync_filesystem(&self) -> io::Result<()>;

    /// Sets the file's times to now, as a change of attributes of its own.
    fn touch(&self) -> io::Result<()>;

    /// Sets the mark that tells the file's writer that somebody else has taken over.
    fn seal(&self) -> io::Result<()>;

    /// Takes the mark away.
    fn unseal(&self) -> io::Result<()>;

    /// Whether the mark is set.
    fn is_sealed(&self) -> io::Result<bool>;
}
