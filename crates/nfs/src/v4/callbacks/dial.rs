//! The connection of ours to a client of minor version 0.

use std::time::{Duration, Instant};

use standfast_rpc::xdr::List;

use super::super::protocol::{CallbackArgs, Tag};
use super::machine::{CallId, Job, LinkId};
use super::route::DialRoute;

/// Calls on one connection at once.
const CALLS: usize = 16;

/// The first wait and the longest one before a client that does not answer is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Link {
    Idle,
    Dialling(LinkId),
    Tried(LinkId, CallId),
    Up(LinkId),
    Waiting(Instant),
}

/// The way to a client of minor version 0.
#[derive(Debug)]
pub(super) struct Dial {
    pub(super) route: DialRoute,
    link: Link,
    /// The client answered when it was tried last.
    answers: bool,
    calls: usize,
    wait: Duration,
}

impl Dial {
    pub(super) fn new(route: DialRoute) -> Self {
        Self { route, link: Link::Idle, answers: false, calls: 0, wait: FIRST_WAIT }
    }

    /// Whether a callback would reach the client, as far as is known.
    pub(super) fn reaches(&self) -> bool {
        self.answers
    }

    /// The connection, if there is one or is about to be.
    pub(super) fn link(&self) -> Option<LinkId> {
        match self.link {
            Link::Dialling(link) | Link::Tried(link, _) | Link::Up(link) => Some(link),
            Link::Idle | Link::Waiting(_) => None,
        }
    }

    /// Until when nothing is tried.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self.link {
            Link::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// Begins to dial, if it is time.
    pub(super) fn begin(&mut self, link: LinkId, now: Instant) -> bool {
        let may = match self.link {
            Link::Idle => true,
            Link::Waiting(until) => until <= now,
            _ => false,
        };
        if may && self.route.address.is_some() {
            self.link = Link::Dialling(link);
            self.calls = 0;
        }
        may && self.route.address.is_some()
    }

    /// The connection is there; `call` tries it.
    pub(super) fn connected(&mut self, call: CallId) {
        if let Link::Dialling(link) = self.link {
            self.link = Link::Tried(link, call);
        }
    }

    /// The client answered the call that tried the connection.
    pub(super) fn tried(&mut self, call: CallId) {
        if let Link::Tried(link, tried) = self.link
            && tried == call
        {
            self.link = Link::Up(link);
            self.answers = true;
            self.wait = FIRST_WAIT;
        }
    }

    /// The connection ended. One that worked is made again soon; the client is not out of reach
    /// until that fails.
    pub(super) fn ended(&mut self, now: Instant) {
        match self.link {
            Link::Up(_) => self.link = Link::Waiting(now + FIRST_WAIT),
            _ => self.failed(now),
        }
    }

    /// The client does not answer.
    pub(super) fn failed(&mut self, now: Instant) {
        self.answers = false;
        self.link = Link::Waiting(now + self.wait);
        self.wait = (2 * self.wait).min(LONGEST_WAIT);
    }

    /// The connection for one more call, if there is room.
    pub(super) fn take_call(&mut self) -> Option<LinkId> {
        match self.link {
            Link::Up(link) if self.calls < CALLS => {
                self.calls += 1;
                Some(link)
            }
            _ => None,
        }
    }

    /// A call ended.
    pub(super) fn call_ended(&mut self) {
        self.calls = self.calls.saturating_sub(1);
    }

    pub(super) fn compound(&self, job: &Job) -> CallbackArgs {
        CallbackArgs {
            tag: Tag::default(),
            minor: 0,
            ident: self.route.ident,
            operations: List(vec![job.callback.operation()]),
        }
    }
}
