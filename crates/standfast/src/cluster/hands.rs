//! What this node does for each service: the steps of a takeover and of a release.
//!
//! Each step may run again after it is done. What blocks runs on threads that may; the addresses of
//! a service have a lock of their own, so that they can go while the storage hangs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use standfast_cluster::agent::{Command, Step};
use standfast_cluster::consensus::Member;
use standfast_cluster::health::Seen;
use standfast_cluster::lease::{Epoch as LeaseEpoch, Gates, ServiceId};
use standfast_cluster::model::{ChangeReason, State};
use standfast_engine::{Claim, Directory, Engine as _};
use standfast_net::{Netlink, Placed};
use standfast_rpc::gate::ReplyGate;
use standfast_serving::{Epoch, Instance, Manner, Node, Opening, Taken};
use standfast_settings::{ByteSize, ServiceSettings, Settings};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::addresses;
use super::pools::{OF_POOL, Pools};
use super::tickles::wake_clients;
use crate::keeper::Keeper;

/// For how long requests that run may hold up a planned move.
const DRAIN: Duration = Duration::from_millis(200);

/// How often the pools are looked at though nothing changed.
const LOOK_AT_POOLS: Duration = Duration::from_secs(30);

/// The directory of the cluster in a pool, which no client reaches.
const HIDDEN: &str = ".standfast";

/// The addresses that a run of this node has raised, in the directory of what runs.
const RAISED: &str = "addresses.json";

/// Does the steps, for all services.
pub(crate) struct Hands {
    node: Arc<Node>,
    /// The settings of this node, without exports.
    settings: Settings,
    member: Arc<Member>,
    gates: Gates,
    /// None where there can be none: then the death of the daemon is heard.
    keeper: Option<Arc<Keeper>>,
    pools: Pools,
    seen: Arc<watch::Sender<Seen>>,
    services: Mutex<BTreeMap<ServiceId, Arc<Hand>>>,
    raised: Mutex<BTreeSet<IpAddr>>,
}

/// One service here.
struct Hand {
    name: String,
    body: tokio::sync::Mutex<Body>,
    floor: Mutex<Floor>,
}

/// Its storage, its state and its server.
#[derive(Default)]
struct Body {
    /// The storage was opened ahead, with these settings.
    opening: Option<(ServiceSettings, Opening)>,
    /// The state is here, of this epoch.
    taken: Option<(u64, Taken)>,
    instance: Option<(ServiceSettings, Arc<Instance>)>,
}

/// Its addresses.
#[derive(Default)]
struct Floor {
    placed: Vec<Placed>,
    addresses: BTreeSet<IpAddr>,
    announcing: Option<AbortHandle>,
    waking: Option<AbortHandle>,
}

impl Floor {
    fn quiet(&mut self) {
        for task in [self.announcing.take(), self.waking.take()].into_iter().flatten() {
            task.abort();
        }
    }
}

impl Hands {
    pub(crate) fn new(
        node: Arc<Node>,
        settings: Settings,
        member: Arc<Member>,
        gates: Gates,
        keeper: Option<Arc<Keeper>>,
        seen: Arc<watch::Sender<Seen>>,
    ) -> Arc<Self> {
        let settings = Settings { exports: Vec::new(), exports_files: Vec::new(), ..settings };
        let pools = Pools::new(&member.identity().name);
        let (services, raised) = Default::default();
        Arc::new(Self { node, settings, member, gates, keeper, pools, seen, services, raised })
    }

    /// Looks at all pools now and then, and at once when told.
    pub(crate) async fn look_at_pools(self: Arc<Self>) {
        let mut applied = self.member.watch();
        let mut look = tokio::time::interval(LOOK_AT_POOLS);
        let mut known = BTreeMap::new();
        loop {
            let pools = applied.borrow_and_update().state.settings.pools.clone();
            if pools != known {
                look.reset_immediately();
            }
            tokio::select! {
                _ = look.tick() => {}
                changed = applied.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
            known.clone_from(&pools);
            let hands = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || hands.pools.problems(&pools)).await;
            let Ok(problems) = looked else { continue };
            self.seen.send_modify(|seen| {
                for (subject, (severity, why)) in &problems {
                    if seen.findings.get(subject).is_none_or(|(_, before)| before != why) {
                        tracing::warn!(?severity, "{subject}: {why}");
                    }
                }
                seen.findings.retain(|subject, _| !subject.starts_with(OF_POOL));
                seen.findings.extend(problems);
            });
        }
    }

