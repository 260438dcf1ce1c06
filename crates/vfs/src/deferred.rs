//! What changes still need to be stable.

use std::fmt;

use parking_lot::Mutex;

use crate::posix::Flush;

/// Collects what the changes of one request still need to be stable, see
/// [`crate::Context::deferred`]; [`crate::FileSystem::make_stable`] does it, for many at once.
///
/// It keeps the objects open that it speaks of, so it must not be kept for long. One that is
/// dropped leaves its changes done, but not stable.
#[derive(Default)]
pub struct Deferred(Mutex<Vec<Flush>>);

impl Deferred {
    /// Whether nothing has to be flushed.
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Whether a commit of the log of the filesystem is all that is needed: then whoever commits
    /// that log by other means need not ask for it here.
    pub fn is_of_log(&self) -> bool {
        self.0.lock().iter().all(Flush::is_of_log)
    }

    /// Takes all that was collected, to collect anew.
    pub fn take(&self) -> Self {
        Self(Mutex::new(std::mem::take(&mut *self.0.lock())))
    }

    /// Adds what a change that is done needs.
    pub(crate) fn note(&self, flushes: impl IntoIterator<Item = Flush>) {
        self.0.lock().extend(flushes);
    }

    pub(crate) fn into_flushes(self) -> Vec<Flush> {
        self.0.into_inner()
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Deferred({} flushes)", self.0.lock().len())
    }
}
