//! Making changes stable: each by itself, or many with few flushes.
//!
//! Why one flush serves many changes: what a change needs is noted after its system calls
//! returned, and what is noted is handed over before a flush begins. So each flush begins after
//! all changes that count on it, on whatever threads they were done, and covers them.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustix::io::Errno;

use super::mounted::Mounted;
use super::node::Node;
use crate::{Context, Error, Result};

/// What a change still needs to be stable.
pub(crate) struct Flush(Target);

enum Target {
    /// An open object. `failures` is from before the change, see [`Node::failures`].
    Object { node: Arc<Node>, failures: u64 },
    /// All of a filesystem.
    Filesystem(Arc<Mounted>),
    /// The log of a filesystem.
    Log(Arc<Mounted>),
}

/// Flushes of the same object by the same means are one. In the order in which they are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Object(usize),
    Filesystem(usize),
    Log(usize),
}

/// A flush that serves all changes with its key.
struct Shared<'a> {
    target: &'a Target,
    result: Result<()>,
}

impl Flush {
    /// An object, of which `failures` flushes had failed before the change.
    pub(super) fn object(node: Arc<Node>, failures: u64) -> Self {
        Self(Target::Object { node, failures })
    }

    /// All of a filesystem.
    pub(super) fn filesystem(filesystem: Arc<Mounted>) -> Self {
        Self(Target::Filesystem(filesystem))
    }

    /// The log of a filesystem that has a marker, see [`Mounted::touch_marker`].
    pub(super) fn log(filesystem: Arc<Mounted>) -> Self {
        Self(Target::Log(filesystem))
    }
}

impl Flush {
    /// Whether a commit of the filesystem's log is all that it takes.
    pub(crate) fn is_of_log(&self) -> bool {
        matches!(self.0, Target::Log(_))
    }
}

impl Target {
    fn key(&self) -> Key {
        match self {
            Self::Object { node, .. } => Key::Object(Arc::as_ptr(node).addr()),
            Self::Filesystem(filesystem) => Key::Filesystem(Arc::as_ptr(filesystem).addr()),
            Self::Log(filesystem) => Key::Log(Arc::as_ptr(filesystem).addr()),
        }
    }

    /// What can be done without waiting before the first flush, so that all of them wait for the
    /// same: the data on its way to the disk, and one commit of the log.
    fn prepare(&self, alone: bool) -> Result<()> {
        match self {
            Self::Object { node, .. } if !alone => node.start_flush(),
            Self::Object { .. } | Self::Filesystem(_) => Ok(()),
            Self::Log(filesystem) => filesystem.touch_marker(),
        }
    }

    fn flush(&self) -> Result<()> {
        match self {
            Self::Object { node, .. } => node.flush(),
            Self::Filesystem(filesystem) => filesystem.flush_all(),
            Self::Log(filesystem) => filesystem.flush_marker(),
        }
    }

    /// The result of a change that this flush served. Another flush may have been told the error
    /// of its data before.
    fn outcome(&self, flushed: &Result<()>) -> Result<()> {
        match self {
            Self::Object { node, failures, .. } if node.failures() != *failures => {
                flushed.clone().and(Err(Error::Os(Errno::IO)))
            }
            _ => flushed.clone(),
        }
    }
}

/// Makes a change stable that is done, or notes what it needs if that is deferred.
pub(super) fn settle(context: Context<'_>, flushes: impl IntoIterator<Item = Flush>) -> Result<()> {
    match context.deferred {
        Some(deferred) => {
            deferred.note(flushes);
            Ok(())
        }
        None => make_stable(&[flushes.into_iter().collect()]).into_iter().collect(),
    }
}

/// Makes changes stable, each with as few flushes as all of them together need. Must be inside an
/// [`super::IdentityScope`].
///
/// The marker of a log is touched before the first flush of a file and flushed after the last:
/// where one of those commits the log up to the touch, that of the marker finds it done.
pub(super) fn make_stable(changes: &[Vec<Flush>]) -> Vec<Result<()>> {
    let mut shared: BTreeMap<Key, Shared<'_>> = BTreeMap::new();
    for Flush(target) in changes.iter().flatten() {
        shared.entry(target.key()).or_insert(Shared { target, result: Ok(()) });
    }
    let alone = shared.len() == 1;
    for flush in shared.values_mut() {
        flush.result = flush.target.prepare(alone);
    }
    for flush in shared.values_mut() {
        // Flushed also if that failed: the rest may still get to the disk.
        let flushed = flush.target.flush();
        flush.result = flush.result.clone().and(flushed);
    }
    let outcome = |Flush(target): &Flush| {
        let flush = shared.get(&target.key());
        target.outcome(&flush.map_or(Ok(()), |flush| flush.result.clone()))
    };
    changes.iter().map(|flushes| flushes.iter().try_for_each(outcome)).collect()
}
