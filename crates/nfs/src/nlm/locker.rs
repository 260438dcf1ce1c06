//! The rules of the lock manager: what each procedure does to the lock table. No I/O: events and
//! the time go in, statuses and clients to tell come out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::grace::{Grace, GraceSettings};
use super::grants::{Grant, Grants, Undo, Wish};
use super::host::{Host, LockOwner};
use super::protocol::Status;
use crate::locks::{
    Change, Conflict, FileKey, LimitReached, LockLimits, LockTable, Outcome, Range, Request, Share,
    Usage,
};
use crate::nsm::record::ClientHost;
use crate::nsm::same_host;

type LockRequest = Request<FileKey, LockOwner>;
type LockChange = Change<FileKey, LockOwner>;

/// What the client says beside which lock it wants.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LockTerms {
    /// Wait if it cannot be granted at once.
    pub(super) block: bool,
    /// It was held before the server restarted.
    pub(super) reclaim: bool,
    /// The client's state number; 0 if it has none.
    pub(super) state: i32,
}

/// What is known of a host.
#[derive(Debug)]
struct HostState {
    last_seen: Instant,
    /// The state number in its last lock; 0 if it has none.
    state: i32,
    /// The state number that it told of last.
    told: Option<i32>,
    /// Owners that had locks when the state number of new locks changed: they belong to an
    /// earlier run of the host, but for its word, which is on its way.
    earlier_run: Vec<LockOwner>,
}

/// The lock manager's state.
#[derive(Debug)]
pub(super) struct Locker {
    table: LockTable<FileKey, LockOwner>,
    grants: Grants,
    hosts: HashMap<Arc<Host>, HostState>,
    host_limit: usize,
    grace: Grace,
}

impl Locker {
    pub(super) fn new(limits: LockLimits, host_limit: usize, grace: Grace) -> Self {
        Self {
            table: LockTable::new(limits),
            grants: Grants::default(),
            hosts: HashMap::new(),
            host_limit,
            grace,
        }
    }

    pub(super) fn set_limits(&mut self, limits: LockLimits) {
        self.table.set_limits(limits);
    }

    /// Starts over as after a crash of this server.
    pub(super) fn crash(
        &mut self,
        settings: GraceSettings,
        former: impl IntoIterator<Item = ClientHost>,
        now: Instant,
    ) {
        let former = former.into_iter().map(|host| (host.name, host.address));
        let grace = Grace::begin(settings, former, now);
        *self = Self::new(self.table.limits(), self.host_limit, grace);
    }

    /// Whether a lock may be asked for at all.
    pub(super) fn admits(&mut self, reclaim: bool, now: Instant) -> Result<(), Status> {
        if self.grace.left(now).is_some() == reclaim {
            return Ok(());
        }
        Err(Status::DeniedGracePeriod)
    }

    /// Time until the grace period ends at the latest.
    pub(super) fn grace_left(&mut self, now: Instant) -> Option<Duration> {
        self.grace.left(now)
    }

    /// The host, known from now on.
    pub(super) fn host(&mut self, host: Host, now: Instant) -> Result<Arc<Host>, Status> {
        if let Some((known, _)) = self.hosts.get_key_value(&host) {
            return Ok(Arc::clone(known));
        }
        if self.hosts.len() >= self.host_limit {
            return Err(Status::DeniedNoLocks);
        }
        let host = Arc::new(host);
        let state = HostState { last_seen: now, state: 0, told: None, earlier_run: Vec::new() };
        self.hosts.insert(Arc::clone(&host), state);
        Ok(host)
    }

    /// Who would stand in the way of a lock.
    pub(super) fn test(&self, request: &LockRequest) -> Option<Conflict<LockOwner>> {
        self.table.test(request)
    }

