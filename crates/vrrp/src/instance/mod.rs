//! One virtual router: the state machine of RFC 3768 and RFC 9568, section 6.4, without I/O.
//!
//! An event and the time go in, actions come out; [`Instance::deadline`] says when it wants to see
//! [`Event::Timer`] next. RFC 9568 calls `Active` what everybody else, the MIB and Keepalived's
//! notify scripts included, calls master.

mod config;
mod event;
mod phase;
mod receive;

pub use config::{Announcements, Config, ConfigError};
pub use event::{Action, Command, Event, Reason, State};

use std::net::IpAddr;
use std::time::Instant;

use crate::packet::{Advertisement, PRIORITY_LEAVING, PRIORITY_OWNER, Version};
use crate::statistics::{NewMasterReason, Statistics};
use phase::{Backup, Master, Phase};

/// Priority of a router that was told to take over: above every other but an owner's.
const PRIORITY_TAKE_OVER: u8 = 254;
/// Priority of a router that was told to hand back: it still takes over if nobody else is there.
const PRIORITY_HANDED_BACK: u8 = 1;

/// A virtual router on one interface.
#[derive(Debug)]
pub struct Instance {
    config: Config,
    phase: Phase,
    /// Our address in the advertisements, which breaks ties of priority.
    primary: Option<IpAddr>,
    /// Base priority with the weights of all tracks added.
    tracked_priority: u8,
    command: Option<Command>,
    not_before: Instant,
    statistics: Statistics,
}

impl Instance {
    /// A stopped virtual router; its start-up delay counts from `now`.
    pub fn new(config: Config, now: Instant) -> Self {
        let not_before = now + config.startup_delay;
        let tracked_priority = config.priority;
        Self {
            config,
            phase: Phase::Stopped { start_at: None },
            primary: None,
            tracked_priority,
            command: None,
            not_before,
            statistics: Statistics::default(),
        }
    }

