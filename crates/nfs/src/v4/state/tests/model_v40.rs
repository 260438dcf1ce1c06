//! Random clients of minor version 0 against the same reference: owners with seqids, lost replies
//! and a server that dies.

use proptest::prelude::*;
use standfast_rpc::xdr::Opaque;

use super::super::super::protocol::{
    CallbackClient, Detailed, NetAddress, Outcome, SetClientIdArgs, StateId, Status,
};
use super::model::Random;
use super::reference::{Answer, BYTES, Op, Reference};
use super::*;
use crate::locks::{Mode, Range};

const CLIENTS: u8 = 2;
const OWNERS: u8 = 2;

/// What an owner asks, as it is sent again and again until it is answered.
#[derive(Clone, Debug)]
enum Ask {
    Confirm(StateId),
    /// The stateid says what the operation's own cannot: the seqid.
    Run(Op, StateId),
}

/// A request: seqids of the open owner and of the lock owner.
type Sent = (Ask, u32, u32);

/// An owner of opens and locks of one file, that asks one thing at a time.
#[derive(Default)]
struct Lane {
    client: usize,
    owner: u8,
    open_seqid: u32,
    lock_seqid: u32,
    must_confirm: bool,
    open: Option<StateId>,
    locks: Option<StateId>,
    waits_for: Option<Sent>,
    /// What this run of the server did, and the client does not know: it must be said again.
    unheard: Option<Reply>,
}

/// An answer, with the seqid of the state and whether the owner is to be confirmed.
type Reply = (Answer, u32, bool);

struct World {
    random: Random,
    now: Instant,
    state: State,
    journal: Vec<Bytes>,
    pending: Vec<(Option<Bytes>, Reference)>,
    reference: Reference,
    durable: Reference,
    lanes: Vec<Lane>,
    clients: Vec<(u64, Instant)>,
}

fn encode((answer, seqid, confirm): Reply) -> Kept {
    let other = match answer {
        Answer::State(id) => id.to_vec(),
        Answer::Done => Vec::new(),
        Answer::Failed(status) => (status as u32).to_be_bytes().to_vec(),
    };
    Opaque::from([&seqid.to_be_bytes()[..], &[u8::from(confirm)], &other].concat())
}

fn decode(reply: &[u8]) -> Reply {
    let (head, other) = reply.split_at(5);
    let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
    let answer = match other.len() {
        0 => Answer::Done,
        4 => Answer::Failed(Status::try_from(number(other)).unwrap()),
        _ => Answer::State(other.try_into().unwrap()),
    };
    (answer, number(&head[..4]), head[4] == 1)
}

fn introduce(state: &mut State, number: u8, now: Instant) -> u64 {
    let address = NetAddress { netid: Opaque::default(), address: Opaque::default() };
    let request = SetClientIdArgs {
        verifier: [1; 8],
        id: Opaque::from(vec![number]),
        callback: CallbackClient { program: 1, address },
        callback_ident: 1,
    };
    let principal = Principal::default();
    let Detailed::Plain(Outcome::Ok(ok)) = state.set_client_id(&request, &principal, now) else {
        panic!("refused")
    };
    state.confirm_client_id(ok.client, ok.confirm, &principal, now).unwrap();
    ok.client
}

impl World {
    fn new(seed: u64) -> Self {
        let (now, mut state) = (Instant::now(), empty());
        let clients = (0..CLIENTS).map(|number| (introduce(&mut state, number, now), now));
        let clients = clients.collect();
        let lanes = (0..CLIENTS).flat_map(|client| (0..OWNERS).map(move |owner| (client, owner)));
        let lane = |(client, owner)| Lane { client: usize::from(client), owner, ..Lane::default() };
        let mut world = Self {
            random: Random(seed),
            now,
            state,
            journal: Vec::new(),
            pending: Vec::new(),
            reference: Reference::default(),
            durable: Reference::default(),
            lanes: lanes.map(lane).collect(),
            clients,
        };
        world.record();
        world.keep(usize::MAX);
        world
    }

    fn record(&mut self) {
        let changes = self.state.take_effects().changes;
        let record = (!changes.is_empty()).then(|| Change::encode_all(changes));
        self.pending.push((record, self.reference.clone()));
    }

    /// The first of what is pending becomes durable.
    fn keep(&mut self, count: usize) {
        for (record, after) in std::mem::take(&mut self.pending).into_iter().take(count) {
            self.journal.extend(record);
            self.durable = after;
        }
    }

