//! Random clients with sessions against the reference: retransmissions, lost replies, requests
//! in any order, silent clients, and a server that dies at any point and loses what was not
//! durable.

use std::collections::BTreeMap;

use proptest::prelude::*;
use standfast_rpc::xdr::{List, Opaque};

use super::super::super::protocol::{
    ChannelAttributes, CreateSessionArgs, Outcome, SequenceArgs, SessionId, StateId, Status,
};
use super::reference::{Answer, BYTES, Cell, Id, Op, Reference};
use super::*;
use crate::locks::{Mode, Range};

const CLIENTS: usize = 3;
const SLOTS: u32 = 2;
const FILES: u8 = 2;

/// A small generator (SplitMix64): the seed is all that a failure needs to happen again.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.below(from.len().max(1) as u64) as usize;
        from.get(index).copied()
    }
}

/// A request: client, slot and sequence.
type Name = (usize, u32, u32);

#[derive(Default)]
struct ClientSlot {
    sequence: u32,
    waits_for: Option<Op>,
}

struct Client {
    id: u64,
    session: SessionId,
    slots: Vec<ClientSlot>,
    opens: Vec<Id>,
    locks: Vec<Id>,
    renewed: Instant,
}

/// What was done and is not durable yet.
struct Pending {
    record: Option<Bytes>,
    reply: Option<(Name, Answer)>,
    after: Reference,
}

struct World {
    random: Random,
    now: Instant,
    state: State,
    journal: Vec<Bytes>,
    pending: Vec<Pending>,
    reference: Reference,
    durable: Reference,
    clients: Vec<Client>,
    network: Vec<(Name, Op)>,
    answers: BTreeMap<Name, Answer>,
    /// What Append did, on a disk that survives.
    disk: Vec<Name>,
    acknowledged: Vec<Name>,
}

fn id_of(other: Id) -> StateId {
    StateId { seqid: 0, other }
}

fn encode(answer: &Answer) -> Kept {
    Opaque::from(match answer {
        Answer::State(id) => id.to_vec(),
        Answer::Done => Vec::new(),
        Answer::Failed(status) => (*status as u32).to_be_bytes().to_vec(),
    })
}

fn decode(reply: &[u8]) -> Answer {
    match reply.len() {
        0 => Answer::Done,
        4 => {
            let status = u32::from_be_bytes(reply.try_into().unwrap());
            Answer::Failed(Status::try_from(status).unwrap())
        }
        _ => Answer::State(reply.try_into().unwrap()),
    }
}

fn channel() -> ChannelAttributes {
    ChannelAttributes {
        header_pad: 0,
        max_request: 65_536,
        max_response: 65_536,
        max_response_cached: 4096,
        max_operations: 16,
        max_requests: SLOTS,
        rdma_ird: List(Vec::new()),
    }
}

pub(super) fn create_session(client: u64, sequence: u32) -> CreateSessionArgs {
    CreateSessionArgs {
        client,
        sequence,
        flags: 1,
        fore: channel(),
        back: channel(),
        callback_program: 0,
        callback_security: List(Vec::new()),
    }
}

