//! What every procedure needs: the object behind a handle, and who may do what with it.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use standfast_rpc::reply_cache::{Keeping, Left};
use standfast_rpc::{Call, Transport};
use standfast_settings::ClientAccess;
use standfast_vfs::{Attributes, Caller, Context, Error, FileSystem, Handle};

use super::protocol::{self as wire, Status};
use super::{convert, protocol};
use crate::service::{Denied, Export, PayloadLimits, PutOff, Service};
use crate::workers::{ChangeOf, Outcome};

/// One call of NFSv3.
pub(super) struct Request<'a> {
    pub(super) service: &'a Arc<Service>,
    pub(super) call: &'a Call,
    /// The export that it turned out to be for.
    pub(super) export: OnceLock<Arc<Export>>,
}

/// An object that the caller named, on an export that the caller may use.
pub(super) struct Object {
    pub(super) export: Arc<Export>,
    pub(super) handle: Handle,
    pub(super) access: Arc<ClientAccess>,
    pub(super) caller: Arc<Caller>,
    /// The reply is kept where it outlives the server.
    pub(super) keeping: Option<Arc<Keeping>>,
}

/// The most that a datagram carries of a payload, as with other servers: a larger one would not
/// fit with its header.
const DATAGRAM_PAYLOAD: usize = 32 << 10;

impl Request<'_> {
    /// Sizes of requests, for the transport that this one came by.
    pub(super) fn limits(&self) -> PayloadLimits {
        let limits = self.service.limits();
        match self.call.peer.transport {
            Transport::Tcp => limits,
            Transport::Udp => PayloadLimits {
                max_read: limits.max_read.min(DATAGRAM_PAYLOAD),
                max_write: limits.max_write.min(DATAGRAM_PAYLOAD),
            },
        }
    }

    /// The object that a handle names.
    pub(super) async fn object(&self, handle: &protocol::FileHandle) -> Result<Object, Status> {
        let (id, handle) = self.service.handles().open(handle).map_err(|_| Status::BadHandle)?;
        // An export that was taken away: what the client holds names nothing here any more.
        let export = self.service.export(id).ok_or(Status::Stale)?;
        let access = match self.service.access(&export, self.call.peer).await {
            Ok(access) => access,
            Err(Denied::Address) => return Err(Status::Stale),
            Err(Denied::Port) => return Err(Status::Access),
            Err(Denied::Unknown) => return Err(Status::Jukebox),
        };
        let caller = self.service.caller(&self.call.credential, &access).await;
        // A second object of the same request lies on the same export.
        let _already = self.export.set(Arc::clone(&export));
        let keeping = self.call.keeping.clone();
        Ok(Object { export, handle, access, caller, keeping })
    }

    /// The same, for an operation that changes something.
    pub(super) async fn object_to_change(
        &self,
        handle: &protocol::FileHandle,
    ) -> Result<Object, Status> {
        let object = self.object(handle).await?;
        if object.access.read_only {
            return Err(Status::RoFs);
        }
        self.make_way(&object, object.handle, true).await?;
        Ok(object)
    }

    /// The same, for an operation that reads what a client of NFSv4 may not have written yet.
    pub(super) async fn object_to_read(
        &self,
        handle: &protocol::FileHandle,
    ) -> Result<Object, Status> {
        let object = self.object(handle).await?;
        self.make_way(&object, object.handle, false).await?;
        Ok(object)
    }

    /// Recalls the delegations that stand in the way of changing what a name in a directory
    /// stands for.
    pub(super) async fn make_way_to_name(
        &self,
        object: &Object,
        directory: Handle,
        name: &[u8],
    ) -> Result<(), Status> {
        if !self.service.has_delegations() {
            return Ok(());
        }
        let name = name.to_vec();
        let found = object.run(move |fs, context, _| fs.lookup(context, &directory, &name));
        // What cannot be found has no delegation; the operation itself says why.
        match found.await? {
            Ok(found) => self.make_way(object, found.handle, true).await,
            Err(_) => Ok(()),
        }
    }

    async fn make_way(&self, object: &Object, file: Handle, write: bool) -> Result<(), Status> {
        let way = self.service.make_way(object.export.id(), &file, write).await;
        way.map_err(|PutOff| Status::Jukebox)
    }

    /// A second object, which must lie on the same export as the first.
    pub(super) fn companion(
        &self,
        object: &Object,
        handle: &protocol::FileHandle,
    ) -> Result<Handle, Status> {
        let (id, handle) = self.service.handles().open(handle).map_err(|_| Status::BadHandle)?;
        if id == object.export.id() { Ok(handle) } else { Err(Status::XDev) }
    }
}

impl Object {
    /// Runs an operation that changes nothing.
    pub(super) async fn look<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Fn(&dyn FileSystem, Context<'_>, &Handle) -> Result<T, Error> + Send + 'static,
    {
        let handle = self.handle;
        let workers = self.export.workers();
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        let result = workers.try_here(self.export.file_system(), &self.caller, operation).await;
        result.ok_or(Status::ServerFault)?.map_err(|error| self.status(&error))
    }

    /// Runs an operation that may wait and changes nothing.
    pub(super) async fn run<T, F>(&self, operation: F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        let handle = self.handle;
        let workers = self.export.workers();
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        let result = workers.run(self.export.file_system(), &self.caller, operation).await;
        result.ok_or(Status::ServerFault)
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

    /// Runs an operation that changes what `change` says, until the change is stable.
    pub(super) async fn change_of<T, F>(&self, change: ChangeOf, operation: F) -> Result<T, Status>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>, &Handle) -> T + Send + 'static,
    {
        let handle = self.handle;
        let workers = self.export.workers();
        let operation =
            move |fs: &dyn FileSystem, context: Context<'_>| operation(fs, context, &handle);
        // The flush of the reply's record makes the change stable too, where it can.
        let leave = self.keeping.is_some() && self.export.storage().is_with_journal();
        let file_system = self.export.file_system();
        let changed =
            workers.change_leaving(file_system, &self.caller, change, leave, operation).await;
        let (outcome, left) = changed.ok_or(Status::ServerFault)?;
        if let Some(keeping) = self.keeping.as_ref().filter(|_| !outcome.failed()) {
            keeping.leave(if left { Left::ReplyAndNames } else { Left::Reply });
        }
        Ok(outcome)
    }

    /// The object's attributes, where they go along with a failure.
    pub(super) async fn attributes(&self) -> Option<wire::Attributes> {
        let attributes = self.look(|fs, context, handle| fs.attributes(context, handle)).await;
        attributes.ok().map(|attributes| self.wire(&attributes))
    }

    /// Attributes for the wire.
    pub(super) fn wire(&self, attributes: &Attributes) -> wire::Attributes {
        convert::attributes(self.export.id(), attributes)
    }

    /// Before and after, for the wire.
    pub(super) fn wcc(
        &self,
        before: Option<standfast_vfs::ChangeTime>,
        after: Option<&Attributes>,
    ) -> wire::WccData {
        convert::wcc(self.export.id(), before, after)
    }

    /// A handle for the wire.
    pub(super) fn seal(&self, request: &Request<'_>, handle: &Handle) -> wire::FileHandle {
        wire::FileHandle::from(request.service.handles().seal(self.export.id(), handle))
    }

    /// The status for an error; one that a person should know of is logged.
    pub(super) fn status(&self, error: &Error) -> Status {
        let status = Status::from(error);
        if matches!(status, Status::Io | Status::ServerFault | Status::NoSpc | Status::DQuot) {
            self.export.complain(error, Instant::now());
        }
        status
    }
}
