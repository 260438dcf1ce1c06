//! The lock table against a model that is too simple to be wrong: one cell per byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use standfast_nfs::locks::{
    Change, LockLimits, LockTable, Mode, Outcome, Owner, Range, Request, WaiterId,
};

/// Bytes of a file that the model knows; byte `SIZE - 1` stands for all the rest.
const SIZE: usize = 24;
const FILES: usize = 2;

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Process {
    client: u8,
    process: u8,
}

impl Owner for Process {
    type Client = u8;

    fn client(&self) -> &u8 {
        &self.client
    }
}

/// The position in the model of a byte.
fn cell(byte: u64) -> usize {
    usize::try_from(byte).unwrap_or(SIZE).min(SIZE - 1)
}

#[derive(Clone, Debug)]
struct Wish {
    id: WaiterId,
    owner: Process,
    first: usize,
    last: usize,
    mode: Mode,
}

/// Who holds each byte, and who waits.
#[derive(Clone, Debug, Default)]
struct File {
    cells: Vec<BTreeMap<Process, Mode>>,
    queue: Vec<Wish>,
}

impl File {
    fn new() -> Self {
        Self { cells: vec![BTreeMap::new(); SIZE], queue: Vec::new() }
    }

    fn is_free(&self, owner: &Process, first: usize, last: usize, mode: Mode) -> bool {
        self.cells[first..=last]
            .iter()
            .all(|cell| cell.iter().all(|(other, held)| other == owner || !held.conflicts(mode)))
    }

    fn set(&mut self, owner: &Process, first: usize, last: usize, mode: Option<Mode>) {
        for cell in &mut self.cells[first..=last] {
            match mode {
                Some(mode) => cell.insert(owner.clone(), mode),
                None => cell.remove(owner),
            };
        }
    }

    fn holds(&self, owner: &Process) -> bool {
        self.cells.iter().any(|cell| cell.contains_key(owner))
    }

    /// The position of the same wish in the queue.
    fn find(&self, owner: &Process, first: usize, last: usize, mode: Mode) -> Option<usize> {
        self.queue.iter().position(|wish| {
            (&wish.owner, wish.first, wish.last, wish.mode) == (owner, first, last, mode)
        })
    }

    /// Whether one of the first `ahead` wishes stands in the way.
    fn queues(&self, ahead: usize, owner: &Process, first: usize, last: usize, mode: Mode) -> bool {
        self.queue[..ahead].iter().any(|wish| {
            let overlap = wish.first <= last && first <= wish.last;
            wish.owner != *owner && wish.mode.conflicts(mode) && overlap
        })
    }
}

#[derive(Clone, Debug)]
struct Model {
    files: Vec<File>,
}

impl Model {
    fn holds(&self, owner: &Process) -> bool {
        self.files.iter().any(|file| file.holds(owner))
    }

    /// Whether any wish could be granted now; after each step none may be left.
    fn overlooked(&self) -> Option<&Wish> {
        self.files.iter().find_map(|file| {
            file.queue.iter().enumerate().find_map(|(position, wish)| {
                let Wish { owner, first, last, mode, .. } = wish;
                let free = file.is_free(owner, *first, *last, *mode);
                let queues = file.queues(position, owner, *first, *last, *mode);
                (free && (self.holds(owner) || !queues)).then_some(wish)
            })
        })
    }

    /// Follows what the table says that it did; fails if it may not.
    fn follow(&mut self, change: &Change<usize, Process>) -> Result<(), TestCaseError> {
        match change {
            Change::Granted { file, owner, range, mode, waiter } => {
                let (first, last) = (cell(range.first()), cell(range.last()));
                let model = &mut self.files[*file];
                prop_assert!(model.is_free(owner, first, last, *mode), "two holders: {change:?}");
                if let Some(id) = waiter {
                    let position = model.queue.iter().position(|wish| wish.id == *id);
                    prop_assert!(position.is_some(), "granted twice: {change:?}");
                    let wish = model.queue.remove(position.unwrap_or_default());
                    prop_assert_eq!(
                        (&wish.owner, wish.first, wish.last, wish.mode),
                        (owner, first, last, *mode)
                    );
                }
                model.set(owner, first, last, Some(*mode));
            }
            Change::Released { file, owner, range } => {
                self.files[*file].set(owner, cell(range.first()), cell(range.last()), None);
            }
            Change::Waiting { file, owner, range, mode, waiter } => {
                self.files[*file].queue.push(Wish {
                    id: *waiter,
                    owner: owner.clone(),
                    first: cell(range.first()),
                    last: cell(range.last()),
                    mode: *mode,
                });
            }
            Change::Cancelled { file, waiter } => {
                let queue = &mut self.files[*file].queue;
                let before = queue.len();
                queue.retain(|wish| wish.id != *waiter);
                prop_assert_eq!(queue.len() + 1, before);
            }
            Change::OwnerReleased { owner } => self.release(|other| other == owner),
            Change::ClientReleased { client } => self.release(|other| other.client == *client),
            Change::Shared { .. } | Change::Unshared { .. } => {}
        }
        Ok(())
    }

