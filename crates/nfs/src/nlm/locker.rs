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
use super::record::LockChange;
use crate::holder::{ServiceClient, ServiceHolder};
use crate::locks::{
    Change, Conflict, FileKey, LimitReached, LockTable, Outcome, Range, Request, Share, Usage,
};
use crate::nsm::record::ClientHost;
use crate::nsm::same_host;

type LockRequest = Request<FileKey, LockOwner>;
type TableChange = Change<FileKey, ServiceHolder>;

/// The locks of all protocols of a service.
pub type Table = LockTable<FileKey, ServiceHolder>;

/// The lock table for one event, and what the event changed.
pub(super) struct Books<'a> {
    pub(super) table: &'a mut Table,
    pub(super) changes: Vec<LockChange>,
}

/// A wish in the words of the table.
fn in_table(request: &LockRequest) -> Request<FileKey, ServiceHolder> {
    let Request { file, owner, range, mode } = request.clone();
    Request { file, owner: owner.into(), range, mode }
}

fn in_table_owner(owner: &LockOwner) -> ServiceHolder {
    owner.clone().into()
}

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
pub(super) struct HostState {
    last_seen: Instant,
    /// The state number in its last lock; 0 if it has none.
    state: i32,
    /// The state number that it told of last.
    told: Option<i32>,
    /// Owners that had locks when the state number of new locks changed: they belong to an
    /// earlier run of the host, but for its word, which is on its way.
    earlier_run: Vec<LockOwner>,
}

impl HostState {
    /// What a journal says of a host. Which of its owners belong to an earlier run is not known
    /// any more: what it told of is done, and what it did not is told with the number of its run.
    pub(super) fn restored(state: i32, told: Option<i32>, now: Instant) -> Self {
        Self { last_seen: now, state, told, earlier_run: Vec::new() }
    }
}

/// The lock manager's state.
#[derive(Debug)]
pub(super) struct Locker {
    grants: Grants,
    hosts: HashMap<Arc<Host>, HostState>,
    host_limit: usize,
    grace: Grace,
}

impl Locker {
    pub(super) fn new(host_limit: usize, grace: Grace) -> Self {
        Self { grants: Grants::default(), hosts: HashMap::new(), host_limit, grace }
    }

    /// One that goes on with what a journal gave back.
    pub(super) fn restored(
        host_limit: usize,
        grants: Grants,
        hosts: HashMap<Arc<Host>, HostState>,
        now: Instant,
    ) -> Self {
        let grace = Grace::begin(GraceSettings::default(), [], now);
        Self { grants, hosts, host_limit, grace }
    }