    /// The name of a service.
    pub(crate) fn name(&self, service: ServiceId) -> Option<String> {
        if let Some(hand) = self.services.lock().get(&service) {
            return Some(hand.name.clone());
        }
        let state = self.member.state();
        let names = state.settings.services.keys().chain(state.leases.keys());
        names.into_iter().find(|name| ServiceId::of_name(name) == service).cloned()
    }

    /// The services that run here.
    pub(crate) fn instances(&self) -> Vec<Arc<Instance>> {
        let hands: Vec<_> = self.services.lock().values().cloned().collect();
        let running = |hand: Arc<Hand>| {
            let body = hand.body.try_lock().ok()?;
            body.instance.as_ref().map(|(_, instance)| Arc::clone(instance))
        };
        hands.into_iter().filter_map(running).collect()
    }

    /// Does a step; the error is for people.
    pub(crate) async fn step(self: &Arc<Self>, command: Command) -> Result<(), String> {
        let Command { service, epoch, step } = command;
        let name = self.name(service).ok_or("nobody knows this service any more")?;
        let fresh = || {
            let (body, floor) = Default::default();
            Arc::new(Hand { name, body, floor })
        };
        let hand = Arc::clone(self.services.lock().entry(service).or_insert_with(fresh));
        let hands = Arc::clone(self);
        match step {
            Step::Warm => hands.on_thread(&hand, Self::warm).await,
            Step::Fence => {
                hands.on_thread(&hand, move |hands, hand| hands.fence(hand, epoch)).await
            }
            Step::Promote => {
                hands.on_thread(&hand, move |hands, hand| hands.promote(hand, epoch)).await
            }
            Step::Replay => {
                let gate = self.gates.get(service, epoch).ok_or("the lease is over")?;
                hands.on_thread(&hand, move |hands, hand| hands.replay(hand, epoch, &gate)).await
            }
            Step::Listen => hands.on_thread(&hand, Self::listen).await,
            Step::Raise => hands.on_thread(&hand, Self::raise).await,
            Step::Announce => hands.on_thread(&hand, Self::announce).await,
            Step::Tickle => hands.on_thread(&hand, Self::tickle).await,
            Step::Drain => hand.drain().await,
            Step::Lower => hands.on_thread(&hand, Self::lower).await,
            Step::Silence => self.silence(&hand).await,
            Step::Demote => {
                hands.on_thread(&hand, move |hands, hand| hands.demote(hand, epoch)).await
            }
        }
    }

    async fn on_thread(
        self: Arc<Self>,
        hand: &Arc<Hand>,
        work: impl FnOnce(&Arc<Self>, &Hand) -> Result<(), String> + Send + 'static,
    ) -> Result<(), String> {
        let hand = Arc::clone(hand);
        let done = tokio::task::spawn_blocking(move || work(&self, &hand)).await;
        done.unwrap_or_else(|error| Err(format!("the step was cut short: {error}")))
    }

    fn service(&self, name: &str) -> Result<(Arc<State>, ServiceSettings), String> {
        let state = self.member.state();
        let service = state.settings.services.get(name).cloned();
        let service = service.ok_or_else(|| format!("there is no service `{name}` any more"))?;
        Ok((state, service))
    }

    /// The engine of a service's pool, once it was found to be good; none for addresses alone.
    fn engine(&self, state: &State, of: &ServiceSettings) -> Result<Option<Directory>, String> {
        let Some(name) = &of.pool else { return Ok(None) };
        let pool = state.settings.pools.get(name).ok_or_else(|| format!("no pool `{name}`"))?;
        self.pools.check(name, pool)?;
        self.pools.engine(pool).map(Some)
    }

