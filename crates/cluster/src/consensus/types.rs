//! The types that the consensus is about.

use openraft::impls::EmptyNode;

use crate::model::{Outcome, Stamped};

openraft::declare_raft_types!(
    /// What is agreed on: commands, their outcomes, and snapshots as bytes. Where the nodes are is
    /// part of the state, not of the consensus.
    pub TypeConfig:
        D = Stamped,
        R = Outcome,
        NodeId = u64,
        Node = EmptyNode,
        SnapshotData = Vec<u8>,
);

/// The consensus itself.
pub(crate) type Raft = openraft::Raft<TypeConfig>;
pub(crate) type LogId = openraft::LogId<u64>;
pub(crate) type Vote = openraft::Vote<u64>;
pub(crate) type Entry = openraft::Entry<TypeConfig>;
pub(crate) type StoredMembership = openraft::StoredMembership<u64, EmptyNode>;
pub(crate) type SnapshotMeta = openraft::SnapshotMeta<u64, EmptyNode>;
pub(crate) type StorageError = openraft::StorageError<u64>;
