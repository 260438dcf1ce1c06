//! Which heartbeat left when, and which came last.

use std::collections::{BTreeMap, VecDeque};

use crate::heartbeat::{Echo, Moment};
use crate::lease::NodeId;

/// Heartbeats whose sending time is remembered; answers to older ones are worth nothing.
const REMEMBERED: usize = 512;

/// Numbers of datagrams and the times of heartbeats.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    last: u64,
    sent: VecDeque<(u64, Moment)>,
    newest: BTreeMap<NodeId, Echo>,
}

impl Rounds {
    /// A number for an answer.
    pub(super) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// A number for heartbeats that leave now.
    pub(super) fn begin(&mut self, now: Moment) -> u64 {
        let number = self.number();
        if self.sent.len() == REMEMBERED {
            self.sent.pop_front();
        }
        self.sent.push_back((number, now));
        number
    }

    /// When the heartbeat of a number left.
    pub(super) fn sent(&self, number: u64) -> Option<Moment> {
        let at = self.sent.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.sent.get(at).map(|(_, sent)| *sent)
    }

    /// A heartbeat came.
    pub(super) fn note(&mut self, from: NodeId, echo: Echo) {
        let newest = self.newest.entry(from).or_insert(echo);
        if (newest.incarnation, newest.sequence) < (echo.incarnation, echo.sequence) {
            *newest = echo;
        }
    }

    /// The newest heartbeat that came from a node.
    pub(super) fn newest_from(&self, node: NodeId) -> Option<Echo> {
        self.newest.get(&node).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_heartbeats_have_a_time() {
        let mut rounds = Rounds::default();
        let at = |ms| Moment::BOOT + Duration::from_millis(ms);
        let first = rounds.begin(at(1));
        let answer = rounds.number();
        let second = rounds.begin(at(2));
        assert_eq!(rounds.sent(first), Some(at(1)));
        assert_eq!(rounds.sent(answer), None);
        assert_eq!(rounds.sent(second), Some(at(2)));
        for ms in 0..REMEMBERED as u64 {
            rounds.begin(at(ms));
        }
        assert_eq!(rounds.sent(second), None);
    }
}
