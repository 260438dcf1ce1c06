//! What the operations of one COMPOUND share.

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use standfast_rpc::Call;

use super::Nfs4;
use super::keeper::{Pending, ServiceState};
use super::object::{File, Object, Place};
use super::protocol::{StateId, Status};
use super::state::SlotName;
use crate::intents::Steps;
use crate::service::{Denied, Export};

/// The session that a COMPOUND uses.
#[derive(Clone, Copy, Debug)]
pub(super) struct InSession {
    /// Its slot.
    pub(super) name: SlotName,
    /// The number of the request in the slot.
    pub(super) sequence: u32,
    /// Its client.
    pub(super) client: u64,
    /// The client wants the reply to be kept.
    pub(super) keep_reply: bool,
    /// The largest reply, in bytes, with its RPC header.
    pub(super) max_reply: usize,
    /// The largest reply that is kept, in bytes, with its RPC header.
    pub(super) max_kept: usize,
}

/// One COMPOUND under way.
pub(super) struct Compound<'a> {
    pub(super) nfs: &'a Nfs4,
    pub(super) call: &'a Call,
    /// The minor version.
    pub(super) minor: u32,
    /// Operations in all.
    pub(super) count: u32,
    /// The number of the one that runs, from zero.
    pub(super) position: u32,
    /// Bytes of the reply so far, with its RPC header.
    pub(super) used: usize,
    /// Bytes that the reply to the operation that runs may take.
    pub(super) room: usize,
    /// The session, once SEQUENCE found it.
    pub(super) session: Option<InSession>,
    /// Something was done that must not be done twice.
    pub(super) changed: bool,
    /// What of this request the server did before it died.
    pub(super) steps: Steps,
    /// Steps of it were noted.
    pub(super) noted: bool,
    current: Option<Object>,
    saved: Option<Object>,
    current_stateid: Option<StateId>,
    saved_stateid: Option<StateId>,
    /// What the reply waits for. Behind a lock only so that a COMPOUND can be lent to several; it
    /// is never taken.
    pending: Mutex<Pending>,
    /// The export that was used last; most COMPOUNDs use one.
    place: Option<Arc<Place>>,
}

impl<'a> Compound<'a> {
    /// Before the first operation.
    pub(super) fn new(nfs: &'a Nfs4, call: &'a Call, minor: u32, count: u32) -> Self {
        Self {
            nfs,
            call,
            minor,
            count,
            position: 0,
            used: 0,
            room: usize::MAX,
            session: None,
            changed: false,
            steps: Steps::default(),
            noted: false,
            current: None,
            saved: None,
            current_stateid: None,
            saved_stateid: None,
            pending: Mutex::new(Pending::none()),
            place: None,
        }
    }

    /// Runs a request on the state. The reply waits until what it changed is durable.
    pub(super) fn state<R>(&mut self, request: impl FnOnce(&mut ServiceState, Instant) -> R) -> R {
        let (result, pending) = self.nfs.keeper.with(request);
        self.pending.get_mut().join(pending);
        result
    }

    /// Recalls what stands in the way of reading or, with `write`, of changing a file without a
    /// stateid.
    ///
    /// # Errors
    /// `DELAY`.
    pub(super) fn make_way(&self, file: &File, write: bool) -> Result<(), Status> {
        let (result, pending) = self.nfs.keeper.make_way(&file.key(), self.client(), write);
        self.pending.lock().join(pending);
        result
    }

    /// The same for what a name in a directory stands for, which is to be changed.
    ///
    /// # Errors
    /// `DELAY`.
    pub(super) async fn make_way_to_name(
        &self,
        directory: &File,
        name: &[u8],
    ) -> Result<(), Status> {
        if !self.nfs.keeper.has_delegations(true) {
            return Ok(());
        }
        let name = name.to_vec();
        let found =
            directory.run(move |fs, context, directory| fs.lookup(context, directory, &name));
        // What cannot be found has no delegation; the operation itself says why.
        match found.await {
            Ok(found) => self.make_way(&directory.sibling(found.handle), true),
            Err(_) => Ok(()),
        }
    }

    /// Makes the reply wait for this, too.
    pub(super) fn wait_for(&mut self, pending: Pending) {
        self.pending.get_mut().join(pending);
    }

    /// Makes the reply wait for all that happened so far, whoever did it: it may show that.
    pub(super) fn wait_for_all(&mut self) {
        self.pending.get_mut().join(self.nfs.keeper.barrier());
    }

