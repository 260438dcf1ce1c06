//! Names: made once, moved once, gone when they were taken away.

use std::collections::BTreeMap;

use super::{Remains, Violation};
use crate::history::{Action, Answer, History, Operation};

/// Whether a name should be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Present,
    Absent,
    Either,
}

pub(super) fn check(history: &History, remains: &Remains) -> Vec<Violation> {
    let mut expected = BTreeMap::<&str, Expected>::new();
    let mut violations = Vec::new();
    let mut renames = Vec::new();
    for operation in &history.operations {
        let answer = operation.answered.as_ref().map(|(_, answer)| answer);
        violations.extend(second_execution(history, operation));
        match (&operation.action, answer) {
            (Action::Create { name }, Some(Answer::Done)) => {
                expected.insert(name, Expected::Present);
            }
            (Action::Create { name }, None) => {
                expected.entry(name).or_insert(Expected::Either);
            }
            (Action::Rename { from, to }, Some(Answer::Done)) => {
                expected.insert(from, Expected::Absent);
                expected.insert(to, Expected::Present);
            }
            (Action::Rename { from, to }, None) => {
                if expected.get(from.as_str()) == Some(&Expected::Present) {
                    renames.push((from, to));
                }
                expected.insert(from, Expected::Either);
                expected.insert(to, Expected::Either);
            }
            (Action::Remove { name }, Some(Answer::Done)) => {
                expected.insert(name, Expected::Absent);
            }
            (Action::Remove { name }, None) => {
                expected.insert(name, Expected::Either);
            }
            // Told already, as a second execution: what else it did is not known.
            (Action::Rename { from, to }, Some(_)) => {
                expected.insert(from, Expected::Either);
                expected.insert(to, Expected::Either);
            }
            (Action::Remove { name }, Some(_)) => {
                expected.insert(name, Expected::Either);
            }
            _ => {}
        }
    }
    for (name, expected) in expected {
        let name = name.to_owned();
        match (expected, remains.names.contains(&name)) {
            (Expected::Present, false) => violations.push(Violation::LostName { name }),
            (Expected::Absent, true) => violations.push(Violation::NameCameBack { name }),
            _ => {}
        }
    }
    for (from, to) in renames {
        if remains.names.contains(from) == remains.names.contains(to) {
            violations.push(Violation::HalfRename { from: from.clone(), to: to.clone() });
        }
    }
    violations.extend(creators(history));
    violations
}

/// Whether the answer can only be that of a second execution: each name is made, moved and taken
/// away by one worker, except those that several try to make.
fn second_execution(history: &History, operation: &Operation) -> Option<Violation> {
    let (at, answer) = operation.answered.as_ref()?;
    let ran_twice = match (&operation.action, answer) {
        (Action::Create { name }, Answer::Exists) => !history.operations.iter().any(|other| {
            let other_name = matches!(&other.action, Action::Create { name: made } if made == name);
            other_name && other.worker != operation.worker && other.invoked <= *at
        }),
        (Action::Rename { .. } | Action::Remove { .. }, Answer::NoEntry) => true,
        _ => false,
    };
    ran_twice.then(|| Violation::RanTwice {
        action: format!("{:?}", operation.action),
        answer: format!("{answer:?}"),
    })
}

/// How the race for a name went.
#[derive(Debug, Default)]
struct Race {
    winners: usize,
    losers: usize,
    unanswered: usize,
    workers: Vec<usize>,
}

fn creators(history: &History) -> Vec<Violation> {
    let mut races = BTreeMap::<&str, Race>::new();
    for operation in &history.operations {
        let Action::Create { name } = &operation.action else { continue };
        let race = races.entry(name).or_default();
        race.workers.push(operation.worker);
        match operation.answered.as_ref().map(|(_, answer)| answer) {
            Some(Answer::Done) => race.winners += 1,
            Some(Answer::Exists) => race.losers += 1,
            Some(_) => {}
            None => race.unanswered += 1,
        }
    }
    let judge = |(name, race): (&str, Race)| {
        let name = name.to_owned();
        let alone = race.workers.iter().all(|worker| Some(worker) == race.workers.first());
        match race {
            Race { winners: 2.., .. } => Some(Violation::TwoCreators { name }),
            // Who was alone and was told so is a second execution, found above.
            Race { winners: 0, losers: 1.., unanswered: 0, .. } if !alone => {
                Some(Violation::NoCreator { name })
            }
            _ => None,
        }
    };
    races.into_iter().filter_map(judge).collect()
}