/// A session for a new client.
pub(super) fn introduce(state: &mut State, name: &[u8], now: Instant) -> (u64, SessionId) {
    let principal = Principal::copy_from_slice(b"root");
    let exchange = ExchangeId { owner: name, verifier: [1; 8], flags: 0, principal: &principal };
    let exchanged = state.exchange_id(&exchange, now).unwrap();
    let request = create_session(exchanged.client, exchanged.sequence);
    match state.create_session(&request, 1, &principal, Connection(1), now) {
        Outcome::Ok(ok) => {
            state.reclaim_complete(exchanged.client, false, now).unwrap();
            (exchanged.client, ok.session)
        }
        Outcome::Fail(status) => panic!("{status:?}"),
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let mut state = empty();
        let client = |number| {
            let (id, session) = introduce(&mut state, &[number], now);
            let slots = (0..SLOTS).map(|_| ClientSlot::default()).collect();
            Client { id, session, slots, opens: Vec::new(), locks: Vec::new(), renewed: now }
        };
        let clients = (0..CLIENTS as u8).map(client).collect();
        let mut world = Self {
            random: Random(seed),
            now,
            state,
            journal: Vec::new(),
            pending: Vec::new(),
            reference: Reference::default(),
            durable: Reference::default(),
            clients,
            network: Vec::new(),
            answers: BTreeMap::new(),
            disk: Vec::new(),
            acknowledged: Vec::new(),
        };
        world.record(None);
        world.flush();
        world
    }

    /// Notes what a request did: its record and its reply become durable and leave together.
    fn record(&mut self, reply: Option<(Name, Answer)>) {
        let changes = self.state.take_effects().changes;
        let record = (!changes.is_empty()).then(|| Change::encode_all(changes));
        self.pending.push(Pending { record, reply, after: self.reference.clone() });
    }

    fn flush(&mut self) {
        for Pending { record, reply, after } in std::mem::take(&mut self.pending) {
            self.journal.extend(record);
            self.durable = after;
            // Some replies are lost on the way.
            if let Some((name, answer)) = reply.filter(|_| self.random.below(4) > 0) {
                self.answered(name, answer);
            }
        }
    }

    /// A reply reaches its client.
    fn answered(&mut self, name: Name, answer: Answer) {
        let client = &mut self.clients[name.0];
        let slot = &mut client.slots[name.1 as usize];
        if slot.sequence != name.2 {
            return;
        }
        let Some(op) = slot.waits_for.take() else { return };
        match (op, answer) {
            (Op::Append, _) => self.acknowledged.push(name),
            (Op::Open { .. }, Answer::State(id)) => client.opens.push(id),
            (Op::LockByOpen { .. }, Answer::State(id)) => client.locks.push(id),
            _ => {}
        }
    }

    /// The server dies: what is not durable yet may be lost, and connections are.
    fn crash(&mut self) {
        let kept = self.random.below(self.pending.len() as u64 + 1) as usize;
        for Pending { record, after, .. } in
            std::mem::take(&mut self.pending).into_iter().take(kept)
        {
            self.journal.extend(record);
            self.durable = after;
        }
        self.reference = self.durable.clone();
        self.network.clear();
        self.state = replay(&self.journal, self.now);
        self.state.resume(self.now);
        self.clients.iter_mut().for_each(|client| client.renewed = self.now);
        self.check_locks();
        // Only what its client still waits for is unfinished.
        for (name, intents) in self.state.unfinished() {
            let mut clients = self.clients.iter();
            let client = clients.find(|client| client.session == name.session).unwrap();
            let slot = &client.slots[name.slot as usize];
            let begun = (intents[0].sequence, &Some(Op::Append));
            assert_eq!((slot.sequence, &slot.waits_for), begun);
        }
    }

    fn wish(&mut self, client: usize) -> Op {
        let random = &mut self.random;
        let (opens, locks) = (&self.clients[client].opens, &self.clients[client].locks);
        let (open, lock) = (random.pick(opens), random.pick(locks));
        let owner = random.below(2) as u8;
        let first = random.below(BYTES);
        let last = first + random.below(BYTES - first);
        let exclusive = random.below(2) == 0;
        match (random.below(10), open, lock) {
            (0, ..) => Op::Nothing,
            (1, ..) => Op::Append,
            (2, Some(open), _) => Op::Close { open },
            (3..=5, Some(open), _) => Op::LockByOpen { open, owner, first, last, exclusive },
            (6..=7, _, Some(locks)) => Op::Lock { locks, first, last, exclusive },
            (8, _, Some(locks)) => Op::Unlock { locks, first, last },
            _ => Op::Open {
                file: random.below(u64::from(FILES)) as u8,
                owner,
                access: 1 + random.below(3) as u32,
                deny: random.below(12).saturating_sub(8) as u32,
            },
        }
    }

    fn issue(&mut self) {
        let client = self.random.below(CLIENTS as u64) as usize;
        let slot = self.random.below(u64::from(SLOTS)) as u32;
        let op = self.wish(client);
        let state = &mut self.clients[client].slots[slot as usize];
        let op = match &state.waits_for {
            Some(op) => op.clone(),
            None => {
                state.sequence += 1;
                state.waits_for = Some(op.clone());
                op
            }
        };
        let name = (client, slot, state.sequence);
        self.network.push((name, op.clone()));
        if self.random.below(4) == 0 {
            self.network.push((name, op));
        }
    }

    fn deliver(&mut self, name: Name, op: Op) {
        let (client, slot, sequence) = name;
        let Client { session, slots, .. } = &self.clients[client];
        let awaited = &slots[slot as usize];
        let is_awaited = awaited.sequence == sequence && awaited.waits_for.is_some();
        let slot_name = SlotName { session: *session, slot };
        let args = SequenceArgs {
            session: *session,
            sequence,
            slot,
            highest_slot: SLOTS - 1,
            cache_this: op != Op::Nothing,
        };
        let request =
            RequestId { fingerprint: u64::from(sequence) << 8, connection: Connection(1) };
        let verdict = match self.state.sequence(&args, request, self.now) {
            Ok(verdict) => verdict,
            Err(status) => return assert!(!is_awaited, "{status:?} for {name:?} {op:?}"),
        };
        self.clients[client].renewed = self.now;
        match verdict {
            Sequenced::New(_) if op == Op::Append => self.append(name, slot_name),
            Sequenced::New(_) => {
                let given = self.run(client, &op);
                let (now, reference) = (self.now, &mut self.reference);
                let is_expired = |other: usize| now - self.clients[other].renewed > LEASE;
                let expected = reference.run(client, &op, &given, is_expired);
                assert_eq!(given, expected, "{name:?} {op:?}");
                self.finish(name, slot_name, given);
            }
            Sequenced::Unfinished(_, intents) => {
                assert_eq!(&intents[0].intent[..], b"append");
                self.append_once(name, slot_name);
            }
            Sequenced::Replay(reply) => {
                let answer = decode(&reply);
                assert_eq!(self.answers.get(&name), Some(&answer), "{name:?} {op:?}");
                self.record(Some((name, answer)));
            }
            Sequenced::Uncached(_) => {
                assert_eq!(op, Op::Nothing);
                self.record(Some((name, Answer::Done)));
            }
        }
    }

    fn finish(&mut self, name: Name, slot: SlotName, answer: Answer) {
        self.answers.insert(name, answer);
        let changed = !self.state.effects.changes.is_empty();
        self.state.finish(slot, Some(encode(&answer)), changed, self.now);
        self.record(Some((name, answer)));
    }

    /// An operation that must happen once: intent, operation, result, and a crash anywhere.
    fn append(&mut self, name: Name, slot: SlotName) {
        assert!(!self.disk.contains(&name), "{name:?} is not new");
        self.state.intend(slot, Opaque::copy_from_slice(b"append"), self.now);
        self.record(None);
        if self.random.below(4) == 0 {
            return self.crash();
        }
        self.flush();
        self.append_once(name, slot);
    }

    fn append_once(&mut self, name: Name, slot: SlotName) {
        if !self.disk.contains(&name) {
            self.disk.push(name);
        }
        if self.random.below(4) == 0 {
            return self.crash();
        }
        self.finish(name, slot, Answer::Done);
    }

    fn run(&mut self, index: usize, op: &Op) -> Answer {
        let (state, now) = (&mut self.state, self.now);
        let client = self.clients[index].id;
        let stateid = |result: Result<StateId, Status>| {
            result.map_or_else(Answer::Failed, |id| Answer::State(id.other))
        };
        let mut lock = |by, first, last, exclusive| {
            let range = Range::between(first, last).unwrap();
            let mode = if exclusive { Mode::Exclusive } else { Mode::Shared };
            let request =
                LockRequest { client: Some(client), by, range, mode, reclaim: false, wait: true };
            stateid(state.lock(&request, now).map_err(|refusal| match refusal {
                LockRefusal::Denied(_) => Status::Denied,
                LockRefusal::Status(status) => status,
            }))
        };
        match *op {
            Op::Nothing | Op::Append => Answer::Done,
            Op::LockByOpen { open, owner, first, last, exclusive } => {
                let by = LockBy::Open { open: id_of(open), owner: &[owner] };
                lock(by, first, last, exclusive)
            }
            Op::Lock { locks, first, last, exclusive } => {
                lock(LockBy::Locks(id_of(locks)), first, last, exclusive)
            }
            Op::Open { file: number, owner, access, deny } => {
                let file = file(number);
                let owner = &[owner];
                let request = OpenRequest { client, owner, file, access, deny, reclaim: false };
                stateid(state.open(&request, now).map(|opened| opened.stateid))
            }
            Op::Close { open } => {
                let closed = state.close(Some(client), &id_of(open), now);
                closed.map_or_else(Answer::Failed, |_| Answer::Done)
            }
            Op::Unlock { locks, first, last } => {
                let range = Range::between(first, last).unwrap();
                stateid(state.unlock(Some(client), &id_of(locks), range, now))
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(20) {
            0..=6 => self.issue(),
            7..=13 if !self.network.is_empty() => {
                let index = self.random.below(self.network.len() as u64) as usize;
                let (name, op) = self.network.swap_remove(index);
                self.deliver(name, op);
            }
            14..=16 => self.flush(),
            17 => self.crash(),
            18 => {
                self.now += Duration::from_secs(self.random.below(70));
                self.state.tick(self.now);
                self.record(None);
            }
            _ if self.pending.is_empty() => {
                self.journal = vec![Change::encode_all(self.state.snapshot())];
            }
            _ => {}
        }
    }

    /// The lock table holds what the reference holds.
    fn check_locks(&self) {
        for number in 0..FILES {
            let held = self.state.locks().held(&file(number));
            for byte in 0..BYTES {
                let holders =
                    held.iter().filter(|it| it.range.overlaps(Range::between(byte, byte).unwrap()));
                let cell: Cell = holders
                    .map(|held| {
                        let owner = &self.state.owners[&held.owner.owner].record.name;
                        let client = held.owner.client;
                        let index = self.clients.iter().position(|it| it.id == client).unwrap();
                        ((index, owner[0]), held.mode == Mode::Exclusive)
                    })
                    .collect();
                let expected = self.reference.cells.get(&(number, byte));
                assert_eq!(cell, expected.cloned().unwrap_or_default());
            }
        }
    }

    /// Every request is answered in the end, and what must happen once has happened once.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let waiting =
                (0..CLIENTS).flat_map(|client| (0..SLOTS).map(move |slot| (client, slot)));
            let waiting: Vec<_> = waiting
                .filter_map(|(client, slot)| {
                    let state = &self.clients[client].slots[slot as usize];
                    Some(((client, slot, state.sequence), state.waits_for.clone()?))
                })
                .collect();
            if waiting.is_empty() {
                break;
            }
            waiting.into_iter().for_each(|(name, op)| self.deliver(name, op));
            self.flush();
        }
        assert!(self.clients.iter().flat_map(|it| &it.slots).all(|it| it.waits_for.is_none()));
        let mut once = self.disk.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), self.disk.len());
        assert!(self.acknowledged.iter().all(|name| once.binary_search(name).is_ok()));
        self.check_locks();
        assert_rebuilt(&self.state, &self.journal, self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn clients_see_no_restart(seed in any::<u64>()) {
        let mut world = World::new(seed);
        (0..150).for_each(|_| world.step());
        world.settle();
    }
}
