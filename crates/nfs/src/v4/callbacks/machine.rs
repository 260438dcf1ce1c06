//! Which callback is sent when, on what. No I/O and no clock.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::protocol::{
    CallbackArgs, CallbackResult, CallbackResults, CallbackSecurity, SessionId,
};
use super::super::state::Connection;
use super::backchannel::{BackChannel, Line, Settled, SlotCall};
use super::callback::{Callback, Verdict};
use super::dial::Dial;
use super::route::{DialRoute, Route, SessionRoute};

/// The first wait and the longest one before a callback is sent again that a client was not ready
/// for.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// How much may wait, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Callbacks of one client that wait to be sent.
    pub queue: usize,
    /// How long a callback is worth sending.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { queue: 1024, patience: Duration::from_secs(90) }
    }
}

/// Names a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallId(pub u64);

/// Names a connection of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u64);

/// What carries a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// A connection that the client opened.
    Connection(Connection),
    /// A connection of ours.
    Link(LinkId),
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Make a call, and tell its end by [`Machine::answered`].
    Call {
        /// Names it.
        id: CallId,
        /// What carries it.
        over: Over,
        /// RPC program.
        program: u32,
        /// Credential.
        security: CallbackSecurity,
        /// CB_COMPOUND, or CB_NULL.
        compound: Option<CallbackArgs>,
    },
    /// Connect, and tell how that ended by [`Machine::dialled`].
    Dial {
        /// Names the connection.
        link: LinkId,
        /// Where to.
        route: DialRoute,
    },
    /// Close a connection of ours.
    HangUp(LinkId),
    /// Tell the state that callbacks do not get through on a connection.
    Failed(SessionId, Connection),
    /// Tell the state that callbacks of a session cannot be sent.
    Fault(SessionId),
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// CB_NULL was answered.
    Null,
    /// CB_COMPOUND was answered.
    Results(CallbackResults),
    /// The client's RPC layer refused it; it was not run.
    Refused,
    /// The connection ended.
    Lost,
    /// There was no answer in time.
    Late,
    /// The answer cannot be read.
    Garbled,
}

/// A callback that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) callback: Callback,
    until: Instant,
    not_before: Instant,
    delay: Duration,
}

#[derive(Debug)]
enum Way {
    Dial(Dial),
    Sessions(BTreeMap<SessionId, BackChannel>),
}

#[derive(Debug)]
struct Client {
    way: Way,
    queue: VecDeque<Job>,
}

/// A call under way.
#[derive(Debug)]
enum Call {
    /// Tries the connection of ours.
    TryLink(u64),
    /// Tries a connection of a session.
    TryLine(u64, SessionId, Connection),
    /// Over the connection of ours.
    ByLink(u64, LinkId, Job),
    /// On a slot.
    BySlot(u64, SessionId, Connection, usize, Option<Job>),
}

/// Which callback is sent when, on what.
#[derive(Debug)]
pub struct Machine {
    settings: Settings,
    next: u64,
    clients: BTreeMap<u64, Client>,
    calls: HashMap<CallId, Call>,
    links: HashMap<LinkId, u64>,
    timers: BTreeSet<(Instant, u64)>,
    timer_of: HashMap<u64, Instant>,
    orders: Vec<Order>,
}

