//! Where an operation runs: here if memory can answer it, else on a thread that may wait.
//!
//! Each export may take a part of the threads only, so that one whose storage hangs does not
//! stall the others.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use standfast_vfs::{Caller, Changed, Context, Deferred, Error, FileSystem, Handle, Renamed, Wait};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::flusher::Flusher;
use crate::pool::Pool;

/// Groups of files that have their flushes apart from each other, where each file is flushed by
/// itself.
const FILE_GROUPS: usize = 16;

/// The right of an export's operations to wait.
#[derive(Debug)]
pub struct Workers {
    pool: Arc<Pool>,
    gate: Arc<Semaphore>,
    flushers: [Arc<Flusher>; FILE_GROUPS],
}

/// What a change is of, which says with which others it can share a flush.
#[derive(Clone, Copy, Debug)]
pub enum ChangeOf {
    /// This object alone: the data of a file, the names in a directory.
    Object(Handle),
    /// A new object, or several.
    Several,
}

/// The outcome of a change, which holds only if the change could be made stable.
pub trait Outcome: Send + 'static {
    /// Whether it failed.
    fn failed(&self) -> bool;

    /// It could not be made stable.
    fn fail(&mut self, error: Error);
}

impl<T: Send + 'static> Outcome for Changed<T> {
    fn failed(&self) -> bool {
        self.result.is_err()
    }

    fn fail(&mut self, error: Error) {
        self.result = Err(error);
    }
}

impl Outcome for Renamed {
    fn failed(&self) -> bool {
        self.result.is_err()
    }

    fn fail(&mut self, error: Error) {
        self.result = Err(error);
    }
}

impl Workers {
    /// At most `threads` operations at once may wait, on threads of `pool`.
    pub fn new(pool: Arc<Pool>, threads: usize) -> Self {
        let gate = Arc::new(Semaphore::new(threads.max(1)));
        Self { pool, gate, flushers: Default::default() }
    }

    /// Who flushes a change for it and its like; `None`: it is flushed by itself, since together
    /// would only mean one after the other.
    fn flusher(&self, file_system: &dyn FileSystem, change: ChangeOf) -> Option<Arc<Flusher>> {
        let group = match change {
            _ if file_system.flushes_together() => 0,
            ChangeOf::Several => return None,
            ChangeOf::Object(handle) => {
                let mut hasher = DefaultHasher::new();
                handle.hash(&mut hasher);
                hasher.finish() as usize % FILE_GROUPS
            }
        };
        Some(Arc::clone(&self.flushers[group]))
    }

    /// Runs an operation that may wait and changes nothing. `None`: it panicked or the server
    /// stops.
    pub async fn run<T, F>(
        &self,
        file_system: &Arc<dyn FileSystem>,
        caller: &Arc<Caller>,
        operation: F,
    ) -> Option<T>
    where
        T: Send + 'static,
        F: FnOnce(&dyn FileSystem, Context<'_>) -> T + Send + 'static,
    {
        let permit = self.permit().await?;
        let (file_system, caller) = (Arc::clone(file_system), Arc::clone(caller));
        let (sender, receiver) = oneshot::channel();
        self.pool.submit(move || {
            let context = Context { caller: &caller, wait: Wait::Allowed, deferred: None };
            let result = operation(&*file_system, context);
            drop(permit);
            // Nobody may be waiting any more.
            let _gone = sender.send(result);
        });
        receiver.await.ok()
    }

    /// Runs an operation that changes something: to its end, also if nobody waits for it any
    /// more, and until it is stable. `None`: as [`Workers::run`].
    pub async fn change<T, F>(
        &self,
        file_system: &Arc<dyn FileSystem>,
        caller: &Arc<Caller>,
        change: ChangeOf,
        operation: F,
    ) -> Option<T>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>) -> T + Send + 'static,
    {
        let changed = self.change_leaving(file_system, caller, change, false, operation).await;
        changed.map(|(outcome, _)| outcome)
    }

    /// As [`Workers::change`]. With `leave`, a change that needs no more than a commit of the
    /// filesystem's log is not made stable here: `true` says so, and then it must be, before its
    /// outcome is told.
    pub async fn change_leaving<T, F>(
        &self,
        file_system: &Arc<dyn FileSystem>,
        caller: &Arc<Caller>,
        change: ChangeOf,
        leave: bool,
        operation: F,
    ) -> Option<(T, bool)>
    where
        T: Outcome,
        F: FnOnce(&dyn FileSystem, Context<'_>) -> T + Send + 'static,
    {
        let permit = self.permit().await?;
        let (file_system, caller) = (Arc::clone(file_system), Arc::clone(caller));
        let pool = Arc::clone(&self.pool);
        let flusher = self.flusher(&*file_system, change);
        let (sender, receiver) = oneshot::channel();
        self.pool.submit(move || {
            let deferred = Deferred::default();
            let wait = Wait::Allowed;
            let deferring = flusher.is_some().then_some(&deferred);
            let mut outcome =
                operation(&*file_system, Context { caller: &caller, wait, deferred: deferring });
            drop(permit);
            let must_flush = !outcome.failed() && !deferred.is_empty();
            if leave && must_flush && flusher.is_some() && deferred.is_of_log() {
                let _gone = sender.send((outcome, true));
                return;
            }
            let Some(flusher) = flusher.filter(|_| must_flush) else {
                let _gone = sender.send((outcome, false));
                return;
            };
            flusher.add(&pool, &file_system, deferred, move |flushed| {
                if let Err(error) = flushed {
                    outcome.fail(error);
                }
                let _gone = sender.send((outcome, false));
            });
        });
        receiver.await.ok()
    }

    /// Runs an operation that changes nothing: at once from memory, or else as [`Workers::run`].
    pub async fn try_here<T, F>(
        &self,
        file_system: &Arc<dyn FileSystem>,
        caller: &Arc<Caller>,
        operation: F,
    ) -> Option<Result<T, Error>>
    where
        T: Send + 'static,
        F: Fn(&dyn FileSystem, Context<'_>) -> Result<T, Error> + Send + 'static,
    {
        match operation(&**file_system, Context { caller, wait: Wait::Never, deferred: None }) {
            Err(Error::WouldBlock) => self.run(file_system, caller, operation).await,
            answered => Some(answered),
        }
    }

    async fn permit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.gate).acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Poll, Waker};

