//! A directory of a mounted filesystem.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    self, AtFlags, CWD, Dir, Mode, OFlags, StatxFlags, Timespec, Timestamps, UTIME_NOW,
};
use rustix::io::Errno;

use super::{Access, FilesystemTraits, MAX_FILE_BYTES, Storage, StorageFile};

/// Filesystems that write each new version of a block to another place: btrfs
/// (`BTRFS_SUPER_MAGIC` of `linux/magic.h`), ZFS, bcachefs, NILFS.
const COPY_ON_WRITE: [u64; 4] = [0x9123_683e, 0x2fc1_2fc1, 0xca45_1a4e, 0x3434];

/// `XFS_SUPER_MAGIC`.
const XFS_MAGIC: u64 = 0x5846_5342;

/// `EXT4_SUPER_MAGIC`, which ext2, ext3 and an ext4 without a journal have too.
const EXT4_MAGIC: u64 = 0xef53;

/// The seal: the sticky bit, which means nothing on a regular file, can be set by its owner, and
/// is seen by whoever has the file open.
const SEAL: Mode = Mode::SVTX;

/// A directory of a mounted filesystem, reached through an open descriptor alone.
#[derive(Debug)]
pub struct DirectoryStorage {
    directory: OwnedFd,
    traits: FilesystemTraits,
}

impl DirectoryStorage {
    /// Uses the directory of this descriptor.
    ///
    /// # Errors
    /// What `fstatfs(2)` says.
    pub fn new(directory: OwnedFd) -> io::Result<Self> {
        let magic = fs::fstatfs(&directory)?.f_type as u64;
        let has_one_log = match magic {
            XFS_MAGIC => true,
            EXT4_MAGIC => has_ext4_journal(fs::fstat(&directory)?.st_dev),
            _ => false,
        };
        let overwrites_in_place = !COPY_ON_WRITE.contains(&magic);
        let traits = FilesystemTraits { overwrites_in_place, has_one_log };
        Ok(Self { directory, traits })
    }

    /// Opens the directory `name` in `parent`, and makes it if it is not there, for its owner
    /// alone.
    ///
    /// # Errors
    /// What the system calls say; `ENOTDIR` and `ELOOP` where something else has that name.
    pub fn open_at(parent: impl AsFd, name: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match fs::mkdirat(&parent, name, Mode::RWXU) {
            Ok(()) => sync_parent(&parent, name)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        Self::new(fs::openat(&parent, name, flags, Mode::empty())?)
    }

    /// The same by path.
    ///
    /// # Errors
    /// As [`DirectoryStorage::open_at`].
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::open_at(CWD, path)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<Box<dyn StorageFile>> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)?;
        if !fs::FileType::from_raw_mode(fs::fstat(&file)?.st_mode).is_file() {
            return Err(Errno::INVAL.into());
        }
        Ok(Box::new(DirectoryFile(file)))
    }
}

/// Whether the ext4 on this device has a journal: whether it has a journal's thread.
fn has_ext4_journal(device: fs::Dev) -> bool {
    let (major, minor) = (fs::major(device), fs::minor(device));
    let Ok(device) = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")) else {
        return false;
    };
    let Some(name) = device.file_name() else { return false };
    let task = Path::new("/sys/fs/ext4").join(name).join("journal_task");
    std::fs::read_to_string(task).is_ok_and(|task| task.trim().parse::<u32>().is_ok())
}

/// Makes the name of a new directory stable.
fn sync_parent(parent: impl AsFd, name: &Path) -> io::Result<()> {
    let above = name.parent().filter(|above| !above.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(fs::fsync(fs::openat(parent, above, flags, Mode::empty())?)?)
}

impl Storage for DirectoryStorage {
    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().to_str() {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        let flags = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        self.open_file(name, flags)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.open_file(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    fn publish(&self, from: &str, to: &str) -> io::Result<()> {
        // `RENAME_NOREPLACE` is not known to every cluster filesystem; a link that refuses an
        // existing name is.
        fs::linkat(&self.directory, from, &self.directory, to, AtFlags::empty())?;
        // The other name means nothing, and is removed when the journal is opened.
        let _ = self.remove(from);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.directory, from, &self.directory, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.directory, name, AtFlags::empty())?)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.directory)?)
    }

    fn traits(&self) -> FilesystemTraits {
        self.traits
    }
}

struct DirectoryFile(OwnedFd);

impl StorageFile for DirectoryFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        let size = u64::try_from(fs::fstat(&self.0)?.st_size).unwrap_or(u64::MAX);
        if size > MAX_FILE_BYTES {
            return Err(Errno::FBIG.into());
        }
        let mut bytes = vec![0; size as usize];
        let mut filled = 0;
        while filled < bytes.len() {
            match rustix::io::pread(&self.0, &mut bytes[filled..], filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    fn write(&self, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::pwrite(&self.0, bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    offset += count as u64;
                    bytes = bytes.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(u64::try_from(fs::fstat(&self.0)?.st_size).unwrap_or_default())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        Ok(fs::ftruncate(&self.0, length)?)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(fs::fdatasync(&self.0)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(fs::fsync(&self.0)?)
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        Ok(fs::syncfs(&self.0)?)
    }

    fn touch(&self) -> io::Result<()> {
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        Ok(fs::futimens(&self.0, &Timestamps { last_access: now, last_modification: now })?)
    }

    fn seal(&self) -> io::Result<()> {
        Ok(fs::fchmod(&self.0, Mode::RUSR | Mode::WUSR | SEAL)?)
    }

    fn unseal(&self) -> io::Result<()> {
        Ok(fs::fchmod(&self.0, Mode::RUSR | Mode::WUSR)?)
    }

    fn is_sealed(&self) -> io::Result<bool> {
        // Not `fstat`: where timestamps are as fine as they are looked at, asking for them makes
        // the next write set them anew, which changes the inode.
        let found = fs::statx(&self.0, c"", AtFlags::EMPTY_PATH, StatxFlags::MODE)?;
        Ok(Mode::from_raw_mode(found.stx_mode.into()).contains(SEAL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_never_replaced() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("journal");
        let storage = DirectoryStorage::open(&path).unwrap();
        let file = storage.create("one").unwrap();
        file.write(3, b"abc").unwrap();
        file.sync_data().unwrap();
        assert_eq!(storage.open("one", Access::Read).unwrap().read().unwrap(), b"\0\0\0abc");
        assert_eq!(fs::stat(&path).unwrap().st_mode & 0o7777, 0o700);
        assert_eq!(fs::stat(path.join("one")).unwrap().st_mode & 0o7777, 0o600);

        assert!(!file.is_sealed().unwrap());
        storage.open("one", Access::Write).unwrap().seal().unwrap();
        assert!(file.is_sealed().unwrap());

        storage.create("two").unwrap();
        let refused = storage.publish("two", "one").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        storage.publish("two", "three").unwrap();
        let mut names = storage.list().unwrap();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        assert_eq!(names, ["one", "three"]);
    }

    #[test]
    fn symbolic_links_and_directories_are_refused() {
        let above = tempfile::tempdir().unwrap();
        let storage = DirectoryStorage::open(above.path()).unwrap();
        storage.create("target").unwrap();
        std::os::unix::fs::symlink("target", above.path().join("link")).unwrap();
        std::fs::create_dir(above.path().join("directory")).unwrap();
        for name in ["link", "directory"] {
            assert!(storage.open(name, Access::Read).is_err(), "{name}");
        }
        assert!(DirectoryStorage::open(&above.path().join("link")).is_err());
    }
}
