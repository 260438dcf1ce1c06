//! The cases of the specifications, one by one.

use proptest::prelude::*;
use standfast_rpc::xdr::{List, Opaque, from_bytes, to_bytes};

use super::super::super::protocol::{
    BackchannelCtlArgs, CallbackClient, CallbackSecurity, ChannelWanted, Detailed, NetAddress,
    Outcome, SequenceArgs, SetClientIdArgs, StateId, Status, Verifier, exchange_id_flags,
    sequence_flags,
};
use super::model::{create_session, introduce};
use super::*;
use crate::locks::{Mode, Range};

const SECOND: Duration = Duration::from_secs(1);

/// A state with the journal of all that happened to it.
struct Scene {
    state: State,
    journal: Vec<Bytes>,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { state: empty(), journal: Vec::new(), now: Instant::now() }
    }

    fn keep(&mut self) {
        self.journal.push(Change::encode_all(self.state.take_effects().changes));
        assert_rebuilt(&self.state, &self.journal, self.now);
    }

    fn restart(&mut self) {
        self.keep();
        self.state = replay(&self.journal, self.now);
        self.state.resume(self.now);
    }

    fn exchange(&mut self, verifier: u8, flags: u32, who: &[u8]) -> Result<Exchanged, Status> {
        let principal = &Principal::copy_from_slice(who);
        let verifier = [verifier; 8];
        let request = ExchangeId { owner: b"client", verifier, flags, principal };
        let result = self.state.exchange_id(&request, self.now);
        self.keep();
        result
    }

    fn through(&mut self, client: u64) {
        self.state.reclaim_complete(client, false, self.now).unwrap();
        self.keep();
    }

    fn confirm(&mut self, client: &Exchanged, who: &[u8]) -> Outcome<SessionId> {
        let request = create_session(client.client, client.sequence);
        let who = Principal::copy_from_slice(who);
        let outcome = self.state.create_session(&request, 1, &who, Connection(1), self.now);
        self.keep();
        match outcome {
            Outcome::Ok(ok) => Outcome::Ok(ok.session),
            Outcome::Fail(status) => Outcome::Fail(status),
        }
    }

    fn open(
        &mut self,
        client: u64,
        owner: &[u8],
        access: u32,
        deny: u32,
    ) -> Result<Opened, Status> {
        let file = file(1);
        let request = OpenRequest { client, owner, file, access, deny, reclaim: false };
        let result = self.state.open(&request, self.now);
        self.keep();
        result
    }

    fn lock(
        &mut self,
        client: Option<u64>,
        open: StateId,
        range: Range,
        mode: Mode,
    ) -> Result<StateId, LockRefusal> {
        let by = LockBy::Open { open, owner: b"locker" };
        let request = LockRequest { client, by, range, mode, reclaim: false, wait: true };
        let result = self.state.lock(&request, self.now);
        self.keep();
        result
    }

    fn sequence(&mut self, session: SessionId, sequence: u32) -> Result<Sequenced, Status> {
        self.sequence_with(session, (0, sequence, 0), true, u64::from(sequence))
    }

    fn sequence_with(
        &mut self,
        session: SessionId,
        (slot, sequence, highest_slot): (u32, u32, u32),
        cache_this: bool,
        fingerprint: u64,
    ) -> Result<Sequenced, Status> {
        let args = SequenceArgs { session, sequence, slot, highest_slot, cache_this };
        let id = RequestId { fingerprint, connection: Connection(1) };
        let result = self.state.sequence(&args, id, self.now);
        self.keep();
        result
    }

    fn finish(&mut self, session: SessionId, reply: &[u8], changed: bool) {
        let reply = Opaque::copy_from_slice(reply);
        self.state.finish(SlotName { session, slot: 0 }, Some(reply), changed, self.now);
        self.keep();
    }

    fn flags(&mut self, session: SessionId, sequence: u32) -> u32 {
        let Ok(Sequenced::New(ok)) = self.sequence(session, sequence) else { panic!("not new") };
        self.finish(session, b"", false);
        ok.flags
    }

    fn set_client_id(&mut self, verifier: u8, who: &[u8]) -> Result<(u64, Verifier), Status> {
        let address = NetAddress { netid: Opaque::default(), address: Opaque::default() };
        let request = SetClientIdArgs {
            verifier: [verifier; 8],
            id: Opaque::copy_from_slice(b"client"),
            callback: CallbackClient { program: 1, address },
            callback_ident: 2,
        };
        let who = Principal::copy_from_slice(who);
        let outcome = self.state.set_client_id(&request, &who, self.now);
        self.keep();
        match outcome {
            Detailed::Plain(Outcome::Ok(ok)) => Ok((ok.client, ok.confirm)),
            other => Err(other.status()),
        }
    }

    fn confirm_v40(&mut self, client: (u64, Verifier), who: &[u8]) -> Result<(), Status> {
        let who = Principal::copy_from_slice(who);
        let result = self.state.confirm_client_id(client.0, client.1, &who, self.now);
        self.keep();
        result
    }

    fn reply(&mut self, owner: u64, seqid: u32, reply: &[u8]) {
        let reply = Opaque::copy_from_slice(reply);
        let reply = OwnerReply { owner, seqid, fingerprint: seqid.into(), reply };
        self.state.owner_replied(reply, Status::Ok, self.now);
        self.keep();
    }
}