    /// `LOCK` and `NM_LOCK`.
    pub(super) fn lock(
        &mut self,
        wish: Wish,
        terms: LockTerms,
        now: Instant,
    ) -> (Status, Vec<Grant>) {
        if let Err(status) = self.admits(terms.reclaim, now) {
            return (status, Vec::new());
        }
        let request = &wish.request;
        self.note_lock(&request.owner, terms, now);
        let before = self.table.held_by(&request.file, &request.owner, request.range);
        // A reclaimed lock was held: it never waits.
        let wait = terms.block && !terms.reclaim;
        let (outcome, changes) = match self.table.lock(request, wait) {
            Ok(done) => done,
            Err(limit) => return (self.refuse(limit, &request.owner), Vec::new()),
        };
        match outcome {
            Outcome::Granted => {
                // The reply tells the client; nobody else has to.
                self.end_waits_for(request, &changes);
                self.grants.confirm(&request.file, &request.owner, request.range);
                (Status::Granted, self.absorb(changes))
            }
            Outcome::Waiting(waiter) => {
                self.grants.wait(waiter, wish, before);
                (Status::Blocked, self.absorb(changes))
            }
            Outcome::Denied(_) => (Status::Denied, self.absorb(changes)),
        }
    }

    /// `CANCEL`. A lock that was granted but is not known to the client is taken back.
    pub(super) fn cancel(&mut self, request: &LockRequest) -> (Status, Vec<Grant>) {
        if let Some((_, changes)) = self.table.cancel(request) {
            return (Status::Granted, self.absorb(changes));
        }
        match self.grants.refused(request) {
            Some(undo) => (Status::Granted, self.undo(undo)),
            None => (Status::Denied, Vec::new()),
        }
    }

    /// `UNLOCK`.
    pub(super) fn unlock(
        &mut self,
        file: FileKey,
        owner: &LockOwner,
        range: Range,
    ) -> (Status, Vec<Grant>) {
        match self.table.unlock(file, owner, range) {
            Ok(changes) => {
                self.grants.confirm(&file, owner, range);
                self.grants.released(&file, owner, range);
                (Status::Granted, self.absorb(changes))
            }
            Err(limit) => (self.refuse(limit, owner), Vec::new()),
        }
    }

    /// `SHARE`.
    pub(super) fn share(
        &mut self,
        file: FileKey,
        owner: &LockOwner,
        share: Share,
        reclaim: bool,
        now: Instant,
    ) -> Status {
        if let Err(status) = self.admits(reclaim, now) {
            return status;
        }
        self.note_lock(owner, LockTerms { reclaim, ..LockTerms::default() }, now);
        match self.table.share(file, owner, share) {
            Ok(Ok(changes)) => {
                self.absorb(changes);
                Status::Granted
            }
            Ok(Err(_holder)) => Status::Denied,
            Err(limit) => self.refuse(limit, owner),
        }
    }

    /// `UNSHARE`.
    pub(super) fn unshare(&mut self, file: FileKey, owner: &LockOwner) {
        let changes = self.table.unshare(file, owner);
        self.absorb(changes);
    }

    /// The client's answer to a grant: `wanted`, or not.
    pub(super) fn answered(&mut self, grant: &Grant, wanted: bool) -> Vec<Grant> {
        match self.grants.answered(grant) {
            Some(undo) if !wanted => self.undo(undo),
            _ => Vec::new(),
        }
    }

    /// Whether the client must still be told of a grant.
    pub(super) fn must_tell(&self, grant: &Grant) -> bool {
        self.grants.is_unconfirmed(grant)
    }

    /// `FREE_ALL`: everything goes of the host that calls itself `name`, at address `from`.
    pub(super) fn free_all(&mut self, name: &[u8], from: IpAddr) -> Vec<Grant> {
        let hosts = self.hosts_of(|host| host.address == from && host.name == name);
        hosts.iter().flat_map(|host| self.release(host)).collect()
    }

