//! Which nodes are reached, over which links.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Moment, Timing};
use crate::lease::{Incarnation, NodeId};

/// A link of the node, by its place in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u8);

/// What is known of the way to a peer over one link.
#[derive(Clone, Debug, Default)]
struct Way {
    /// The highest sequence number that came; what is not higher is a repetition.
    highest: u64,
    /// When something came last, and how late we had been until then.
    heard: Option<(Moment, Duration)>,
    /// When the newest heartbeat of ours left that the peer says it has, and how late we had been
    /// until then.
    proven: Option<(Moment, Duration)>,
    /// The time there and back, of the newest answer.
    round_trip: Option<Duration>,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    incarnation: Option<Incarnation>,
    ways: BTreeMap<LinkId, Way>,
    known_since: Option<(Moment, Duration)>,
    alive: bool,
}

/// A change of what is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It answers, for the first time or again.
    Alive(NodeId),
    /// It has not answered for too long, on no link.
    Suspected(NodeId, Duration),
    /// It runs anew; its run before has ended.
    Restarted(NodeId, Incarnation),
}

/// The state of one link to a peer, for people to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WayState {
    /// The link.
    pub link: LinkId,
    /// For how long nothing came from the peer.
    pub unheard: Option<Duration>,
    /// For how long the peer has not said that it hears us.
    pub unproven: Option<Duration>,
    /// The time there and back, of the newest answer.
    pub round_trip: Option<Duration>,
}

/// Tells who is alive, from the datagrams that come and the time that passes.
///
/// A peer is alive while it *answers*: what counts is when the newest heartbeat left that it says it
/// has. So a link that is cut one way counts as cut, on both sides. One link that works is enough.
///
/// A node that was itself held up (a busy machine, a stopped process, a paused virtual machine)
/// accuses nobody of the silence that it slept through: the time by which it came too late to its
/// own tasks is not counted against others.
#[derive(Clone, Debug)]
pub struct Detector {
    timing: Timing,
    peers: BTreeMap<NodeId, Peer>,
    links: Vec<LinkId>,
    /// By when the next look is due.
    due: Option<Moment>,
    /// By how much looks came too late, in all.
    lateness: Duration,
}

impl Detector {
    /// Watches `peers` over `links` from `now` on.
    pub fn new(
        timing: Timing,
        links: Vec<LinkId>,
        peers: impl IntoIterator<Item = NodeId>,
        now: Moment,
    ) -> Self {
        let mut detector =
            Self { timing, peers: BTreeMap::new(), links, due: None, lateness: Duration::ZERO };
        detector.set_peers(peers, now);
        detector
    }

    /// Watches these from now on.
    pub fn set_peers(&mut self, peers: impl IntoIterator<Item = NodeId>, now: Moment) {
        let peers: Vec<NodeId> = peers.into_iter().collect();
        self.peers.retain(|node, _| peers.contains(node));
        for node in peers {
            let known_since = Some((now, self.lateness));
            self.peers.entry(node).or_insert_with(|| Peer { known_since, ..Peer::default() });
        }
    }