    fn release(&mut self, gone: impl Fn(&Process) -> bool) {
        for file in &mut self.files {
            file.cells.iter_mut().for_each(|cell| cell.retain(|owner, _| !gone(owner)));
            file.queue.retain(|wish| !gone(&wish.owner));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Lock { wait: bool },
    Test,
    Unlock,
    Cancel,
    CancelQueued,
    ReleaseOwner,
    ReleaseClient,
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => any::<bool>().prop_map(|wait| Step::Lock { wait }),
        2 => Just(Step::Test),
        6 => Just(Step::Unlock),
        1 => Just(Step::Cancel),
        2 => Just(Step::CancelQueued),
        1 => Just(Step::ReleaseOwner),
        1 => Just(Step::ReleaseClient),
    ]
}

fn requests() -> impl Strategy<Value = Request<usize, Process>> {
    let range = (0..SIZE as u64, 0..8_u64).prop_map(|(first, length)| {
        let last = match first + length {
            last if last >= SIZE as u64 - 1 => u64::MAX,
            last => last,
        };
        Range::between(first, last).unwrap_or(Range::ALL)
    });
    let mode = prop_oneof![Just(Mode::Shared), Just(Mode::Exclusive)];
    (0..FILES, 0..3_u8, 0..2_u8, range, mode).prop_map(|(file, client, process, range, mode)| {
        Request { file, owner: Process { client, process }, range, mode }
    })
}

struct Play {
    table: LockTable<usize, Process>,
    model: Model,
    journal: Vec<Change<usize, Process>>,
}

impl Play {
    fn new() -> Self {
        Self {
            table: LockTable::new(LockLimits::default()),
            model: Model { files: vec![File::new(); FILES] },
            journal: Vec::new(),
        }
    }

    fn step(
        &mut self,
        step: &Step,
        request: &Request<usize, Process>,
    ) -> Result<(), TestCaseError> {
        let changes = match step {
            Step::Lock { wait } => self.lock(request, *wait)?,
            Step::Test => self.test(request)?,
            Step::Unlock => self
                .table
                .unlock(request.file, &request.owner, request.range)
                .map_err(|limit| TestCaseError::fail(limit.to_string()))?,
            Step::Cancel => self.cancel(request)?,
            Step::CancelQueued => match self.model.files[request.file].queue.last() {
                Some(wish) => {
                    let last = if wish.last == SIZE - 1 { u64::MAX } else { wish.last as u64 };
                    let range = Range::between(wish.first as u64, last).unwrap_or(Range::ALL);
                    let (owner, mode) = (wish.owner.clone(), wish.mode);
                    self.cancel(&Request { file: request.file, owner, range, mode })?
                }
                None => Vec::new(),
            },
            Step::ReleaseOwner => self.table.release_owner(&request.owner),
            Step::ReleaseClient => self.table.release_client(&request.owner.client),
        };
        for change in &changes {
            self.model.follow(change)?;
        }
        self.journal.extend(changes);
        self.check(step, request)
    }

    fn lock(
        &mut self,
        request: &Request<usize, Process>,
        wait: bool,
    ) -> Result<Vec<Change<usize, Process>>, TestCaseError> {
        let Request { owner, range, mode, .. } = request;
        let (first, last) = (cell(range.first()), cell(range.last()));
        let file = &self.model.files[request.file];
        let free = file.is_free(owner, first, last, *mode);
        let held = file.cells[first..=last].iter().all(|cell| cell.get(owner) == Some(mode));
        let queues = wait
            && !held
            && !self.model.holds(owner)
            && file.queues(file.queue.len(), owner, first, last, *mode);
        let known = file.find(owner, first, last, *mode).map(|at| file.queue[at].id);
        let (outcome, changes) = self
            .table
            .lock(request, wait)
            .map_err(|limit| TestCaseError::fail(limit.to_string()))?;
        match outcome {
            Outcome::Granted => prop_assert!(free && !queues),
            Outcome::Waiting(id) => {
                prop_assert!(wait && (!free || queues));
                prop_assert!(known.is_none_or(|known| known == id), "it has a name already");
                prop_assert_eq!(known.is_some(), changes.is_empty());
            }
            Outcome::Denied(conflict) => {
                prop_assert!(!wait && !free);
                self.check_conflict(request, &conflict)?;
            }
        }
        Ok(changes)
    }

