//! Threads for operations that may wait.
//!
//! Short operations come in bursts, and waking a thread costs more than most of them take. So a
//! burst wakes one thread, and only a thread that finds more work than its own wakes the next:
//! operations that do not wait are done one after the other by a thread that is awake anyway,
//! and those that do wait soon have a thread each, up to the limit.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

/// How long a thread waits for something to do before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// System calls and some buffers on the stack: this is plenty.
const STACK_SIZE: usize = 256 << 10;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of threads. Threads end when the pool is dropped and the work is done.
#[derive(Debug)]
pub struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
    limit: usize,
    /// A thread that had nothing to do for this long ends.
    patience: Duration,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that wait for work, those on their way to it included.
    idle: usize,
    /// Threads that were woken, or started, and have not yet looked. It may be fewer than it seems
    /// to be (a waiting thread loses patience just when it is woken), never for long: whoever looks
    /// counts as one of them. One too few wakes a thread in vain, one too many would wake none.
    coming: usize,
    closed: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs, {} of {} threads idle", self.jobs.len(), self.idle, self.threads)
    }
}

impl Pool {
    /// At most `limit` threads; none is started before there is work.
    pub fn new(limit: usize) -> Arc<Self> {
        Self::with_patience(limit, IDLE)
    }

    fn with_patience(limit: usize, patience: Duration) -> Arc<Self> {
        let limit = limit.max(1);
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), limit, patience };
        Arc::new(Self { shared: Arc::new(shared) })
    }

    /// Runs a job on one of the threads, after those that came before.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        let mut state = self.shared.state.lock();
        state.jobs.push_back(Box::new(job));
        self.shared.call_help(state);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl Shared {
    /// Sees to it that a thread comes for the first job that waits.
    fn call_help(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        if state.jobs.is_empty() || state.coming > 0 {
            return;
        }
        if state.idle > 0 {
            state.coming += 1;
            drop(state);
            self.work.notify_one();
        } else if state.threads < self.limit {
            state.threads += 1;
            state.coming += 1;
            drop(state);
            if let Err(error) = self.start_thread() {
                let mut state = self.state.lock();
                state.threads -= 1;
                state.coming = state.coming.saturating_sub(1);
                tracing::error!(%error, threads = state.threads, "no further thread can be started");
            }
        }
    }

    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let shared = Arc::clone(self);
        let builder = std::thread::Builder::new().name("standfast-io".into());
        builder.stack_size(STACK_SIZE).spawn(move || shared.work()).map(drop)
    }

    fn work(self: Arc<Self>) {
        let mut state = self.state.lock();
        state.coming = state.coming.saturating_sub(1);
        loop {
            if let Some(job) = state.jobs.pop_front() {
                self.call_help(state);
                // What a job breaks is its own: whoever waits for it sees that it came to nothing.
                let _panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
                state = self.state.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let waited = self.work.wait_for(&mut state, self.patience);
            state.idle -= 1;
            state.coming = state.coming.saturating_sub(1);
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;
    use std::time::Instant;

    use super::*;
    use crate::scripted::PATIENCE;

    #[test]
    fn every_job_runs_also_after_one_that_panicked() {
        let pool = Pool::new(2);
        let (sender, receiver) = channel();
        for number in 0..1000 {
            let sender = sender.clone();
            pool.submit(move || {
                assert!(number % 100 != 50, "on purpose");
                sender.send(number).unwrap();
            });
        }
        drop(sender);
        assert_eq!(receiver.iter().count(), 990);
    }

    #[test]
    fn jobs_that_wait_for_each_other_get_a_thread_each() {
        let pool = Pool::new(8);
        let barrier = Arc::new(Barrier::new(9));
        for _ in 0..8 {
            let barrier = Arc::clone(&barrier);
            pool.submit(move || {
                barrier.wait();
            });
        }
        barrier.wait();
        assert!(pool.shared.state.lock().threads <= 8);
    }

    #[test]
    fn there_are_never_more_threads_than_allowed() {
        let pool = Pool::new(3);
        let barrier = Arc::new(Barrier::new(3));
        let running = Arc::new(AtomicUsize::new(0));
        let (sender, receiver) = channel();
        for _ in 0..99 {
            let (barrier, running) = (Arc::clone(&barrier), Arc::clone(&running));
            let sender = sender.clone();
            pool.submit(move || {
                let most = running.fetch_add(1, Ordering::SeqCst) + 1;
                // Only with three at once does any of them end.
                barrier.wait();
                running.fetch_sub(1, Ordering::SeqCst);
                sender.send(most).unwrap();
            });
        }
        drop(sender);
        assert_eq!(receiver.iter().inspect(|most| assert!(*most <= 3)).count(), 99);
    }

    /// Threads that lose patience just when they are called: none may be waited for that never
    /// comes, or the pool would be left with the threads that it has.
    #[test]
    fn a_thread_that_ends_while_it_is_woken_is_not_counted_on() {
        let pool = Pool::with_patience(4, Duration::from_micros(20));
        let (sender, receiver) = channel();
        for round in 0..20_000_u64 {
            let sender = sender.clone();
            pool.submit(move || sender.send(round).unwrap());
            assert_eq!(receiver.recv_timeout(PATIENCE), Ok(round));
            // As long as a thread waits, more or less.
            (0..round % 500).for_each(|_| std::hint::spin_loop());
        }
        let deadline = Instant::now() + PATIENCE;
        while pool.shared.state.lock().threads > 0 {
            assert!(Instant::now() < deadline, "a thread waits for another one");
            std::thread::yield_now();
        }
        assert_eq!(pool.shared.state.lock().coming, 0);
    }

    #[test]
    fn what_was_submitted_runs_also_when_the_pool_is_gone() {
        let pool = Pool::new(1);
        let (sender, receiver) = channel();
        for number in 0..100 {
            let sender = sender.clone();
            pool.submit(move || sender.send(number).unwrap());
        }
        let shared = Arc::downgrade(&pool.shared);
        drop((pool, sender));
        assert!(receiver.iter().eq(0..100), "all, in their order");
        let deadline = Instant::now() + PATIENCE;
        while shared.strong_count() > 0 {
            assert!(Instant::now() < deadline, "the thread does not end");
            std::thread::yield_now();
        }
    }
}
