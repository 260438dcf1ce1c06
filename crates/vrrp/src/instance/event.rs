//! What goes into and comes out of the state machine.

use std::fmt;
use std::net::IpAddr;

use crate::packet::Advertisement;

/// Where a virtual router is. `Stopped` and `Fault` are both `Initialize` in the RFCs' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Not started, or shut down.
    #[serde(rename = "STOP")]
    Stopped,
    /// Its interface or something that it tracks is down.
    Fault,
    /// Watching the master.
    Backup,
    /// Holding the addresses (RFC 9568: `Active`).
    Master,
}

impl fmt::Display for State {
    /// The word that Keepalived hands to notify scripts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stopped => "STOP",
            Self::Fault => "FAULT",
            Self::Backup => "BACKUP",
            Self::Master => "MASTER",
        })
    }
}

/// What a person told a virtual router, until they take it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Command {
    /// Be master, at priority 254, whatever the settings say of preemption.
    TakeOver,
    /// Leave mastership to any other router, at priority 1.
    HandBack,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The interface is up and nothing that is tracked is down.
    Startup,
    /// The process ends.
    Shutdown,
    /// The interface or something that is tracked went down.
    Fault,
    /// The deadline may have passed.
    Timer,
    /// An advertisement that passed all checks.
    Advertisement {
        /// What it says.
        advertisement: Advertisement,
        /// The sender's primary address.
        source: IpAddr,
    },
    /// The address that our advertisements come from.
    PrimaryAddress(Option<IpAddr>),
    /// The sum of base priority and weights changed.
    Priority(u8),
    /// A person's command, or its end.
    Command(Option<Command>),
    /// The sync group becomes master as one.
    JoinMaster,
    /// The sync group steps down as one.
    JoinBackup,
}

/// Why a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It started.
    Startup,
    /// It started and owns the addresses.
    Owner,
    /// The master fell silent or left.
    MasterDown,
    /// The master has a lower priority.
    Preempt,
    /// Another master outranks us.
    HigherPriority,
    /// Interface or track down.
    Fault,
    /// The process ends.
    Shutdown,
    /// The sync group moved.
    Group,
    /// A person said so.
    Command,
}

/// Something to do, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an advertisement.
    Advertise {
        /// The priority in it.
        priority: u8,
    },
    /// Put the addresses on the interface.
    RaiseAddresses,
    /// Take the addresses off the interface, also those that an earlier run left behind.
    LowerAddresses,
    /// Send gratuitous ARP or unsolicited neighbour advertisements for each address.
    Announce,
    /// Ask the sync group for mastership.
    AskGroup,
    /// A master met one of lower priority.
    LowerPrioritySeen,
    /// The priority is another one now.
    PriorityChanged {
        /// The new one.
        priority: u8,
    },
    /// The state changed.
    Changed {
        /// The state before.
        from: State,
        /// The state now.
        to: State,
        /// Why.
        reason: Reason,
    },
}
