//! What a file handle names, on an export that the caller may use.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use standfast_settings::ClientAccess;
use standfast_vfs::{Attributes, Caller, Context, Error, FileKind, FileSystem, Handle};

use super::protocol::Status;
use super::pseudo::{Node, PSEUDO_EXPORT};
use crate::handles::HandleCodec;
use crate::locks::FileKey;
use crate::service::Export;
use crate::workers::{ChangeOf, Outcome};

/// An export, as a caller may use it.
pub(super) struct Place {
    pub(super) export: Arc<Export>,
    pub(super) access: Arc<ClientAccess>,
    pub(super) caller: Arc<Caller>,
}

/// An object of an export.
#[derive(Clone)]
pub(super) struct File {
    pub(super) place: Arc<Place>,
    pub(super) handle: Handle,
}

/// What a file handle names.
#[derive(Clone)]
pub(super) enum Object {
    /// An object of an export.
    File(File),
    /// A directory of the tree that joins the exports.
    Node(Node),
}

impl Object {
    /// The object, which must lie in an export: the tree that joins them has directories only.
    ///
    /// # Errors
    /// `ISDIR`.
    pub(super) fn file(&self) -> Result<&File, Status> {
        match self {
            Self::File(file) => Ok(file),
            Self::Node(_) => Err(Status::IsDir),
        }
    }

    /// The object, for an operation that changes something.
    ///
    /// # Errors
    /// `ROFS`.
    pub(super) fn to_change(&self) -> Result<&File, Status> {
        match self {
            Self::File(file) if !file.place.access.read_only => Ok(file),
            _ => Err(Status::RoFs),
        }
    }

    /// Its handle for the wire.
    pub(super) fn seal(&self, codec: &HandleCodec) -> Bytes {
        match self {
            Self::File(file) => file.seal(codec),
            Self::Node(node) => codec.seal(PSEUDO_EXPORT, &node.handle()),
        }
    }

    /// What it is.
    pub(super) async fn kind(&self) -> Result<FileKind, Status> {
        match self {
            Self::File(file) => file.kind().await,
            Self::Node(_) => Ok(FileKind::Directory),
        }
    }
}

impl File {
    /// Another object of the same export.
    pub(super) fn sibling(&self, handle: Handle) -> Self {
        Self { place: Arc::clone(&self.place), handle }
    }

    /// Its name in the state.
    pub(super) fn key(&self) -> FileKey {
        FileKey { export: self.place.export.id().0, handle: self.handle }
    }

    /// Its handle for the wire.
    pub(super) fn seal(&self, codec: &HandleCodec) -> Bytes {
        codec.seal(self.place.export.id(), &self.handle)
    }

    /// Runs an operation that changes nothing.
    pub(super) async fn look<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Fn(&dyn FileSystem, Context<'_>, &Handle) -> Result<T, Error> + Send + 'static,
    {
        let handle = self.handle;
        let export = &self.place.export;
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        let result =
            export.workers().try_here(export.file_system(), &self.place.caller, operation).await;
        result.ok_or(Status::ServerFault)?.map_err(|error| self.status(&error))
    }

    /// Runs an operation that may wait and changes nothing.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> Result<T, Error> + Send + 'static,
    {
        let handle = self.handle;
        let export = &self.place.export;
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        let result =
            export.workers().run(export.file_system(), &self.place.caller, operation).await;
        result.ok_or(Status::ServerFault)?.map_err(|error| self.status(&error))
    }

    /// Runs an operation that makes an object or changes several, until the change is stable.
    pub(super) async fn change<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        self.change_of(ChangeOf::Several, operation).await
    }

    /// Runs an operation that changes this object alone (data of a file, names of a directory), or
    /// makes changes of it stable.
    pub(super) async fn change_alone<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        self.change_of(ChangeOf::Object(self.handle), operation).await
    }

    async fn change_of<T, F>(&self, change: ChangeOf, operation: F) -> Result<T, Status>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        let handle = self.handle;
        let export = &self.place.export;
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        let (file_system, caller) = (export.file_system(), &self.place.caller);
        let result = export.workers().change(file_system, caller, change, operation).await;
        result.ok_or(Status::ServerFault)
    }

    /// Its attributes.
    pub(super) async fn attributes(&self) -> Result<Attributes, Status> {
        self.look(|fs, context, handle| fs.attributes(context, handle)).await
    }

    /// What it is.
    pub(super) async fn kind(&self) -> Result<FileKind, Status> {
        self.attributes().await.map(|attributes| attributes.kind)
    }

    /// The status for an error; one that a person should know of is logged.
    pub(super) fn status(&self, error: &Error) -> Status {
        let status = Status::from(error);
        if matches!(status, Status::Io | Status::ServerFault | Status::NoSpc | Status::DQuot) {
            self.place.export.complain(error, Instant::now());
        }
        status
    }
}
