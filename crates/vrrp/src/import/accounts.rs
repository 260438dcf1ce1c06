//! The account of every line.

use super::finding::{Finding, Place, Verdict};
use super::tree::Node;

#[derive(Debug, Default)]
pub(super) struct Accounts {
    pub(super) findings: Vec<Finding>,
}

impl Accounts {
    pub(super) fn add(&mut self, place: &Place, verdict: Verdict, line: &str, note: &str) {
        self.findings.push(Finding {
            place: place.clone(),
            verdict,
            line: line.into(),
            note: note.into(),
        });
    }

    fn node(&mut self, node: &Node, verdict: Verdict, note: &str) {
        self.add(&node.place, verdict, &node.shown(), note);
    }

    /// The settings say the same, under the name `as_what`.
    pub(super) fn mapped(&mut self, node: &Node, as_what: &str) {
        self.node(node, Verdict::Mapped, as_what);
    }

    pub(super) fn approximated(&mut self, node: &Node, note: &str) {
        self.node(node, Verdict::Approximated, note);
    }

    pub(super) fn refused(&mut self, node: &Node, note: &str) {
        self.node(node, Verdict::Refused, note);
    }

    pub(super) fn warn(&mut self, node: &Node, note: &str) {
        self.node(node, Verdict::Warning, note);
    }

    /// Refuses a line and all that is inside it.
    pub(super) fn refuse_all(&mut self, node: &Node, note: &str) {
        self.refused(node, note);
        for child in &node.children {
            self.refuse_all(child, "it is inside a block that is refused");
        }
    }

    /// Takes a value, or refuses the line because it is none.
    pub(super) fn value<T: std::str::FromStr>(&mut self, node: &Node, what: &str) -> Option<T> {
        let value = node.words.get(1).and_then(|word| word.parse().ok());
        if value.is_none() {
            self.refused(node, &format!("it does not name {what}"));
        }
        value
    }
}
