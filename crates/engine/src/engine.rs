//! What every engine can do.

use std::path::PathBuf;

use crate::{CommandError, IdentityError};

/// Who uses a pool, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The service.
    pub service: String,
    /// Its epoch: what earlier ones still try is to fail.
    pub epoch: u64,
    /// The node.
    pub node: String,
}

/// What two holders of one service at once would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TwoHolders {
    /// Nothing bad: the storage itself sees to it that only one writes.
    Harmless,
    /// They would overwrite what the other has told its clients to be safe.
    Harm,
}

/// What fencing achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fenced {
    /// There is no way to fence; the lease alone keeps the node before away.
    Nothing,
    /// The node before can change the storage no more. It may still answer from memory, so its lease
    /// has to end as well.
    Storage,
    /// The node before is off, or cut off from everything. Its lease is over.
    Node,
}

/// How a pool is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Well.
    Well,
    /// It works, but a person should look.
    Warning(String),
    /// It cannot be used here.
    Failed(String),
}

/// Why an engine could not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A system call failed.
    #[error("{path}: cannot {action}: {source}")]
    Io {
        /// What was to be done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The storage does not do what the design rests on.
    #[error("{path}: this storage cannot be a pool: {reason}")]
    Unfit {
        /// Which.
        path: PathBuf,
        /// What is missing, and what to do.
        reason: String,
    },
    /// It is not the storage that the others use.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The fence command failed.
    #[error("cannot fence node {node}: {source}")]
    Fence {
        /// Which node.
        node: String,
        /// Why.
        source: CommandError,
    },
    /// A later epoch has the storage.
    #[error("epoch {mine} was fenced: epoch {current} has the storage")]
    Superseded {
        /// The epoch that tried.
        mine: u64,
        /// The epoch that has it.
        current: u64,
    },
}

/// Storage that several nodes reach. Every call may be repeated.
pub trait Engine: Send + Sync {
    /// Its name in the settings.
    fn name(&self) -> &'static str;

    /// What two holders at once would do.
    fn two_holders(&self) -> TwoHolders;

    /// Makes the storage usable here, for writing, and returns where.
    ///
    /// # Errors
    /// Why it is not usable.
    fn promote(&self, claim: &Claim) -> Result<PathBuf, EngineError>;

    /// Gives the storage back.
    ///
    /// # Errors
    /// Why it is still in use.
    fn demote(&self, claim: &Claim) -> Result<(), EngineError>;

    /// Keeps a node that held it in an earlier epoch from the storage. `claim` is of the new holder.
    ///
    /// # Errors
    /// Why it could not be fenced; the takeover must not go on then.
    fn fence(&self, claim: &Claim, node_before: &str) -> Result<Fenced, EngineError>;

    /// How it is, here and now.
    fn health(&self) -> Health;
}
