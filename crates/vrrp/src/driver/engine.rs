//! The thread that runs the virtual routers: it waits for packets, timers, changes of interfaces
//! and orders, and does what the state machines say. Scripts and everything else that may wait is
//! elsewhere.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver as OrderReceiver, TryRecvError};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, poll};
use standfast_net::{Netlink, PacketSocket};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::alarm::Alarm;
use super::interfaces::Interfaces;
use super::notice::{Notice, NoticeKind, Subject};
use super::order::Order;
use super::plan::Plan;
use super::port::Port;
use super::receiver::Receiver;
use super::status::{InstanceStatus, Report, TrackReport};
use super::{Error, realtime};
use crate::instance::{Action, State};
use crate::packet::{self, Advertisement};
use crate::routers::{Effect, Routers, TrackId};
use crate::settings::TrackKind;
use crate::statistics::RouterStatistics;
use crate::tracking::Status;

/// Packets taken from one socket before timers are looked at again.
const MOST_PACKETS: usize = 64;
/// Orders taken before timers are looked at again.
const MOST_ORDERS: usize = 64;

/// Everything that the thread owns.
pub(super) struct Engine {
    plan: Plan,
    routers: Routers,
    ports: Vec<Port>,
    receivers: BTreeMap<(u32, bool), Receiver>,
    netlink: Netlink,
    socket: PacketSocket,
    interfaces: Arc<Interfaces>,
    statistics: RouterStatistics,
    orders: OrderReceiver<Order>,
    wake: Arc<OwnedFd>,
    alarm: Alarm,
    notices: Sender<Notice>,
    stopping: bool,
}

impl Engine {
    pub(super) fn new(
        plan: Plan,
        orders: OrderReceiver<Order>,
        wake: Arc<OwnedFd>,
        notices: Sender<Notice>,
    ) -> Result<Self, Error> {
        let now = Instant::now();
        let groups = plan.groups.iter().map(|group| group.members.clone()).collect();
        let statuses = plan.tracks.iter().map(|track| track.initial).collect();
        let mut netlink = Netlink::new()?;
        let interfaces = Arc::new(Interfaces::look(&mut netlink)?);
        Ok(Self {
            routers: Routers::new(plan.members(now), groups, statuses),
            ports: plan.routers.iter().cloned().map(Port::new).collect(),
            receivers: BTreeMap::new(),
            netlink,
            socket: PacketSocket::sender()?,
            interfaces,
            statistics: RouterStatistics::default(),
            orders,
            wake,
            alarm: Alarm::new()?,
            notices,
            plan,
            stopping: false,
        })
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        realtime::prepare_thread(self.plan.realtime_priority);
        self.refresh();
        let effects = self.routers.start(Instant::now());
        self.carry_out(effects);
        while !self.stopping {
            if let Err(error) = self.wait() {
                tracing::error!(%error, "cannot wait for events");
                break;
            }
            // First what was said, then what is due: a thread that was held up must not take a
            // master for dead whose advertisements wait to be read.
            self.receive();
            let effects = self.routers.on_timer(Instant::now());
            self.carry_out(effects);
            self.take_orders();
        }
        let effects = self.routers.shutdown(Instant::now());
        self.carry_out(effects);
        for port in &mut self.ports {
            port.close(&mut self.netlink);
        }
    }