    /// Its settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Its counters.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.phase.state()
    }

    /// The priority it would advertise now.
    pub fn priority(&self) -> u8 {
        match self.command {
            _ if self.config.priority == PRIORITY_OWNER && self.command.is_none() => PRIORITY_OWNER,
            None => self.tracked_priority,
            Some(Command::TakeOver) => self.tracked_priority.max(PRIORITY_TAKE_OVER),
            Some(Command::HandBack) => PRIORITY_HANDED_BACK,
        }
    }

    /// The command that is in force, if any.
    pub fn command(&self) -> Option<Command> {
        self.command
    }

    /// Whether it would be master if its sync group let it.
    pub fn is_ready(&self) -> bool {
        matches!(&self.phase, Phase::Backup(backup) if backup.ready)
    }

    /// When it wants [`Event::Timer`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Stopped { start_at } => *start_at,
            Phase::Fault => None,
            Phase::Backup(backup) => Some(backup.deadline()),
            Phase::Master(master) => Some(master.deadline()),
        }
    }

    /// Takes one step.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        match event {
            Event::Startup => self.on_startup(now),
            Event::Shutdown => self.leave(Phase::Stopped { start_at: None }, Reason::Shutdown),
            Event::Fault => self.leave(Phase::Fault, Reason::Fault),
            Event::Timer => self.on_timer(now),
            Event::Advertisement { advertisement, source } => {
                self.on_advertisement(&advertisement, source, now)
            }
            Event::PrimaryAddress(primary) => {
                self.primary = primary;
                Vec::new()
            }
            Event::Priority(priority) => {
                let before = self.priority();
                self.tracked_priority = priority;
                self.on_priority(before, now)
            }
            Event::Command(command) => self.on_command(command, now),
            Event::JoinMaster => match &self.phase {
                Phase::Backup(_) => self.become_master(Reason::Group, now),
                _ => Vec::new(),
            },
            Event::JoinBackup => match &self.phase {
                Phase::Master(_) => self.step_down(Reason::Group, now),
                _ => Vec::new(),
            },
        }
    }

    fn on_startup(&mut self, now: Instant) -> Vec<Action> {
        if !matches!(self.phase, Phase::Stopped { .. } | Phase::Fault) {
            return Vec::new();
        }
        if now < self.not_before {
            self.phase = Phase::Stopped { start_at: Some(self.not_before) };
            return Vec::new();
        }
        if self.priority() == PRIORITY_OWNER && !self.config.grouped {
            return self.become_master(Reason::Owner, now);
        }
        let mut actions = vec![Action::LowerAddresses];
        actions.push(self.become_backup(self.config.interval, None, Reason::Startup, now));
        actions
    }

    fn on_timer(&mut self, now: Instant) -> Vec<Action> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let priority = self.priority();
        match &mut self.phase {
            Phase::Stopped { .. } => self.on_startup(now),
            Phase::Fault => Vec::new(),
            Phase::Backup(backup) => {
                let reason = backup.expiry_reason(now);
                if !self.config.grouped {
                    return self.become_master(reason, now);
                }
                // The group decides; until it does, ask again after each further interval.
                backup.ready = true;
                backup.rearm(self.config.version, priority, now);
                vec![Action::AskGroup]
            }
            Phase::Master(master) => {
                let mut actions = Vec::new();
                if master.take_due_advertisement(self.config.interval, now) {
                    actions.push(self.advertise());
                }
                if let Phase::Master(master) = &mut self.phase
                    && master.take_due_announcement(&self.config.announcements, now)
                {
                    actions.push(Action::Announce);
                }
                actions
            }
        }
    }

    fn on_advertisement(
        &mut self,
        advertisement: &Advertisement,
        source: IpAddr,
        now: Instant,
    ) -> Vec<Action> {
        let local = self.priority();
        match &mut self.phase {
            Phase::Stopped { .. } | Phase::Fault => Vec::new(),
            Phase::Backup(backup) => {
                let preempts = self.config.preempt && self.command != Some(Command::HandBack);
                if advertisement.priority == PRIORITY_LEAVING {
                    backup.master_leaves(self.config.version, local, now);
                } else if !preempts || advertisement.priority >= local {
                    backup.recognise(&self.config, local, advertisement, source, now);
                } else {
                    backup.meet_lower(&self.config, local, advertisement, source, now);
                }
                Vec::new()
            }
            Phase::Master(master) => {
                if advertisement.priority == PRIORITY_LEAVING {
                    master.restart(self.config.interval, now);
                    return vec![self.advertise()];
                }
                if self.is_outranked(advertisement.priority, local, source) {
                    let heard = Some((advertisement.priority, source));
                    let interval = self.master_interval(advertisement);
                    let changed = self.become_backup(interval, heard, Reason::HigherPriority, now);
                    return vec![Action::LowerAddresses, changed];
                }
                self.assert_mastership()
            }
        }
    }

    /// The tie of two equal priorities goes to the greater address (RFC 9568, section 6.4.3).
    fn is_outranked(&self, priority: u8, local: u8, source: IpAddr) -> bool {
        priority > local
            || priority == local && self.primary.is_some_and(|primary| source > primary)
    }

    /// Another master of lower rank is on the link: version 3 answers at once (RFC 9568, section
    /// 6.4.3), version 2 lets its next advertisement do it; in both the hosts hear again whose the
    /// addresses are.
    fn assert_mastership(&mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.config.version == Version::V3 {
            actions.push(self.advertise());
        }
        actions.extend([Action::Announce, Action::LowerPrioritySeen]);
        actions
    }

    fn on_priority(&mut self, before: u8, now: Instant) -> Vec<Action> {
        let priority = self.priority();
        if priority == before {
            return Vec::new();
        }
        let mut actions = vec![Action::PriorityChanged { priority }];
        match &mut self.phase {
            Phase::Backup(backup) => backup.reschedule(self.config.version, priority),
            Phase::Master(master) => {
                master.restart(self.config.interval, now);
                actions.push(self.advertise());
            }
            Phase::Stopped { .. } | Phase::Fault => {}
        }
        actions
    }

    fn on_command(&mut self, command: Option<Command>, now: Instant) -> Vec<Action> {
        let before = self.priority();
        self.command = command;
        match (&self.phase, command) {
            (Phase::Backup(_), Some(Command::TakeOver)) if !self.config.grouped => {
                self.become_master(Reason::Command, now)
            }
            (Phase::Backup(_), Some(Command::TakeOver)) => {
                let Phase::Backup(backup) = &mut self.phase else { return Vec::new() };
                backup.ready = true;
                vec![Action::AskGroup]
            }
            (Phase::Master(_), Some(Command::HandBack)) => self.step_down(Reason::Command, now),
            _ => self.on_priority(before, now),
        }
    }

    /// Version 2 knows one interval for all; version 3 goes by the master's.
    fn master_interval(&self, advertisement: &Advertisement) -> std::time::Duration {
        match self.config.version {
            Version::V2 => self.config.interval,
            Version::V3 => advertisement.interval,
        }
    }

    fn advertise(&mut self) -> Action {
        Action::Advertise { priority: self.priority() }
    }

    fn advertise_leaving(&mut self) -> Action {
        self.statistics.sent_pri_zero_packets += 1;
        Action::Advertise { priority: PRIORITY_LEAVING }
    }

    fn enter(&mut self, phase: Phase, reason: Reason) -> Action {
        let from = self.phase.state();
        self.phase = phase;
        Action::Changed { from, to: self.phase.state(), reason }
    }

    fn become_master(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        self.statistics.master_transitions += 1;
        self.statistics.new_master_reason = match reason {
            Reason::Owner => NewMasterReason::Priority,
            Reason::MasterDown => NewMasterReason::MasterNoResponse,
            _ => NewMasterReason::Preempted,
        };
        let master = Master::new(self.config.interval, &self.config.announcements, now);
        let advertise = self.advertise();
        let changed = self.enter(Phase::Master(master), reason);
        vec![advertise, Action::RaiseAddresses, Action::Announce, changed]
    }

    fn become_backup(
        &mut self,
        master_interval: std::time::Duration,
        heard: Option<(u8, IpAddr)>,
        reason: Reason,
        now: Instant,
    ) -> Action {
        let priority = self.priority();
        let backup = Backup::new(self.config.version, priority, master_interval, heard, now);
        self.enter(Phase::Backup(backup), reason)
    }

    /// From master to backup by our own will: the others need not wait for our silence.
    fn step_down(&mut self, reason: Reason, now: Instant) -> Vec<Action> {
        let leaving = self.advertise_leaving();
        let changed = self.become_backup(self.config.interval, None, reason, now);
        vec![Action::LowerAddresses, leaving, changed]
    }

    /// To one of the two states that the RFCs call `Initialize`. The addresses go before the
    /// farewell, since the successor may raise them within a millisecond of it.
    fn leave(&mut self, phase: Phase, reason: Reason) -> Vec<Action> {
        let from = self.phase.state();
        if from == phase.state() {
            self.phase = phase;
            return Vec::new();
        }
        let mut actions = Vec::new();
        if from == State::Master {
            actions.extend([Action::LowerAddresses, self.advertise_leaving()]);
        }
        actions.push(self.enter(phase, reason));
        actions
    }
}