    use rustix::io::Errno;
    use standfast_vfs::{CreateHow, Found, Options, PosixFileSystem, SetAttributes};
    use tokio::task::JoinSet;
    use tokio::time::timeout;

    use super::*;
    use crate::scripted::{PATIENCE, Script, Scripted};

    /// An export of a new directory.
    struct Served {
        workers: Workers,
        storage: Arc<dyn FileSystem>,
        directory: tempfile::TempDir,
        caller: Arc<Caller>,
    }

    impl Served {
        /// `None`, and a word, without the rights that it takes.
        fn new(test: &str) -> Option<(Self, Script)> {
            if !rustix::process::geteuid().is_root() {
                eprintln!("skipped: {test} needs root");
                return None;
            }
            let directory = tempfile::tempdir().unwrap();
            let inner = PosixFileSystem::open(directory.path(), &Options::default()).unwrap();
            let (storage, script) = Scripted::over(Some(inner));
            let workers = Workers::new(Pool::new(2), 1);
            Some((Self { workers, storage, directory, caller: Arc::new(Caller::root()) }, script))
        }

        async fn create(&self, name: &'static str) -> Option<Changed<Found>> {
            let create = move |fs: &dyn FileSystem, context: Context<'_>| {
                let how = CreateHow::Guarded(SetAttributes::default());
                fs.create(context, &fs.root(), name.as_bytes(), &how)
            };
            self.workers.change(&self.storage, &self.caller, ChangeOf::Several, create).await
        }
    }

    #[tokio::test]
    async fn a_change_holds_only_if_it_could_be_made_stable() {
        let Some((served, script)) = Served::new("a_change_holds_only_if_it_could_be_made_stable")
        else {
            return;
        };
        script.succeed();
        assert!(served.create("stable").await.unwrap().result.is_ok());
        script.end(|changes| vec![Err(Error::Os(Errno::IO)); changes]);
        let failed = served.create("failed").await.unwrap();
        assert_eq!(failed.result, Err(Error::Os(Errno::IO)));
        script.end(|_| panic!("on purpose"));
        assert!(served.create("lost").await.is_none());
        // A change that fails has nothing to flush.
        let exists = served.create("stable").await.unwrap();
        assert_eq!(exists.result, Err(Error::Os(Errno::EXIST)));
        assert_eq!([script.begun(), script.begun(), script.begun()], [1; 3]);
        assert!(script.is_over());
    }

    #[tokio::test]
    async fn a_change_that_nobody_waits_for_is_made_all_the_same() {
        let Some((served, script)) =
            Served::new("a_change_that_nobody_waits_for_is_made_all_the_same")
        else {
            return;
        };
        let mut change = Box::pin(served.create("file"));
        let polled = change.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Pending));
        drop(change);
        assert_eq!(script.begun(), 1);
        assert!(served.directory.path().join("file").exists());
        script.succeed();
        script.succeed();
        assert!(served.create("next").await.unwrap().result.is_ok());
    }

    #[tokio::test]
    async fn an_operation_that_panics_gives_its_place_back() {
        let (storage, _script) = Scripted::over(None);
        let (workers, caller) = (Workers::new(Pool::new(2), 1), Arc::new(Caller::root()));
        for _ in 0..3 {
            let ran = workers.run(&storage, &caller, |_, _| panic!("on purpose"));
            assert_eq!(ran.await, None::<()>);
        }
        assert_eq!(workers.run(&storage, &caller, |_, _| 7).await, Some(7));
    }

    #[tokio::test]
    async fn an_export_whose_storage_hangs_leaves_threads_to_the_others() {
        let (storage, _script) = Scripted::over(None);
        let (pool, caller) = (Pool::new(3), Arc::new(Caller::root()));
        let slow = Arc::new(Workers::new(Arc::clone(&pool), 2));
        let (hang, running) = (Arc::new(Barrier::new(3)), Arc::new(AtomicUsize::new(0)));
        let mut hanging = JoinSet::new();
        for _ in 0..8 {
            let (slow, storage, caller) =
                (Arc::clone(&slow), Arc::clone(&storage), Arc::clone(&caller));
            let (hang, running) = (Arc::clone(&hang), Arc::clone(&running));
            hanging.spawn(async move {
                let operation = move |_: &dyn FileSystem, _: Context<'_>| {
                    let most = running.fetch_add(1, Ordering::SeqCst) + 1;
                    hang.wait();
                    running.fetch_sub(1, Ordering::SeqCst);
                    most
                };
                slow.run(&storage, &caller, operation).await
            });
        }
        let quick = Workers::new(pool, 2);
        for number in 0..100 {
            let ran = quick.run(&storage, &caller, move |_, _| number);
            assert_eq!(timeout(PATIENCE, ran).await.unwrap(), Some(number));
        }
        // Two hang at a time, and the third at the barrier is this one.
        let waker = std::thread::spawn(move || {
            for _ in 0..4 {
                hang.wait();
            }
        });
        while let Some(most) = timeout(PATIENCE, hanging.join_next()).await.unwrap() {
            assert!(most.unwrap().unwrap() <= 2);
        }
        waker.join().unwrap();
    }
}
