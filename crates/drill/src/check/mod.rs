//! What must not have happened, by the histories of the clients.
//!
//! No I/O here: a history and what was read back afterwards go in, violations come out. What was
//! answered must be there; what was asked and not answered may be there or not, once.

mod data;
mod locks;
mod names;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::history::{Answer, History};

/// The content of a block when it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// Never written.
    Hole,
    /// As one write left it.
    Value(u64),
    /// As no write left it.
    Torn,
}

/// What was read back when the load had ended.
#[derive(Clone, Debug, Default)]
pub struct Remains {
    /// The names in the directory.
    pub names: BTreeSet<String>,
    /// The blocks of each file.
    pub files: BTreeMap<String, Vec<Content>>,
}

/// Something that must never happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Violation {
    /// A block does not hold what was acknowledged to be stable.
    LostWrite {
        /// The file.
        file: String,
        /// The block.
        block: u64,
        /// What was acknowledged last.
        acknowledged: u64,
        /// What is there.
        found: Content,
    },
    /// A block holds what nobody wrote.
    StrangeData {
        /// The file.
        file: String,
        /// The block.
        block: u64,
        /// What is there.
        found: Content,
    },
    /// A name whose making was acknowledged is not there.
    LostName {
        /// The name.
        name: String,
    },
    /// A name whose end was acknowledged is there.
    NameCameBack {
        /// The name.
        name: String,
    },
    /// A file is under neither of its names, or under both, after a rename.
    HalfRename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// The answer is that of a second execution.
    RanTwice {
        /// What was asked.
        action: String,
        /// What was answered.
        answer: String,
    },
    /// A name that must be new was given to two.
    TwoCreators {
        /// The name.
        name: String,
    },
    /// All who wanted a name were told that another has it.
    NoCreator {
        /// The name.
        name: String,
    },
    /// Two workers held the same lock.
    TwoHolders {
        /// The file.
        file: String,
        /// The first.
        first: String,
        /// The second.
        second: String,
        /// From when on both did.
        at: Duration,
    },
    /// The same number was given to two increments, or one was lost.
    LostIncrement {
        /// The file.
        file: String,
        /// What is wrong.
        what: String,
    },
    /// An operation got an answer that it must never get.
    Refused {
        /// What was asked.
        action: String,
        /// What was answered.
        answer: String,
    },
    /// An operation was never answered.
    Unanswered {
        /// What was asked.
        action: String,
        /// Who asked.
        worker: String,
    },
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostWrite { file, block, acknowledged, found } => write!(
                f,
                "block {block} of {file}: write {acknowledged} was acknowledged, {found:?} is there"
            ),
            Self::StrangeData { file, block, found } => {
                write!(f, "block {block} of {file} holds {found:?}, which nobody wrote")
            }
            Self::LostName { name } => write!(f, "{name} was acknowledged and is not there"),
            Self::NameCameBack { name } => write!(f, "{name} was taken away and is there"),
            Self::HalfRename { from, to } => {
                write!(f, "after the rename of {from} to {to}, not exactly one of them is there")
            }
            Self::RanTwice { action, answer } => {
                write!(f, "{action} was answered {answer}: it ran twice")
            }
            Self::TwoCreators { name } => write!(f, "{name} was made exclusively by two"),
            Self::NoCreator { name } => write!(f, "{name} exists and nobody was told: I made it"),
            Self::TwoHolders { file, first, second, at } => {
                write!(f, "{first} and {second} both held the lock of {file} at {at:.3?}")
            }
            Self::LostIncrement { file, what } => write!(f, "{file}: {what}"),
            Self::Refused { action, answer } => write!(f, "{action} was answered {answer}"),
            Self::Unanswered { action, worker } => {
                write!(f, "{action} of {worker} was never answered")
            }
        }
    }
}

/// All violations in a history, given what was read back after its end.
pub fn check(history: &History, remains: &Remains) -> Vec<Violation> {
    let mut violations = answers(history);
    violations.extend(data::check(history, remains));
    violations.extend(names::check(history, remains));
    violations.extend(locks::check(history, remains));
    violations
}

/// Answers that no operation may get, and operations without an answer.
fn answers(history: &History) -> Vec<Violation> {
    let violation = |operation: &crate::history::Operation| {
        let action = format!("{:?}", operation.action);
        match &operation.answered {
            None => {
                let worker = history.workers.get(operation.worker).cloned().unwrap_or_default();
                Some(Violation::Unanswered { action, worker })
            }
            Some((_, Answer::Refused(answer))) => {
                Some(Violation::Refused { action, answer: answer.clone() })
            }
            Some(_) => None,
        }
    };
    history.operations.iter().filter_map(violation).collect()
}