#[test]
fn exchange_id_knows_its_nine_cases() {
    let mut scene = Scene::new();
    let update = exchange_id_flags::UPDATE_CONFIRMED;
    assert_eq!(scene.exchange(1, 1 << 20, b"root"), Err(Status::Inval));
    assert_eq!(scene.exchange(1, update, b"root"), Err(Status::NoEnt));
    let first = scene.exchange(1, 0, b"root").unwrap();
    assert!(!first.confirmed);
    // Never confirmed: replaced.
    let client = scene.exchange(1, 0, b"root").unwrap();
    assert_ne!(client.client, first.client);
    assert_eq!(scene.confirm(&first, b"root"), Outcome::Fail(Status::StaleClientId));
    assert_eq!(scene.confirm(&client, b"other"), Outcome::Fail(Status::ClidInUse));
    assert!(matches!(scene.confirm(&client, b"root"), Outcome::Ok(_)));
    // Confirmed: the same again, updates.
    let again = scene.exchange(1, 0, b"root").unwrap();
    assert_eq!((again.client, again.sequence, again.confirmed), (client.client, 2, true));
    assert_eq!(scene.exchange(1, update, b"root"), Ok(again));
    assert_eq!(scene.exchange(2, update, b"root"), Err(Status::NotSame));
    assert_eq!(scene.exchange(1, update, b"other"), Err(Status::Perm));
    // Nothing is opened before the client has said that it reclaims nothing.
    assert_eq!(scene.open(client.client, b"owner", 1, 0).err(), Some(Status::Grace));
    scene.through(client.client);
    // Another principal: only once nothing is held, or the lease is over.
    let open = scene.open(client.client, b"owner", 1, 0).unwrap();
    assert_eq!(scene.exchange(1, 0, b"other"), Err(Status::ClidInUse));
    // The client restarts: what it had stays until the new one is confirmed.
    let restarted = scene.exchange(2, 0, b"root").unwrap();
    assert!(!restarted.confirmed && restarted.client != client.client);
    assert_eq!(scene.state.test_state(client.client, &open.stateid), Status::Ok);
    assert!(matches!(scene.confirm(&restarted, b"root"), Outcome::Ok(_)));
    assert_eq!(scene.state.test_state(client.client, &open.stateid), Status::BadStateId);
    assert_eq!(scene.open(client.client, b"owner", 1, 0).err(), Some(Status::StaleClientId));
    scene.through(restarted.client);
    scene.open(restarted.client, b"owner", 1, 0).unwrap();
    scene.now += LEASE + SECOND;
    assert!(scene.exchange(1, 0, b"other").is_ok());
}

#[test]
fn set_client_id_knows_its_cases() {
    let mut scene = Scene::new();
    let first = scene.set_client_id(1, b"root").unwrap();
    let second = scene.set_client_id(1, b"root").unwrap();
    assert_ne!(first.0, second.0);
    assert_eq!(scene.confirm_v40(first, b"root"), Err(Status::StaleClientId));
    assert_eq!(scene.confirm_v40(second, b"other"), Err(Status::ClidInUse));
    assert_eq!(scene.confirm_v40((second.0, [9; 8]), b"root"), Err(Status::StaleClientId));
    assert_eq!(scene.state.renew_lease(second.0, scene.now), Err(Status::StaleClientId));
    // Confirmed, and confirmed again.
    assert_eq!(scene.confirm_v40(second, b"root"), Ok(()));
    assert_eq!(scene.confirm_v40(second, b"root"), Ok(()));
    assert_eq!(scene.state.renew_lease(second.0, scene.now), Ok(()));
    // Another callback: the same client.
    let updated = scene.set_client_id(1, b"root").unwrap();
    assert_eq!(updated.0, second.0);
    assert_ne!(updated.1, second.1);
    scene.restart();
    assert_eq!(scene.confirm_v40(updated, b"root"), Ok(()));
    assert_eq!(scene.confirm_v40(second, b"root"), Err(Status::StaleClientId));
    // The client restarts.
    let OwnerRequest::New(owner) =
        scene.state.open_owner_request(second.0, b"owner", 1, 1, scene.now).unwrap()
    else {
        panic!("not new")
    };
    scene.open(second.0, b"owner", 1, 0).unwrap();
    scene.reply(owner, 1, b"open");
    assert_eq!(scene.set_client_id(1, b"other"), Err(Status::ClidInUse));
    let restarted = scene.set_client_id(2, b"root").unwrap();
    assert_eq!(scene.state.renew_lease(second.0, scene.now), Ok(()));
    assert_eq!(scene.confirm_v40(restarted, b"root"), Ok(()));
    assert_eq!(scene.state.renew_lease(second.0, scene.now), Err(Status::StaleClientId));
}

