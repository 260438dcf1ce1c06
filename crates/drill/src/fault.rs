//! What is done to the node that serves.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A fault, or a change that is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// `kill -9` of the daemon; the machine and its link stay.
    Kill,
    /// The machine is gone at once, with its link.
    PowerOff,
    /// The daemon is stopped (SIGSTOP) and goes on later (SIGCONT); its kernel keeps the sockets.
    Freeze,
    /// The link loses everything, both ways.
    CutLink,
    /// What the node sends is lost; it still hears.
    CutSending,
    /// What is sent to the node is lost; it is still heard.
    CutHearing,
    /// The service is moved to another node, as planned.
    Move,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Kill,
        Self::PowerOff,
        Self::Freeze,
        Self::CutLink,
        Self::CutSending,
        Self::CutHearing,
        Self::Move,
    ];

    /// Its name on command lines and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::PowerOff => "power-off",
            Self::Freeze => "freeze",
            Self::CutLink => "cut-link",
            Self::CutSending => "cut-sending",
            Self::CutHearing => "cut-hearing",
            Self::Move => "move",
        }
    }

    /// What is done, for people.
    pub fn description(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 of the daemon",
            Self::PowerOff => "power off, no warning",
            Self::Freeze => "daemon frozen, thawed later",
            Self::CutLink => "link cut",
            Self::CutSending => "link cut one way: nobody hears the node",
            Self::CutHearing => "link cut one way: the node hears nobody",
            Self::Move => "planned move",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
