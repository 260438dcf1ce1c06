//! What each state remembers, and its timers.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{Announcements, Config, Reason, State};
use crate::packet::{Advertisement, Version};
use crate::timers::{master_down_interval, skew_time};

#[derive(Debug)]
pub(super) enum Phase {
    Stopped { start_at: Option<Instant> },
    Fault,
    Backup(Backup),
    Master(Master),
}

impl Phase {
    pub(super) fn state(&self) -> State {
        match self {
            Self::Stopped { .. } => State::Stopped,
            Self::Fault => State::Fault,
            Self::Backup(_) => State::Backup,
            Self::Master(_) => State::Master,
        }
    }
}

/// What the running timer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wait {
    /// `Master_Down_Interval`.
    Down,
    /// `Skew_Time`, after the master said that it leaves.
    Skew,
}

#[derive(Debug)]
pub(super) struct Backup {
    master_interval: Duration,
    /// Priority and address of the master that was heard last.
    pub(super) master: Option<(u8, IpAddr)>,
    wait: Wait,
    waiting_since: Instant,
    down_at: Instant,
    /// When to preempt a master of lower priority that a preemption delay protects.
    preempt_at: Option<Instant>,
    /// Whether the timer runs on although a master of lower priority is heard.
    preempting: bool,
    /// Whether the timer ran out and only the sync group holds us back.
    pub(super) ready: bool,
}

impl Backup {
    pub(super) fn new(
        version: Version,
        priority: u8,
        master_interval: Duration,
        master: Option<(u8, IpAddr)>,
        now: Instant,
    ) -> Self {
        Self {
            master_interval,
            master,
            wait: Wait::Down,
            waiting_since: now,
            down_at: now + master_down_interval(version, priority, master_interval),
            preempt_at: None,
            preempting: false,
            ready: false,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.preempt_at.map_or(self.down_at, |preempt_at| preempt_at.min(self.down_at))
    }

    pub(super) fn expiry_reason(&self, now: Instant) -> Reason {
        if self.preempting || self.preempt_at.is_some_and(|preempt_at| preempt_at <= now) {
            Reason::Preempt
        } else {
            Reason::MasterDown
        }
    }

    /// Sets the timer again from when it was set last, after the priority changed.
    pub(super) fn reschedule(&mut self, version: Version, priority: u8) {
        let wait = match self.wait {
            Wait::Down => master_down_interval(version, priority, self.master_interval),
            Wait::Skew => skew_time(version, priority, self.master_interval),
        };
        self.down_at = self.waiting_since + wait;
    }

    /// Sets the timer anew.
    pub(super) fn rearm(&mut self, version: Version, priority: u8, now: Instant) {
        self.wait = Wait::Down;
        self.waiting_since = now;
        self.reschedule(version, priority);
        self.preempt_at = None;
        self.preempting = false;
    }

    /// The master said that it leaves.
    pub(super) fn master_leaves(&mut self, version: Version, priority: u8, now: Instant) {
        self.rearm(version, priority, now);
        self.wait = Wait::Skew;
        self.reschedule(version, priority);
    }

    /// The master is to be obeyed.
    pub(super) fn recognise(
        &mut self,
        config: &Config,
        priority: u8,
        advertisement: &Advertisement,
        source: IpAddr,
        now: Instant,
    ) {
        self.note_master(config, advertisement, source);
        self.ready = false;
        self.rearm(config.version, priority, now);
    }

    /// The master has a lower priority. Without a delay its advertisement is discarded, so that the
    /// timer runs on; with one it is obeyed until the delay is over, counted from when the timer
    /// would have run out.
    pub(super) fn meet_lower(
        &mut self,
        config: &Config,
        priority: u8,
        advertisement: &Advertisement,
        source: IpAddr,
        now: Instant,
    ) {
        if config.preempt_delay.is_zero() {
            self.master = Some((advertisement.priority, source));
            self.preempting = true;
            return;
        }
        let preempt_at = self.preempt_at.unwrap_or(self.down_at + config.preempt_delay);
        self.note_master(config, advertisement, source);
        self.rearm(config.version, priority, now);
        self.preempt_at = Some(preempt_at);
    }

    fn note_master(&mut self, config: &Config, advertisement: &Advertisement, source: IpAddr) {
        self.master = Some((advertisement.priority, source));
        if config.version == Version::V3 {
            self.master_interval = advertisement.interval;
        }
    }
}

#[derive(Debug)]
pub(super) struct Master {
    advertise_at: Instant,
    announce_at: Option<Instant>,
}

impl Master {
    pub(super) fn new(interval: Duration, announcements: &Announcements, now: Instant) -> Self {
        let announce_at = if announcements.again_after.is_zero() {
            announcements.refresh.map(|refresh| now + refresh)
        } else {
            Some(now + announcements.again_after)
        };
        Self { advertise_at: now + interval, announce_at }
    }

    pub(super) fn deadline(&self) -> Instant {
        self.announce_at.map_or(self.advertise_at, |at| at.min(self.advertise_at))
    }

    pub(super) fn restart(&mut self, interval: Duration, now: Instant) {
        self.advertise_at = now + interval;
    }

    /// Whether an advertisement is due. The next one is due an interval after this one was, so that
    /// a late wake-up does not add up; after a long sleep there is no burst.
    pub(super) fn take_due_advertisement(&mut self, interval: Duration, now: Instant) -> bool {
        let due = self.advertise_at <= now;
        if due {
            self.advertise_at += interval;
            if self.advertise_at <= now {
                self.restart(interval, now);
            }
        }
        due
    }

    pub(super) fn take_due_announcement(
        &mut self,
        announcements: &Announcements,
        now: Instant,
    ) -> bool {
        let due = self.announce_at.is_some_and(|at| at <= now);
        if due {
            self.announce_at = announcements.refresh.map(|refresh| now + refresh);
        }
        due
    }
}
