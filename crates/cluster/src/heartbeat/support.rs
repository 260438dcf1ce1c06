//! Which leader a node stands by, and until when it stood by an earlier one.

use std::time::Duration;

use super::Moment;
use crate::lease::Term;
use crate::planted::{Fault, planted};

/// A voter's promise, which the leases rest on: once it has voted in a term, it acknowledges no
/// leader of an earlier one.
///
/// The vote must be noted here *before* the answer to the candidate leaves, and what is noted must
/// be durable, which consensus sees to: it stores its vote first, then calls
/// [`Support::observe`], then answers.
#[derive(Clone, Debug)]
pub struct Support {
    term: Term,
    /// When a leader of `term` was acknowledged last.
    last: Option<Moment>,
    /// No leader of an earlier term was acknowledged later than this.
    older: Moment,
}

impl Support {
    /// For a node that starts, with the term that it stored. What its earlier run acknowledged it
    /// cannot know, but that run has ended.
    pub fn new(term: Term, now: Moment) -> Self {
        Self { term, last: None, older: now }
    }

    /// The newest term that it knows.
    pub fn term(&self) -> Term {
        self.term
    }

    /// A vote, or the word of a leader, in a term that is durable on this node.
    pub fn observe(&mut self, term: Term) {
        if term > self.term {
            self.term = term;
            if let Some(last) = self.last.take() {
                self.older = self.older.max(last);
            }
        }
    }

    /// The voters are others now. Counts as if an earlier leader had been acknowledged: a majority
    /// of the voters before may know of leaders that a majority of these does not.
    pub fn members_changed(&mut self, now: Moment) {
        self.older = self.older.max(now);
    }

    /// Acknowledges the leader of `term`, or does not.
    pub fn endorse(&mut self, term: Term, now: Moment) -> bool {
        let stands = term == self.term || planted(Fault::EndorseAnyTerm);
        if stands {
            self.last = self.last.max(Some(now));
        }
        stands
    }

    /// How long no leader of an earlier term was acknowledged.
    pub fn older_age(&self, now: Moment) -> Duration {
        now.since(self.older)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_vote_no_earlier_leader_is_acknowledged() {
        let at = |ms| Moment::BOOT + Duration::from_millis(ms);
        let mut support = Support::new(Term(3), at(0));
        assert!(support.endorse(Term(3), at(40)));
        assert!(!support.endorse(Term(2), at(50)));
        support.observe(Term(4));
        assert!(!support.endorse(Term(3), at(60)));
        assert_eq!(support.older_age(at(100)), Duration::from_millis(60));
        assert!(support.endorse(Term(4), at(110)));
        assert_eq!(support.older_age(at(140)), Duration::from_millis(100));
        support.observe(Term(2));
        assert_eq!(support.term(), Term(4));
        support.members_changed(at(150));
        assert_eq!(support.older_age(at(150)), Duration::ZERO);
    }
}
