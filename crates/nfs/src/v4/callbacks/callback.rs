//! One callback: how it is said, and what an answer to it means.

use super::super::protocol::{
    CallbackNotifyLockArgs, CallbackOffloadArgs, CallbackOperation, CallbackRecallArgs,
    CallbackResult, FileHandle, OffloadInfo, StateId, StateOwner, Status,
};

/// Something to tell a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callback {
    /// Give a delegation back.
    Recall {
        /// The delegation.
        delegation: StateId,
        /// The file.
        file: FileHandle,
    },
    /// A lock may be had now. Minor version 0 has no such callback.
    NotifyLock {
        /// The file.
        file: FileHandle,
        /// Who was denied.
        owner: StateOwner,
    },
    /// A copy ended. Minor version 2 only.
    Offload {
        /// The destination.
        file: FileHandle,
        /// The copy.
        stateid: StateId,
        /// How it ended.
        info: OffloadInfo,
    },
}

/// What an answer means for a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is left to do.
    Done,
    /// To be said again, later.
    Again,
}

impl Callback {
    /// Whether this minor version has it.
    pub(super) fn is_known_to(&self, minor: u32) -> bool {
        match self {
            Self::Recall { .. } => true,
            Self::NotifyLock { .. } => minor >= 1,
            Self::Offload { .. } => minor >= 2,
        }
    }

    /// Its operation.
    pub(super) fn operation(&self) -> CallbackOperation {
        match self.clone() {
            Self::Recall { delegation, file } => CallbackOperation::Recall(CallbackRecallArgs {
                stateid: delegation,
                truncate: false,
                file,
            }),
            Self::NotifyLock { file, owner } => {
                CallbackOperation::NotifyLock(CallbackNotifyLockArgs { file, owner })
            }
            Self::Offload { file, stateid, info } => {
                CallbackOperation::Offload(CallbackOffloadArgs { file, stateid, info })
            }
        }
    }

    /// What the result of its operation means.
    pub(super) fn judge(&self, result: Option<&CallbackResult>) -> Verdict {
        let (status, is_recall) = match result {
            Some(CallbackResult::Recall(status)) => (*status, true),
            Some(CallbackResult::NotifyLock(status) | CallbackResult::Offload(status)) => {
                (*status, false)
            }
            _ => return Verdict::Done,
        };
        match status {
            Status::Delay => Verdict::Again,
            // The recall may have overtaken the reply that gives the delegation (RFC 8881 section
            // 10.4.2).
            Status::BadStateId | Status::BadHandle if is_recall => Verdict::Again,
            _ => Verdict::Done,
        }
    }
}
