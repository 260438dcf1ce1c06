//! All virtual routers of a node together: sync groups and tracked things, still without I/O.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use crate::instance::{Action, Command, Event, Instance, State};
use crate::packet::{Advertisement, DecodeError, Envelope};
use crate::tracking::{self, Outcome, Status, Weight};

/// A tracked thing, by its place in [`Routers::new`]'s list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrackId(pub usize);

/// A virtual router and what moves it.
#[derive(Debug)]
pub struct Member {
    /// The state machine.
    pub instance: Instance,
    /// What it tracks.
    pub tracks: Vec<(TrackId, Weight)>,
    /// Whether its interface can be used.
    pub usable: bool,
}

/// Something that the outside has to do or to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A virtual router acts.
    Router(usize, Action),
    /// A sync group as a whole is in another state.
    Group(usize, State),
}

#[derive(Debug)]
struct Group {
    members: Vec<usize>,
    state: State,
}

/// The virtual routers of this node.
#[derive(Debug)]
pub struct Routers {
    members: Vec<Member>,
    groups: Vec<Group>,
    statuses: Vec<Status>,
    running: bool,
}

impl Routers {
    /// `groups` lists the members of each sync group; a router is in one group at most. `statuses`
    /// is what is known of each tracked thing at the start.
    pub fn new(members: Vec<Member>, groups: Vec<Vec<usize>>, statuses: Vec<Status>) -> Self {
        let groups =
            groups.into_iter().map(|members| Group { members, state: State::Stopped }).collect();
        Self { members, groups, statuses, running: false }
    }

    /// The state machine of router `index`.
    pub fn instance(&self, index: usize) -> Option<&Instance> {
        self.members.get(index).map(|member| &member.instance)
    }