    fn crash(&mut self) {
        let kept = self.random.below(self.pending.len() as u64 + 1) as usize;
        self.keep(kept);
        self.reference = self.durable.clone();
        self.state = replay(&self.journal, self.now);
        self.state.resume(self.now);
        self.clients.iter_mut().for_each(|client| client.1 = self.now);
        self.lanes.iter_mut().for_each(|lane| lane.unheard = None);
    }

    fn wish(&mut self, index: usize) -> Ask {
        let (random, lane) = (&mut self.random, &self.lanes[index]);
        let first = random.below(BYTES);
        let last = first + random.below(BYTES - first);
        let exclusive = random.below(2) == 0;
        let owner = lane.owner;
        match (random.below(6), lane.open, lane.locks) {
            (_, Some(open), _) if lane.must_confirm => Ask::Confirm(open),
            (0, Some(open), _) => Ask::Run(Op::Close { open: open.other }, open),
            (1..=2, Some(open), None) => {
                let open_other = open.other;
                let op = Op::LockByOpen { open: open_other, owner, first, last, exclusive };
                Ask::Run(op, open)
            }
            (1..=3, _, Some(id)) => {
                Ask::Run(Op::Lock { locks: id.other, first, last, exclusive }, id)
            }
            (4, _, Some(id)) => Ask::Run(Op::Unlock { locks: id.other, first, last }, id),
            _ => {
                let access = 1 + random.below(3) as u32;
                let deny = random.below(9).saturating_sub(6) as u32;
                Ask::Run(Op::Open { file: 0, owner, access, deny }, StateId::default())
            }
        }
    }

    /// What the server makes of a request.
    fn serve(&mut self, index: usize, (ask, open_seqid, lock_seqid): &Sent) -> Reply {
        let (now, lane) = (self.now, &self.lanes[index]);
        let (client, owner) = (self.clients[lane.client].0, lane.owner);
        let (id, seqid) = match ask {
            Ask::Run(Op::Lock { .. } | Op::Unlock { .. }, id) => (*id, *lock_seqid),
            Ask::Run(_, id) | Ask::Confirm(id) => (*id, *open_seqid),
        };
        let fingerprint = u64::from(seqid);
        let request = match ask {
            Ask::Run(Op::Open { .. }, _) => {
                self.state.open_owner_request(client, &[owner], seqid, fingerprint, now)
            }
            _ => self.state.state_owner_request(&id, seqid, fingerprint, now),
        };
        let asker = match request {
            Ok(OwnerRequest::New(asker)) => asker,
            Ok(OwnerRequest::Replay(reply)) => {
                self.clients[lane.client].1 = now;
                return decode(&reply);
            }
            Err(status) => {
                let given = Answer::Failed(status);
                self.check(index, ask, &given);
                return (given, 0, false);
            }
        };
        self.clients[lane.client].1 = now;
        let reply = self.run(client, ask, id);
        self.check(index, ask, &reply.0);
        let status = match reply.0 {
            Answer::Failed(status) => status,
            _ => Status::Ok,
        };
        let mut owners = vec![(asker, seqid)];
        if let Ask::Run(Op::LockByOpen { .. }, _) = ask {
            let locker = self.state.find_owner(client, OwnerKind::Lock, &[owner]);
            owners.extend(locker.map(|locker| (locker, *lock_seqid)));
        }
        for (owner, seqid) in owners {
            let reply = encode(reply);
            let reply = OwnerReply { owner, seqid, fingerprint: seqid.into(), reply };
            self.state.owner_replied(reply, status, now);
        }
        reply
    }

    fn check(&mut self, index: usize, ask: &Ask, given: &Answer) {
        let (now, clients) = (self.now, &self.clients);
        let is_expired = |client: usize| now - clients[client].1 > LEASE;
        let Ask::Run(op, _) = ask else { return };
        let client = self.lanes[index].client;
        let expected = self.reference.run(client, op, given, is_expired);
        assert_eq!(*given, expected, "{op:?}");
    }

