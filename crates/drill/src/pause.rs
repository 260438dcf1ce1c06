//! How long a client stood still.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::history::History;

/// The longest time between two answers to one worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// The worker's name.
    pub worker: String,
    /// When its last answer before the pause came, since the start of the history.
    pub from: Duration,
    /// When the next one came.
    pub until: Duration,
}

impl Pause {
    /// How long it was.
    pub fn length(&self) -> Duration {
        self.until.saturating_sub(self.from)
    }
}

/// The longest pause of any worker that meets `around`. A worker that never got an answer again
/// stood still up to the end of `around`.
pub fn longest(history: &History, around: Range<Duration>) -> Option<Pause> {
    (0..history.workers.len())
        .filter_map(|worker| longest_of(history, worker, &around))
        .max_by_key(Pause::length)
}

/// The longest pause of one worker that meets `around`.
pub fn longest_of(history: &History, worker: usize, around: &Range<Duration>) -> Option<Pause> {
    let mine = history.operations.iter().filter(|operation| operation.worker == worker);
    let mut answers: Vec<Duration> =
        mine.filter_map(|operation| Some(operation.answered.as_ref()?.0)).collect();
    let first = *answers.first()?;
    answers.push(around.end.max(first));
    answers.sort_unstable();
    let gaps = answers.windows(2).filter_map(|pair| match pair {
        [from, until] => Some((*from, *until)),
        _ => None,
    });
    gaps.filter(|(from, until)| *from < around.end && *until > around.start)
        .max_by_key(|(from, until)| until.saturating_sub(*from))
        .map(|(from, until)| Pause { worker: history.workers[worker].clone(), from, until })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Action, Answer, Operation};

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn history(answers: &[&[u64]]) -> History {
        let mut history = History::default();
        for (worker, times) in answers.iter().enumerate() {
            history.workers.push(format!("worker {worker}"));
            for time in *times {
                let action = Action::Lock { file: "file".into() };
                let answered = Some((at(*time), Answer::Done));
                history.operations.push(Operation { worker, action, invoked: at(*time), answered });
            }
        }
        history
    }

    #[test]
    fn is_the_longest_gap_of_any_worker() {
        let history = history(&[&[0, 10, 500, 510], &[0, 300, 505]]);
        let pause = longest(&history, at(0)..at(510)).unwrap();
        assert_eq!((pause.worker.as_str(), pause.length()), ("worker 0", at(490)));
    }

    #[test]
    fn a_gap_that_is_over_before_the_fault_does_not_count() {
        let history = history(&[&[0, 900, 1000, 1050, 1060]]);
        let pause = longest(&history, at(1010)..at(1060)).unwrap();
        assert_eq!((pause.from, pause.until), (at(1000), at(1050)));
    }

    #[test]
    fn who_never_got_an_answer_again_stood_still_to_the_end() {
        let history = history(&[&[0, 10]]);
        assert_eq!(longest(&history, at(5)..at(800)).unwrap().length(), at(790));
        assert_eq!(longest(&History::default(), at(0)..at(1)), None);
    }
}
