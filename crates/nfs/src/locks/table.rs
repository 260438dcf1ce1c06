//! The table: requests in, outcomes and changes out.

use std::hash::Hash;

use super::interner::Interner;
use super::owners::{Delta, Owners};
use super::shares::Shares;
use super::spans::{Edit, Span, Spans};
use super::waiters::{Waiter, Waiters};
use super::{Change, LimitReached, LockLimits, Mode, Owner, Range, Share, Usage, WaiterId};

/// A wish for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<F, O> {
    /// The file.
    pub file: F,
    /// Who asks.
    pub owner: O,
    /// Which bytes.
    pub range: Range,
    /// How.
    pub mode: Mode,
}

/// What stands in the way of a lock, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict<O> {
    /// Who holds (or was first to ask for) it.
    pub owner: O,
    /// Which bytes.
    pub range: Range,
    /// How.
    pub mode: Mode,
}

/// A lock that is held: the same words as a [`Conflict`].
pub type HeldLock<O> = Conflict<O>;

/// What became of a wish for a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<O> {
    /// It is held.
    Granted,
    /// It waits under this name.
    Waiting(WaiterId),
    /// It is refused.
    Denied(Conflict<O>),
}

#[derive(Debug, Default)]
struct FileLocks {
    spans: Spans,
    waiters: Waiters,
    shares: Shares,
    /// Everything in the three.
    entries: usize,
}

/// Byte-range locks and share reservations of all files.
#[derive(Debug)]
pub struct LockTable<F, O: Owner> {
    limits: LockLimits,
    files: Interner<F, FileLocks>,
    owners: Owners<O>,
    next_waiter: u64,
}

type Changes<F, O> = Vec<Change<F, O>>;

impl<F: Copy + Eq + Hash, O: Owner> LockTable<F, O> {
    /// An empty table.
    pub fn new(limits: LockLimits) -> Self {
        Self { limits, files: Interner::default(), owners: Owners::default(), next_waiter: 1 }
    }

    /// How much the table may hold.
    pub fn limits(&self) -> LockLimits {
        self.limits
    }

    /// Changes the limits; what is held beyond the new ones stays.
    pub fn set_limits(&mut self, limits: LockLimits) {
        self.limits = limits;
    }

    /// Who would stand in the way of this lock.
    pub fn test(&self, request: &Request<F, O>) -> Option<Conflict<O>> {
        let file = self.files.get(self.files.find(&request.file)?)?;
        let owner = self.owners.find(&request.owner);
        self.conflict(file.spans.conflict(owner, request.range, request.mode)?)
    }

    /// Sets a lock, or lets it wait for its turn if `wait`.
    ///
    /// A request that waits already keeps its place and its name when it is sent again.
    ///
    /// # Errors
    /// The limit that stands in the way; the table is as before.
    pub fn lock(
        &mut self,
        request: &Request<F, O>,
        wait: bool,
    ) -> Result<(Outcome<O>, Changes<F, O>), LimitReached> {
        let (file, owner) = self.enter(request.file, &request.owner)?;
        let result = self.lock_entered(file, owner, request, wait);
        self.leave(file, owner);
        result
    }

    fn lock_entered(
        &mut self,
        file: u32,
        owner: u32,
        request: &Request<F, O>,
        wait: bool,
    ) -> Result<(Outcome<O>, Changes<F, O>), LimitReached> {
        let (range, mode) = (request.range, request.mode);
        let Some(locks) = self.files.get(file) else { return Err(LimitReached::Files) };
        let edit = locks.spans.plan(owner, range, Some(mode));
        let span =
            |waiter: &Waiter| Span { range: waiter.range, owner: waiter.owner, mode: waiter.mode };
        let obstacle = locks.spans.conflict(Some(owner), range, mode).or_else(|| {
            // Whoever waits lets those pass who waited longer.
            let queues = wait && !edit.is_nothing() && !self.owners.holds_locks(owner);
            queues.then(|| locks.waiters.conflict(owner, range, mode).map(span)).flatten()
        });
        let waiting_already = locks.waiters.find(owner, range, mode);
        let mut changes = Vec::new();
        let Some(obstacle) = obstacle.and_then(|span| self.conflict(span)) else {
            self.check_growth(owner, edit.growth())?;
            self.grant(file, request, &edit, waiting_already, &mut changes);
            return Ok((Outcome::Granted, changes));
        };
        if !wait {
            return Ok((Outcome::Denied(obstacle), changes));
        }
        if let Some(waiter) = waiting_already {
            return Ok((Outcome::Waiting(waiter), changes));
        }
        if locks.waiters.len() >= self.limits.waiters_per_file {
            return Ok((Outcome::Denied(obstacle), changes));
        }
        self.check_growth(owner, 1)?;
        let id = WaiterId(self.next_waiter);
        self.add_waiter(file, Waiter { id, owner, range, mode });
        let Request { file, owner, range, mode } = request.clone();
        changes.push(Change::Waiting { file, owner, range, mode, waiter: id });
        Ok((Outcome::Waiting(id), changes))
    }

