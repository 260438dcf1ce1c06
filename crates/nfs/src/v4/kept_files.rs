//! Files that stay for NFSv4 clients that have them open, when their last name goes: the state
//! says which are open, the filesystem keeps them.

use std::sync::{Arc, Weak};

use standfast_settings::ExportId;
use standfast_vfs::{Handle, OpenFiles};

use super::keeper::{Keeper, Ticket};
use crate::locks::FileKey;
use crate::service::{Export, Service};

/// What NFSv4 clients have open in an export.
struct OpenInExport {
    keeper: Weak<Keeper>,
    export: u64,
}

impl OpenFiles for OpenInExport {
    fn is_open(&self, file: &Handle) -> bool {
        let file = FileKey { export: self.export, handle: *file };
        self.keeper.upgrade().is_some_and(|keeper| keeper.look(|state| state.is_open(&file)))
    }
}

/// From now on files of an export are kept for those who have them open; what was kept for
/// somebody who has it open no more goes. Blocks.
pub fn keep_files(keeper: &Arc<Keeper>, export: &Export) {
    let files = export.file_system();
    let open = OpenInExport { keeper: Arc::downgrade(keeper), export: export.id().0 };
    files.keep_open_files(Arc::new(open));
    let kept = files.kept_files();
    let released = kept.and_then(|kept| kept.iter().try_for_each(|file| files.release(file)));
    if let Err(error) = released {
        tracing::warn!(export = %export.settings().export_path.display(), %error,
            "files that were removed while clients had them open may still take space");
    }
}

/// Lets files go that nobody has open any more.
pub(super) struct Closings(pub(super) Weak<Service>);

impl Closings {
    /// These were closed, which is durable with `durable`.
    pub(super) fn closed(&self, mut files: Vec<FileKey>, durable: impl FnOnce() -> Ticket) {
        let Some(service) = self.0.upgrade() else { return };
        let is_kept = |file: &FileKey| {
            let export = service.export(ExportId(file.export));
            export.is_some_and(|export| export.file_system().is_kept(&file.handle))
        };
        files.retain(is_kept);
        let runtime = tokio::runtime::Handle::try_current();
        if let Some(runtime) = runtime.ok().filter(|_| !files.is_empty()) {
            runtime.spawn(release(service, files, durable()));
        }
    }
}

async fn release(service: Arc<Service>, files: Vec<FileKey>, durable: Ticket) {
    if durable.await.is_err() {
        return;
    }
    for file in files {
        let Some(export) = service.export(ExportId(file.export)) else { continue };
        let release = move || export.file_system().release(&file.handle);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(release).await {
            tracing::warn!(%error, file = ?file.handle,
                "a removed file that was closed takes space until the next start");
        }
    }
}