#[test]
fn create_session_answers_retransmissions() {
    let mut scene = Scene::new();
    let client = scene.exchange(1, 0, b"root").unwrap();
    let session = scene.confirm(&client, b"root");
    scene.restart();
    assert_eq!(scene.confirm(&client, b"root"), session);
    assert_eq!(scene.state.sessions_of(client.client).count(), 1);
    let later = Exchanged { sequence: client.sequence + 2, ..client };
    assert_eq!(scene.confirm(&later, b"root"), Outcome::Fail(Status::SeqMisordered));
    assert_eq!(scene.state.destroy_client(client.client, scene.now), Err(Status::ClientIdBusy));
    let Outcome::Ok(session) = session else { panic!("no session") };
    assert_eq!(scene.state.destroy_session(&session, None, scene.now), Ok(()));
    assert_eq!(scene.state.destroy_session(&session, None, scene.now), Err(Status::BadSession));
    assert_eq!(scene.state.reclaim_complete(client.client, false, scene.now), Ok(()));
    scene.restart();
    let again = scene.state.reclaim_complete(client.client, false, scene.now);
    assert_eq!(again, Err(Status::CompleteAlready));
    assert_eq!(scene.state.destroy_client(client.client, scene.now), Ok(()));
    scene.keep();
    assert_eq!(scene.state.snapshot().len(), 1);
}

#[test]
fn a_slot_answers_each_request_once() {
    let mut scene = Scene::new();
    let (_, session) = introduce(&mut scene.state, b"client", scene.now);
    assert_eq!(scene.sequence([0; 16], 1), Err(Status::BadSession));
    assert_eq!(scene.sequence_with(session, (2, 1, 0), true, 1), Err(Status::BadSlot));
    assert_eq!(scene.sequence_with(session, (0, 1, 2), true, 1), Err(Status::BadHighSlot));
    for sequence in [0, 2] {
        assert_eq!(scene.sequence(session, sequence), Err(Status::SeqMisordered));
    }
    assert!(matches!(scene.sequence(session, 1), Ok(Sequenced::New(_))));
    assert_eq!(scene.sequence(session, 1), Err(Status::Delay));
    assert_eq!(scene.sequence(session, 2), Err(Status::SeqMisordered));
    scene.finish(session, b"reply", true);
    let reply = || Sequenced::Replay(Opaque::copy_from_slice(b"reply"));
    assert_eq!(scene.sequence(session, 1), Ok(reply()));
    let other = scene.sequence_with(session, (0, 1, 0), true, 99);
    assert_eq!(other, Err(Status::SeqFalseRetry));
    scene.restart();
    assert_eq!(scene.sequence(session, 1), Ok(reply()));
    // Requests that changed nothing have left no trace, but the sequence goes on.
    for sequence in 2..5 {
        let read = scene.sequence_with(session, (0, sequence, 0), false, 0);
        assert!(matches!(read, Ok(Sequenced::New(_))));
        scene.finish(session, b"data", false);
        let again = scene.sequence_with(session, (0, sequence, 0), false, 0);
        assert!(matches!(again, Ok(Sequenced::Uncached(_))));
    }
    scene.restart();
    assert!(matches!(scene.sequence(session, 5), Ok(Sequenced::New(_))));
    assert_eq!(scene.sequence(session, 4), Err(Status::SeqMisordered));
}