    /// Releases what `owner` holds in `range`; waiting requests that can now be granted are.
    /// Requests of the same owner for bytes inside `range` wait no more.
    ///
    /// # Errors
    /// The limit that stands in the way: unlocking the middle of a lock leaves two.
    pub fn unlock(
        &mut self,
        file: F,
        owner: &O,
        range: Range,
    ) -> Result<Changes<F, O>, LimitReached> {
        let mut changes = Vec::new();
        let Some((number, holder)) = self.find(&file, owner) else { return Ok(changes) };
        let Some(locks) = self.files.get(number) else { return Ok(changes) };
        let edit = locks.spans.plan(holder, range, None);
        self.check_growth(holder, edit.growth())?;
        let inside = |waiter: &Waiter| waiter.owner == holder && range.contains(waiter.range);
        self.drop_waiters(number, inside, &mut changes);
        if !edit.is_nothing() {
            self.edit(number, &edit);
            changes.push(Change::Released { file, owner: owner.clone(), range });
        }
        self.promote(number, &mut changes);
        self.leave(number, holder);
        Ok(changes)
    }

    /// Ends the wait of a request; `None` if there is no such request.
    pub fn cancel(&mut self, request: &Request<F, O>) -> Option<(WaiterId, Changes<F, O>)> {
        let (file, owner) = self.find(&request.file, &request.owner)?;
        let id = self.files.get(file)?.waiters.find(owner, request.range, request.mode)?;
        let mut changes = Vec::new();
        self.drop_waiters(file, |waiter| waiter.id == id, &mut changes);
        self.promote(file, &mut changes);
        self.leave(file, owner);
        Some((id, changes))
    }

    /// Sets the owner's share reservation in place of any that it had. `Ok(Err(owner))`: that
    /// owner's reservation does not allow it.
    ///
    /// # Errors
    /// The limit that stands in the way; the table is as before.
    pub fn share(
        &mut self,
        file: F,
        owner: &O,
        share: Share,
    ) -> Result<Result<Changes<F, O>, O>, LimitReached> {
        let (number, holder) = self.enter(file, owner)?;
        let result = self.share_entered(number, holder, share);
        self.leave(number, holder);
        let change = |()| vec![Change::Shared { file, owner: owner.clone(), share }];
        Ok(result?.map(change))
    }

    fn share_entered(
        &mut self,
        file: u32,
        owner: u32,
        share: Share,
    ) -> Result<Result<(), O>, LimitReached> {
        let Some(locks) = self.files.get(file) else { return Err(LimitReached::Files) };
        let obstacle = locks.shares.conflict(owner, share);
        if let Some(holder) = obstacle.and_then(|(holder, _)| self.owners.name(holder)) {
            return Ok(Err(holder.clone()));
        }
        self.check_growth(owner, 1)?;
        self.set_share(file, owner, share);
        Ok(Ok(()))
    }

    /// Drops the owner's share reservation.
    pub fn unshare(&mut self, file: F, owner: &O) -> Changes<F, O> {
        let Some((number, holder)) = self.find(&file, owner) else { return Vec::new() };
        let had = self.drop_share(number, holder);
        self.leave(number, holder);
        if had { vec![Change::Unshared { file, owner: owner.clone() }] } else { Vec::new() }
    }

