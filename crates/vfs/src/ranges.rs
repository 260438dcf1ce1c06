//! Parts of files: holes, reserved space, copies.

use crate::{Changed, Context, Handle, Result};

/// What a file holds at a place (`lseek(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Bytes that were written.
    Data,
    /// Nothing, which reads as zeros.
    Hole,
}

/// How a part of a file will be used (`posix_fadvise(2)`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// Soon.
    WillNeed,
    /// Not soon.
    DontNeed,
}

/// Operations on parts of regular files, given in bytes. `EISDIR` or `EINVAL` for other objects.
///
/// All may wait. Those that change something are stable as [`crate::FileSystem`] says, but for
/// copies, which are like unstable writes.
pub trait Ranges {
    /// The first place at or after `offset` that holds `what`; the end of the file counts as a
    /// hole. `None`: there is none. `ENXIO`: `offset` is not before the end of the file.
    fn seek(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        what: Content,
    ) -> Result<Option<u64>>;

    /// Reserves space for a part of a file, and extends the file to its end. `EOPNOTSUPP`: the
    /// filesystem cannot.
    fn allocate(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
    ) -> Changed<()>;

    /// Makes a part of a file a hole, without a change of its size. `EOPNOTSUPP`: the filesystem
    /// cannot.
    fn deallocate(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
    ) -> Changed<()>;

    /// Makes a part of the file `to` share the storage of a part of `from`, as long as neither is
    /// written; a length of zero is all to the end of `from`. `EOPNOTSUPP`: the filesystem cannot;
    /// `EXDEV`: the two are on different ones; `EINVAL`: not whole blocks, or the parts overlap.
    fn clone_range(
        &self,
        context: Context<'_>,
        from: (&Handle, u64),
        to: (&Handle, u64),
        length: u64,
    ) -> Changed<()>;

    /// Copies a part of the file `from` to `to`, in the way that is cheapest there, and perhaps
    /// less of it than asked for: the result is how much, zero at the end of `from`.
    fn copy_range(
        &self,
        context: Context<'_>,
        from: (&Handle, u64),
        to: (&Handle, u64),
        length: u64,
    ) -> Changed<u64>;

    /// Says how a part of a file will be used; a length of zero is all to its end.
    fn advise(
        &self,
        context: Context<'_>,
        handle: &Handle,
        offset: u64,
        length: u64,
        advice: Advice,
    ) -> Result<()>;
}
