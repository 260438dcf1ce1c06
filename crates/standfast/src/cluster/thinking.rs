//! The thinking of this node ([`Driver`]), fed with what consensus agrees on; its wishes are carried
//! out here, by consensus and by [`Hands`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use standfast_cluster::agent::{Passage, Step, Timeline};
use standfast_cluster::consensus::{Mandate, Member};
use standfast_cluster::health::Seen;
use standfast_cluster::heartbeat::LinkId;
use standfast_cluster::heartbeat::{Covering, Notice, Seal, Timing, next_incarnation};
use standfast_cluster::lease::{Change, Gates, Holder, LeaseTable, ServiceId, Voters};
use standfast_cluster::model::{Command, NodeId, State};
use standfast_cluster::node::{Driver, DriverError, Input, Inputs, Link, NodeStart, Output};
use standfast_cluster::placement::{NoPlace, Placement, Why};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::hands::Hands;

/// For how long leases of the times before may be around after the times have changed: the longest
/// lease that the settings allow.
const OLD_TIMES: Duration = Duration::from_secs(60);

/// Why this node cannot think.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ThinkingError {
    /// The number of this run.
    #[error("cannot number this run of the node: {0}")]
    Incarnation(#[from] std::io::Error),
    /// The key of the heartbeats.
    #[error("the cluster's key for heartbeats is not 32 bytes in hexadecimal")]
    Key,
    /// The cluster does not know this node's addresses.
    #[error("the cluster knows no address of this node; remove it and join again")]
    NoAddress,
    /// The thread.
    #[error(transparent)]
    Driver(#[from] DriverError),
}

/// The node thinks. Dropped, it ends: all gates are shut.
pub(crate) struct Thinking {
    driver: Driver,
    hands: Arc<Hands>,
    _tasks: JoinSet<()>,
}

impl Thinking {
    /// Starts, once the cluster knows this node.
    pub(crate) async fn start(
        member: &Arc<Member>,
        seen: Arc<watch::Sender<Seen>>,
        make_hands: impl FnOnce(Gates) -> Arc<Hands>,
    ) -> Result<Self, ThinkingError> {
        let me = member.identity().node;
        let mut applied = member.watch();
        // The sender lives as long as the member.
        let known = applied.wait_for(|applied| applied.state.members.contains_key(&me)).await;
        let state = known.map(|known| Arc::clone(&known.state)).unwrap_or_default();
        let incarnation = next_incarnation(member.files().directory())?;
        let configuration = Configuration::new(&state, me, member.mandate().voters);
        let links = links(&state, member, &configuration.peers)?;
        let gates = Gates::default();
        let hands = make_hands(gates.clone());
        hands.clear_up();
        let start = NodeStart {
            me: Holder { node: me, incarnation },
            timing: Timing::from(&state.settings.timing).into(),
            links: (0..).take(links.len()).map(LinkId).collect(),
            placement: configuration.placement.clone(),
            voters: configuration.voters.clone(),
            table: LeaseTable::from(&*state),
            support: member.support(),
        };
        let (outputs, wishes) = unbounded_channel();
        let seal = Seal::of_state(&state).ok_or(ThinkingError::Key)?;
        let driver = Driver::start(start, &links, seal, gates, None, outputs)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(follow(Arc::clone(member), driver.inputs(), configuration, Arc::clone(&hands)));
        let obey = Obey {
            member: Arc::clone(member),
            inputs: driver.inputs(),
            hands: Arc::clone(&hands),
            seen,
            proposing: Arc::default(),
        };
        tasks.spawn(obey.run(wishes));
        tasks.spawn(Arc::clone(&hands).look_at_pools());
        tasks.spawn(Arc::clone(&hands).stay_up());
        tracing::info!(node = %me, %incarnation, "this node takes part in the leases");
        Ok(Self { driver, hands, _tasks: tasks })
    }

    /// What runs here.
    pub(crate) fn hands(&self) -> &Arc<Hands> {
        &self.hands
    }

    /// Ends: nothing more is said, and the addresses go.
    pub(crate) async fn stop(self) {
        let Self { driver, hands, .. } = self;
        // Its drop waits for the thread.
        let ended = tokio::task::spawn_blocking(move || drop(driver));
        let _ended = ended.await;
        hands.let_go().await;
    }
}

/// One link for each address of this node: heartbeats use the ports of the consensus, over UDP.
fn links(
    state: &State,
    member: &Member,
    peers: &[BTreeMap<NodeId, SocketAddr>],
) -> Result<Vec<Link>, ThinkingError> {
    let identity = member.identity();
    let own = state.members.get(&identity.node).map(|own| own.addresses.clone());
    let own = own.filter(|own| !own.is_empty()).ok_or(ThinkingError::NoAddress)?;
    let local = if identity.listen.len() == own.len() { identity.listen.clone() } else { own };
    let link = |(local, peers): (SocketAddr, &BTreeMap<_, _>)| Link { local, peers: peers.clone() };
    Ok(local.into_iter().zip(peers).map(link).collect())
}

/// What the thinking has to know besides the leases.
#[derive(Clone, PartialEq)]
struct Configuration {
    timing: Timing,
    placement: Placement,
    voters: Voters,
    /// The addresses of each link's peers.
    peers: Vec<BTreeMap<NodeId, SocketAddr>>,
}

impl Configuration {
    fn new(state: &State, me: NodeId, voters: Voters) -> Self {
        let own = state.members.get(&me).map_or(0, |own| own.addresses.len());
        let of_link = |link: usize| {
            let others = state.members.values().filter(|member| member.id != me);
            others.filter_map(|member| Some((member.id, *member.addresses.get(link)?))).collect()
        };
        Self {
            timing: Timing::from(&state.settings.timing),
            placement: Placement::from(state),
            voters,
            peers: (0..own).map(of_link).collect(),
        }
    }

    fn input(&self, timing: Covering) -> Input {
        Input::Configured {
            timing,
            placement: self.placement.clone(),
            voters: self.voters.clone(),
            peers: self.peers.clone(),
        }
    }
}

/// Tells the thinking of whatever consensus agrees on, in the order in which it was.
async fn follow(
    member: Arc<Member>,
    inputs: Inputs,
    mut configuration: Configuration,
    hands: Arc<Hands>,
) {
    let me = member.identity().node;
    let mut applied = member.watch();
    let mut mandate = Mandate::default();
    let mut before: Option<(Timing, Instant)> = None;
    loop {
        let now = member.mandate();
        // Looked at after the mandate: whoever leads knows all that was committed before.
        let state = Arc::clone(&applied.borrow_and_update().state);
        let new = Configuration::new(&state, me, now.voters.clone());
        if new.timing != configuration.timing {
            before = Some((configuration.timing, Instant::now()));
        }
        let ended = before.is_some_and(|(_, since)| since.elapsed() > OLD_TIMES);
        if new != configuration || ended {
            before = before.filter(|_| !ended);
            let timing = match before {
                Some((before, _)) => new.timing.covering(&before),
                None => new.timing.into(),
            };
            inputs.send(new.input(timing));
            configuration = new;
        }
        inputs.send(Input::Committed(LeaseTable::from(&*state)));
        let Mandate { term, leader, is_ready: ready, .. } = now;
        inputs.send(Input::Led { term, leader, ready });
        hands.reconfigure(&state);
        mandate.clone_from(&now);
        let old_times_end = async {
            match before {
                Some((_, since)) => tokio::time::sleep_until((since + OLD_TIMES).into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            _ = member.mandate_changed(&mandate) => {}
            () = old_times_end => {}
        }
    }
}

/// Carries out what the thinking wants.
struct Obey {
    member: Arc<Member>,
    inputs: Inputs,
    hands: Arc<Hands>,
    seen: Arc<watch::Sender<Seen>>,
    /// Services for which a change is being agreed on: the thinking asks again and again.
    proposing: Arc<Mutex<BTreeSet<ServiceId>>>,
}

/// What keeps this node from serving is told in `status`, until it can.
fn tell_failure(
    seen: &watch::Sender<Seen>,
    hands: &Hands,
    command: &standfast_cluster::agent::Command,
    result: &Result<(), String>,
) {
    let Some(name) = hands.name(command.service) else { return };
    let takes_over = [Step::Fence, Step::Promote, Step::Replay, Step::Listen, Step::Raise];
    match result {
        Err(why) if takes_over.contains(&command.step) => {
            let failure = (command.epoch, format!("{}: {why}", command.step));
            seen.send_modify(|seen| _ = seen.failures.insert(name, failure));
        }
        // Its addresses are up: it is served.
        Ok(()) if command.step == Step::Raise => {
            seen.send_modify(|seen| _ = seen.failures.remove(&name));
        }
        _ => {}
    }
}

impl Obey {
    async fn run(self, mut wishes: UnboundedReceiver<Output>) {
        while let Some(wish) = wishes.recv().await {
            match wish {
                Output::Propose(change, why) => self.propose(change, why),
                Output::Run(command) => {
                    let (hands, inputs) = (Arc::clone(&self.hands), self.inputs.clone());
                    let seen = Arc::clone(&self.seen);
                    tokio::spawn(async move {
                        let (service, step) = (command.service, command.step);
                        let result = hands.step(command).await;
                        if let Err(why) = &result {
                            let name = hands.name(service).unwrap_or_default();
                            tracing::warn!(service = name, epoch = %command.epoch, %step,
                                "a step failed: {why}");
                        }
                        tell_failure(&seen, &hands, &command, &result);
                        inputs.send(Input::Done { service, step, result });
                    });
                }
                Output::Timeline(timeline) => self.keep(timeline),
                Output::Notice(notice) => self.tell(notice),
                Output::Homeless(homeless) => self.tell_homeless(&homeless),
                // The thread does these itself.
                Output::Send(_) | Output::Right(..) => {}
            }
        }
    }

    fn tell_homeless(&self, homeless: &BTreeMap<ServiceId, NoPlace>) {
        let state = self.member.state();
        let named = |(service, why): (&ServiceId, &NoPlace)| {
            Some((self.hands.name(*service)?, why.explain(|node| state.name_of(node))))
        };
        let homeless: BTreeMap<String, String> = homeless.iter().filter_map(named).collect();
        for (service, why) in &homeless {
            tracing::warn!(service, "nobody can hold it: {why}");
        }
        self.seen.send_modify(|seen| seen.homeless = homeless);
    }

    fn propose(&self, change: Change, why: Why) {
        let (Change::Grant { service, .. } | Change::Intend { service, .. }) = change;
        let Some(name) = self.hands.name(service) else { return };
        if !self.proposing.lock().insert(service) {
            return;
        }
        let member = Arc::clone(&self.member);
        let (proposing, inputs) = (Arc::clone(&self.proposing), self.inputs.clone());
        tokio::spawn(async move {
            let silence = unheard(&member, &name);
            let command = change.into_command(name.clone(), why.reason(silence));
            match member.decide(command).await {
                Ok(outcome) => tracing::debug!(service = name, ?outcome, "proposed"),
                Err(error) => tracing::warn!(service = name, %error, "cannot change the holder"),
            }
            proposing.lock().remove(&service);
            drop(inputs);
        });
    }

    /// Keeps a takeover for people to see.
    fn keep(&self, timeline: Timeline) {
        let Some(service) = self.hands.name(timeline.service) else { return };
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut steps: Vec<(String, u64)> = timeline
            .marks
            .iter()
            .map(|mark| (mark.step.word().to_owned(), ms(mark.from + mark.took)))
            .collect();
        if let Some(leased) = timeline.leased {
            steps.push(("lease".into(), ms(leased)));
        }
        steps.sort_by_key(|(_, at)| *at);
        let told: Vec<String> = steps.iter().map(|(step, at)| format!("{step} {at}")).collect();
        tracing::info!(service, epoch = %timeline.epoch, passage = ?timeline.passage,
            "ms after the change: {}", told.join(", "));
        if timeline.passage != Passage::Takeover {
            return;
        }
        let (member, epoch) = (Arc::clone(&self.member), timeline.epoch);
        tokio::spawn(async move {
            let command = Command::RecordTimeline { service, epoch, steps };
            if let Err(error) = member.propose(command).await {
                tracing::debug!(%error, "the timeline is not kept");
            }
        });
    }

    fn tell(&self, notice: Notice) {
        let name = |node| self.member.state().name_of(node);
        match notice {
            Notice::Alive(node) => tracing::info!(node = name(node), "answers"),
            Notice::Suspected(node, silence) => {
                tracing::warn!(
                    node = name(node),
                    silence_ms = silence.as_millis(),
                    "does not answer"
                );
            }
            Notice::Restarted(node, incarnation) => {
                tracing::info!(node = name(node), %incarnation, "runs anew");
            }
        }
    }
}

/// For how long the holder of a service was not heard by the consensus.
fn unheard(member: &Member, service: &str) -> Option<Duration> {
    let holder = member.state().leases.get(service)?.holder?;
    member.heard().find(|(node, _)| *node == holder).map(|(_, at)| at.elapsed())
}
