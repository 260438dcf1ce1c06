//! A small Raft: elections, a log, commits. Terms, votes and the log survive a crash.

use std::collections::{BTreeMap, BTreeSet};

use crate::lease::{Change, NodeId, Term};

/// An entry; a leader begins its term with an empty one.
pub(super) type Entry = (Term, Option<Change>);

/// What survives a crash.
#[derive(Clone, Debug, Default)]
pub(super) struct Durable {
    pub(super) term: Term,
    voted: Option<NodeId>,
    log: Vec<Entry>,
}

/// What nodes say to each other.
#[derive(Clone, Debug)]
pub(super) enum Message {
    AskVote { term: Term, last: (Term, usize) },
    Vote { term: Term, granted: bool },
    Append { term: Term, before: (Term, usize), entries: Vec<Entry>, committed: usize },
    Appended { term: Term, matched: Option<usize> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Role {
    Follower,
    Candidate(BTreeSet<NodeId>),
    Leader { matched: BTreeMap<NodeId, usize>, first: usize },
}

/// One node's part.
#[derive(Clone, Debug)]
pub(super) struct Raft {
    me: NodeId,
    voters: BTreeSet<NodeId>,
    /// All who get the log.
    pub(super) members: BTreeSet<NodeId>,
    pub(super) durable: Durable,
    role: Role,
    leader: Option<NodeId>,
    committed: usize,
    applied: usize,
    /// A leader was heard since the election timer was set.
    heard: bool,
}

type Sends = Vec<(NodeId, Message)>;

impl Raft {
    pub(super) fn new(
        me: NodeId,
        voters: BTreeSet<NodeId>,
        members: BTreeSet<NodeId>,
        durable: Durable,
    ) -> Self {
        Self {
            me,
            voters,
            members,
            durable,
            role: Role::Follower,
            leader: None,
            committed: 0,
            applied: 0,
            heard: false,
        }
    }

    fn last(&self) -> (Term, usize) {
        (self.durable.log.last().map_or(Term(0), |entry| entry.0), self.durable.log.len())
    }

    fn majority(&self) -> usize {
        self.voters.len() / 2 + 1
    }

    fn others(&self, of: &BTreeSet<NodeId>) -> Vec<NodeId> {
        of.iter().copied().filter(|node| *node != self.me).collect()
    }

    /// The term's leader, and whether that is this node and it knows all that was committed before.
    pub(super) fn led(&self) -> (Term, Option<NodeId>, bool) {
        let ready = matches!(self.role, Role::Leader { first, .. } if self.applied >= first);
        (self.durable.term, self.leader, ready)
    }

    pub(super) fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader { .. })
    }

    /// What was committed and not taken yet.
    pub(super) fn take_applied(&mut self) -> Vec<Entry> {
        let new = self.durable.log[self.applied..self.committed].to_vec();
        self.applied = self.committed;
        new
    }

    fn step_down(&mut self, term: Term) {
        if term > self.durable.term {
            self.durable.term = term;
            self.durable.voted = None;
            self.leader = None;
        }
        self.role = Role::Follower;
    }

    /// The election timer has run out.
    pub(super) fn on_election_timer(&mut self) -> Sends {
        let heard = std::mem::take(&mut self.heard);
        if heard || self.is_leader() || !self.voters.contains(&self.me) {
            return Vec::new();
        }
        self.durable.term.0 += 1;
        self.durable.voted = Some(self.me);
        self.leader = None;
        self.role = Role::Candidate(BTreeSet::from([self.me]));
        let (term, last) = (self.durable.term, self.last());
        let sends = self.others(&self.voters);
        let mut sends: Sends =
            sends.into_iter().map(|node| (node, Message::AskVote { term, last })).collect();
        sends.extend(self.count_votes());
        sends
    }

    fn count_votes(&mut self) -> Sends {
        match &self.role {
            Role::Candidate(votes) if votes.len() >= self.majority() => {}
            _ => return Vec::new(),
        }
        self.durable.log.push((self.durable.term, None));
        let first = self.durable.log.len();
        self.role = Role::Leader { matched: BTreeMap::new(), first };
        self.leader = Some(self.me);
        self.advance();
        self.replicate()
    }

