//! Files that stay for those who have them open, after their last name is gone.

use std::sync::Arc;

use crate::{Attributes, Context, Handle, Result};

/// Who knows which files clients have open.
///
/// It is asked while a name is being removed, so it must not call the filesystem, nor wait for
/// somebody who does.
pub trait OpenFiles: Send + Sync {
    /// Whether a client has this file open.
    fn is_open(&self, file: &Handle) -> bool;
}

/// A file that a client has open stays, readable and writable by its handle, when its last name
/// is removed or another file is renamed over it; also across restarts and on another node. It is
/// given a name in the server's own directory *before* it loses that of the client, and that name
/// goes with the last close. So a crash between any two steps leaves a file that has one name too
/// many, never one too few; what is too many is found at the next start.
///
/// How a server uses this:
///
/// 1. After the replay of its state, [`KeptFiles::keep_open_files`], then [`KeptFiles::release`]
///    of each of [`KeptFiles::kept_files`] (which does nothing to those that are open).
/// 2. OPEN: note the file as open in the state, then [`KeptFiles::confirm_open`]. If that fails the
///    file was removed in between, and the open is to be taken back.
/// 3. At the last CLOSE, or when the client's state goes: note it, durably, then
///    [`KeptFiles::release`].
///
/// Removing and renaming ask [`OpenFiles`] by themselves, whichever protocol they are for.
///
/// [`Attributes::links`] does not count the name in the server's own directory: of a file whose
/// last name was removed it is zero, as of one that a local process holds open.
///
/// Where no name can be given (the filesystem is full, or the file has as many as it can have) the
/// file is held open instead, until the server ends.
pub trait KeptFiles {
    /// From now on files are kept that are open as `files` says.
    fn keep_open_files(&self, files: Arc<dyn OpenFiles>);

    /// The attributes of a file that was noted as open a moment ago. From now on it is kept until
    /// it is released.
    ///
    /// # Errors
    /// [`crate::Error::Stale`]: it was removed before it was noted.
    fn confirm_open(&self, context: Context<'_>, file: &Handle) -> Result<Attributes>;

    /// Whether there is anything to [release](KeptFiles::release) of a file. Never waits.
    fn is_kept(&self, file: &Handle) -> bool;

    /// Lets a file go that was kept, unless it is open. Without effect on any other.
    fn release(&self, file: &Handle) -> Result<()>;

    /// All files that are kept, also those of an earlier server.
    fn kept_files(&self) -> Result<Vec<Handle>>;
}
