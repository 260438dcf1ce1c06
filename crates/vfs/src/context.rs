//! Who asks, and whether the answer may take its time.

use std::sync::Arc;

use crate::Deferred;

/// The identity a request runs under, after squashing and group lookup.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Caller {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Arc<[u32]>,
}

impl Caller {
    /// The superuser, with no supplementary groups.
    pub fn root() -> Self {
        Self { uid: 0, gid: 0, groups: Arc::from([]) }
    }
}

/// Whether an operation may wait for a disk, a network or a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It must answer from memory or fail with [`crate::Error::WouldBlock`].
    Never,
    /// It may take as long as it takes.
    Allowed,
}

/// The circumstances of one operation.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// Whether it may wait.
    pub wait: Wait,
    /// Where a change notes what it still needs to be stable: it is then done when it returns, but
    /// its result holds only after [`crate::FileSystem::make_stable`]. Without, it is stable when
    /// it returns.
    pub deferred: Option<&'a Deferred>,
}