    /// Starts over as after a crash of this server.
    pub(super) fn crash(
        &mut self,
        books: &mut Books<'_>,
        settings: GraceSettings,
        former: impl IntoIterator<Item = ClientHost>,
        now: Instant,
    ) {
        let former = former.into_iter().map(|host| (host.name, host.address));
        let grace = Grace::begin(settings, former, now);
        *self = Self::new(self.host_limit, grace);
        for host in hosts_in(books.table) {
            let changes = books.table.release_client(&ServiceClient::Nlm(host));
            // Nobody waits any more who could be told.
            self.absorb(books, changes);
        }
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
    pub(super) fn test(table: &Table, request: &LockRequest) -> Option<Conflict<ServiceHolder>> {
        table.test(&in_table(request))
    }

    /// `LOCK` and `NM_LOCK`.
    pub(super) fn lock(
        &mut self,
        books: &mut Books<'_>,
        wish: Wish,
        terms: LockTerms,
        now: Instant,
    ) -> (Status, Vec<Grant>) {
        if let Err(status) = self.admits(terms.reclaim, now) {
            return (status, Vec::new());
        }
        let request = &wish.request;
        self.note_lock(books, &request.owner, terms, now);
        let wanted = in_table(request);
        let before = books.table.held_by(&wanted.file, &wanted.owner, wanted.range);
        // A reclaimed lock was held: it never waits.
        let wait = terms.block && !terms.reclaim;
        let (outcome, changes) = match books.table.lock(&wanted, wait) {
            Ok(done) => done,
            Err(limit) => return (self.refuse(limit, &request.owner), Vec::new()),
        };
        match outcome {
            Outcome::Granted => {
                // The reply tells the client; nobody else has to.
                self.end_waits_for(&wanted, &changes);
                self.grants.confirm(&request.file, &request.owner, request.range);
                (Status::Granted, self.absorb(books, changes))
            }
            Outcome::Waiting(waiter) => {
                self.grants.wait(waiter, wish, before);
                (Status::Blocked, self.absorb(books, changes))
            }
            Outcome::Denied(_) => (Status::Denied, self.absorb(books, changes)),
        }
    }

    /// `CANCEL`. A lock that was granted but is not known to the client is taken back.
    pub(super) fn cancel(
        &mut self,
        books: &mut Books<'_>,
        request: &LockRequest,
    ) -> (Status, Vec<Grant>) {
        if let Some((_, changes)) = books.table.cancel(&in_table(request)) {
            return (Status::Granted, self.absorb(books, changes));
        }
        match self.grants.refused(request) {
            Some(undo) => (Status::Granted, self.undo(books, undo)),
            None => (Status::Denied, Vec::new()),
        }
    }

    /// `UNLOCK`.
    pub(super) fn unlock(
        &mut self,
        books: &mut Books<'_>,
        file: FileKey,
        owner: &LockOwner,
        range: Range,
    ) -> (Status, Vec<Grant>) {
        match books.table.unlock(file, &in_table_owner(owner), range) {
            Ok(changes) => {
                self.grants.confirm(&file, owner, range);
                self.grants.released(&file, owner, range);
                (Status::Granted, self.absorb(books, changes))
            }
            Err(limit) => (self.refuse(limit, owner), Vec::new()),
        }
    }

    /// `SHARE`.
    pub(super) fn share(
        &mut self,
        books: &mut Books<'_>,
        file: FileKey,
        owner: &LockOwner,
        share: Share,
        reclaim: bool,
        now: Instant,
    ) -> Status {
        if let Err(status) = self.admits(reclaim, now) {
            return status;
        }
        self.note_lock(books, owner, LockTerms { reclaim, ..LockTerms::default() }, now);
        match books.table.share(file, &in_table_owner(owner), share) {
            Ok(Ok(changes)) => {
                self.absorb(books, changes);
                Status::Granted
            }
            Ok(Err(_holder)) => Status::Denied,
            Err(limit) => self.refuse(limit, owner),
        }
    }

    /// `UNSHARE`.
    pub(super) fn unshare(&mut self, books: &mut Books<'_>, file: FileKey, owner: &LockOwner) {
        let changes = books.table.unshare(file, &in_table_owner(owner));
        self.absorb(books, changes);
    }

    /// The client's answer to a grant: `wanted`, or not.
    pub(super) fn answered(
        &mut self,
        books: &mut Books<'_>,
        grant: &Grant,
        wanted: bool,
    ) -> Vec<Grant> {
        match self.grants.answered(grant) {
            Some(undo) if !wanted => self.undo(books, undo),
            _ => Vec::new(),
        }
    }

    /// Whether the client must still be told of a grant.
    pub(super) fn must_tell(&self, grant: &Grant) -> bool {
        self.grants.is_unconfirmed(grant)
    }

    /// `FREE_ALL`: everything goes of the host that calls itself `name`, at address `from`.
    pub(super) fn free_all(
        &mut self,
        books: &mut Books<'_>,
        name: &[u8],
        from: IpAddr,
    ) -> Vec<Grant> {
        let hosts = self.hosts_of(|host| host.address == from && host.name == name);
        hosts.iter().flat_map(|host| self.release(books, host)).collect()
    }

    /// A host restarted, which calls itself `name`, at address `from`: what it held before goes.
    ///
    /// The same restart is told more than once, and may be told after the first locks of the new
    /// run; the state number tells runs apart.
    pub(super) fn rebooted(
        &mut self,
        books: &mut Books<'_>,
        name: &[u8],
        from: IpAddr,
        state: i32,
    ) -> Vec<Grant> {
        self.grace.forget(|(former, address)| *address == from && same_host(former, name));
        let hosts = self.hosts_of(|host| host.address == from && same_host(&host.name, name));
        let mut grants = Vec::new();
        for host in hosts {
            let Some(known) = self.hosts.get_mut(&host) else { continue };
            if known.told == Some(state) {
                continue;
            }
            known.told = Some(state);
            books.changes.push(LockChange::run(&host, known.state, known.told));
            let earlier_run = std::mem::take(&mut known.earlier_run);
            if known.state != state {
                grants.extend(self.release(books, &host));
                continue;
            }
            self.grants.forget(|owner| earlier_run.contains(owner));
            for owner in earlier_run {
                let changes = books.table.release_owner(&owner.into());
                grants.extend(self.absorb(books, changes));
            }
        }
        grants
    }

    /// A client of the last run knows that we restarted.
    pub(super) fn knows_of_restart(&mut self, host: &ClientHost, now: Instant) {
        self.grace.sign(&(host.name.clone(), host.address), now);
    }

    /// Forgets hosts that have had nothing for `idle`; gives them.
    pub(super) fn sweep(&mut self, table: &Table, idle: Duration, now: Instant) -> Vec<Arc<Host>> {
        let forgotten = self.hosts.extract_if(|host, state| {
            let unused = table.client_usage(&ServiceClient::Nlm(Arc::clone(host))).total() == 0;
            unused && now.saturating_duration_since(state.last_seen) >= idle
        });
        forgotten.map(|(host, _)| host).collect()
    }

    /// Whether a host is known that the status monitor knows by this name and these addresses.
    pub(super) fn knows(&self, host: &ClientHost) -> bool {
        self.hosts.keys().any(|known| known.monitored() == *host)
    }

    /// The clients of other protocols aside: what each host has, and all of them together.
    pub(super) fn usage(table: &Table) -> (Usage, Vec<(Arc<Host>, Usage)>) {
        let of_host = |(client, usage): (&ServiceClient, Usage)| match client {
            ServiceClient::Nlm(host) => Some((Arc::clone(host), usage)),
            ServiceClient::V4(_) => None,
        };
        let hosts: Vec<_> = table.clients().filter_map(of_host).collect();
        let total = hosts.iter().fold(Usage::default(), |total, (_, usage)| Usage {
            held: total.held + usage.held,
            waiting: total.waiting + usage.waiting,
            shares: total.shares + usage.shares,
        });
        (total, hosts)
    }

    /// The hosts that are known.
    pub(super) fn known(&self) -> Vec<Arc<Host>> {
        self.hosts.keys().cloned().collect()
    }

    /// What a journal must hold beside the table: which runs of hosts are known, and which locks
    /// their clients may not know of.
    pub(super) fn beside_table(&self) -> Vec<LockChange> {
        let known = self.hosts.iter().filter(|(_, known)| known.state != 0 || known.told.is_some());
        let runs = known.map(|(host, known)| LockChange::run(host, known.state, known.told));
        runs.chain(self.grants.unconfirmed().flat_map(untold)).collect()
    }

    /// Follows what the requests of another protocol changed; gives whom to tell.
    pub(super) fn follow(&mut self, changes: &[TableChange]) -> Vec<Grant> {
        changes.iter().filter_map(|change| self.follow_one(change)).collect()
    }

    /// Notes a lock or share of an owner.
    fn note_lock(
        &mut self,
        books: &mut Books<'_>,
        owner: &LockOwner,
        terms: LockTerms,
        now: Instant,
    ) {
        if terms.reclaim {
            self.grace.sign(&(owner.host.name.clone(), owner.host.address), now);
        }
        let Some(known) = self.hosts.get_mut(&owner.host) else { return };
        known.last_seen = now;
        if terms.state != 0 && known.state != terms.state {
            if known.state != 0 && known.told != Some(terms.state) {
                known.earlier_run = owners_of(books.table, &owner.host);
            }
            known.state = terms.state;
            books.changes.push(LockChange::run(&owner.host, known.state, known.told));
        }
        known.earlier_run.retain(|earlier| earlier != owner);
    }

    fn hosts_of(&self, which: impl Fn(&Host) -> bool) -> Vec<Arc<Host>> {
        self.hosts.keys().filter(|host| which(host)).cloned().collect()
    }

    fn release(&mut self, books: &mut Books<'_>, host: &Arc<Host>) -> Vec<Grant> {
        self.grants.forget(|owner| owner.host == *host);
        let changes = books.table.release_client(&ServiceClient::Nlm(Arc::clone(host)));
        self.absorb(books, changes)
    }

    fn undo(&mut self, books: &mut Books<'_>, undo: Undo) -> Vec<Grant> {
        let changes = undo.run(books.table);
        self.absorb(books, changes)
    }

    fn end_waits_for(
        &mut self,
        request: &Request<FileKey, ServiceHolder>,
        changes: &[TableChange],
    ) {
        for change in changes {
            if let Change::Granted { file, owner, range, mode, waiter: Some(waiter) } = change
                && (file, owner, range, mode)
                    == (&request.file, &request.owner, &request.range, &request.mode)
            {
                self.grants.end_wait(*waiter);
            }
        }
    }

    /// Follows the changes of the table and notes them; gives whom to tell.
    fn absorb(&mut self, books: &mut Books<'_>, changes: Vec<TableChange>) -> Vec<Grant> {
        books.changes.extend(changes.iter().filter_map(LockChange::of_table));
        self.follow(&changes)
    }

    fn follow_one(&mut self, change: &TableChange) -> Option<Grant> {
        match change {
            Change::Granted { waiter: Some(waiter), .. } => self.grants.granted(*waiter),
            Change::Cancelled { waiter, .. } => {
                self.grants.end_wait(*waiter);
                None
            }
            _ => None,
        }
    }

    fn refuse(&self, limit: LimitReached, owner: &LockOwner) -> Status {
        let client = &owner.host;
        tracing::warn!(client = %client.address, name = %client.name.escape_ascii(), %limit,
            "lock refused");
        Status::DeniedNoLocks
    }
}

/// A lock that was waited for, as a journal must have it while its client may not know.
fn untold(grant: Grant) -> impl Iterator<Item = LockChange> {
    let Request { file, owner, range, mode } = in_table(&grant.wish.request);
    let waiter = grant.waiter;
    let waited = Change::Waiting { file, owner: owner.clone(), range, mode, waiter };
    let granted = Change::Granted { file, owner, range, mode, waiter: Some(waiter) };
    [waited, granted].into_iter().filter_map(|change| LockChange::of_table(&change))
}

fn hosts_in(table: &Table) -> Vec<Arc<Host>> {
    Locker::usage(table).1.into_iter().map(|(host, _)| host).collect()
}

/// The owners of a host that have locks.
fn owners_of(table: &Table, host: &Arc<Host>) -> Vec<LockOwner> {
    let owners = table.owners_of(&ServiceClient::Nlm(Arc::clone(host)));
    let nlm = owners.into_iter().filter_map(|owner| match owner {
        ServiceHolder::Nlm(owner, _) => Some(owner),
        ServiceHolder::V4(..) => None,
    });
    nlm.collect()
}
