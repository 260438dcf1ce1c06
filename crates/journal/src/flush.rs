//! What makes a batch durable, and what else that covers.

use std::io;

use crate::storage::{FilesystemTraits, StorageFile};

/// What must be stable when a record is reported durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The record.
    #[default]
    Record,
    /// The record, and every change of names and attributes on the journal's filesystem whose
    /// system call had returned before the record was appended. Not the bytes of other files.
    Namespace,
}

/// Makes a batch durable. Called by one thread at a time.
pub trait Flusher: Send + Sync {
    /// Makes everything written into the journal's `file` stable, and what `scope` asks for.
    ///
    /// # Errors
    /// The first one stops the journal: after a failed flush the kernel counts the pages as clean,
    /// so that a second flush would succeed without having written them.
    fn flush(
        &self,
        file: &dyn StorageFile,
        scope: Scope,
        filesystem: FilesystemTraits,
    ) -> io::Result<()>;
}

/// The flush of a journal that lies on the filesystem of the data it speaks of.
///
/// For [`Scope::Record`]: `fdatasync(2)`. Into room that was written before, this is one write and
/// one flush of the device's cache, without metadata. It covers **no** operation on other files, on
/// none of ext4, XFS and btrfs, just because it has nothing to commit:
///
/// * ext4 waits for the transaction that last changed the file in a way that `fdatasync` must care
///   about (`i_datasync_tid`); that one is long committed, so only the device is flushed.
/// * XFS forces the log only up to the last change of the file (`ili_commit_seq`, and only if there
///   is one that is not a mere timestamp). There is none.
/// * btrfs writes the file's own items into its log tree, and those of no other file.
///
/// Seen, too: a rename and a new file before the flush are not in an image of the device that is
/// taken after it, on any of the three; with what follows they are.
///
/// For [`Scope::Namespace`], with one flush still:
///
/// * ext4 and XFS: a change of the file's attributes (`utimensat`), then `fsync(2)`. Both keep
///   changes of all files in one ordered log. The change of attributes joins the transaction that
///   is running now (ext4: `i_sync_tid`; XFS: a commit into the log's current checkpoint), which
///   holds or follows every operation that has returned before; `fsync` waits until that one is on
///   the disk, and transactions become stable in their order. The explicit change is needed:
///   `fsync` alone may find nothing to commit, since a write changes the modification time once in
///   a tick of the clock at most (seen on ext4).
/// * Others, btrfs among them: `syncfs(2)`. On btrfs it commits the transaction. It is dearer where
///   much unflushed data of other files waits, since it writes that too. Who knows which
///   directories an operation changed may supply a flusher that calls `fsync` on each instead;
///   btrfs makes a directory's new and changed entries stable with it.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogFlusher;

impl Flusher for LogFlusher {
    fn flush(
        &self,
        file: &dyn StorageFile,
        scope: Scope,
        filesystem: FilesystemTraits,
    ) -> io::Result<()> {
        match scope {
            Scope::Record => file.sync_data(),
            Scope::Namespace if filesystem.has_one_log => {
                file.touch()?;
                file.sync_all()
            }
            Scope::Namespace => file.sync_filesystem(),
        }
    }
}