#[test]
fn an_intent_without_a_result_is_found_again() {
    let mut scene = Scene::new();
    let (_, session) = introduce(&mut scene.state, b"client", scene.now);
    assert!(matches!(scene.sequence(session, 1), Ok(Sequenced::New(_))));
    let slot = SlotName { session, slot: 0 };
    scene.state.intend(slot, Opaque::copy_from_slice(b"remove x"), scene.now);
    scene.restart();
    assert_eq!(scene.state.unfinished().count(), 1);
    let Ok(Sequenced::Unfinished(_, intents)) = scene.sequence(session, 1) else {
        panic!("not unfinished")
    };
    assert_eq!(&intents[0].intent[..], b"remove x");
    scene.finish(session, b"removed", false);
    scene.restart();
    assert_eq!(scene.state.unfinished().count(), 0);
    let replay = Sequenced::Replay(Opaque::copy_from_slice(b"removed"));
    assert_eq!(scene.sequence(session, 1), Ok(replay));
}

#[test]
fn slot_tables_grow_and_shrink() {
    let mut scene = Scene::new();
    let (_, session) = introduce(&mut scene.state, b"client", scene.now);
    scene.state.resize_slots(&session, 4, scene.now).unwrap();
    let highest = |sequenced| match sequenced {
        Ok(Sequenced::New(ok)) => (ok.highest_slot, ok.target_highest_slot),
        other => panic!("{other:?}"),
    };
    assert_eq!(highest(scene.sequence_with(session, (3, 1, 3), true, 1)), (3, 3));
    scene.state.resize_slots(&session, 1, scene.now).unwrap();
    // The slot is busy, then still in the client's mind.
    assert_eq!(highest(scene.sequence_with(session, (0, 1, 0), true, 1)), (3, 0));
    scene.finish(session, b"", false);
    let slot = SlotName { session, slot: 3 };
    scene.state.finish(slot, Some(Opaque::default()), false, scene.now);
    assert_eq!(highest(scene.sequence_with(session, (0, 2, 3), true, 2)), (3, 0));
    scene.finish(session, b"", false);
    assert_eq!(highest(scene.sequence_with(session, (0, 3, 0), true, 3)), (0, 0));
    assert_eq!(scene.sequence_with(session, (3, 2, 3), true, 2), Err(Status::BadSlot));
    scene.restart();
    assert_eq!(scene.sequence_with(session, (3, 2, 3), true, 2), Err(Status::BadSlot));
}

#[test]
fn connections_and_the_callback_path() {
    let mut scene = Scene::new();
    let (_, session) = introduce(&mut scene.state, b"client", scene.now);
    assert_eq!(scene.flags(session, 1), 0);
    let bind =
        scene.state.bind_connection(&session, ChannelWanted::BackOrBoth, Connection(2), scene.now);
    assert!(bind.is_ok());
    scene.keep();
    assert!(scene.state.back_channel(&session).eq([Connection(2)]));
    assert_eq!(scene.flags(session, 2), 0);
    scene.state.connection_closed(Connection(2));
    let down = sequence_flags::CALLBACK_PATH_DOWN | sequence_flags::CALLBACK_PATH_DOWN_SESSION;
    assert_eq!(scene.flags(session, 3), down);
    scene.state.back_channel_fault(&session);
    assert_eq!(scene.flags(session, 4), down | sequence_flags::BACKCHANNEL_FAULT);
    let callback_security = List(vec![CallbackSecurity::None]);
    let control = BackchannelCtlArgs { callback_program: 9, callback_security };
    scene.state.set_callbacks(&session, &control, scene.now).unwrap();
    scene.keep();
    assert_eq!(scene.state.session(&session).unwrap().callback_program, 9);
    assert_eq!(scene.flags(session, 5), down);
}

