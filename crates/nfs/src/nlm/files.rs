//! From file handles to files.

use std::future::Future;
use std::pin::Pin;

use standfast_rpc::Call;

use super::protocol::Status;
use crate::locks::{FileKey, Mode};

/// A file that is being looked for.
pub type FileFuture<'a> = Pin<Box<dyn Future<Output = Result<FileKey, Status>> + Send + 'a>>;

/// Knows the files that are exported.
pub trait Files: Send + Sync + 'static {
    /// The file of a handle that came with `call`, to lock it in the `wanted` mode; `None`: to
    /// release what is locked, which must be possible also when the file is gone.
    ///
    /// The error is the status for the client when the handle is of no file
    /// ([`Status::StaleHandle`]) or the client may not lock it.
    fn file<'a>(&'a self, handle: &'a [u8], call: &'a Call, wanted: Option<Mode>)
    -> FileFuture<'a>;
}