impl Machine {
    /// One that knows nobody yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            next: 1,
            clients: BTreeMap::new(),
            calls: HashMap::new(),
            links: HashMap::new(),
            timers: BTreeSet::new(),
            timer_of: HashMap::new(),
            orders: Vec::new(),
        }
    }

    /// What is to be done, once.
    pub fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// When [`Machine::tick`] is due.
    pub fn next_wake(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether it was told how a client is called.
    pub fn knows(&self, client: u64) -> bool {
        self.clients.contains_key(&client)
    }

    /// Whether a callback would reach a client, as far as is known.
    pub fn reaches(&self, client: u64) -> bool {
        self.clients.get(&client).is_some_and(|client| match &client.way {
            Way::Dial(dial) => dial.reaches(),
            Way::Sessions(sessions) => sessions.values().any(BackChannel::reaches),
        })
    }

    /// Clients that are known, and callbacks that wait or are under way.
    pub fn load(&self) -> (usize, usize) {
        let waiting = self.clients.values().map(|client| client.queue.len()).sum::<usize>();
        (self.clients.len(), waiting + self.calls.len())
    }

    /// How a client is called from now on; `None`: it is gone. What is new is tried at once.
    pub fn route(&mut self, id: u64, route: Option<Route>, now: Instant) {
        match route {
            None => self.forget(id),
            Some(Route::Dial(route)) => self.route_dial(id, route, now),
            Some(Route::Sessions(routes)) => self.route_sessions(id, routes),
        }
        self.pump(id, now);
    }

    fn forget(&mut self, id: u64) {
        self.set_timer(id, None);
        if let Some(Client { way: Way::Dial(dial), .. }) = self.clients.remove(&id)
            && let Some(link) = dial.link()
        {
            self.hang_up(link);
        }
    }

    fn route_dial(&mut self, id: u64, route: DialRoute, now: Instant) {
        let known = self.clients.get(&id).map(|client| &client.way);
        if matches!(known, Some(Way::Dial(dial)) if dial.route == route) {
            return;
        }
        let queue = self.take_queue(id);
        self.forget(id);
        self.clients.insert(id, Client { way: Way::Dial(Dial::new(route)), queue });
        self.dial(id, now);
    }

    fn take_queue(&mut self, id: u64) -> VecDeque<Job> {
        self.clients
            .get_mut(&id)
            .map(|client| std::mem::take(&mut client.queue))
            .unwrap_or_default()
    }

    fn route_sessions(&mut self, id: u64, routes: Vec<SessionRoute>) {
        let mut former = match self.clients.get_mut(&id) {
            Some(Client { way: Way::Sessions(sessions), .. }) => std::mem::take(sessions),
            _ => BTreeMap::new(),
        };
        let mut queue = self.take_queue(id);
        let mut sessions = BTreeMap::new();
        let mut to_try = Vec::new();
        for route in routes {
            let session = route.id;
            let mut back = match former.remove(&session) {
                Some(back) if back.route().slots == route.slots => back,
                _ => BackChannel::new(SessionRoute { connections: Vec::new(), ..route.clone() }),
            };
            to_try.extend(back.update(route).into_iter().map(|line| (session, line)));
            sessions.insert(session, back);
        }
        queue.extend(former.into_values().flat_map(BackChannel::into_jobs));
        self.clients.insert(id, Client { way: Way::Sessions(sessions), queue });
        to_try.into_iter().for_each(|(session, line)| self.try_line(id, session, line));
    }

    fn try_line(&mut self, id: u64, session: SessionId, line: Connection) {
        let call = self.next_call();
        let Some(back) = self.back(id, &session) else { return };
        back.set_line(line, Line::Tried(call));
        let (program, security) = (back.route().program, back.route().security.clone());
        self.calls.insert(call, Call::TryLine(id, session, line));
        let over = Over::Connection(line);
        self.orders.push(Order::Call { id: call, over, program, security, compound: None });
    }

    /// A callback for a client. One too many is dropped.
    pub fn send(&mut self, id: u64, callback: Callback, now: Instant) {
        let limit = self.settings.queue;
        let Some(client) = self.clients.get_mut(&id) else { return };
        let minor = match &client.way {
            Way::Dial(_) => 0,
            Way::Sessions(sessions) => {
                sessions.values().map(|back| back.route().minor).max().unwrap_or(0)
            }
        };
        if client.queue.len() >= limit || !callback.is_known_to(minor) {
            return;
        }
        let until = now + self.settings.patience;
        let job = Job { callback, until, not_before: now, delay: FIRST_DELAY };
        client.queue.push_back(job);
        self.pump(id, now);
    }

    /// What time brings. To be called at [`Machine::next_wake`].
    pub fn tick(&mut self, now: Instant) {
        while let Some((at, id)) = self.timers.first().copied().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, id));
            self.timer_of.remove(&id);
            self.pump(id, now);
        }
    }

    /// A connection of ours was made, or could not be.
    pub fn dialled(&mut self, link: LinkId, is_there: bool, now: Instant) {
        let Some(id) = self.links.get(&link).copied() else { return };
        let call = self.next_call();
        let Some(dial) = self.dial_of(id).filter(|dial| dial.link() == Some(link)) else { return };
        if is_there {
            dial.connected(call);
            let program = dial.route.program;
            self.calls.insert(call, Call::TryLink(id));
            self.call_link(call, link, program, None);
        } else {
            dial.failed(now);
            self.links.remove(&link);
        }
        self.pump(id, now);
    }

    /// A connection of ours ended.
    pub fn link_ended(&mut self, link: LinkId, now: Instant) {
        let Some(id) = self.links.remove(&link) else { return };
        if let Some(dial) = self.dial_of(id).filter(|dial| dial.link() == Some(link)) {
            dial.ended(now);
        }
        self.pump(id, now);
    }

    /// A call ended.
    pub fn answered(&mut self, call: CallId, answer: Answer, now: Instant) {
        let id = match self.calls.remove(&call) {
            None => return,
            Some(Call::TryLink(id)) => {
                self.link_tried(id, call, &answer, now);
                id
            }
            Some(Call::TryLine(id, session, line)) => {
                self.line_tried((id, session, line), call, &answer);
                id
            }
            Some(Call::ByLink(id, link, job)) => {
                self.link_answered(id, link, job, answer, now);
                id
            }
            Some(Call::BySlot(id, session, line, slot, job)) => {
                self.slot_answered((id, session, line), slot, job, answer, now);
                id
            }
        };
        self.pump(id, now);
    }

    fn link_tried(&mut self, id: u64, call: CallId, answer: &Answer, now: Instant) {
        let Some(dial) = self.dial_of(id) else { return };
        if *answer == Answer::Null {
            return dial.tried(call);
        }
        let link = dial.link();
        dial.failed(now);
        link.into_iter().for_each(|link| self.hang_up(link));
    }

    fn line_tried(&mut self, place: (u64, SessionId, Connection), call: CallId, answer: &Answer) {
        let (id, session, line) = place;
        let Some(back) = self.back(id, &session) else { return };
        if back.line(line) != Some(Line::Tried(call)) {
            return;
        }
        match answer {
            Answer::Null => back.set_line(line, Line::Up),
            _ => self.fail_line(place),
        }
    }

    fn fail_line(&mut self, (id, session, line): (u64, SessionId, Connection)) {
        if self.back(id, &session).is_some_and(|back| back.drop_line(line)) {
            self.orders.push(Order::Failed(session, line));
        }
    }

    fn link_answered(&mut self, id: u64, link: LinkId, job: Job, answer: Answer, now: Instant) {
        let current = self.dial_of(id).filter(|dial| dial.link() == Some(link));
        let is_current = current.map(Dial::call_ended).is_some();
        match answer {
            Answer::Results(results) => {
                let result = results.results.0.first();
                self.judge(id, job, result, now);
            }
            Answer::Lost => {
                if let Some(dial) = self.dial_of(id).filter(|_| is_current) {
                    dial.ended(now);
                    self.hang_up(link);
                }
                self.requeue(id, job);
            }
            Answer::Null | Answer::Refused | Answer::Late | Answer::Garbled => {
                if let Some(dial) = self.dial_of(id).filter(|_| is_current) {
                    dial.failed(now);
                    self.hang_up(link);
                }
                self.requeue(id, job);
            }
        }
    }

    fn slot_answered(
        &mut self,
        place: (u64, SessionId, Connection),
        slot: usize,
        job: Option<Job>,
        answer: Answer,
        now: Instant,
    ) {
        let (id, session, line) = place;
        let Some(back) = self.back(id, &session) else {
            return job.into_iter().for_each(|job| self.requeue(id, job));
        };
        let settled = match answer {
            Answer::Results(results) => back.settle(slot, job, results),
            Answer::Refused => {
                back.refused(slot);
                Settled::Fault(job)
            }
            Answer::Lost => {
                back.lost(slot, job);
                back.drop_line(line);
                return;
            }
            Answer::Null | Answer::Late | Answer::Garbled => {
                back.lost(slot, job);
                return self.fail_line(place);
            }
        };
        match settled {
            Settled::Ran(Some(job), result) => self.judge(id, job, result.as_ref(), now),
            Settled::NotRun(Some(job)) => self.requeue(id, job),
            Settled::Later(Some(job)) => self.again(id, job, now),
            // A mere CB_SEQUENCE has its turn again when a job does.
            Settled::Later(None) => self.delay_queue(id, now),
            Settled::Ran(None, _) | Settled::NotRun(None) => {}
            Settled::Fault(job) => {
                if let Some(back) = self.back(id, &session) {
                    back.set_fault();
                }
                self.orders.push(Order::Fault(session));
                job.into_iter().for_each(|job| self.requeue(id, job));
            }
        }
    }

    fn judge(&mut self, id: u64, job: Job, result: Option<&CallbackResult>, now: Instant) {
        match job.callback.judge(result) {
            Verdict::Done => {}
            Verdict::Again => self.again(id, job, now),
        }
    }

    fn requeue(&mut self, id: u64, job: Job) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.queue.push_front(job);
        }
    }

    /// A client was not ready.
    fn again(&mut self, id: u64, mut job: Job, now: Instant) {
        job.not_before = now + job.delay;
        job.delay = (2 * job.delay).min(LONGEST_DELAY);
        self.requeue(id, job);
    }

    fn delay_queue(&mut self, id: u64, now: Instant) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.queue.iter_mut().for_each(|job| {
                job.not_before = job.not_before.max(now + FIRST_DELAY);
            });
        }
    }

    /// Sends what can be sent to a client, and sets the time to look again.
    fn pump(&mut self, id: u64, now: Instant) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        client.queue.retain(|job| now < job.until);
        match &client.way {
            Way::Dial(_) => self.pump_dial(id, now),
            Way::Sessions(_) => self.pump_sessions(id, now),
        }
        let Some(client) = self.clients.get(&id) else { return };
        let waits = client.queue.iter().map(|job| {
            if job.not_before > now { job.not_before.min(job.until) } else { job.until }
        });
        let redial = match &client.way {
            Way::Dial(dial) => dial.waits_until(),
            Way::Sessions(_) => None,
        };
        let at = waits.chain(redial).min();
        self.set_timer(id, at);
    }

    fn set_timer(&mut self, id: u64, at: Option<Instant>) {
        let former = match at {
            Some(at) => self.timer_of.insert(id, at),
            None => self.timer_of.remove(&id),
        };
        if let Some(former) = former {
            self.timers.remove(&(former, id));
        }
        self.timers.extend(at.map(|at| (at, id)));
    }

    fn pump_dial(&mut self, id: u64, now: Instant) {
        self.dial(id, now);
        loop {
            let call = self.next_call();
            let Some(Client { way: Way::Dial(dial), queue }) = self.clients.get_mut(&id) else {
                return;
            };
            let Some(due) = queue.iter().position(|job| job.not_before <= now) else { return };
            let Some(link) = dial.take_call() else { return };
            let Some(job) = queue.remove(due) else { return };
            let (program, compound) = (dial.route.program, dial.compound(&job));
            self.calls.insert(call, Call::ByLink(id, link, job));
            self.call_link(call, link, program, Some(compound));
        }
    }

    fn pump_sessions(&mut self, id: u64, now: Instant) {
        loop {
            let call = self.next_call();
            let Some(Client { way: Way::Sessions(sessions), queue }) = self.clients.get_mut(&id)
            else {
                return;
            };
            let due = queue.iter().position(|job| job.not_before <= now);
            let callable = sessions.iter_mut().find_map(|(session, back)| {
                // Without a job, only what is in doubt is worth a call.
                if due.is_none() && !back.has_doubts() {
                    return None;
                }
                let minor = back.route().minor;
                let take = || {
                    let fits = |job: &Job| job.not_before <= now && job.callback.is_known_to(minor);
                    queue.iter().position(fits).and_then(|at| queue.remove(at))
                };
                Some((*session, back.route().clone(), back.next_call(take)?))
            });
            let Some((session, route, SlotCall { slot, over, job, compound })) = callable else {
                return;
            };
            self.calls.insert(call, Call::BySlot(id, session, over, slot, job));
            self.orders.push(Order::Call {
                id: call,
                over: Over::Connection(over),
                program: route.program,
                security: route.security,
                compound: Some(compound),
            });
        }
    }

    fn dial(&mut self, id: u64, now: Instant) {
        let link = LinkId(self.next);
        self.next += 1;
        let Some(dial) = self.dial_of(id) else { return };
        if dial.begin(link, now) {
            let route = dial.route.clone();
            self.links.insert(link, id);
            self.orders.push(Order::Dial { link, route });
        }
    }

    fn call_link(&mut self, id: CallId, link: LinkId, program: u32, it: Option<CallbackArgs>) {
        let (over, security) = (Over::Link(link), CallbackSecurity::None);
        self.orders.push(Order::Call { id, over, program, security, compound: it });
    }

    fn hang_up(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.orders.push(Order::HangUp(link));
    }

    fn next_call(&mut self) -> CallId {
        self.next += 1;
        CallId(self.next)
    }

    fn dial_of(&mut self, id: u64) -> Option<&mut Dial> {
        match &mut self.clients.get_mut(&id)?.way {
            Way::Dial(dial) => Some(dial),
            Way::Sessions(_) => None,
        }
    }

    fn back(&mut self, id: u64, session: &SessionId) -> Option<&mut BackChannel> {
        match &mut self.clients.get_mut(&id)?.way {
            Way::Sessions(sessions) => sessions.get_mut(session),
            Way::Dial(_) => None,
        }
    }
}
