//! One service on one node.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Command, Passage, Step, Timeline};
use crate::heartbeat::{Moment, Report};
use crate::lease::{Epoch, Right, ServiceId};
use crate::planted::{Fault, planted};

/// The first pause before a step that failed is tried again; it doubles with each failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Failures of one step after which this node counts as unable to serve.
const MOST_FAILURES: u32 = 3;
/// For how long it does.
const UNABLE_FOR: Duration = Duration::from_secs(10);

/// What is done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The epoch that all of it is done for.
    pub epoch: Epoch,
    /// Earlier holders are kept from the storage.
    pub fenced: bool,
    /// The storage may be usable here.
    pub promoted: bool,
    /// The journal was read.
    pub replayed: bool,
    /// Connections may be accepted, or exist.
    pub listening: bool,
    /// An address may be up.
    pub raised: bool,
    /// The neighbours were told.
    pub announced: bool,
    /// The clients were woken.
    pub tickled: bool,
    /// What was in flight has ended.
    pub drained: bool,
}

impl Facts {
    /// Whatever a run before may have left.
    const UNKNOWN: Self = Self {
        epoch: Epoch(0),
        fenced: false,
        promoted: true,
        replayed: true,
        listening: true,
        raised: true,
        announced: false,
        tickled: false,
        drained: false,
    };

    fn is_clear(&self) -> bool {
        !self.promoted && !self.listening && !self.raised && !self.replayed
    }

    /// The next step down.
    fn down(&self) -> Option<Step> {
        match self {
            Self { raised: true, .. } => Some(Step::Lower),
            Self { listening: true, .. } => Some(Step::Silence),
            Self { promoted: true, .. } | Self { replayed: true, .. } => Some(Step::Demote),
            _ => None,
        }
    }

    /// The next step up, once the lease has begun.
    fn up(&self) -> Option<Step> {
        if planted(Fault::AddressBeforeListen) && self.fenced && !self.raised {
            return Some(Step::Raise);
        }
        [
            (self.fenced, Step::Fence),
            (self.promoted, Step::Promote),
            (self.replayed, Step::Replay),
            (self.listening, Step::Listen),
            (self.raised, Step::Raise),
            (self.announced, Step::Announce),
            (self.tickled, Step::Tickle),
        ]
        .into_iter()
        .find(|(done, _)| !done)
        .map(|(_, step)| step)
    }

    /// A step begins: what it undoes is no longer certain, what it does may be half done.
    fn begin(&mut self, step: Step) {
        match step {
            Step::Promote => self.promoted = true,
            Step::Replay => self.replayed = true,
            Step::Listen => self.listening = true,
            Step::Raise => self.raised = true,
            _ => {}
        }
    }