    /// Drops everything that an owner holds or waits for.
    pub fn release_owner(&mut self, owner: &O) -> Changes<F, O> {
        let Some(number) = self.owners.find(owner) else { return Vec::new() };
        let mut changes = vec![Change::OwnerReleased { owner: owner.clone() }];
        self.release_owners(&[number], &mut changes);
        changes
    }

    /// Drops everything that the owners of a client hold or wait for.
    pub fn release_client(&mut self, client: &O::Client) -> Changes<F, O> {
        let owners = self.owners.owners_of(client);
        if owners.is_empty() {
            return Vec::new();
        }
        let mut changes = vec![Change::ClientReleased { client: client.clone() }];
        self.release_owners(&owners, &mut changes);
        changes
    }

    fn release_owners(&mut self, owners: &[u32], changes: &mut Changes<F, O>) {
        for file in self.drop_owners(owners) {
            self.promote(file, changes);
            self.forget_empty(file);
        }
    }

    /// Everything in the table.
    pub fn usage(&self) -> Usage {
        self.owners.total()
    }

    /// What a client has.
    pub fn client_usage(&self, client: &O::Client) -> Usage {
        self.owners.client_usage(client)
    }

    /// All clients that have anything.
    pub fn clients(&self) -> impl Iterator<Item = (&O::Client, Usage)> {
        self.owners.clients()
    }

    /// The owners of a client that have anything.
    pub fn owners_of(&self, client: &O::Client) -> Vec<O> {
        let owners = self.owners.owners_of(client);
        owners.into_iter().filter_map(|owner| self.owners.name(owner).cloned()).collect()
    }

    /// Number of files that have a lock, a waiting request or a share reservation.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// What `owner` holds of a range of a file.
    pub fn held_by(&self, file: &F, owner: &O, range: Range) -> Vec<(Range, Mode)> {
        let numbers = self.find(file, owner);
        let held = numbers.and_then(|(file, owner)| {
            Some(self.files.get(file)?.spans.held_by(owner, range).collect())
        });
        held.unwrap_or_default()
    }

    /// The locks that are held on a file, by their first byte.
    pub fn held(&self, file: &F) -> Vec<HeldLock<O>> {
        let locks = self.files.find(file).and_then(|number| self.files.get(number));
        let spans = locks.into_iter().flat_map(|locks| locks.spans.iter());
        spans.filter_map(|span| self.conflict(*span)).collect()
    }

    /// The changes that rebuild this table from an empty one.
    pub fn snapshot(&self) -> impl Iterator<Item = Change<F, O>> {
        self.files.iter().flat_map(move |(file, locks)| {
            let file = *file;
            let held = locks.spans.iter().filter_map(move |&Span { range, owner, mode }| {
                let owner = self.owners.name(owner)?.clone();
                Some(Change::Granted { file, owner, range, mode, waiter: None })
            });
            let waiting =
                locks.waiters.iter().filter_map(move |&Waiter { id, owner, range, mode }| {
                    let owner = self.owners.name(owner)?.clone();
                    Some(Change::Waiting { file, owner, range, mode, waiter: id })
                });
            let shares = locks.shares.iter().filter_map(move |(owner, share)| {
                Some(Change::Shared { file, owner: self.owners.name(owner)?.clone(), share })
            });
            held.chain(waiting).chain(shares)
        })
    }

    /// Does what a change of an earlier table says, without asking whether it may: it was
    /// allowed then. Nothing follows from it; what followed then is a change of its own.
    pub fn apply(&mut self, change: &Change<F, O>) {
        match change {
            Change::Granted { file, owner, range, mode, waiter } => {
                let (file, owner) = self.enter_unlimited(*file, owner);
                if let Some(id) = waiter {
                    self.drop_waiters(file, |waiter| waiter.id == *id, &mut Vec::new());
                }
                self.set_range(file, owner, *range, Some(*mode));
            }
            Change::Released { file, owner, range } => {
                let (file, owner) = self.enter_unlimited(*file, owner);
                self.set_range(file, owner, *range, None);
                self.leave(file, owner);
            }
            Change::Waiting { file, owner, range, mode, waiter } => {
                let (file, owner) = self.enter_unlimited(*file, owner);
                self.add_waiter(file, Waiter { id: *waiter, owner, range: *range, mode: *mode });
            }
            Change::Cancelled { file, waiter: id } => {
                if let Some(file) = self.files.find(file) {
                    self.drop_waiters(file, |waiter| waiter.id == *id, &mut Vec::new());
                    self.forget_empty(file);
                }
            }
            Change::Shared { file, owner, share } => {
                let (file, owner) = self.enter_unlimited(*file, owner);
                self.set_share(file, owner, *share);
            }
            Change::Unshared { file, owner } => {
                self.unshare(*file, owner);
            }
            Change::OwnerReleased { owner } => {
                let owners: Vec<u32> = self.owners.find(owner).into_iter().collect();
                self.drop_owners(&owners).into_iter().for_each(|file| self.forget_empty(file));
            }
            Change::ClientReleased { client } => {
                let owners = self.owners.owners_of(client);
                self.drop_owners(&owners).into_iter().for_each(|file| self.forget_empty(file));
            }
        }
    }
}

