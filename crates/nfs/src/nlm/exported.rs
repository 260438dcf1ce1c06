//! The files of the exports, for locks.

use std::sync::Arc;

use standfast_rpc::Call;
use standfast_vfs::Error;

use super::files::{FileFuture, Files};
use super::protocol::Status;
use crate::locks::{FileKey, Mode};
use crate::service::{Denied, PutOff, Service};

/// The files of the exports of a [`Service`]: a lock needs a handle of ours, of a file that is
/// there, on an export that the client may use, and may write to if the lock is exclusive.
pub struct ExportedFiles {
    service: Arc<Service>,
}

impl ExportedFiles {
    /// The files of `service`.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    async fn find(
        &self,
        handle: &[u8],
        call: &Call,
        wanted: Option<Mode>,
    ) -> Result<FileKey, Status> {
        let opened = self.service.handles().open(handle);
        let (id, handle) = opened.map_err(|_| Status::StaleHandle)?;
        let export = self.service.export(id).ok_or(Status::StaleHandle)?;
        let access = self.service.access(&export, call.peer).await;
        let access = access.map_err(|denied| match denied {
            Denied::Address => Status::StaleHandle,
            Denied::Port | Denied::Unknown => Status::Failed,
        })?;
        let file = FileKey { export: id.0, handle };
        match wanted {
            None => return Ok(file),
            Some(Mode::Exclusive) if access.read_only => return Err(Status::ReadOnly),
            Some(_) => {}
        }
        let write = wanted == Some(Mode::Exclusive);
        // A client with a delegation grants locks to itself.
        let way = self.service.make_way(id, &handle, write).await;
        way.map_err(|PutOff| Status::DeniedGracePeriod)?;
        let caller = self.service.caller(&call.credential, &access).await;
        let looked = export
            .workers()
            .try_here(export.file_system(), &caller, move |file_system, context| {
                file_system.attributes(context, &handle)
            })
            .await;
        match looked {
            Some(Ok(_)) => Ok(file),
            Some(Err(Error::Stale | Error::BadHandle)) => Err(Status::StaleHandle),
            Some(Err(_)) | None => Err(Status::Failed),
        }
    }
}

impl Files for ExportedFiles {
    fn file<'a>(
        &'a self,
        handle: &'a [u8],
        call: &'a Call,
        wanted: Option<Mode>,
    ) -> FileFuture<'a> {
        Box::pin(self.find(handle, call, wanted))
    }
}
