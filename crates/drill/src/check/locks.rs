//! Locks: one holder at a time, and what they protect.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Content, Remains, Violation};
use crate::history::{Action, Answer, History};

/// A time in which a worker surely held a lock: from the answer to LOCK until it asked to unlock.
#[derive(Clone, Copy, Debug)]
struct Holding {
    worker: usize,
    from: Duration,
    until: Duration,
}

pub(super) fn check(history: &History, remains: &Remains) -> Vec<Violation> {
    let mut violations = two_holders(history);
    violations.extend(increments(history, remains));
    violations
}

fn two_holders(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (file, mut holdings) in holdings(history) {
        holdings.sort_by_key(|holding| holding.from);
        let mut longest: Option<Holding> = None;
        for holding in holdings {
            if let Some(earlier) = longest
                && earlier.worker != holding.worker
                && holding.from < earlier.until
            {
                let name = |worker: usize| history.workers.get(worker).cloned().unwrap_or_default();
                violations.push(Violation::TwoHolders {
                    file: file.into(),
                    first: name(earlier.worker),
                    second: name(holding.worker),
                    at: holding.from,
                });
            }
            longest = longest.filter(|earlier| earlier.until > holding.until).or(Some(holding));
        }
    }
    violations
}

fn holdings(history: &History) -> BTreeMap<&str, Vec<Holding>> {
    let mut open = BTreeMap::<(&str, usize), Duration>::new();
    let mut closed = BTreeMap::<&str, Vec<Holding>>::new();
    for operation in &history.operations {
        let worker = operation.worker;
        match (&operation.action, &operation.answered) {
            (Action::Lock { file }, Some((at, Answer::Done))) => {
                open.insert((file, worker), *at);
            }
            (Action::Unlock { file }, _) => {
                if let Some(from) = open.remove(&(file.as_str(), worker)) {
                    let holding = Holding { worker, from, until: operation.invoked };
                    closed.entry(file).or_default().push(holding);
                }
            }
            _ => {}
        }
    }
    for ((file, worker), from) in open {
        let holding = Holding { worker, from, until: Duration::MAX };
        closed.entry(file).or_default().push(holding);
    }
    closed
}

/// Each increment gives a number of its own, and the file ends with the highest.
fn increments(history: &History, remains: &Remains) -> Vec<Violation> {
    let mut files = BTreeMap::<&str, (BTreeSet<u64>, usize)>::new();
    let mut violations = Vec::new();
    for operation in &history.operations {
        let Action::Increment { file } = &operation.action else { continue };
        let (given, asked) = files.entry(file).or_default();
        *asked += 1;
        if let Some((_, Answer::Torn)) = &operation.answered {
            let found = Content::Torn;
            violations.push(Violation::StrangeData { file: file.clone(), block: 0, found });
        }
        if let Some((_, Answer::Value(value))) = &operation.answered
            && !given.insert(*value)
        {
            let what = format!("two increments gave {value}");
            violations.push(Violation::LostIncrement { file: file.clone(), what });
        }
    }
    for (file, (given, asked)) in files {
        let found = match remains.files.get(file).and_then(|blocks| blocks.first()) {
            Some(Content::Value(value)) => *value,
            _ => 0,
        };
        let least = given.last().copied().unwrap_or(0).max(given.len() as u64);
        if found < least || found > asked as u64 {
            let done = given.len();
            let what = format!("{found} at the end, after {done} increments of {asked} asked for");
            violations.push(Violation::LostIncrement { file: file.into(), what });
        }
    }
    violations
}
