//! Slots: SEQUENCE, and each slot's last reply (RFC 8881 sections 2.10.6, 18.46).

use std::time::Instant;

use super::super::protocol::{
    SequenceArgs, SequenceOk, SessionId, Status, sequence_flags as flags,
};
use super::sessions::{Connection, Session};
use super::stateids::Kind;
use super::{Change, Holder, IntentRecord, Kept, ReplyRecord, Revocation, SessionRecord, State};

/// A slot's requests.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The last reply that a successor must know.
    pub(super) recorded: Option<ReplyRecord>,
    /// What the request under way is about to do, step by step.
    pub(super) intents: Vec<IntentRecord>,
    /// The last request of this run of the server.
    live: Option<Live>,
    /// Requests after the recorded one may have been answered before this run: those that
    /// changed nothing, whose sequence nobody wrote down.
    pub(super) restored: bool,
}

#[derive(Debug)]
struct Live {
    sequence: u32,
    fingerprint: u64,
    busy: bool,
    cache: bool,
    reply: Option<Kept>,
}

/// Names a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotName {
    /// The session.
    pub session: SessionId,
    /// The slot.
    pub slot: u32,
}

/// What tells a request from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    /// A checksum of the request and its credential: another request in the place of a
    /// retransmission is an error (`SEQ_FALSE_RETRY`).
    pub fingerprint: u64,
    /// What it came on.
    pub connection: Connection,
}

/// What a request with a SEQUENCE is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sequenced {
    /// A new one, to be run and then [`State::finish`]ed.
    New(SequenceOk),
    /// It was begun before the server died, and its steps are known, but not its end: go on where
    /// it ended, and [`State::finish`].
    Unfinished(SequenceOk, Vec<IntentRecord>),
    /// It was answered: the reply.
    Replay(Kept),
    /// It was answered, and the reply was not kept: the operation after SEQUENCE gets
    /// `RETRY_UNCACHED_REP`.
    Uncached(SequenceOk),
}

/// What a slot makes of a sequence.
enum Verdict {
    New,
    Unfinished(Vec<IntentRecord>),
    Answered(Option<Kept>),
}

impl Slot {
    fn judge(&self, sequence: u32, fingerprint: u64) -> Result<Verdict, Status> {
        let same = |first: u64| {
            if first == fingerprint { Ok(()) } else { Err(Status::SeqFalseRetry) }
        };
        if let Some(live) = &self.live {
            return match sequence.wrapping_sub(live.sequence) {
                0 if live.busy => Err(Status::Delay),
                0 => same(live.fingerprint).map(|()| Verdict::Answered(live.reply.clone())),
                1 if !live.busy => Ok(Verdict::New),
                _ => Err(Status::SeqMisordered),
            };
        }
        if let Some(intent) = self.intents.last().filter(|it| it.sequence == sequence) {
            same(intent.fingerprint)?;
            return Ok(Verdict::Unfinished(self.intents.clone()));
        }
        let recorded = self.recorded.as_ref();
        let ahead = sequence.wrapping_sub(recorded.map_or(0, |reply| reply.sequence));
        match (ahead, recorded) {
            (0, Some(reply)) => {
                same(reply.fingerprint)?;
                Ok(Verdict::Answered(reply.reply.clone()))
            }
            (1, _) => Ok(Verdict::New),
            (2..=0x7fff_ffff, _) if self.restored => Ok(Verdict::New),
            _ => Err(Status::SeqMisordered),
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.live.as_ref().is_some_and(|live| live.busy)
    }
}

impl<H: Holder> State<H> {
    /// SEQUENCE. Renews the lease and binds the connection, for requests only.
    ///
    /// # Errors
    /// `BADSESSION`, `BADSLOT`, `BAD_HIGH_SLOT`, `SEQ_MISORDERED`, `SEQ_FALSE_RETRY`, `DELAY` for
    /// a request that is still under way.
    pub fn sequence(
        &mut self,
        request: &SequenceArgs,
        id: RequestId,
        now: Instant,
    ) -> Result<Sequenced, Status> {
        let session = self.sessions.get_mut(&request.session).ok_or(Status::BadSession)?;
        let client = session.record.client;
        let slots = session.slots.len();
        let slot = session.slots.get_mut(request.slot as usize).ok_or(Status::BadSlot)?;
        if request.highest_slot as usize >= slots {
            return Err(Status::BadHighSlot);
        }
        let verdict = slot.judge(request.sequence, id.fingerprint)?;
        session.fore.insert(id.connection);
        if !matches!(verdict, Verdict::Answered(_)) {
            slot.live = Some(Live {
                sequence: request.sequence,
                fingerprint: id.fingerprint,
                busy: true,
                cache: request.cache_this,
                reply: None,
            });
        }
        self.renew(client, now);
        if matches!(verdict, Verdict::New) {
            self.retire_slots(request, now);
        }
        let ok = self.sequence_ok(request)?;
        Ok(match verdict {
            Verdict::New => Sequenced::New(ok),
            Verdict::Unfinished(intents) => Sequenced::Unfinished(ok, intents),
            Verdict::Answered(Some(reply)) => Sequenced::Replay(reply),
            Verdict::Answered(None) => Sequenced::Uncached(ok),
        })
    }