#[test]
fn seqids_of_minor_version_0() {
    let mut scene = Scene::new();
    let client = scene.set_client_id(1, b"root").unwrap();
    scene.confirm_v40(client, b"root").unwrap();
    let request = |scene: &mut Scene, seqid: u32| {
        let now = scene.now;
        let result = scene.state.open_owner_request(client.0, b"owner", seqid, seqid.into(), now);
        scene.keep();
        result
    };
    let Ok(OwnerRequest::New(abandoned)) = request(&mut scene, 40) else { panic!("not new") };
    scene.open(client.0, b"owner", 3, 3).unwrap();
    scene.reply(abandoned, 40, b"lost");
    // Never confirmed: the owner starts over, and what it had is gone.
    let Ok(OwnerRequest::New(owner)) = request(&mut scene, 7) else { panic!("not new") };
    let opened = scene.open(client.0, b"owner", 3, 0).unwrap();
    assert!(opened.confirm);
    scene.reply(owner, 7, b"opened");
    let replay = |reply: &[u8]| Ok(OwnerRequest::Replay(Opaque::copy_from_slice(reply)));
    assert_eq!(request(&mut scene, 7), replay(b"opened"));
    let by_state = |scene: &mut Scene, id: &StateId, seqid: u32| {
        let now = scene.now;
        let result = scene.state.state_owner_request(id, seqid, seqid.into(), now);
        scene.keep();
        result
    };
    assert_eq!(by_state(&mut scene, &opened.stateid, 8), Ok(OwnerRequest::New(owner)));
    let confirmed = scene.state.confirm_open(&opened.stateid, scene.now).unwrap();
    scene.reply(owner, 8, b"confirmed");
    assert_eq!(confirmed.seqid, 2);
    assert_eq!(by_state(&mut scene, &confirmed, 10), Err(Status::BadSeqId));
    assert_eq!(by_state(&mut scene, &confirmed, 9), Ok(OwnerRequest::New(owner)));
    let old = scene.state.close(None, &opened.stateid, scene.now);
    assert_eq!(old, Err(Status::OldStateId));
    assert!(scene.state.close(None, &confirmed, scene.now).is_ok());
    scene.reply(owner, 9, b"closed");
    // The retransmission of CLOSE is answered, also by a successor.
    scene.restart();
    assert_eq!(by_state(&mut scene, &confirmed, 9), replay(b"closed"));
    assert_eq!(scene.state.close(None, &confirmed, scene.now), Err(Status::BadStateId));
    assert_eq!(request(&mut scene, 10), Ok(OwnerRequest::New(owner)));
    assert_eq!(by_state(&mut scene, &confirmed, 11), Err(Status::BadStateId));
    let stale = StateId { seqid: 1, other: [9; 12] };
    assert_eq!(by_state(&mut scene, &stale, 11), Err(Status::StaleStateId));
    // Owners without state are forgotten in time.
    scene.now += LEASE + SECOND;
    scene.state.tick(scene.now);
    scene.keep();
    assert_eq!(scene.state.find_owner(client.0, OwnerKind::Open, b"owner"), None);
}

/// A client forgets a lock owner that was denied its only lock, and gives its name to the next.
#[test]
fn a_lock_owner_without_locks_starts_over() {
    let mut scene = Scene::new();
    let (client, confirm) = scene.set_client_id(1, b"root").unwrap();
    scene.confirm_v40((client, confirm), b"root").unwrap();
    let mut open = |owner: &[u8]| {
        let id = scene.open(client, owner, 3, 0).unwrap().stateid;
        scene.state.confirm_open(&id, scene.now).unwrap()
    };
    let (one, two) = (open(b"one"), open(b"two"));
    let by = LockBy::Open { open: one, owner: b"holder" };
    let (range, mode) = (Range::ALL, Mode::Exclusive);
    let request = LockRequest { client: None, by, range, mode, reclaim: false, wait: false };
    let held = scene.state.lock(&request, scene.now).unwrap();

    let denied = scene.lock(None, two, range, mode);
    assert!(matches!(denied, Err(LockRefusal::Denied(_))));
    if let Some(owner) = scene.state.find_owner(client, OwnerKind::Lock, b"locker") {
        let reply = Opaque::copy_from_slice(b"denied");
        let reply = OwnerReply { owner, seqid: 0, fingerprint: 1, reply };
        scene.state.owner_replied(reply, Status::Denied, scene.now);
    }
    assert_eq!(scene.state.new_lock_owner(client, b"locker", 0), Ok(()));

    scene.state.unlock(None, &held, range, scene.now).unwrap();
    scene.lock(None, two, range, mode).unwrap();
    let owner = scene.state.find_owner(client, OwnerKind::Lock, b"locker").unwrap();
    scene.reply(owner, 0, b"locked");
    assert_eq!(scene.state.new_lock_owner(client, b"locker", 0), Err(Status::BadSeqId));
    assert_eq!(scene.state.new_lock_owner(client, b"locker", 1), Ok(()));
}