    fn claim(&self, name: &str, epoch: LeaseEpoch) -> Claim {
        let node = self.member.identity().name.clone();
        Claim { service: name.into(), epoch: epoch.0, node }
    }

    /// What the service would have in a settings file of this node.
    fn settings_of(&self, state: &State, name: &str, of: &ServiceSettings) -> Settings {
        let mut settings = self.settings.clone();
        settings.exports.clone_from(&of.exports);
        settings.server.listen = of.addresses.iter().map(|one| one.address()).collect();
        let pool = of.pool.as_ref().and_then(|pool| state.settings.pools.get(pool));
        settings.journal.directory =
            pool.map(|pool| pool.path.join(HIDDEN).join("services").join(name));
        // It would be written anew by each holder, for each service, in the middle of a failover.
        settings.journal.reserve = ByteSize::kib(0);
        settings
    }

    /// Opens the storage, which does no harm while another node serves.
    fn warm(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let (state, service) = self.service(&hand.name)?;
        self.engine(&state, &service)?;
        let mut body = hand.body.blocking_lock();
        if body.opening.as_ref().is_none_or(|(settings, _)| *settings != service) {
            let opening = self.open(&state, &hand.name, &service);
            body.opening = Some((service, opening));
        }
        if let Some((_, opening)) = &body.opening {
            opening.warm();
        }
        Ok(())
    }

    fn open(&self, state: &State, name: &str, service: &ServiceSettings) -> Opening {
        let opening = Opening::storage(&self.node, name, self.settings_of(state, name, service));
        for problem in opening.problems() {
            tracing::error!(service = name, "{problem}");
        }
        opening
    }

    /// Keeps the holder before from the storage, if it failed.
    fn fence(self: &Arc<Self>, hand: &Hand, epoch: LeaseEpoch) -> Result<(), String> {
        let (state, service) = self.service(&hand.name)?;
        let lease = state.leases.get(&hand.name).cloned().unwrap_or_default();
        let failed = matches!(lease.reason, Some(ChangeReason::Failure { .. }));
        let Some(before) = lease.before.filter(|_| failed) else { return Ok(()) };
        let Some(engine) = self.engine(&state, &service)? else { return Ok(()) };
        let fenced = engine.fence(&self.claim(&hand.name, epoch), &state.name_of(before));
        fenced.map(|_| ()).map_err(|error| error.to_string())
    }

    fn promote(self: &Arc<Self>, hand: &Hand, epoch: LeaseEpoch) -> Result<(), String> {
        let (state, service) = self.service(&hand.name)?;
        let Some(engine) = self.engine(&state, &service)? else { return Ok(()) };
        let promoted = engine.promote(&self.claim(&hand.name, epoch));
        promoted.map(|_| ()).map_err(|error| error.to_string())
    }