/// The steps that the requests above are made of.
impl<F: Copy + Eq + Hash, O: Owner> LockTable<F, O> {
    fn find(&self, file: &F, owner: &O) -> Option<(u32, u32)> {
        Some((self.files.find(file)?, self.owners.find(owner)?))
    }

    /// Numbers for a file and an owner, to be given to [`Self::leave`] in the end.
    fn enter(&mut self, file: F, owner: &O) -> Result<(u32, u32), LimitReached> {
        if self.files.len() >= self.limits.files && self.files.find(&file).is_none() {
            return Err(LimitReached::Files);
        }
        Ok(self.enter_unlimited(file, owner))
    }

    fn enter_unlimited(&mut self, file: F, owner: &O) -> (u32, u32) {
        (self.files.intern(&file), self.owners.intern(owner))
    }

    /// Forgets the file and the owner if nothing is left of them.
    fn leave(&mut self, file: u32, owner: u32) {
        self.forget_empty(file);
        self.owners.settle(owner);
    }

    fn forget_empty(&mut self, file: u32) {
        if self.files.get(file).is_some_and(|locks| locks.entries == 0) {
            self.files.forget(file);
        }
    }

    fn conflict(&self, span: Span) -> Option<Conflict<O>> {
        let owner = self.owners.name(span.owner)?.clone();
        Some(Conflict { owner, range: span.range, mode: span.mode })
    }

    fn check_growth(&self, owner: u32, growth: isize) -> Result<(), LimitReached> {
        let fits = |now: usize, limit| growth <= 0 || now.saturating_add_signed(growth) <= limit;
        if !fits(self.owners.client_usage_of(owner).total(), self.limits.per_client) {
            return Err(LimitReached::Client);
        }
        if !fits(self.owners.total().total(), self.limits.total) {
            return Err(LimitReached::Total);
        }
        Ok(())
    }

    fn count(&mut self, file: u32, owner: u32, delta: Delta) {
        self.owners.count(owner, file, delta);
        if let Some(locks) = self.files.get_mut(file) {
            let change = delta.held + delta.waiting + delta.shares;
            locks.entries = locks.entries.saturating_add_signed(change);
        }
    }

    fn edit(&mut self, file: u32, edit: &Edit) {
        if let Some(locks) = self.files.get_mut(file) {
            locks.spans.apply(edit);
            self.count(file, edit.owner(), Delta { held: edit.growth(), ..Delta::default() });
        }
    }

    fn set_range(&mut self, file: u32, owner: u32, range: Range, mode: Option<Mode>) {
        let edit = self.files.get(file).map(|locks| locks.spans.plan(owner, range, mode));
        if let Some(edit) = edit.filter(|edit| !edit.is_nothing()) {
            self.edit(file, &edit);
        }
    }

    /// Sets a lock that nothing stands in the way of, and lets those follow whom that helps.
    fn grant(
        &mut self,
        file: u32,
        request: &Request<F, O>,
        edit: &Edit,
        waiter: Option<WaiterId>,
        changes: &mut Changes<F, O>,
    ) {
        if let Some(id) = waiter {
            self.drop_waiters(file, |waiter| waiter.id == id, &mut Vec::new());
        }
        if edit.is_nothing() && waiter.is_none() {
            return;
        }
        let owner = edit.owner();
        let held_before = self.owners.holds_locks(owner);
        if !edit.is_nothing() {
            self.edit(file, edit);
        }
        let Request { file: name, owner: holder, range, mode } = request.clone();
        changes.push(Change::Granted { file: name, owner: holder, range, mode, waiter });
        let mut grantable = self.freed_from_queues(owner, held_before);
        grantable.extend(edit.gives_way().then_some(file));
        grantable.into_iter().for_each(|file| self.promote(file, changes));
    }