#[test]
fn downgrades_go_to_what_was_opened() {
    let mut scene = Scene::new();
    let (client, _) = introduce(&mut scene.state, b"client", scene.now);
    scene.open(client, b"owner", 1, 0).unwrap();
    let both = scene.open(client, b"owner", 3, 2).unwrap().stateid;
    let downgrade = |scene: &mut Scene, access, deny| {
        let now = scene.now;
        let id = StateId { seqid: 0, ..both };
        let result = scene.state.downgrade(Some(client), &id, access, deny, now);
        scene.keep();
        result.map(|id| id.seqid)
    };
    assert_eq!(downgrade(&mut scene, 2, 0), Err(Status::Inval));
    assert_eq!(downgrade(&mut scene, 1, 2), Err(Status::Inval));
    let other = introduce(&mut scene.state, b"other", scene.now).0;
    assert_eq!(scene.open(other, b"owner", 2, 0).err(), Some(Status::ShareDenied));
    scene.restart();
    assert_eq!(downgrade(&mut scene, 1, 0), Ok(3));
    assert!(scene.open(other, b"owner", 2, 0).is_ok());
}

#[test]
fn a_silent_client_loses_only_what_others_need() {
    let mut scene = Scene::new();
    let (silent, session) = introduce(&mut scene.state, b"silent", scene.now);
    let (other, _) = introduce(&mut scene.state, b"other", scene.now);
    let open = scene.open(silent, b"owner", 3, 0).unwrap().stateid;
    let range = Range::between(0, 9).unwrap();
    let locks = scene.lock(Some(silent), open, range, Mode::Exclusive).unwrap();
    let others = scene.open(other, b"owner", 3, 0).unwrap().stateid;
    let denied = scene.lock(Some(other), others, range, Mode::Shared);
    let Err(LockRefusal::Denied(denied)) = denied else { panic!("{denied:?}") };
    assert_eq!((denied.offset, denied.length, denied.owner.client), (0, 10, silent));
    assert_eq!(&denied.owner.name[..], b"locker");
    scene.now += LEASE + SECOND;
    scene.state.tick(scene.now);
    assert_eq!(scene.state.test_state(silent, &locks), Status::Ok);
    assert!(scene.lock(Some(other), others, range, Mode::Shared).is_ok());
    scene.restart();
    assert_eq!(scene.state.test_state(silent, &locks), Status::Expired);
    assert_eq!(scene.state.test_state(silent, &open), Status::Ok);
    assert_eq!(scene.flags(session, 1), sequence_flags::EXPIRED_SOME_STATE_REVOKED);
    assert_eq!(scene.state.free_state(silent, &open, scene.now), Err(Status::LocksHeld));
    assert_eq!(scene.state.free_state(silent, &locks, scene.now), Ok(()));
    scene.keep();
    assert_eq!(scene.flags(session, 2), 0);
}

#[test]
fn those_who_would_wait_are_told() {
    let mut scene = Scene::new();
    let (client, _) = introduce(&mut scene.state, b"client", scene.now);
    let (other, _) = introduce(&mut scene.state, b"other", scene.now);
    let range = Range::between(0, 9).unwrap();
    let open = scene.open(client, b"owner", 3, 0).unwrap().stateid;
    let locks = scene.lock(Some(client), open, range, Mode::Exclusive).unwrap();
    let others = scene.open(other, b"owner", 3, 0).unwrap().stateid;
    for _ in 0..2 {
        assert!(scene.lock(Some(other), others, range, Mode::Exclusive).is_err());
    }
    let half = Range::between(0, 4).unwrap();
    let locks = scene.state.unlock(Some(client), &locks, half, scene.now).unwrap();
    assert_eq!(scene.state.take_effects().actions, []);
    scene.state.unlock(Some(client), &locks, range, scene.now).unwrap();
    let actions = scene.state.take_effects().actions;
    let [Action::NotifyLock { client: told, owner, .. }] = actions.as_slice() else {
        panic!("{actions:?}")
    };
    assert_eq!((*told, &owner.name[..]), (other, &b"locker"[..]));
    // It is told once, and not again when it has its lock.
    assert!(scene.state.lock_waiters.is_empty());
}

