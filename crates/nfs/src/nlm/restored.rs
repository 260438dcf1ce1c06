//! The lock manager's knowledge as a journal gives it back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use standfast_settings::ExportId;

use super::grants::{Grant, Grants, Wish};
use super::host::Host;
use super::locker::{HostState, Table};
use super::record::{LockChange, Read, Reader};
use crate::handles::HandleCodec;
use crate::holder::{ServiceClient, ServiceHolder};
use crate::locks::{Change, FileKey, Owner as _, Request, WaiterId};

/// Which waiting requests and hosts there are, from the changes of a journal, in their order.
#[derive(Debug, Default)]
pub struct RestoredLocks {
    reader: Reader,
    waiting: HashMap<WaiterId, (Request<FileKey, ServiceHolder>, bool)>,
    runs: HashMap<Arc<Host>, (i32, Option<i32>)>,
}

impl RestoredLocks {
    /// Does what a change says.
    pub fn apply(&mut self, table: &mut Table, change: &LockChange) {
        match self.reader.read(change) {
            Some(Read::Table(change)) => {
                self.follow(&change);
                table.apply(&change);
            }
            Some(Read::Run(host, state, told)) => {
                self.runs.insert(host, (state, told));
            }
            None => {}
        }
    }

    fn follow(&mut self, change: &Change<FileKey, ServiceHolder>) {
        match change {
            Change::Waiting { file, owner, range, mode, waiter } => {
                let owner = owner.clone();
                let request = Request { file: *file, owner, range: *range, mode: *mode };
                self.waiting.insert(*waiter, (request, false));
            }
            Change::Granted { waiter: Some(waiter), .. } => {
                if let Some((_, granted)) = self.waiting.get_mut(waiter) {
                    *granted = true;
                }
            }
            // What the client asked for itself, it knows.
            Change::Granted { file, owner, range, .. }
            | Change::Released { file, owner, range } => {
                self.waiting.retain(|_, (request, granted)| {
                    let same = request.file == *file && request.owner == *owner;
                    !(*granted && same && request.range.overlaps(*range))
                });
            }
            Change::Cancelled { waiter, .. } => {
                self.waiting.remove(waiter);
            }
            Change::OwnerReleased { owner } => {
                self.waiting.retain(|_, (request, _)| request.owner != *owner);
            }
            Change::ClientReleased { client } => {
                self.waiting.retain(|_, (request, _)| request.owner.client() != client);
            }
            Change::Shared { .. } | Change::Unshared { .. } => {}
        }
    }

    /// What the lock manager goes on with: the requests that wait, those that were granted and
    /// whose clients are to be told (again), and the hosts.
    pub(super) fn into_parts(
        self,
        table: &Table,
        handles: &HandleCodec,
        now: Instant,
    ) -> (Grants, Vec<Grant>, HashMap<Arc<Host>, HostState>) {
        let mut grants = Grants::default();
        let mut to_tell = Vec::new();
        let mut hosts = HashMap::new();
        for (client, _) in table.clients() {
            if let ServiceClient::Nlm(host) = client {
                let (state, told) = self.runs.get(host).copied().unwrap_or_default();
                hosts.insert(Arc::clone(host), HostState::restored(state, told, now));
            }
        }
        let mut waiting: Vec<_> = self.waiting.into_iter().collect();
        waiting.sort_by_key(|(waiter, _)| *waiter);
        for (waiter, (request, granted)) in waiting {
            let held = table.held_by(&request.file, &request.owner, request.range);
            let ServiceHolder::Nlm(owner, _) = request.owner else { continue };
            let Request { file, range, mode, .. } = request;
            let handle = handles.seal(ExportId(file.export), &file.handle);
            let version = if owner.host.wide { 4 } else { 3 };
            let request = Request { file, owner, range, mode };
            let wish = Wish { request, handle, version };
            // One that was granted holds the lock now: what it held before is not known any more,
            // and is not needed, since its client may have heard of it.
            grants.wait(waiter, wish, if granted { Vec::new() } else { held });
            if granted {
                to_tell.extend(grants.granted(waiter));
            }
        }
        (grants, to_tell, hosts)
    }
}