    /// A host restarted, which calls itself `name`, at address `from`: what it held before goes.
    ///
    /// The same restart is told more than once, and may be told after the first locks of the new
    /// run; the state number tells runs apart.
    pub(super) fn rebooted(&mut self, name: &[u8], from: IpAddr, state: i32) -> Vec<Grant> {
        self.grace.forget(|(former, address)| *address == from && same_host(former, name));
        let hosts = self.hosts_of(|host| host.address == from && same_host(&host.name, name));
        let mut grants = Vec::new();
        for host in hosts {
            let Some(known) = self.hosts.get_mut(&host) else { continue };
            if known.told == Some(state) {
                continue;
            }
            known.told = Some(state);
            let earlier_run = std::mem::take(&mut known.earlier_run);
            if known.state != state {
                grants.extend(self.release(&host));
                continue;
            }
            self.grants.forget(|owner| earlier_run.contains(owner));
            for owner in earlier_run {
                let changes = self.table.release_owner(&owner);
                grants.extend(self.absorb(changes));
            }
        }
        grants
    }

    /// A client of the last run knows that we restarted.
    pub(super) fn knows_of_restart(&mut self, host: &ClientHost, now: Instant) {
        self.grace.sign(&(host.name.clone(), host.address), now);
    }

    /// Forgets hosts that have had nothing for `idle`; gives them.
    pub(super) fn sweep(&mut self, idle: Duration, now: Instant) -> Vec<Arc<Host>> {
        let forgotten = self.hosts.extract_if(|host, state| {
            let unused = self.table.client_usage(host).total() == 0;
            unused && now.saturating_duration_since(state.last_seen) >= idle
        });
        forgotten.map(|(host, _)| host).collect()
    }

    /// Whether a host is known that the status monitor knows by this name and these addresses.
    pub(super) fn knows(&self, host: &ClientHost) -> bool {
        self.hosts.keys().any(|known| known.monitored() == *host)
    }

    /// Everything in the table, and what each host has.
    pub(super) fn usage(&self) -> (Usage, Vec<(Arc<Host>, Usage)>) {
        let hosts = self.table.clients().map(|(host, usage)| (Arc::clone(host), usage));
        (self.table.usage(), hosts.collect())
    }

    /// Notes a lock or share of an owner.
    fn note_lock(&mut self, owner: &LockOwner, terms: LockTerms, now: Instant) {
        if terms.reclaim {
            self.grace.sign(&(owner.host.name.clone(), owner.host.address), now);
        }
        let Some(known) = self.hosts.get_mut(&owner.host) else { return };
        known.last_seen = now;
        if terms.state != 0 && known.state != terms.state {
            if known.state != 0 && known.told != Some(terms.state) {
                known.earlier_run = self.table.owners_of(&owner.host);
            }
            known.state = terms.state;
        }
        known.earlier_run.retain(|earlier| earlier != owner);
    }

    fn hosts_of(&self, which: impl Fn(&Host) -> bool) -> Vec<Arc<Host>> {
        self.hosts.keys().filter(|host| which(host)).cloned().collect()
    }

    fn release(&mut self, host: &Arc<Host>) -> Vec<Grant> {
        self.grants.forget(|owner| owner.host == *host);
        let changes = self.table.release_client(host);
        self.absorb(changes)
    }

    fn undo(&mut self, undo: Undo) -> Vec<Grant> {
        let changes = undo.run(&mut self.table);
        self.absorb(changes)
    }

    fn end_waits_for(&mut self, request: &LockRequest, changes: &[LockChange]) {
        for change in changes {
            if let Change::Granted { file, owner, range, mode, waiter: Some(waiter) } = change
                && (file, owner, range, mode)
                    == (&request.file, &request.owner, &request.range, &request.mode)
            {
                self.grants.end_wait(*waiter);
            }
        }
    }

    /// Follows the changes of the table; gives whom to tell.
    fn absorb(&mut self, changes: Vec<LockChange>) -> Vec<Grant> {
        let mut grants = Vec::new();
        for change in changes {
            match change {
                Change::Granted { waiter: Some(waiter), .. } => {
                    grants.extend(self.grants.granted(waiter));
                }
                Change::Cancelled { waiter, .. } => self.grants.end_wait(waiter),
                _ => {}
            }
        }
        grants
    }

    fn refuse(&self, limit: LimitReached, owner: &LockOwner) -> Status {
        let client = &owner.host;
        tracing::warn!(client = %client.address, name = %client.name.escape_ascii(), %limit,
            "lock refused");
        Status::DeniedNoLocks
    }
}