    /// All state machines, in order.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.members.iter().map(|member| &member.instance)
    }

    /// What is known of each tracked thing.
    pub fn statuses(&self) -> &[Status] {
        &self.statuses
    }

    /// When [`Routers::on_timer`] is to be called next.
    pub fn deadline(&self) -> Option<Instant> {
        self.instances().filter_map(Instance::deadline).min()
    }

    /// Starts all routers that can run.
    pub fn start(&mut self, now: Instant) -> Vec<Effect> {
        self.running = true;
        let all: Vec<usize> = (0..self.members.len()).collect();
        self.settle(&all, now)
    }

    /// Stops all routers, with a farewell from those that are master.
    pub fn shutdown(&mut self, now: Instant) -> Vec<Effect> {
        self.running = false;
        let events = (0..self.members.len()).map(|index| (index, Event::Shutdown)).collect();
        self.run(events, now)
    }

    /// The time has come for whoever waits for it.
    pub fn on_timer(&mut self, now: Instant) -> Vec<Effect> {
        let due = |instance: &Instance| instance.deadline().is_some_and(|deadline| deadline <= now);
        let events = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| due(&member.instance))
            .map(|(index, _)| (index, Event::Timer))
            .collect();
        self.run(events, now)
    }

    /// A packet for router `index` arrived.
    pub fn on_packet(
        &mut self,
        index: usize,
        packet: Result<Advertisement, DecodeError>,
        envelope: &Envelope,
        now: Instant,
    ) -> Vec<Effect> {
        let Some(member) = self.members.get_mut(index) else { return Vec::new() };
        let actions = member.instance.receive(packet, envelope, now);
        let mut effects = Vec::new();
        let mut queue = VecDeque::new();
        self.follow(index, actions, &mut queue, &mut effects);
        self.drain(queue, effects, now)
    }

    /// The interface of router `index` can be used, or not, and this is our address on it.
    pub fn on_interface(
        &mut self,
        index: usize,
        usable: bool,
        primary: Option<IpAddr>,
        now: Instant,
    ) -> Vec<Effect> {
        let Some(member) = self.members.get_mut(index) else { return Vec::new() };
        member.usable = usable;
        member.instance.handle(Event::PrimaryAddress(primary), now);
        self.settle(&[index], now)
    }

    /// A tracked thing has a new result.
    pub fn on_track(&mut self, track: TrackId, status: Status, now: Instant) -> Vec<Effect> {
        match self.statuses.get_mut(track.0) {
            Some(known) if *known != status => *known = status,
            _ => return Vec::new(),
        }
        let concerned: Vec<usize> = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, member)| member.tracks.iter().any(|(id, _)| *id == track))
            .map(|(index, _)| index)
            .collect();
        self.settle(&concerned, now)
    }

    /// A person commands router `index`, and with it all of its group.
    pub fn on_command(
        &mut self,
        index: usize,
        command: Option<Command>,
        now: Instant,
    ) -> Vec<Effect> {
        let members = match self.group_of(index) {
            Some(group) => group.members.clone(),
            None => vec![index],
        };
        let events = members.into_iter().map(|index| (index, Event::Command(command))).collect();
        self.run(events, now)
    }

    fn group_of(&self, index: usize) -> Option<&Group> {
        self.groups.iter().find(|group| group.members.contains(&index))
    }

    fn outcome(&self, member: &Member) -> Outcome {
        if !member.usable {
            return Outcome::Fault;
        }
        let status = |id: TrackId| self.statuses.get(id.0).copied().unwrap_or(Status::Unknown);
        let tracks = member.tracks.iter().map(|(id, weight)| (*weight, status(*id)));
        tracking::outcome(member.instance.config().priority, tracks)
    }

    /// Brings routers in line with interfaces and tracks. A group is as well as its worst member.
    fn settle(&mut self, concerned: &[usize], now: Instant) -> Vec<Effect> {
        if !self.running {
            return Vec::new();
        }
        let mut events = VecDeque::new();
        for &index in concerned {
            let siblings = match self.group_of(index) {
                Some(group) => group.members.clone(),
                None => vec![index],
            };
            let outcomes: Vec<(usize, Outcome)> = siblings
                .into_iter()
                .filter_map(|index| Some((index, self.outcome(self.members.get(index)?))))
                .collect();
            let fault = outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Fault);
            let pending = outcomes.iter().any(|(_, outcome)| *outcome == Outcome::Pending);
            for (index, outcome) in outcomes {
                if let Outcome::Priority(priority) = outcome {
                    events.push_back((index, Event::Priority(priority)));
                }
                if fault {
                    events.push_back((index, Event::Fault));
                } else if !pending {
                    events.push_back((index, Event::Startup));
                }
            }
        }
        self.run(events, now)
    }

    fn run(&mut self, events: VecDeque<(usize, Event)>, now: Instant) -> Vec<Effect> {
        self.drain(events, Vec::new(), now)
    }

    fn drain(
        &mut self,
        mut queue: VecDeque<(usize, Event)>,
        mut effects: Vec<Effect>,
        now: Instant,
    ) -> Vec<Effect> {
        while let Some((index, event)) = queue.pop_front() {
            let Some(member) = self.members.get_mut(index) else { continue };
            let actions = member.instance.handle(event, now);
            self.follow(index, actions, &mut queue, &mut effects);
        }
        self.note_groups(&mut effects);
        effects
    }

    /// What a router did may move the rest of its group.
    fn follow(
        &self,
        index: usize,
        actions: Vec<Action>,
        queue: &mut VecDeque<(usize, Event)>,
        effects: &mut Vec<Effect>,
    ) {
        for action in actions {
            if let Some(group) = self.group_of(index) {
                match action {
                    Action::AskGroup if self.may_become_master(group) => {
                        queue.push_back((index, Event::JoinMaster));
                    }
                    Action::Changed { to: State::Master, .. } => {
                        queue.extend(group.others(index).map(|other| (other, Event::JoinMaster)));
                    }
                    Action::Changed { from: State::Master, to: State::Backup, .. } => {
                        queue.extend(group.others(index).map(|other| (other, Event::JoinBackup)));
                    }
                    _ => {}
                }
            }
            if action != Action::AskGroup {
                effects.push(Effect::Router(index, action));
            }
        }
    }

    /// A group becomes master once each member would, or joins the one that is.
    fn may_become_master(&self, group: &Group) -> bool {
        let mut members = group.members.iter().filter_map(|index| self.members.get(*index));
        let is_master = |member: &Member| member.instance.state() == State::Master;
        members.clone().any(is_master) || members.all(|member| member.instance.is_ready())
    }

    fn note_groups(&mut self, effects: &mut Vec<Effect>) {
        for (number, group) in self.groups.iter_mut().enumerate() {
            let states: Vec<State> = group
                .members
                .iter()
                .filter_map(|index| self.members.get(*index))
                .map(|member| member.instance.state())
                .collect();
            let state = [State::Fault, State::Stopped, State::Backup]
                .into_iter()
                .find(|state| states.contains(state))
                .unwrap_or(State::Master);
            if group.state != state {
                group.state = state;
                effects.push(Effect::Group(number, state));
            }
        }
    }
}

impl Group {
    fn others(&self, index: usize) -> impl Iterator<Item = usize> {
        self.members.iter().copied().filter(move |other| *other != index)
    }
}

#[cfg(test)]
mod tests;