    /// What the reply waits for, so far.
    pub(super) fn take_pending(&mut self) -> Pending {
        std::mem::replace(self.pending.get_mut(), Pending::none())
    }

    /// The client of the session; none in minor version 0, where stateids say whose they are.
    pub(super) fn client(&self) -> Option<u64> {
        self.session.map(|session| session.client)
    }

    /// The current object.
    ///
    /// # Errors
    /// `NOFILEHANDLE`.
    pub(super) fn current(&self) -> Result<&Object, Status> {
        self.current.as_ref().ok_or(Status::NoFileHandle)
    }

    /// The current object, which must lie in an export.
    ///
    /// # Errors
    /// `NOFILEHANDLE`, and those of [`Object::file`].
    pub(super) fn file(&self) -> Result<&File, Status> {
        self.current()?.file()
    }

    /// The current object, for an operation that changes something.
    ///
    /// # Errors
    /// `NOFILEHANDLE`, `ROFS`.
    pub(super) fn file_to_change(&self) -> Result<&File, Status> {
        self.current()?.to_change()
    }

    /// The saved object.
    ///
    /// # Errors
    /// `NOFILEHANDLE`.
    pub(super) fn saved(&self) -> Result<&Object, Status> {
        self.saved.as_ref().ok_or(Status::NoFileHandle)
    }

    /// Changes the current object; the current stateid is not of it.
    pub(super) fn set_current(&mut self, object: Object) {
        self.current = Some(object);
        self.current_stateid = None;
    }

    /// There is no current object any more.
    pub(super) fn clear_current(&mut self) {
        self.current = None;
        self.current_stateid = None;
    }

    /// Changes the current object to one of the same export.
    pub(super) fn set_current_file(&mut self, file: File) {
        self.set_current(Object::File(file));
    }

    /// SAVEFH.
    pub(super) fn save(&mut self) -> Result<(), Status> {
        self.saved = Some(self.current()?.clone());
        self.saved_stateid = self.current_stateid;
        Ok(())
    }

    /// RESTOREFH.
    pub(super) fn restore(&mut self) -> Result<(), Status> {
        let none = if self.minor == 0 { Status::RestoreFh } else { Status::NoFileHandle };
        self.current = Some(self.saved.clone().ok_or(none)?);
        self.current_stateid = self.saved_stateid;
        Ok(())
    }

    /// Sets the current stateid (RFC 8881 section 16.2.3.1.2).
    pub(super) fn set_stateid(&mut self, id: StateId) {
        self.current_stateid = (self.minor > 0).then_some(id);
    }

    /// The stateid that an argument means: the current one if it says so.
    ///
    /// # Errors
    /// `BAD_STATEID` if there is no current one.
    pub(super) fn stateid(&self, argument: StateId) -> Result<StateId, Status> {
        self.resolve(argument, self.current_stateid)
    }

    /// The same, for an argument that belongs to the saved object.
    ///
    /// # Errors
    /// `BAD_STATEID` if there is no saved one.
    pub(super) fn saved_stateid(&self, argument: StateId) -> Result<StateId, Status> {
        self.resolve(argument, self.saved_stateid)
    }

    fn resolve(&self, argument: StateId, current: Option<StateId>) -> Result<StateId, Status> {
        if self.minor > 0 && argument == StateId::CURRENT {
            current.ok_or(Status::BadStateId)
        } else {
            Ok(argument)
        }
    }

    /// An export as the caller may use it.
    ///
    /// # Errors
    /// `STALE` if the client may not, `ACCESS` from a port that is not privileged, `DELAY` while
    /// nobody can tell.
    pub(super) async fn enter(&mut self, export: &Arc<Export>) -> Result<Arc<Place>, Status> {
        if let Some(place) = self.place.as_ref().filter(|it| Arc::ptr_eq(&it.export, export)) {
            return Ok(Arc::clone(place));
        }
        let service = &self.nfs.service;
        let access =
            service.access(export, self.call.peer).await.map_err(|denied| match denied {
                Denied::Address => Status::Stale,
                Denied::Port => Status::Access,
                Denied::Unknown => Status::Delay,
            })?;
        let caller = service.caller(&self.call.credential, &access).await;
        let place = Arc::new(Place { export: Arc::clone(export), access, caller });
        self.place = Some(Arc::clone(&place));
        Ok(place)
    }

    /// The export that was used last, for the statistics.
    pub(super) fn place(&self) -> Option<&Arc<Place>> {
        self.place.as_ref()
    }
}