    fn sequence_ok(&self, request: &SequenceArgs) -> Result<SequenceOk, Status> {
        let session = self.sessions.get(&request.session).ok_or(Status::BadSession)?;
        Ok(SequenceOk {
            session: request.session,
            sequence: request.sequence,
            slot: request.slot,
            highest_slot: session.record.slots.saturating_sub(1),
            target_highest_slot: session.target.saturating_sub(1),
            flags: self.status_flags(session),
        })
    }

    /// The flags of SEQUENCE's result.
    fn status_flags(&self, session: &Session) -> u32 {
        let Some(client) = self.clients.get(&session.record.client) else { return 0 };
        let mut all = if session.back_fault { flags::BACKCHANNEL_FAULT } else { 0 };
        if session.record.has_back_channel && session.back.is_empty() {
            all |= flags::CALLBACK_PATH_DOWN_SESSION;
            let sessions = client.sessions.iter().filter_map(|id| self.sessions.get(id));
            if sessions.map(|session| session.back.len()).sum::<usize>() == 0 {
                all |= flags::CALLBACK_PATH_DOWN;
            }
        }
        for entry in client.revoked.iter().filter_map(|id| self.states.get(id)) {
            all |= match entry.kind {
                Kind::Revoked { delegation: true, .. } => flags::RECALLABLE_STATE_REVOKED,
                Kind::Revoked { why: Revocation::Administrator, .. } => flags::ADMIN_STATE_REVOKED,
                _ => flags::EXPIRED_SOME_STATE_REVOKED,
            };
        }
        let holds = client.states.len() > client.revoked.len();
        if all & flags::EXPIRED_SOME_STATE_REVOKED != 0 && !holds {
            all ^= flags::EXPIRED_SOME_STATE_REVOKED | flags::EXPIRED_ALL_STATE_REVOKED;
        }
        all
    }

    /// Notes a step of a request: what it is about to do, which must not be done twice, or what it
    /// has just done.
    pub fn intend(&mut self, name: SlotName, intent: Kept, now: Instant) {
        let SlotName { session, slot } = name;
        let live = self.slot(name).and_then(|slot| slot.live.as_ref());
        let Some((sequence, fingerprint)) = live.map(|it| (it.sequence, it.fingerprint)) else {
            return;
        };
        let record = IntentRecord { session, slot, sequence, fingerprint, intent };
        self.commit(Change::Intended(record), now);
    }

    /// Notes what became of the last step of a request that ended with the server: after a start,
    /// before anything is served.
    pub fn settle(&mut self, name: SlotName, step: Kept, now: Instant) {
        let last = self.slot(name).and_then(|slot| slot.intents.last());
        if let Some(last) = last.cloned() {
            self.commit(Change::Intended(IntentRecord { intent: step, ..last }), now);
        }
    }

    /// Takes the reply of a request, if it is to be kept: because the client asked for that, or
    /// because there was an intent or something was `changed`, so that a successor must know.
    pub fn finish(&mut self, name: SlotName, reply: Option<Kept>, changed: bool, now: Instant) {
        let SlotName { session: id, slot: number } = name;
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let limit = session.record.fore.max_response_cached as usize;
        let Some(slot) = session.slots.get_mut(number as usize) else { return };
        let must_record = changed || !slot.intents.is_empty();
        let Some(live) = &mut slot.live else { return };
        live.busy = false;
        live.reply = reply.filter(|reply| (live.cache || must_record) && reply.len() <= limit);
        let (sequence, fingerprint, reply) = (live.sequence, live.fingerprint, live.reply.clone());
        if must_record {
            let record = ReplyRecord { session: id, slot: number, sequence, fingerprint, reply };
            self.commit(Change::Replied(record), now);
        }
    }

    fn slot(&self, name: SlotName) -> Option<&Slot> {
        self.sessions.get(&name.session)?.slots.get(name.slot as usize)
    }

    /// How many slots a session should have. More are there at once; fewer once the client has
    /// said, with the highest slot that it uses, that it does without the others.
    ///
    /// # Errors
    /// `BADSESSION`.
    pub fn resize_slots(&mut self, id: &SessionId, slots: u32, now: Instant) -> Result<(), Status> {
        let slots = slots.clamp(1, self.settings.slots_per_session.max(1));
        let session = self.sessions.get_mut(id).ok_or(Status::BadSession)?;
        session.target = slots;
        let record = session.record.clone();
        if slots > record.slots {
            self.commit(Change::Session(SessionRecord { slots, ..record }), now);
        }
        Ok(())
    }

    fn retire_slots(&mut self, request: &SequenceArgs, now: Instant) {
        let Some(session) = self.sessions.get(&request.session) else { return };
        let target = session.target;
        let beyond = session.slots.get(target as usize..).unwrap_or_default();
        let in_use = beyond.is_empty()
            || request.highest_slot.max(request.slot) >= target
            || beyond.iter().any(|slot| slot.is_busy() || !slot.intents.is_empty());
        if !in_use {
            let record = SessionRecord { slots: target, ..session.record.clone() };
            self.commit(Change::Session(record), now);
        }
    }
}