    /// Waits for a socket, an order or the next timer.
    fn wait(&mut self) -> rustix::io::Result<()> {
        self.alarm.set(self.routers.deadline())?;
        let responders = self.ports.iter().filter_map(|port| port.responder.as_ref());
        let mut waiting =
            vec![PollFd::new(&self.wake, PollFlags::IN), PollFd::new(&self.alarm, PollFlags::IN)];
        waiting.extend(self.receivers.values().map(|socket| PollFd::new(socket, PollFlags::IN)));
        waiting.extend(responders.map(|socket| PollFd::new(socket, PollFlags::IN)));
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => Ok(()),
            result => result.map(|_| ()),
        }
    }

    fn receive(&mut self) {
        let mut effects = Vec::new();
        let links: Vec<Option<u32>> = self.ports.iter().map(Port::link).collect();
        for ((link, _), receiver) in &mut self.receivers {
            for _ in 0..MOST_PACKETS {
                let (envelope, bytes) = match receiver.receive() {
                    Ok(Some(packet)) => packet,
                    Ok(None) => break,
                    Err(error) => {
                        tracing::warn!(%error, "cannot receive advertisements");
                        break;
                    }
                };
                let id = packet::peek_router_id(bytes);
                let decoded = Advertisement::decode(bytes, &envelope);
                if let Err(error) = &decoded {
                    self.statistics.count(error);
                }
                let meant = self.routers.instances().zip(&links).position(|(instance, own)| {
                    *own == Some(*link) && id.is_some_and(|id| instance.accepts(id, &envelope))
                });
                match meant {
                    Some(index) => effects.extend(self.routers.on_packet(
                        index,
                        decoded,
                        &envelope,
                        Instant::now(),
                    )),
                    None if decoded.is_ok() => self.statistics.vrid_errors += 1,
                    None => {}
                }
            }
        }
        for port in &self.ports {
            port.respond(&self.socket, MOST_PACKETS);
        }
        self.carry_out(effects);
    }

    fn take_orders(&mut self) {
        let mut counter = [0; 8];
        // The counter only wakes; there is nothing to read if nobody did.
        let _ = rustix::io::read(self.wake.as_fd(), &mut counter);
        for _ in 0..MOST_ORDERS {
            let now = Instant::now();
            match self.orders.try_recv() {
                Ok(Order::Interfaces(interfaces)) => {
                    self.interfaces = interfaces;
                    self.refresh();
                }
                Ok(Order::Track(track, status)) => {
                    let effects = self.routers.on_track(track, status, now);
                    self.carry_out(effects);
                }
                Ok(Order::Command { instance, command, answer }) => {
                    let effects = self.routers.on_command(instance, command, now);
                    self.carry_out(effects);
                    // Whoever asked may be gone.
                    let _ = answer.send(());
                }
                Ok(Order::Report(answer)) => {
                    let _ = answer.send(self.report());
                }
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
                Err(TryRecvError::Empty) => return,
            }
        }
        // More may wait; come back at once after the timers.
        let _ = super::order::wake(&self.wake);
    }

    /// Interfaces or addresses changed.
    fn refresh(&mut self) {
        for index in 0..self.ports.len() {
            let Some(port) = self.ports.get_mut(index) else { continue };
            let usable = port.refresh(&self.interfaces, &mut self.netlink);
            if port.heal(&self.interfaces, &mut self.netlink) {
                port.announce(&self.interfaces, &self.socket);
            }
            let source: Option<IpAddr> = port.source();
            let usable = usable && self.open_receiver(index);
            let effects = self.routers.on_interface(index, usable, source, Instant::now());
            self.carry_out(effects);
        }
        let links: Vec<u32> = self.ports.iter().filter_map(Port::link).collect();
        self.receivers.retain(|(link, _), _| links.contains(link));
        self.report_interfaces();
    }

    /// Makes sure that somebody listens for router `index`.
    fn open_receiver(&mut self, index: usize) -> bool {
        let Some(link) = self.ports.get(index).and_then(Port::link) else { return false };
        let is_ipv4 = self.routers.instance(index).is_some_and(|it| it.config().is_ipv4());
        if self.receivers.contains_key(&(link, is_ipv4)) {
            return true;
        }
        match Receiver::new(link, is_ipv4) {
            Ok(receiver) => {
                self.receivers.insert((link, is_ipv4), receiver);
                true
            }
            Err(error) => {
                tracing::error!(%error, "cannot receive advertisements");
                false
            }
        }
    }

    fn report_interfaces(&mut self) {
        let tracked: Vec<(TrackId, Status)> = self
            .plan
            .tracks
            .iter()
            .enumerate()
            .filter(|(_, track)| track.kind == TrackKind::Interface)
            .map(|(index, track)| {
                let link = self.interfaces.link(&track.name);
                let running = link.is_some_and(|link| link.is_running);
                (TrackId(index), if running { Status::Up } else { Status::Down })
            })
            .collect();
        for (track, status) in tracked {
            let effects = self.routers.on_track(track, status, Instant::now());
            self.carry_out(effects);
        }
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        let mut left = Vec::new();
        for effect in effects {
            match effect {
                Effect::Router(index, action) => {
                    if matches!(action, Action::Changed { from: State::Master, .. }) {
                        left.push(index);
                    }
                    self.act(index, &action);
                }
                Effect::Group(index, state) => self.note_group(index, state),
            }
        }
        for index in left {
            if let Some(port) = self.ports.get(index) {
                port.settle(&mut self.netlink);
            }
        }
    }

    fn act(&mut self, index: usize, action: &Action) {
        let Some(port) = self.ports.get_mut(index) else { return };
        match action {
            Action::Advertise { priority } => {
                if let Err(error) = port.advertise(&self.socket, *priority) {
                    tracing::warn!(%error, "cannot send an advertisement");
                }
            }
            Action::RaiseAddresses => port.raise(&self.interfaces, &mut self.netlink),
            Action::LowerAddresses => port.lower(&self.interfaces, &mut self.netlink),
            Action::Announce => port.announce(&self.interfaces, &self.socket),
            Action::AskGroup => {}
            Action::LowerPrioritySeen => self.note(index, NoticeKind::MasterRxLowerPri),
            Action::PriorityChanged { .. } => self.note(index, NoticeKind::Priority),
            Action::Changed { from, reason, .. } => {
                self.note(index, NoticeKind::State { from: *from, reason: *reason });
            }
        }
    }

    fn note(&self, index: usize, kind: NoticeKind) {
        let Some(instance) = self.routers.instance(index) else { return };
        let subject = Subject::Instance(index);
        self.send(Notice { subject, kind, state: instance.state(), priority: instance.priority() });
    }

    fn note_group(&self, index: usize, state: State) {
        let subject = Subject::Group(index);
        // A group has no priority of its own.
        self.send(Notice { subject, kind: NoticeKind::GroupState, state, priority: 0 });
    }

    fn send(&self, notice: Notice) {
        if let Err(TrySendError::Full(notice)) = self.notices.try_send(notice) {
            tracing::warn!(?notice, "notify scripts cannot keep up; a change is not told");
        }
    }

    fn report(&self) -> Report {
        let instances = self.plan.routers.iter().zip(self.routers.instances());
        let instances = instances.zip(&self.ports).map(|((plan, instance), port)| InstanceStatus {
            name: plan.name.clone(),
            interface: plan.interface.clone(),
            router_id: plan.config.router_id,
            state: instance.state(),
            priority: instance.priority(),
            base_priority: plan.config.priority,
            command: instance.command(),
            source: port.source(),
            statistics: instance.statistics().clone(),
        });
        let tracks = self.plan.tracks.iter().zip(self.routers.statuses());
        Report {
            instances: instances.collect(),
            tracks: tracks
                .map(|(plan, status)| TrackReport {
                    kind: plan.kind,
                    name: plan.name.clone(),
                    status: *status,
                })
                .collect(),
            statistics: self.statistics.clone(),
        }
    }
}