    fn test(
        &self,
        request: &Request<usize, Process>,
    ) -> Result<Vec<Change<usize, Process>>, TestCaseError> {
        let (first, last) = (cell(request.range.first()), cell(request.range.last()));
        let file = &self.model.files[request.file];
        match self.table.test(request) {
            None => prop_assert!(file.is_free(&request.owner, first, last, request.mode)),
            Some(conflict) => self.check_conflict(request, &conflict)?,
        }
        Ok(Vec::new())
    }

    fn check_conflict(
        &self,
        request: &Request<usize, Process>,
        conflict: &standfast_nfs::locks::Conflict<Process>,
    ) -> Result<(), TestCaseError> {
        let cells = &self.model.files[request.file].cells;
        let (first, last) = (cell(conflict.range.first()), cell(conflict.range.last()));
        prop_assert!(conflict.owner != request.owner && conflict.range.overlaps(request.range));
        prop_assert!(conflict.mode.conflicts(request.mode));
        for cell in &cells[first..=last] {
            prop_assert_eq!(cell.get(&conflict.owner), Some(&conflict.mode));
        }
        Ok(())
    }

    fn cancel(
        &mut self,
        request: &Request<usize, Process>,
    ) -> Result<Vec<Change<usize, Process>>, TestCaseError> {
        let (first, last) = (cell(request.range.first()), cell(request.range.last()));
        let file = &self.model.files[request.file];
        let known = file.find(&request.owner, first, last, request.mode);
        let known = known.map(|at| file.queue[at].id);
        let cancelled = self.table.cancel(request);
        prop_assert_eq!(cancelled.as_ref().map(|(id, _)| *id), known);
        Ok(cancelled.map(|(_, changes)| changes).unwrap_or_default())
    }

    /// The table says of every byte what the model says, in as few locks as possible, and can be
    /// rebuilt from its changes and from its snapshot.
    fn check(&self, step: &Step, request: &Request<usize, Process>) -> Result<(), TestCaseError> {
        prop_assert!(self.model.overlooked().is_none(), "{:?}", self.model.overlooked());
        let mut entries = 0;
        for (number, file) in self.model.files.iter().enumerate() {
            let held = self.table.held(&number);
            let mut cells = vec![BTreeMap::new(); SIZE];
            for lock in &held {
                let (first, last) = (cell(lock.range.first()), cell(lock.range.last()));
                for cell in &mut cells[first..=last] {
                    let twice = cell.insert(lock.owner.clone(), lock.mode);
                    prop_assert!(twice.is_none(), "two locks of one owner overlap: {:?}", lock);
                }
            }
            prop_assert_eq!(&cells, &file.cells, "after {:?} {:?}", step, request);
            let runs = |at: usize| {
                let before = at.checked_sub(1).map(|at| &cells[at]);
                let is_new = |(owner, mode): &(&Process, &Mode)| {
                    before.and_then(|cell| cell.get(*owner)) != Some(*mode)
                };
                cells[at].iter().filter(is_new).count()
            };
            prop_assert_eq!(held.len(), (0..SIZE).map(runs).sum::<usize>(), "not merged");
            entries += held.len() + file.queue.len();
        }
        prop_assert_eq!(self.table.usage().total(), entries);
        let of_clients: usize = self.table.clients().map(|(_, usage)| usage.total()).sum();
        prop_assert_eq!(of_clients, entries);
        Ok(())
    }

    fn check_rebuilt(&self) -> Result<(), TestCaseError> {
        let expected = in_order(self.table.snapshot());
        for changes in [self.journal.clone(), self.table.snapshot().collect()] {
            let mut rebuilt = LockTable::new(LockLimits::default());
            changes.iter().for_each(|change| rebuilt.apply(change));
            prop_assert_eq!(in_order(rebuilt.snapshot()), expected.clone());
            prop_assert_eq!(rebuilt.usage(), self.table.usage());
            prop_assert_eq!(rebuilt.files(), self.table.files());
        }
        Ok(())
    }
}

fn in_order(changes: impl Iterator<Item = Change<usize, Process>>) -> Vec<String> {
    let mut lines: Vec<String> = changes.map(|change| format!("{change:?}")).collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn the_table_does_what_the_model_does(
        play in prop::collection::vec((steps(), requests()), 1..60),
    ) {
        let mut state = Play::new();
        for (step, request) in &play {
            state.step(step, request)?;
        }
        state.check_rebuilt()?;
    }
}
