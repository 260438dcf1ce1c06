//! The steps of a takeover and of a release.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lease::{Epoch, ServiceId};

/// Something to be done for a service. Each may run again after it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Get ready to take over: mount the pool, read the journal ahead, warm caches. Harmless while
    /// another node serves.
    Warm,
    /// Keep the holders of earlier epochs from the storage.
    Fence,
    /// Make the storage usable here, for writing.
    Promote,
    /// Read the journal and begin the epoch in it.
    Replay,
    /// Accept connections on the service's ports, also before the address is there.
    Listen,
    /// Put the addresses on their interfaces.
    Raise,
    /// Tell the neighbours where the addresses are: a burst, then again.
    Announce,
    /// Wake each client connection that the journal knows.
    Tickle,
    /// Finish what is in flight and begin nothing new, within a limit.
    Drain,
    /// Take the addresses off their interfaces.
    Lower,
    /// Stop to listen and drop all connections, without a word to the clients.
    Silence,
    /// Close the journal and give the storage back.
    Demote,
}

impl Step {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::Fence => "fence",
            Self::Promote => "promote",
            Self::Replay => "replay",
            Self::Listen => "listen",
            Self::Raise => "address",
            Self::Announce => "announce",
            Self::Tickle => "tickle",
            Self::Drain => "drain",
            Self::Lower => "lower",
            Self::Silence => "silence",
            Self::Demote => "demote",
        }
    }

    /// Whether a failure means that this node cannot serve. The others are tried until they succeed,
    /// or are not worth it.
    pub(super) const fn is_needed_to_serve(self) -> bool {
        matches!(self, Self::Fence | Self::Promote | Self::Replay | Self::Listen | Self::Raise)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A step to run; its end is to be reported once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The service.
    pub service: ServiceId,
    /// The epoch that it is done for; zero when a new run clears up.
    pub epoch: Epoch,
    /// What to do.
    pub step: Step,
}