#[test]
fn stateids_are_checked() {
    let mut scene = Scene::new();
    let (client, _) = introduce(&mut scene.state, b"client", scene.now);
    let (other, _) = introduce(&mut scene.state, b"other", scene.now);
    let first = scene.open(client, b"owner", 1, 2).unwrap().stateid;
    let id = scene.open(client, b"owner", 1, 2).unwrap().stateid;
    let check = |scene: &mut Scene, client, id: StateId, access| {
        scene.state.check_access(client, &id, &file(1), access, scene.now)
    };
    let me = Some(client);
    assert_eq!(check(&mut scene, me, id, Access::Read), Ok(()));
    assert_eq!(check(&mut scene, me, id, Access::Write), Err(Status::OpenMode));
    assert_eq!(check(&mut scene, me, first, Access::Read), Err(Status::OldStateId));
    let newest = StateId { seqid: 0, ..id };
    assert_eq!(check(&mut scene, me, newest, Access::Read), Ok(()));
    let future = StateId { seqid: 3, ..id };
    assert_eq!(check(&mut scene, me, future, Access::Read), Err(Status::BadStateId));
    assert_eq!(check(&mut scene, Some(other), id, Access::Read), Err(Status::BadStateId));
    assert_eq!(check(&mut scene, None, id, Access::Read), Err(Status::BadStateId));
    let foreign = StateId { seqid: 1, other: [1; 12] };
    assert_eq!(check(&mut scene, None, foreign, Access::Read), Err(Status::StaleStateId));
    // Those without an open are bound by what others deny.
    let anonymous = StateId::ANONYMOUS;
    assert_eq!(check(&mut scene, Some(other), anonymous, Access::Read), Ok(()));
    assert_eq!(check(&mut scene, Some(other), anonymous, Access::Write), Err(Status::Locked));
    let elsewhere = scene.state.check_access(me, &id, &file(2), Access::Read, scene.now);
    assert_eq!(elsewhere, Err(Status::BadStateId));
    scene.state.revoke_client(client, scene.now);
    scene.keep();
    assert_eq!(check(&mut scene, me, id, Access::Read), Err(Status::AdminRevoked));
}

#[test]
fn delegations_are_recalled_and_revoked() {
    let mut scene = Scene::new();
    let (client, session) = introduce(&mut scene.state, b"client", scene.now);
    let (other, _) = introduce(&mut scene.state, b"other", scene.now);
    let open = scene.open(client, b"owner", 3, 0).unwrap().stateid;
    let given = scene.state.delegate(&open, scene.now).unwrap();
    assert!(given.write && scene.state.delegate(&open, scene.now).is_none());
    scene.restart();
    let wish = OpenRequest {
        client: other,
        owner: b"owner",
        file: file(1),
        access: 1,
        deny: 0,
        reclaim: false,
    };
    // Recalled once, however often others ask.
    for recalls in [1, 0] {
        assert_eq!(scene.state.open(&wish, scene.now), Err(Status::Delay));
        let actions = scene.state.take_effects().actions;
        assert_eq!(actions.len(), recalls);
        let expected = Action::Recall { client, delegation: given.stateid, file: file(1) };
        assert!(actions.iter().all(|action| *action == expected));
    }
    scene.now += LEASE;
    scene.flags(session, 1);
    scene.now += SECOND;
    scene.state.tick(scene.now);
    scene.keep();
    assert_eq!(scene.state.test_state(client, &given.stateid), Status::DelegRevoked);
    assert_eq!(scene.flags(session, 2), sequence_flags::RECALLABLE_STATE_REVOKED);
    let read = scene.state.open(&wish, scene.now).unwrap().stateid;
    assert_eq!(scene.state.delegate(&read, scene.now), None);
    scene.state.close(Some(client), &open, scene.now).unwrap();
    assert_eq!(scene.state.delegations_given(), [0, 0]);
    let given = scene.state.delegate(&read, scene.now).unwrap();
    assert!(!given.write);
    assert_eq!(scene.state.delegations_given(), [1, 0]);
    assert_eq!(scene.state.recall_for(&file(1), None, true, scene.now), Err(Status::Delay));
    assert_eq!(scene.state.return_delegation(Some(other), &given.stateid, scene.now), Ok(()));
    scene.keep();
    // Not again at once: those who take turns would wait for a recall each time.
    assert_eq!(scene.state.delegate(&read, scene.now), None);
    scene.now += LEASE;
    assert!(scene.state.delegate(&read, scene.now).is_some());
    scene.keep();
}

#[test]
fn limits_have_the_protocol_s_errors() {
    let mut scene = Scene::new();
    let (client, session) = introduce(&mut scene.state, b"client", scene.now);
    let old = scene.set_client_id(1, b"root").unwrap();
    scene.confirm_v40(old, b"root").unwrap();
    let limits =
        Settings { states_per_client: 0, sessions_per_client: 1, clients: 2, ..settings() };
    scene.state.set_settings(limits);
    assert_eq!(scene.open(client, b"owner", 1, 0).err(), Some(Status::Delay));
    assert_eq!(scene.open(old.0, b"owner", 1, 0).err(), Some(Status::Resource));
    let more = Exchanged { client, sequence: 2, confirmed: true };
    assert_eq!(scene.confirm(&more, b"root"), Outcome::Fail(Status::NoSpc));
    assert!(scene.state.session(&session).is_ok());
    assert_eq!(scene.exchange(9, 0, b"root"), Err(Status::Delay));
    // A silent client makes room.
    scene.now += LEASE + SECOND;
    assert!(scene.exchange(9, 0, b"root").is_ok());
}