    /// Other times from now on.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
    }

    /// Whether this is a datagram that has not come before over this link; of a run that is not
    /// known yet any could be.
    pub fn is_new(
        &self,
        node: NodeId,
        incarnation: Incarnation,
        link: LinkId,
        sequence: u64,
    ) -> bool {
        let Some(peer) = self.peers.get(&node) else { return false };
        match peer.incarnation {
            Some(known) if incarnation < known => false,
            Some(known) if incarnation == known => {
                peer.ways.get(&link).is_none_or(|way| sequence > way.highest)
            }
            _ => true,
        }
    }

    /// A datagram came that knows us: it names a heartbeat of this run of ours, which left at
    /// `proven` over `proven_link`. `answered_at_once` says that the time since is a round trip.
    #[allow(clippy::too_many_arguments, reason = "one datagram has as many fields")]
    pub fn heard(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        (link, sequence): (LinkId, u64),
        (proven_link, proven): (LinkId, Option<Moment>),
        answered_at_once: bool,
        now: Moment,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let lateness = self.lateness;
        let is_link = self.links.contains(&link) && self.links.contains(&proven_link);
        let Some(peer) = self.peers.get_mut(&node).filter(|_| is_link) else { return notices };
        if peer.incarnation.is_none_or(|known| known < incarnation) {
            let before = peer.incarnation.replace(incarnation);
            peer.ways.clear();
            if before.is_some() {
                notices.push(Notice::Restarted(node, incarnation));
            }
        }
        let way = peer.ways.entry(link).or_default();
        way.highest = way.highest.max(sequence);
        way.heard = Some((now, lateness));
        if let Some(sent) = proven {
            let way = peer.ways.entry(proven_link).or_default();
            if way.proven.is_none_or(|(before, _)| before <= sent) {
                way.proven = Some((sent, lateness));
                if answered_at_once {
                    way.round_trip = Some(now.since(sent));
                }
            }
            if !peer.alive && self.silence(node, now).is_some_and(|s| s < self.timing.suspect) {
                if let Some(peer) = self.peers.get_mut(&node) {
                    peer.alive = true;
                }
                notices.push(Notice::Alive(node));
            }
        }
        notices
    }

    /// For how long a peer has not answered, without the time that we slept through.
    pub fn silence(&self, node: NodeId, now: Moment) -> Option<Duration> {
        let peer = self.peers.get(&node)?;
        let proofs = peer.ways.values().filter_map(|way| way.proven);
        let (since, lateness) = proofs.max().or(peer.known_since)?;
        Some(now.since(since).saturating_sub(self.lateness.saturating_sub(lateness)))
    }

    /// Looks at the clock; to be called at least once per interval, after what came was read.
    pub fn look(&mut self, now: Moment) -> Vec<Notice> {
        let late = self.due.map_or(Duration::ZERO, |due| now.since(due));
        if late > self.timing.interval / 2 {
            self.lateness += late;
        }
        self.due = Some(now + self.timing.interval);
        let silent: Vec<(NodeId, Duration)> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.alive)
            .filter_map(|(node, _)| Some((*node, self.silence(*node, now)?)))
            .filter(|(_, silence)| *silence >= self.timing.suspect)
            .collect();
        for (node, _) in &silent {
            if let Some(peer) = self.peers.get_mut(node) {
                peer.alive = false;
            }
        }
        silent.into_iter().map(|(node, silence)| Notice::Suspected(node, silence)).collect()
    }

    /// By how much this node came too late to its own tasks, in all: a busy machine.
    pub fn lateness(&self) -> Duration {
        self.lateness
    }

    /// Whether a peer answers.
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.peers.get(&node).is_some_and(|peer| peer.alive)
    }

    /// Whether a peer has not answered for as long as it takes to suspect it, also since the start.
    pub fn is_suspected(&self, node: NodeId, now: Moment) -> bool {
        !self.is_alive(node)
            && self.silence(node, now).is_none_or(|silence| silence >= self.timing.suspect)
    }

    /// A peer's newest run, if it answered at all.
    pub fn incarnation(&self, node: NodeId) -> Option<Incarnation> {
        self.peers.get(&node).and_then(|peer| peer.incarnation)
    }

    /// All peers.
    pub fn peers(&self) -> impl Iterator<Item = NodeId> {
        self.peers.keys().copied()
    }

    /// The state of each link to a peer.
    pub fn ways(&self, node: NodeId, now: Moment) -> Vec<WayState> {
        let ways = self.peers.get(&node).map(|peer| &peer.ways);
        let state = |link: &LinkId| {
            let way = ways.and_then(|ways| ways.get(link));
            WayState {
                link: *link,
                unheard: way.and_then(|way| way.heard).map(|(at, _)| now.since(at)),
                unproven: way.and_then(|way| way.proven).map(|(at, _)| now.since(at)),
                round_trip: way.and_then(|way| way.round_trip),
            }
        };
        self.links.iter().map(state).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: NodeId = NodeId(2);
    const RUN: Incarnation = Incarnation(1);
    const FIRST: LinkId = LinkId(0);
    const SECOND: LinkId = LinkId(1);

    fn at(ms: u64) -> Moment {
        Moment::BOOT + Duration::from_millis(ms)
    }

    fn detector() -> Detector {
        Detector::new(Timing::default(), vec![FIRST, SECOND], [PEER], at(0))
    }

    /// The peer answers each heartbeat of the times given, over one link.
    fn answer(detector: &mut Detector, link: LinkId, ms: u64) -> Vec<Notice> {
        detector.heard(PEER, RUN, (link, ms + 1), (link, Some(at(ms))), true, at(ms + 1))
    }

    #[test]
    fn a_silent_peer_is_suspected_and_returns() {
        let mut detector = detector();
        assert!(!detector.is_alive(PEER) && !detector.is_suspected(PEER, at(10)));
        assert_eq!(answer(&mut detector, FIRST, 0), [Notice::Alive(PEER)]);
        for ms in (50..250).step_by(50) {
            assert_eq!(detector.look(at(ms)), []);
        }
        let silence = Duration::from_millis(250);
        assert_eq!(detector.look(at(250)), [Notice::Suspected(PEER, silence)]);
        assert!(detector.is_suspected(PEER, at(250)));
        assert_eq!(answer(&mut detector, FIRST, 300), [Notice::Alive(PEER)]);
    }

    #[test]
    fn one_link_is_enough() {
        let mut detector = detector();
        answer(&mut detector, FIRST, 0);
        for ms in (50..1000).step_by(50) {
            answer(&mut detector, SECOND, ms - 10);
            assert_eq!(detector.look(at(ms)), []);
        }
        let ways = detector.ways(PEER, at(1000));
        assert!(ways[0].unproven > Some(Duration::from_millis(900)));
        assert_eq!(ways[1].round_trip, Some(Duration::from_millis(1)));
    }

    #[test]
    fn to_be_heard_without_an_answer_is_not_enough() {
        let mut detector = detector();
        answer(&mut detector, FIRST, 0);
        let mut notices = Vec::new();
        for ms in (50..600).step_by(50) {
            // It goes on to name the same old heartbeat: it does not hear us any more.
            detector.heard(PEER, RUN, (FIRST, ms), (FIRST, Some(at(0))), false, at(ms));
            notices.extend(detector.look(at(ms)));
        }
        assert_eq!(notices.len(), 1);
    }

    #[test]
    fn who_slept_accuses_nobody() {
        let mut detector = detector();
        answer(&mut detector, FIRST, 0);
        assert_eq!(detector.look(at(50)), []);
        // Stopped for two seconds; the first look comes before any datagram is read.
        assert_eq!(detector.look(at(2050)), []);
        assert_eq!(detector.look(at(2100)), []);
        assert_eq!(detector.look(at(2150)), []);
        // But silence that it was awake for counts.
        let notices: Vec<Notice> =
            (2200..2400).step_by(50).flat_map(|ms| detector.look(at(ms))).collect();
        assert!(matches!(notices[..], [Notice::Suspected(PEER, _)]), "{notices:?}");
        assert_eq!(detector.lateness(), Duration::from_millis(1950));
    }

    #[test]
    fn repetitions_and_earlier_runs_are_told_apart() {
        let mut detector = detector();
        assert!(detector.is_new(PEER, RUN, FIRST, 1));
        answer(&mut detector, FIRST, 10);
        assert!(!detector.is_new(PEER, RUN, FIRST, 11));
        assert!(detector.is_new(PEER, RUN, FIRST, 12));
        assert!(detector.is_new(PEER, RUN, SECOND, 1));
        assert!(!detector.is_new(NodeId(9), RUN, FIRST, 1));
        let next = Incarnation(2);
        assert!(detector.is_new(PEER, next, FIRST, 1));
        let notices = detector.heard(PEER, next, (FIRST, 1), (FIRST, Some(at(20))), true, at(21));
        assert_eq!(notices, [Notice::Restarted(PEER, next)]);
        assert!(!detector.is_new(PEER, RUN, FIRST, 100));
        assert_eq!(detector.incarnation(PEER), Some(next));
    }
}