    fn replay(
        self: &Arc<Self>,
        hand: &Hand,
        epoch: LeaseEpoch,
        gate: &Arc<ReplyGate>,
    ) -> Result<(), String> {
        let (state, service) = self.service(&hand.name)?;
        let mut body = hand.body.blocking_lock();
        let is_here = body.taken.as_ref().is_some_and(|(taken, _)| *taken == epoch.0)
            || body.instance.as_ref().is_some_and(|(_, instance)| instance.epoch() == epoch.0);
        if is_here || service.exports.is_empty() {
            return Ok(());
        }
        let warm = body.opening.take().filter(|(settings, _)| *settings == service);
        let opening = match warm {
            Some((_, opening)) => opening,
            None => self.open(&state, &hand.name, &service),
        };
        let lease = state.leases.get(&hand.name);
        let opening = opening.expects_journal(lease.is_some_and(|lease| lease.served));
        let taken = opening.take_over(Epoch::Lease(epoch.0), Arc::clone(gate));
        body.taken = Some((epoch.0, taken.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// Listens on the addresses, which are not there yet.
    fn listen(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let (_, service) = self.service(&hand.name)?;
        let mut body = hand.body.blocking_lock();
        if body.instance.is_some() || service.exports.is_empty() {
            return Ok(());
        }
        let (_, taken) = body.taken.take().ok_or("its state was not read")?;
        if let Some(keeper) = &self.keeper {
            taken.watch_sockets(Arc::clone(keeper) as _);
        }
        let addresses: Vec<IpAddr> = service.addresses.iter().map(|one| one.address()).collect();
        let instance = taken.listen(&addresses).map_err(|error| error.to_string())?;
        body.instance = Some((service, instance));
        Ok(())
    }

    fn raise(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let (_, service) = self.service(&hand.name)?;
        let mut floor = hand.floor.lock();
        let mut netlink = Netlink::new().map_err(|error| error.to_string())?;
        let placed = addresses::place(&mut netlink, &service.addresses)?;
        let all: BTreeSet<IpAddr> = placed.iter().map(|one| one.address.addr()).collect();
        // Noted first: should this run die, the next one takes them down.
        self.note_raised(|raised| raised.extend(&all))?;
        floor.addresses.extend(&all);
        addresses::raise(&mut netlink, &placed)?;
        floor.placed = placed;
        Ok(())
    }

    fn announce(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let mut floor = hand.floor.lock();
        addresses::announce_now(&floor.placed)?;
        let task = addresses::keep_announcing(hand.name.clone(), floor.placed.clone());
        if let Some(before) = floor.announcing.replace(tokio::spawn(task).abort_handle()) {
            before.abort();
        }
        Ok(())
    }

    fn tickle(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let instance = hand.body.blocking_lock().instance.as_ref().map(|(_, one)| Arc::clone(one));
        let Some(instance) = instance else { return Ok(()) };
        let waking = wake_clients(&hand.name, instance.connections_before())?;
        hand.floor.lock().waking = Some(waking);
        Ok(())
    }

    fn lower(self: &Arc<Self>, hand: &Hand) -> Result<(), String> {
        let mut floor = hand.floor.lock();
        floor.quiet();
        let state = self.member.state();
        let service = state.settings.services.get(&hand.name);
        let settings = service.map(|service| service.addresses.as_slice()).unwrap_or_default();
        let mut all = floor.addresses.clone();
        all.extend(settings.iter().map(|one| one.address()));
        let all: Vec<IpAddr> = all.into_iter().collect();
        let mut netlink = Netlink::new().map_err(|error| error.to_string())?;
        addresses::lower(&mut netlink, &all)?;
        (floor.placed, floor.addresses) = Default::default();
        self.note_raised(|raised| raised.retain(|one| !all.contains(one)))
    }

    fn demote(self: &Arc<Self>, hand: &Hand, epoch: LeaseEpoch) -> Result<(), String> {
        *hand.body.blocking_lock() = Body::default();
        let Ok((state, service)) = self.service(&hand.name) else { return Ok(()) };
        let pool = service.pool.as_ref().and_then(|pool| state.settings.pools.get(pool));
        let Some(pool) = pool else { return Ok(()) };
        let engine = self.pools.engine(pool)?;
        engine.demote(&self.claim(&hand.name, epoch)).map_err(|error| error.to_string())
    }

    fn note(&self) -> PathBuf {
        self.settings.server.run_dir.join(RAISED)
    }

    fn note_raised(&self, change: impl FnOnce(&mut BTreeSet<IpAddr>)) -> Result<(), String> {
        let mut raised = self.raised.lock();
        let before = raised.clone();
        change(&mut raised);
        if *raised == before {
            return Ok(());
        }
        if let Some(keeper) = &self.keeper {
            keeper.addresses(&raised);
        }
        let path = self.note();
        let text = serde_json::to_vec(&*raised).map_err(|error| error.to_string())?;
        let new = path.with_extension("new");
        let written = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path));
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    /// Takes down whatever addresses a run before this one has left.
    pub(crate) fn clear_up(&self) {
        let Ok(text) = std::fs::read(self.note()) else { return };
        let left: Vec<IpAddr> = serde_json::from_slice(&text).unwrap_or_default();
        let lowered = Netlink::new()
            .map_err(|error| error.to_string())
            .and_then(|mut netlink| addresses::lower(&mut netlink, &left));
        if let Err(error) = lowered {
            tracing::warn!(?left, error, "addresses of the last run may still be up");
        }
    }

    /// Puts the addresses up again that the keeper took down although the leases go on: the daemon
    /// was late, and nobody took its place.
    pub(crate) async fn stay_up(self: Arc<Self>) {
        let Some(keeper) = self.keeper.clone() else { return };
        loop {
            keeper.lowered().await;
            let hands: Vec<_> =
                self.services.lock().iter().map(|(id, hand)| (*id, hand.clone())).collect();
            for (service, hand) in hands {
                let instance = hand.body.lock().await.instance.as_ref().map(|(_, one)| one.clone());
                let Some(epoch) = instance.map(|instance| LeaseEpoch(instance.epoch())) else {
                    continue;
                };
                let is_up = !hand.floor.lock().placed.is_empty();
                let gate = self.gates.get(service, epoch);
                if is_up && gate.is_some_and(|gate| gate.may_send()) {
                    tracing::warn!(
                        service = hand.name,
                        "this daemon stood still, and its addresses were taken down; they are put \
                         up again"
                    );
                    let raised = Arc::clone(&self).on_thread(&hand, Self::raise).await;
                    let announced = Arc::clone(&self).on_thread(&hand, Self::announce).await;
                    if let Err(why) = raised.and(announced) {
                        tracing::error!(service = hand.name, "cannot: {why}");
                    }
                }
            }
        }
    }

    /// Exports of services that run here may be others now.
    pub(crate) fn reconfigure(self: &Arc<Self>, state: &Arc<State>) {
        let hands: Vec<_> = self.services.lock().values().cloned().collect();
        for hand in hands {
            let Ok(mut body) = hand.body.try_lock() else { continue };
            let Some(new) = state.settings.services.get(&hand.name) else { continue };
            let Some((old, instance)) = &mut body.instance else { continue };
            if old.addresses != new.addresses {
                tracing::warn!(
                    service = hand.name,
                    "its addresses were changed: they are in force once it has moved"
                );
            }
            if old.exports != new.exports {
                let settings = self.settings_of(state, &hand.name, new);
                let instance = Arc::clone(instance);
                tokio::task::spawn_blocking(move || {
                    for problem in instance.reload(&settings) {
                        tracing::error!(service = instance.name(), "{problem}");
                    }
                });
            }
            old.clone_from(new);
        }
    }

    async fn silence(&self, hand: &Hand) -> Result<(), String> {
        let mut body = hand.body.lock().await;
        body.taken = None;
        if let Some((service, instance)) = body.instance.take() {
            instance.stop(Manner::Silent).await;
            if let Some(keeper) = &self.keeper {
                keeper.drop_sockets(service.addresses.iter().map(|one| one.address()).collect());
            }
        }
        Ok(())
    }

    /// The node stops: the addresses go first, then the servers, without a word.
    pub(crate) async fn let_go(self: &Arc<Self>) {
        let hands: Vec<_> = self.services.lock().values().cloned().collect();
        for hand in hands {
            if let Err(error) = Arc::clone(self).on_thread(&hand, Self::lower).await {
                tracing::warn!(service = hand.name, error, "its addresses may still be up");
            }
            let _silent = self.silence(&hand).await;
        }
    }
}

impl Hand {
    async fn drain(&self) -> Result<(), String> {
        let instance = self.body.lock().await.instance.as_ref().map(|(_, one)| Arc::clone(one));
        if let Some(instance) = instance
            && !instance.drain(DRAIN).await
        {
            tracing::info!(service = self.name, "some requests go on at the successor");
        }
        Ok(())
    }
}
