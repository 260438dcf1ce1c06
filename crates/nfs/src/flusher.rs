//! One flush for all changes that wait for one.
//!
//! The flush is a job like the operations, behind those that wait already: what runs before it is
//! served by it, and no thread waits in vain. Changes that are made while it runs have the next.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use parking_lot::Mutex;
use standfast_vfs::{Deferred, FileSystem, Result};

use crate::pool::Pool;

/// What is done with the answer, on the thread that flushed.
type Answer = Box<dyn FnOnce(Result<()>) + Send>;

/// Gathers the changes on one filesystem.
#[derive(Default)]
pub(crate) struct Flusher {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Deferred, Answer)>,
    /// A flush runs or is about to.
    flushing: bool,
}

impl std::fmt::Debug for Flusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Flusher({} waiting)", self.state.lock().waiting.len())
    }
}

impl Flusher {
    /// Makes a change stable, and then says how that went.
    pub(crate) fn add(
        self: &Arc<Self>,
        pool: &Arc<Pool>,
        file_system: &Arc<dyn FileSystem>,
        change: Deferred,
        answer: impl FnOnce(Result<()>) + Send + 'static,
    ) {
        let mut state = self.state.lock();
        state.waiting.push((change, Box::new(answer)));
        if !std::mem::replace(&mut state.flushing, true) {
            drop(state);
            self.schedule(Arc::clone(pool), Arc::clone(file_system));
        }
    }

    fn schedule(self: &Arc<Self>, pool: Arc<Pool>, file_system: Arc<dyn FileSystem>) {
        let flusher = Arc::clone(self);
        let next = Arc::clone(&pool);
        pool.submit(move || {
            // Should the storage's code panic, those who wait are told by the loss of their
            // answer, and the next flush comes all the same.
            let flush = AssertUnwindSafe(|| flusher.flush(&*file_system));
            let _panicked = catch_unwind(flush);
            let mut state = flusher.state.lock();
            state.flushing = !state.waiting.is_empty();
            if state.flushing {
                drop(state);
                flusher.schedule(next, file_system);
            }
        });
    }

    fn flush(&self, file_system: &dyn FileSystem) {
        let waiting = std::mem::take(&mut self.state.lock().waiting);
        let (changes, answers): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
        let results = file_system.make_stable(changes);
        for (answer, result) in answers.into_iter().zip(results) {
            answer(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use rustix::io::Errno;
    use standfast_vfs::Error;

    use super::*;
    use crate::scripted::{PATIENCE, Script, Scripted};

    /// Changes by their numbers, and what became of them.
    struct Changes {
        flusher: Arc<Flusher>,
        pool: Arc<Pool>,
        storage: Arc<dyn FileSystem>,
        answer: Sender<(usize, Result<()>)>,
        answers: Receiver<(usize, Result<()>)>,
    }

    impl Changes {
        fn new() -> (Self, Script) {
            let (storage, script) = Scripted::over(None);
            let (answer, answers) = channel();
            let (flusher, pool) = (Arc::default(), Pool::new(2));
            (Self { flusher, pool, storage, answer, answers }, script)
        }

        fn add(&self, numbers: impl IntoIterator<Item = usize>) {
            for number in numbers {
                let answer = self.answer.clone();
                let tell = move |result| answer.send((number, result)).unwrap();
                self.flusher.add(&self.pool, &self.storage, Deferred::default(), tell);
            }
        }

        fn answer(&self) -> (usize, Result<()>) {
            self.answers.recv_timeout(PATIENCE).unwrap()
        }
    }

    #[test]
    fn changes_that_wait_at_once_share_a_flush() {
        let (changes, script) = Changes::new();
        changes.add([0]);
        assert_eq!(script.begun(), 1);
        changes.add(1..=100);
        script.succeed();
        assert_eq!(changes.answer(), (0, Ok(())));
        assert_eq!(script.begun(), 100);
        assert!(changes.answers.try_recv().is_err(), "an answer before the flush is done");
        script.succeed();
        for number in 1..=100 {
            assert_eq!(changes.answer(), (number, Ok(())));
        }
        assert!(script.is_over());
    }

    #[test]
    fn an_error_fails_its_changes_and_no_others() {
        let (changes, script) = Changes::new();
        let failed = || Err(Error::Os(Errno::IO));
        changes.add([0]);
        assert_eq!(script.begun(), 1);
        changes.add(1..=3);
        script.end(move |_| vec![failed()]);
        assert_eq!(changes.answer(), (0, failed()));
        assert_eq!(script.begun(), 3);
        script.end(move |_| vec![Ok(()), failed(), Ok(())]);
        assert_eq!(changes.answer(), (1, Ok(())));
        assert_eq!(changes.answer(), (2, failed()));
        assert_eq!(changes.answer(), (3, Ok(())));
    }

    #[test]
    fn a_panic_ends_its_changes_and_no_others() {
        let (changes, script) = Changes::new();
        for round in 0..3 {
            let numbers = round * 10;
            changes.add([numbers]);
            assert_eq!(script.begun(), 1);
            changes.add([numbers + 1, numbers + 2]);
            script.end(|_| panic!("on purpose"));
            // The first one is never told: its answer is dropped.
            assert_eq!(script.begun(), 2);
            script.succeed();
            assert_eq!(changes.answer(), (numbers + 1, Ok(())));
            assert_eq!(changes.answer(), (numbers + 2, Ok(())));
        }
    }

    #[test]
    fn a_panic_with_nobody_behind_it_does_not_stop_the_next_change() {
        let (changes, script) = Changes::new();
        for number in [1, 2, 3] {
            changes.add([number]);
            assert_eq!(script.begun(), 1);
            script.end(|_| panic!("on purpose"));
        }
        changes.add([4]);
        assert_eq!(script.begun(), 1);
        script.succeed();
        assert_eq!(changes.answer(), (4, Ok(())));
    }
}
