//! What the thread of the virtual routers tells the rest of the process.

use crate::instance::{Reason, State};

/// Who changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// A virtual router, by number.
    Instance(usize),
    /// A sync group, by number.
    Group(usize),
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoticeKind {
    /// The state of a virtual router.
    State {
        /// The state before.
        from: State,
        /// Why it changed.
        reason: Reason,
    },
    /// The state of a group.
    GroupState,
    /// The priority.
    Priority,
    /// Nothing, but another master of lower priority is there.
    MasterRxLowerPri,
}

/// A change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) subject: Subject,
    pub(super) kind: NoticeKind,
    pub(super) state: State,
    pub(super) priority: u8,
}

impl Notice {
    /// The word that Keepalived's FIFO has for it; `None` if it has none.
    pub(super) fn word(&self) -> Option<&'static str> {
        match (self.kind, self.state) {
            (NoticeKind::State { .. } | NoticeKind::GroupState, State::Master) => Some("MASTER"),
            (NoticeKind::State { .. } | NoticeKind::GroupState, State::Backup) => Some("BACKUP"),
            (NoticeKind::State { .. } | NoticeKind::GroupState, State::Fault) => Some("FAULT"),
            (NoticeKind::State { .. } | NoticeKind::GroupState, State::Stopped) => Some("STOP"),
            (NoticeKind::Priority, State::Master) => Some("MASTER_PRIORITY"),
            (NoticeKind::Priority, State::Backup) => Some("BACKUP_PRIORITY"),
            (NoticeKind::Priority, _) => None,
            (NoticeKind::MasterRxLowerPri, _) => Some("MASTER_RX_LOWER_PRI"),
        }
    }

    /// The word before the name.
    pub(super) fn kind_of_subject(&self) -> &'static str {
        match self.subject {
            Subject::Instance(_) => "INSTANCE",
            Subject::Group(_) => "GROUP",
        }
    }
}