    /// Grants what can be granted on a file, in the order of the requests.
    fn promote(&mut self, file: u32, changes: &mut Changes<F, O>) {
        let mut files = vec![file];
        while let Some(file) = files.pop() {
            while let Some(waiter) = self.next_grant(file) {
                let Waiter { id, owner, range, mode } = waiter;
                let held_before = self.owners.holds_locks(owner);
                self.drop_waiters(file, |waiter| waiter.id == id, &mut Vec::new());
                self.set_range(file, owner, range, Some(mode));
                let names = self.files.key(file).zip(self.owners.name(owner));
                changes.extend(names.map(|(file, owner)| Change::Granted {
                    file: *file,
                    owner: owner.clone(),
                    range,
                    mode,
                    waiter: Some(id),
                }));
                files.extend(self.freed_from_queues(owner, held_before));
            }
        }
    }

    fn next_grant(&self, file: u32) -> Option<Waiter> {
        let locks = self.files.get(file)?;
        let is_free = |waiter: &Waiter| {
            locks.spans.conflict(Some(waiter.owner), waiter.range, waiter.mode).is_none()
        };
        locks.waiters.next_grant(is_free, |owner| self.owners.holds_locks(owner))
    }

    /// The files where requests of `owner`, which has just got a lock, need not queue behind
    /// other requests any more.
    fn freed_from_queues(&self, owner: u32, held_before: bool) -> Vec<u32> {
        if held_before || !self.owners.waits(owner) {
            return Vec::new();
        }
        self.owners.files_of(owner)
    }

    fn add_waiter(&mut self, file: u32, waiter: Waiter) {
        if let Some(locks) = self.files.get_mut(file) {
            locks.waiters.push(waiter);
            self.next_waiter = self.next_waiter.max(waiter.id.0 + 1);
            self.count(file, waiter.owner, Delta { waiting: 1, ..Delta::default() });
        }
    }

    fn drop_waiters(
        &mut self,
        file: u32,
        gone: impl Fn(&Waiter) -> bool,
        changes: &mut Changes<F, O>,
    ) {
        let Some(locks) = self.files.get_mut(file) else { return };
        let removed = locks.waiters.remove_all(gone);
        let name = self.files.key(file).copied();
        for waiter in removed {
            self.count(file, waiter.owner, Delta { waiting: -1, ..Delta::default() });
            changes.extend(name.map(|file| Change::Cancelled { file, waiter: waiter.id }));
        }
    }

    fn set_share(&mut self, file: u32, owner: u32, share: Share) {
        if let Some(locks) = self.files.get_mut(file)
            && locks.shares.set(owner, share).is_none()
        {
            self.count(file, owner, Delta { shares: 1, ..Delta::default() });
        }
    }

    fn drop_share(&mut self, file: u32, owner: u32) -> bool {
        let had = self.files.get_mut(file).is_some_and(|locks| locks.shares.remove(owner));
        if had {
            self.count(file, owner, Delta { shares: -1, ..Delta::default() });
        }
        had
    }

    /// Drops everything of some owners; gives the files on which they had something.
    fn drop_owners(&mut self, owners: &[u32]) -> Vec<u32> {
        let mut touched = Vec::new();
        for &owner in owners {
            for file in self.owners.files_of(owner) {
                self.drop_waiters(file, |waiter| waiter.owner == owner, &mut Vec::new());
                self.drop_share(file, owner);
                if let Some(locks) = self.files.get_mut(file) {
                    let held = -(locks.spans.remove_owner(owner) as isize);
                    self.count(file, owner, Delta { held, ..Delta::default() });
                }
                touched.push(file);
            }
            self.owners.settle(owner);
        }
        touched.sort_unstable();
        touched.dedup();
        touched
    }
}