    /// A step ended well.
    fn end(&mut self, step: Step) {
        match step {
            Step::Warm => {}
            Step::Fence => self.fenced = true,
            Step::Promote => self.promoted = true,
            Step::Replay => self.replayed = true,
            Step::Listen => self.listening = true,
            Step::Raise => self.raised = true,
            Step::Announce => self.announced = true,
            Step::Tickle => self.tickled = true,
            Step::Drain => self.drained = true,
            Step::Lower => (self.raised, self.announced, self.tickled) = (false, false, false),
            Step::Silence => self.listening = false,
            Step::Demote => (self.promoted, self.replayed, self.fenced) = (false, false, false),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    again: Moment,
}

/// Brings one service up and down on this node.
#[derive(Clone, Debug)]
pub struct ServiceAgent {
    service: ServiceId,
    /// Done, or begun and so perhaps done.
    facts: Facts,
    /// A step up that was begun but did not end well.
    unsure: Option<Step>,
    right: Right,
    /// The node is to get ready to succeed the holder of this epoch.
    warm_for: Option<Epoch>,
    warm: Option<Epoch>,
    /// The leader wants the service of this epoch back.
    ordered: Option<Epoch>,
    /// Given back.
    released: Option<Epoch>,
    unable_until: Option<(Epoch, Moment)>,
    running: BTreeMap<Step, Moment>,
    failures: BTreeMap<Step, Failures>,
    timeline: Option<Timeline>,
}

impl ServiceAgent {
    /// A service of which this run of the daemon knows nothing yet.
    pub fn new(service: ServiceId) -> Self {
        Self {
            service,
            facts: Facts::UNKNOWN,
            unsure: None,
            right: Right::None,
            warm_for: None,
            warm: None,
            ordered: None,
            released: None,
            unable_until: None,
            running: BTreeMap::new(),
            failures: BTreeMap::new(),
            timeline: None,
        }
    }

    /// Which service.
    pub fn service(&self) -> ServiceId {
        self.service
    }

    /// The right of this node to serve it.
    pub fn set_right(&mut self, right: Right, now: Moment) {
        let before = std::mem::replace(&mut self.right, right);
        if before.epoch() != right.epoch() {
            self.failures.clear();
            let passage =
                if right.epoch().is_some() { Passage::Takeover } else { Passage::Release };
            let epoch = right.epoch().or(before.epoch()).unwrap_or_default();
            self.timeline = Some(Timeline::new(self.service, epoch, passage, now));
        }
        if right.is_valid(now)
            && let Some(timeline) = &mut self.timeline
            && timeline.passage == Passage::Takeover
            && timeline.leased.is_none()
        {
            timeline.leased = Some(now.since(timeline.begun));
        }
    }

    /// This node is to be ready to succeed the holder of `epoch`, or not any more.
    pub fn set_warm(&mut self, epoch: Option<Epoch>) {
        self.warm_for = epoch;
    }

    /// The leader wants the service of `epoch` back.
    pub fn order_release(&mut self, epoch: Epoch, now: Moment) {
        if self.right.epoch() == Some(epoch) && self.ordered != Some(epoch) {
            self.ordered = Some(epoch);
            self.timeline = Some(Timeline::new(self.service, epoch, Passage::Release, now));
        }
    }

    /// What is done so far.
    pub fn facts(&self) -> Facts {
        self.facts
    }

    /// Whether clients are served, as far as this node's steps go.
    pub fn is_serving(&self) -> bool {
        let facts = &self.facts;
        facts.raised && facts.listening && facts.replayed && self.unsure.is_none()
    }

    /// The epoch that was given back, once nothing of it is left here.
    pub fn released(&self) -> Option<Epoch> {
        self.released
    }

    /// What the next heartbeat says of it, besides what the leases say.
    pub fn reports(&self, now: Moment) -> Vec<Report> {
        let released = self.released.filter(|epoch| self.right.epoch() == Some(*epoch));
        let warm = self.warm.filter(|epoch| self.warm_for == Some(*epoch));
        let unable = self.unable_until.filter(|(_, until)| now < *until);
        [
            released.map(Report::Released),
            warm.map(Report::Warm),
            unable.map(|(epoch, _)| Report::Unable(epoch)),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// When [`ServiceAgent::next`] is to be asked again though nothing happened.
    pub fn deadline(&self, now: Moment) -> Option<Moment> {
        let again = self.failures.values().map(|failures| failures.again);
        let end = match self.right {
            Right::Held { until, .. } if until != Moment::NEVER => Some(until),
            _ => None,
        };
        again.chain(end).filter(|at| *at > now).min()
    }

    /// The next step, which begins now; none if nothing is to be done, or something runs.
    pub fn next(&mut self, now: Moment) -> Option<Command> {
        self.conclude(now);
        let step = self.wanted(now)?;
        // The address goes also while something else hangs.
        let may_run = self.running.is_empty()
            || (step == Step::Lower
                && !self.running.contains_key(&step)
                && !self.touches_address());
        let waits = self.failures.get(&step).is_some_and(|failures| now < failures.again);
        if !may_run || waits {
            return None;
        }
        if let Some(epoch) = self.right.epoch()
            && self.facts.is_clear()
            && self.facts.epoch != epoch
        {
            self.facts = Facts { epoch, ..Facts::default() };
            self.unsure = None;
        }
        self.facts.begin(step);
        self.unsure = matches!(step, Step::Promote | Step::Replay | Step::Listen | Step::Raise)
            .then_some(step)
            .or(self.unsure.filter(|_| step == Step::Lower));
        self.running.insert(step, now);
        let epoch =
            if step == Step::Warm { self.warm_for.unwrap_or_default() } else { self.facts.epoch };
        Some(Command { service: self.service, epoch, step })
    }

    fn touches_address(&self) -> bool {
        self.running.contains_key(&Step::Raise) || self.running.contains_key(&Step::Announce)
    }

    /// What should run, whatever runs.
    fn wanted(&self, now: Moment) -> Option<Step> {
        let epoch = self.right.epoch();
        let other_epoch = epoch != Some(self.facts.epoch) && !self.facts.is_clear();
        if other_epoch {
            return self.facts.down();
        }
        let Some(epoch) = epoch else {
            let wants_warm = self.warm_for.is_some() && self.warm != self.warm_for;
            return wants_warm.then_some(Step::Warm);
        };
        let unable = self.unable_until.is_some_and(|(_, until)| now < until);
        if self.released == Some(epoch) {
            return None;
        }
        if unable {
            return self.facts.down();
        }
        if self.ordered == Some(epoch) {
            let drain = self.is_serving() && !self.facts.drained && self.right.is_valid(now);
            return if drain { Some(Step::Drain) } else { self.facts.down() };
        }
        if self.right.is_valid(now) || planted(Fault::ReplyWithoutLease) {
            // What was begun and did not end well is begun again.
            return self.unsure.or_else(|| self.facts.up());
        }
        if self.facts.raised {
            return Some(Step::Lower);
        }
        let pending = matches!(self.right, Right::Pending { .. });
        (pending && !self.facts.fenced).then_some(Step::Fence)
    }

    /// A step ended. Returns the timeline of what ended with it.
    pub fn done(
        &mut self,
        step: Step,
        result: Result<(), String>,
        now: Moment,
    ) -> Option<Timeline> {
        let from = self.running.remove(&step)?;
        let failure = result.err();
        if let Some(timeline) = &mut self.timeline {
            timeline.mark(step, from, now, failure.clone());
        }
        if failure.is_none() {
            self.facts.end(step);
            self.failures.remove(&step);
            if self.unsure == Some(step) || matches!(step, Step::Silence | Step::Demote) {
                self.unsure = None;
            }
            if step == Step::Lower && self.unsure == Some(Step::Raise) {
                self.unsure = None;
            }
            if step == Step::Warm {
                self.warm = self.warm_for;
            }
        } else if matches!(step, Step::Announce | Step::Tickle | Step::Drain) {
            // A client that was not woken wakes by itself.
            self.facts.end(step);
        } else {
            self.failed(step, now);
        }
        self.conclude(now);
        self.finish(step)
    }

    fn failed(&mut self, step: Step, now: Moment) {
        let failures = self.failures.entry(step).or_default();
        failures.count += 1;
        let pause = FIRST_PAUSE * 2_u32.saturating_pow(failures.count.min(10) - 1);
        failures.again = now + pause.min(LONGEST_PAUSE);
        if step == Step::Warm && failures.count >= MOST_FAILURES {
            self.unable_until = Some((self.warm_for.unwrap_or_default(), now + UNABLE_FOR));
            failures.again = now + UNABLE_FOR;
        } else if step.is_needed_to_serve() && failures.count >= MOST_FAILURES {
            self.unable_until = Some((self.facts.epoch, now + UNABLE_FOR));
            self.failures.clear();
        }
    }

    /// Notes that the service was given back, once nothing of it is left here.
    fn conclude(&mut self, now: Moment) {
        if !self.facts.is_clear() || !self.running.is_empty() {
            return;
        }
        let unable = self.unable_until.filter(|(_, until)| now < *until).map(|(epoch, _)| epoch);
        let ends = |epoch: &Epoch| self.ordered == Some(*epoch) || unable == Some(*epoch);
        if let Some(epoch) = self.right.epoch().filter(ends) {
            self.released = Some(epoch);
        }
    }

    /// The timeline that ends with this step.
    fn finish(&mut self, step: Step) -> Option<Timeline> {
        let passage = self.timeline.as_ref()?.passage;
        let is_last = match passage {
            Passage::Takeover => step == Step::Tickle,
            Passage::Release => self.facts.is_clear() && self.running.is_empty(),
        };
        is_last.then(|| self.timeline.take()).flatten()
    }
}

#[cfg(test)]
mod tests;
