//! Waiting until a record is durable.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use parking_lot::{Condvar, Mutex};

use crate::error::JournalError;
use crate::shared::Shared;

/// What became of a batch: the last sequence that it made durable.
pub(crate) type Outcome = Result<u64, JournalError>;

/// All who wait for one batch.
#[derive(Default)]
pub(crate) struct Group {
    outcome: OnceLock<Outcome>,
    /// For threads; goes with the lock of [`Shared`]'s state.
    pub(crate) finished: Condvar,
    others: Mutex<Vec<Waiter>>,
}

enum Waiter {
    Task { ticket: u64, waker: Waker },
    Callback(Box<dyn FnOnce(Outcome) + Send>),
}

impl Group {
    pub(crate) fn outcome(&self) -> Option<&Outcome> {
        self.outcome.get()
    }

    /// Tells all who wait. Not to be called with the state locked.
    pub(crate) fn finish(&self, outcome: &Outcome) {
        let waiters = {
            // Under the lock, so that nobody joins after the list was taken.
            let mut others = self.others.lock();
            self.outcome.get_or_init(|| outcome.clone());
            std::mem::take(&mut *others)
        };
        self.finished.notify_all();
        for waiter in waiters {
            match waiter {
                Waiter::Task { waker, .. } => waker.wake(),
                Waiter::Callback(call) => call(outcome.clone()),
            }
        }
    }

    /// Runs `call` when the outcome is known; now, if it is.
    fn on_finish(&self, call: Box<dyn FnOnce(Outcome) + Send>) {
        let mut others = self.others.lock();
        match self.outcome.get() {
            None => others.push(Waiter::Callback(call)),
            Some(outcome) => {
                drop(others);
                call(outcome.clone());
            }
        }
    }

    /// Has `waker` woken when the outcome is known; gives it, if it is.
    fn poll(&self, ticket: u64, waker: &Waker) -> Poll<Outcome> {
        let mut others = self.others.lock();
        if let Some(outcome) = self.outcome.get() {
            return Poll::Ready(outcome.clone());
        }
        let known = others.iter_mut().find_map(|waiter| match waiter {
            Waiter::Task { ticket: known, waker } if *known == ticket => Some(waker),
            _ => None,
        });
        match known {
            Some(known) => known.clone_from(waker),
            None => others.push(Waiter::Task { ticket, waker: waker.clone() }),
        }
        Poll::Pending
    }
}

/// The right to learn when a record is durable. Three ways: [`Ticket::wait`] blocks the thread,
/// the ticket as a future wakes the task, [`Ticket::on_durable`] calls back.
///
/// A record is flushed when somebody waits for it or for one behind it. One whose ticket is
/// dropped rides along with the next flush.
#[must_use = "a record is not durable until its ticket says so"]
pub struct Ticket {
    shared: Arc<Shared>,
    group: Arc<Group>,
    sequence: u64,
    /// Tells it from others with the same sequence, which a barrier has.
    id: u64,
    is_asked: bool,
}

impl Ticket {
    pub(crate) fn new(shared: Arc<Shared>, group: Arc<Group>, sequence: u64) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Self { shared, group, sequence, id, is_asked: false }
    }

    /// The record's place in the log.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Blocks until the record is durable and gives its sequence. If no flush is under way, this
    /// thread does it for all who wait.
    ///
    /// # Errors
    /// [`JournalError`]: it is not known to be durable, and never will be.
    pub fn wait(self) -> Result<u64, JournalError> {
        self.shared.wait(&self.group)?;
        Ok(self.sequence)
    }

    /// Calls back when the record is durable, or is known not to become so. The call comes from a
    /// thread that others wait for, or from this one: it must not block.
    pub fn on_durable(self, call: impl FnOnce(Result<u64, JournalError>) + Send + 'static) {
        let sequence = self.sequence;
        self.group.on_finish(Box::new(move |outcome| call(outcome.map(|_| sequence))));
        self.shared.ask(&self.group);
    }
}

impl Future for Ticket {
    type Output = Result<u64, JournalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.group.poll(self.id, context.waker());
        if outcome.is_pending() && !self.is_asked {
            self.is_asked = true;
            self.shared.ask(&self.group);
        }
        outcome.map(|outcome| outcome.map(|_| self.sequence))
    }
}