    /// The leader sends what each member lacks, also nothing as a sign of life.
    pub(super) fn replicate(&self) -> Sends {
        let Role::Leader { matched, .. } = &self.role else { return Vec::new() };
        let send = |node: NodeId| {
            let from = matched.get(&node).copied().unwrap_or(0);
            let before = match from.checked_sub(1).and_then(|at| self.durable.log.get(at)) {
                Some(entry) => (entry.0, from),
                None => (Term(0), 0),
            };
            let entries = self.durable.log[from..].to_vec();
            let term = self.durable.term;
            (node, Message::Append { term, before, entries, committed: self.committed })
        };
        self.others(&self.members).into_iter().map(send).collect()
    }

    /// Has a change written to the log, if this node leads.
    pub(super) fn propose(&mut self, change: Change) -> Sends {
        if !self.is_leader() {
            return Vec::new();
        }
        self.durable.log.push((self.durable.term, Some(change)));
        self.advance();
        self.replicate()
    }

    fn advance(&mut self) {
        let Role::Leader { matched, .. } = &self.role else { return };
        let length = self.durable.log.len();
        let at = |node: &NodeId| {
            if *node == self.me { length } else { matched.get(node).copied().unwrap_or(0) }
        };
        let mut at: Vec<usize> = self.voters.iter().map(at).collect();
        at.sort_unstable_by(|a, b| b.cmp(a));
        let common = at.get(self.majority() - 1).copied().unwrap_or(0);
        let is_mine = common > 0 && self.durable.log[common - 1].0 == self.durable.term;
        if common > self.committed && is_mine {
            self.committed = common;
        }
    }

    pub(super) fn receive(&mut self, from: NodeId, message: Message) -> Sends {
        match message {
            Message::AskVote { term, last } => self.on_ask_vote(from, term, last),
            Message::Vote { term, granted } => {
                if term > self.durable.term {
                    self.step_down(term);
                } else if granted
                    && term == self.durable.term
                    && let Role::Candidate(votes) = &mut self.role
                {
                    votes.insert(from);
                    return self.count_votes();
                }
                Vec::new()
            }
            Message::Append { term, before, entries, committed } => {
                self.on_append(from, term, before, entries, committed)
            }
            Message::Appended { term, matched } => self.on_appended(from, term, matched),
        }
    }

    fn on_ask_vote(&mut self, from: NodeId, term: Term, last: (Term, usize)) -> Sends {
        if term > self.durable.term {
            self.step_down(term);
        }
        let free = self.durable.voted.is_none_or(|voted| voted == from);
        let granted = term == self.durable.term && free && last >= self.last();
        if granted {
            self.durable.voted = Some(from);
            self.heard = true;
        }
        vec![(from, Message::Vote { term: self.durable.term, granted })]
    }

    fn on_append(
        &mut self,
        from: NodeId,
        term: Term,
        before: (Term, usize),
        entries: Vec<Entry>,
        committed: usize,
    ) -> Sends {
        if term < self.durable.term {
            return vec![(from, Message::Appended { term: self.durable.term, matched: None })];
        }
        self.step_down(term);
        self.leader = Some(from);
        self.heard = true;
        let known = before.1 == 0
            || self.durable.log.get(before.1 - 1).is_some_and(|entry| entry.0 == before.0);
        if !known {
            return vec![(from, Message::Appended { term, matched: Some(0) })];
        }
        for (offset, entry) in entries.iter().enumerate() {
            let at = before.1 + offset;
            if self.durable.log.get(at).is_some_and(|own| own.0 != entry.0) {
                self.durable.log.truncate(at);
            }
            if self.durable.log.len() == at {
                self.durable.log.push(*entry);
            }
        }
        let matched = before.1 + entries.len();
        self.committed = self.committed.max(committed.min(matched));
        vec![(from, Message::Appended { term, matched: Some(matched) })]
    }

    fn on_appended(&mut self, from: NodeId, term: Term, at: Option<usize>) -> Sends {
        if term > self.durable.term {
            self.step_down(term);
        } else if let (Role::Leader { matched, .. }, Some(at)) = (&mut self.role, at) {
            // Zero: it lacks what comes before, and gets all of it.
            let known = matched.entry(from).or_default();
            *known = if at == 0 { 0 } else { at.max(*known) };
            let before = self.committed;
            self.advance();
            if self.committed > before {
                return self.replicate();
            }
        }
        Vec::new()
    }
}