/// A client that is about to reclaim.
fn reclaiming(scene: &mut Scene, name: &[u8]) -> u64 {
    let principal = Principal::copy_from_slice(b"root");
    let request = ExchangeId { owner: name, verifier: [1; 8], flags: 0, principal: &principal };
    let exchanged = scene.state.exchange_id(&request, scene.now).unwrap();
    assert!(matches!(scene.confirm(&exchanged, b"root"), Outcome::Ok(_)));
    exchanged.client
}

fn reclaim(client: u64) -> OpenRequest<'static> {
    let file = file(1);
    OpenRequest { client, owner: b"owner", file, access: 1, deny: 0, reclaim: true }
}

#[test]
fn only_reclaims_are_served_where_the_journal_was_lost() {
    let mut scene = Scene::new();
    let former: Option<Vec<(bool, Bytes)>> = None;
    scene.state.begin_grace(LEASE, former, scene.now);
    let client = reclaiming(&mut scene, b"client");
    assert_eq!(scene.open(client, b"owner", 1, 0).err(), Some(Status::Grace));
    assert!(scene.state.open(&reclaim(client), scene.now).is_ok());
    scene.through(client);
    assert_eq!(scene.state.open(&reclaim(client), scene.now), Err(Status::NoGrace));
    assert_eq!(scene.open(client, b"owner", 1, 0).err(), Some(Status::Grace));
    scene.now += LEASE;
    assert_eq!(scene.state.open(&reclaim(client), scene.now), Err(Status::NoGrace));
    assert!(scene.open(client, b"owner", 1, 0).is_ok());
}

#[test]
fn the_grace_period_ends_with_the_last_former_client() {
    let mut scene = Scene::new();
    let former = [b"one", b"two"].map(|name| (true, Bytes::from_static(name)));
    scene.state.begin_grace(LEASE, Some(former), scene.now);
    let clients = [b"one", b"two"].map(|name| reclaiming(&mut scene, name));
    let stranger = reclaiming(&mut scene, b"stranger");
    assert_eq!(scene.state.open(&reclaim(stranger), scene.now), Err(Status::ReclaimBad));
    scene.through(stranger);
    scene.through(clients[0]);
    assert_eq!(scene.open(stranger, b"owner", 1, 0).err(), Some(Status::Grace));
    assert!(scene.state.open(&reclaim(clients[1]), scene.now).is_ok());
    scene.through(clients[1]);
    assert!(!scene.state.is_in_grace(scene.now));
    assert!(scene.open(stranger, b"owner", 1, 0).is_ok());
}

#[test]
fn a_session_with_requests_under_way_is_not_destroyed() {
    let mut scene = Scene::new();
    let (_, session) = introduce(&mut scene.state, b"client", scene.now);
    assert!(matches!(scene.sequence(session, 1), Ok(Sequenced::New(_))));
    let now = scene.now;
    assert_eq!(scene.state.destroy_session(&session, None, now), Err(Status::Delay));
    assert_eq!(scene.state.destroy_session(&session, Some(0), now), Ok(()));
}

proptest! {
    /// Damage that the journal's checksum let pass must not bring the server down.
    #[test]
    fn arbitrary_changes_never_panic(
        changes in prop::collection::vec((1_u32..19, prop::collection::vec(0_u32..4, 0..40)), 0..8)
    ) {
        let mut state = empty();
        let now = Instant::now();
        introduce(&mut state, b"client", now);
        for (kind, words) in changes {
            let words = std::iter::once(kind).chain(words).chain([0; 16]);
            let message: Bytes = words.flat_map(u32::to_be_bytes).collect();
            let mut decoder = standfast_rpc::xdr::Decoder::new(&message);
            let Ok(change) = <Change as standfast_rpc::xdr::Decode>::decode(&mut decoder) else {
                continue;
            };
            prop_assert_eq!(from_bytes::<Change>(&to_bytes(&change)), Ok(change.clone()));
            state.apply(&change, now);
        }
        state.snapshot();
    }

    #[test]
    fn arbitrary_records_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let record = Bytes::from(bytes);
        if let Ok(changes) = Change::decode_all(&record) {
            prop_assert_eq!(Change::encode_all(changes), record);
        }
    }
}