    fn run(&mut self, client: u64, ask: &Ask, id: StateId) -> Reply {
        let (now, state) = (self.now, &mut self.state);
        let mut lock = |by, first, last, exclusive| {
            let range = Range::between(first, last).unwrap();
            let mode = if exclusive { Mode::Exclusive } else { Mode::Shared };
            let request =
                LockRequest { client: None, by, range, mode, reclaim: false, wait: false };
            state.lock(&request, now).map_err(|refusal| match refusal {
                LockRefusal::Denied(_) => Status::Denied,
                LockRefusal::Status(status) => status,
            })
        };
        let mut confirm = false;
        let result = match *ask {
            Ask::Confirm(id) => state.confirm_open(&id, now),
            Ask::Run(Op::LockByOpen { owner, first, last, exclusive, .. }, open) => {
                lock(LockBy::Open { open, owner: &[owner] }, first, last, exclusive)
            }
            Ask::Run(Op::Lock { first, last, exclusive, .. }, _) => {
                lock(LockBy::Locks(id), first, last, exclusive)
            }
            Ask::Run(Op::Unlock { first, last, .. }, _) => {
                state.unlock(None, &id, Range::between(first, last).unwrap(), now)
            }
            Ask::Run(Op::Close { .. }, _) => {
                let closed = state.close(None, &id, now);
                let answer = closed.map_or_else(Answer::Failed, |_| Answer::Done);
                return (answer, 0, false);
            }
            Ask::Run(Op::Open { file: number, owner, access, deny }, _) => {
                let (file, owner) = (file(number), &[owner]);
                let request = OpenRequest { client, owner, file, access, deny, reclaim: false };
                let opened = state.open(&request, now);
                confirm = opened.is_ok_and(|opened| opened.confirm);
                opened.map(|opened| opened.stateid)
            }
            Ask::Run(Op::Nothing | Op::Append, _) => return (Answer::Done, 0, false),
        };
        match result {
            Ok(id) => (Answer::State(id.other), id.seqid, confirm),
            Err(status) => (Answer::Failed(status), 0, confirm),
        }
    }

    /// An owner asks, or asks again; its reply may be lost.
    fn ask(&mut self) {
        let index = self.random.below(self.lanes.len() as u64) as usize;
        let sent = match self.lanes[index].waits_for.clone() {
            Some(sent) => sent,
            None => {
                let ask = self.wish(index);
                (ask, self.lanes[index].open_seqid + 1, self.lanes[index].lock_seqid + 1)
            }
        };
        self.lanes[index].waits_for = Some(sent.clone());
        let reply = self.serve(index, &sent);
        self.record();
        let unheard = self.lanes[index].unheard.replace(reply);
        if let Some(first) = unheard.filter(|first| !matches!(first.0, Answer::Failed(_))) {
            // Unless the client was silent for too long, and lost it.
            let is_lost = reply.0 == Answer::Failed(Status::Expired);
            assert!(reply == first || is_lost, "{reply:?} in place of {first:?} for {sent:?}");
        }
        match self.random.below(4) {
            0 => {}
            1 => self.crash(),
            _ => {
                self.keep(usize::MAX);
                self.lanes[index].answered(&sent, reply);
            }
        }
    }

    fn step(&mut self) {
        match self.random.below(12) {
            0 => self.now += Duration::from_secs(self.random.below(70)),
            // Owners may be forgotten while none of them waits for an answer.
            1 if self.lanes.iter().all(|lane| lane.waits_for.is_none()) => {
                self.state.tick(self.now);
                self.record();
            }
            2 if self.pending.is_empty() => {
                self.journal = vec![Change::encode_all(self.state.snapshot())];
            }
            _ => self.ask(),
        }
    }
}

impl Lane {
    fn answered(&mut self, (ask, open_seqid, lock_seqid): &Sent, reply: Reply) {
        let (answer, seqid, confirm) = reply;
        (self.waits_for, self.unheard) = (None, None);
        let state = match answer {
            Answer::State(other) => Some(StateId { seqid, other }),
            _ => None,
        };
        if let Answer::Failed(Status::Expired | Status::BadStateId) = answer {
            // What it held is gone, and the seqids stay.
            match ask {
                Ask::Run(Op::Lock { .. } | Op::Unlock { .. }, _) => self.locks = None,
                _ => (self.open, self.locks) = (None, None),
            }
            return;
        }
        match ask {
            Ask::Run(Op::Lock { .. } | Op::Unlock { .. }, _) => self.lock_seqid = *lock_seqid,
            _ => self.open_seqid = *open_seqid,
        }
        match ask {
            Ask::Confirm(_) => (self.open, self.must_confirm) = (state.or(self.open), false),
            Ask::Run(Op::Open { .. }, _) if state.is_some() => {
                if self.open.map(|open| open.other) != state.map(|state| state.other) {
                    self.locks = None;
                }
                (self.open, self.must_confirm) = (state, confirm);
            }
            Ask::Run(Op::Close { .. }, _) => (self.open, self.locks) = (None, None),
            Ask::Run(Op::LockByOpen { .. }, _) if state.is_some() => {
                (self.locks, self.lock_seqid) = (state, *lock_seqid);
            }
            Ask::Run(_, _) if state.is_some() => self.locks = state,
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn owners_see_no_restart(seed in any::<u64>()) {
        let mut world = World::new(seed);
        (0..120).for_each(|_| world.step());
        assert_rebuilt(&replay(&world.journal, world.now), &world.journal, world.now);
    }
}
