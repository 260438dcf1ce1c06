//! Writes: what was acknowledged is there, and stays.

use std::collections::BTreeMap;

use super::{Content, Remains, Violation};
use crate::history::{Action, Answer, History};

/// What is known of a block. Only one worker writes it, one write at a time, with growing values.
#[derive(Clone, Copy, Debug, Default)]
struct Block {
    acknowledged: Option<u64>,
    /// Asked for, not acknowledged: may be there or not.
    pending: Option<u64>,
}

impl Block {
    fn judge(self, file: &str, block: u64, found: Content) -> Option<Violation> {
        let file = file.to_owned();
        let allowed = |value| Some(value) == self.acknowledged || Some(value) == self.pending;
        match (found, self.acknowledged) {
            (Content::Value(value), _) if allowed(value) => None,
            (Content::Hole, None) => None,
            (Content::Value(value), acknowledged) if Some(value) > acknowledged => {
                Some(Violation::StrangeData { file, block, found })
            }
            (_, Some(acknowledged)) => {
                Some(Violation::LostWrite { file, block, acknowledged, found })
            }
            (_, None) => Some(Violation::StrangeData { file, block, found }),
        }
    }
}

pub(super) fn check(history: &History, remains: &Remains) -> Vec<Violation> {
    let mut blocks = BTreeMap::<(&str, u64), Block>::new();
    let mut violations = Vec::new();
    for operation in &history.operations {
        let answer = operation.answered.as_ref().map(|(_, answer)| answer);
        match &operation.action {
            Action::Write { file, block, value } => {
                let known = blocks.entry((file, *block)).or_default();
                match answer {
                    Some(Answer::Done) => {
                        *known = Block { acknowledged: Some(*value), pending: None };
                    }
                    _ => known.pending = Some(*value),
                }
            }
            Action::Read { file, block } => {
                let known = blocks.entry((file, *block)).or_default();
                violations.extend(seen(answer).and_then(|found| known.judge(file, *block, found)));
            }
            _ => {}
        }
    }
    for ((file, block), known) in blocks {
        let content = remains.files.get(file).and_then(|blocks| blocks.get(block as usize));
        let found = content.copied().unwrap_or(Content::Hole);
        violations.extend(known.judge(file, block, found));
    }
    violations
}

fn seen(answer: Option<&Answer>) -> Option<Content> {
    match answer? {
        Answer::Value(value) => Some(Content::Value(*value)),
        Answer::Hole => Some(Content::Hole),
        Answer::Torn => Some(Content::Torn),
        _ => None,
    }
}
