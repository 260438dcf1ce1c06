//! A session: its slots, and requests that go through them until they are answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use standfast_nfs::v4::protocol::{
    ChannelAttributes, CompoundArgs, CompoundResults, CreateSessionArgs, ExchangeIdArgs, Operation,
    OperationResult, Outcome, OwnerName, PROGRAM, SequenceArgs, SequenceOk, SessionId,
    StateProtect, Status, Tag, VERSION, Verifier, exchange_id_flags, sequence_flags,
};
use standfast_rpc::xdr::List;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::state::OpenFiles;
use crate::client::Refusal;
use crate::client::transport::{Place, Transport, random};
use crate::history::Finding;

/// The procedure that carries operations.
const COMPOUND: (u32, u32, u32) = (PROGRAM, VERSION, 1);
/// Requests under way at once.
const SLOTS: u32 = 16;
/// How long the kernel waits first after `NFS4ERR_DELAY` and `NFS4ERR_GRACE`, and at most.
const DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(15);
/// How often a client says that it lives; less than a third of any usual lease.
const RENEWAL: Duration = Duration::from_secs(3);
/// What SEQUENCE says when state is gone.
const STATE_GONE: u32 = sequence_flags::EXPIRED_ALL_STATE_REVOKED
    | sequence_flags::EXPIRED_SOME_STATE_REVOKED
    | sequence_flags::ADMIN_STATE_REVOKED
    | sequence_flags::RESTART_RECLAIM_NEEDED;

/// A client with a session, which is made anew if the server loses it.
#[derive(Debug)]
pub(super) struct Sessions {
    transport: Transport,
    verifier: Verifier,
    owner: OwnerName,
    current: RwLock<Arc<Session>>,
    recovering: tokio::sync::Mutex<()>,
    pub(super) files: OpenFiles,
    owners: AtomicU64,
}

/// One session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: u64,
    /// Of the next CREATE_SESSION.
    next: u32,
    id: SessionId,
    slots: Slots,
}

/// The slots of a session, each with the sequence number that it used last.
#[derive(Debug)]
struct Slots {
    free: Mutex<Vec<(u32, u32)>>,
    permits: Semaphore,
}

/// What came of one attempt.
enum Attempt {
    Done(Vec<OperationResult>),
    Again,
    Later,
    /// The session is gone.
    Lost,
}

impl Sessions {
    pub(super) async fn open(place: Place) -> Result<Self, Refusal> {
        let transport = Transport::open(place);
        let verifier = (u64::from(random()) << 32 | u64::from(random())).to_be_bytes();
        let name = &transport.place().name;
        let owner = format!("drill {name} {:016x}", u64::from_be_bytes(verifier));
        let owner = OwnerName::from(owner.into_bytes());
        let (client, next, _) = introduce(&transport, verifier, &owner).await?;
        let session = create_session(&transport, client, next).await?;
        let opened = Self {
            transport,
            verifier,
            owner,
            current: RwLock::new(Arc::new(session)),
            recovering: tokio::sync::Mutex::default(),
            files: OpenFiles::default(),
            owners: AtomicU64::new(0),
        };
        opened.run(true, |_| vec![Operation::ReclaimComplete(false)]).await?;
        Ok(opened)
    }

    /// Says now and then that the client lives, as its kernel does while nothing else is sent.
    pub(super) async fn renew(&self) {
        loop {
            sleep(RENEWAL).await;
            let _refused = self.run(false, |_| Vec::new()).await;
        }
    }

    pub(super) fn current(&self) -> Arc<Session> {
        Arc::clone(&self.current.read())
    }

    /// A name that no other owner of this client has.
    pub(super) fn new_owner(&self) -> OwnerName {
        let number = self.owners.fetch_add(1, Ordering::Relaxed);
        format!("owner {number}").into_bytes().into()
    }

    pub(super) fn find(&self, what: Finding) {
        self.transport.place().find(what);
    }

    /// Runs operations in a slot, however often that takes. `keep` has the server keep the reply:
    /// for what must not run twice. The operations are made for the session that is there then;
    /// the results are those behind SEQUENCE.
    pub(super) async fn run(
        &self,
        keep: bool,
        operations: impl Fn(&Session) -> Vec<Operation> + Send + Sync,
    ) -> Result<Vec<OperationResult>, Refusal> {
        let mut delay = DELAY;
        loop {
            let session = self.current();
            let list = operations(&session);
            match self.attempt(&session, keep, list).await? {
                Attempt::Done(results) => return Ok(results),
                Attempt::Again => {}
                Attempt::Lost => self.recover(&session).await?,
                Attempt::Later => {
                    sleep(delay).await;
                    delay = (delay * 2).min(LONGEST_DELAY);
                }
            }
        }
    }

    async fn attempt(
        &self,
        session: &Session,
        keep: bool,
        mut operations: Vec<Operation>,
    ) -> Result<Attempt, Refusal> {
        let closed = |_| Refusal::Other("the client ended".into());
        let _permit = session.slots.permits.acquire().await.map_err(closed)?;
        // There is one free slot for each permit.
        let taken = session.slots.free.lock().pop();
        let (slot, last) =
            taken.ok_or_else(|| Refusal::Other("the session lost its slots".into()))?;
        let sequence = last.wrapping_add(1);
        let first = SequenceArgs {
            session: session.id,
            sequence,
            slot,
            highest_slot: SLOTS - 1,
            cache_this: keep,
        };
        operations.insert(0, Operation::Sequence(first));
        let arguments = CompoundArgs::new(Tag::default(), 1, &operations);
        let results: CompoundResults = self.transport.call(COMPOUND, &arguments).await?;
        let mut parts = results.results.0.into_iter();
        let used = match parts.next() {
            Some(OperationResult::Sequence(Outcome::Ok(sequence))) => {
                self.look_at_flags(&sequence);
                sequence.sequence
            }
            Some(OperationResult::Sequence(Outcome::Fail(Status::Delay))) => last,
            _ => {
                self.find(Finding::LostState(format!("SEQUENCE gave {:?}", results.status)));
                session.slots.free.lock().push((slot, last));
                return Ok(Attempt::Lost);
            }
        };
        session.slots.free.lock().push((slot, used));
        self.judge(results.status, keep, parts.collect())
    }

    fn judge(
        &self,
        status: Status,
        keep: bool,
        results: Vec<OperationResult>,
    ) -> Result<Attempt, Refusal> {
        match status {
            Status::Ok => Ok(Attempt::Done(results)),
            Status::Exist => Err(Refusal::Exists),
            Status::NoEnt => Err(Refusal::NoEntry),
            Status::Denied => Err(Refusal::Denied),
            // The server did not keep the reply and was not asked to.
            Status::RetryUncachedRep if !keep => Ok(Attempt::Again),
            Status::Delay | Status::Grace => {
                let grace = status == Status::Grace;
                self.find(if grace { Finding::Grace } else { Finding::Delayed });
                Ok(Attempt::Later)
            }
            Status::StaleStateId
            | Status::BadStateId
            | Status::OldStateId
            | Status::Expired
            | Status::AdminRevoked
            | Status::StaleClientId
            | Status::RetryUncachedRep => {
                let what = format!("a request was answered {status:?}");
                self.find(Finding::LostState(what.clone()));
                Err(Refusal::Other(what))
            }
            other => {
                let what = format!("NFSv4.1: {other:?}");
                self.find(Finding::Error(what.clone()));
                Err(Refusal::Other(what))
            }
        }
    }

    fn look_at_flags(&self, sequence: &SequenceOk) {
        if sequence.flags & STATE_GONE != 0 {
            let what = format!("SEQUENCE says {:#x}", sequence.flags & STATE_GONE);
            self.find(Finding::LostState(what));
        }
    }

    /// Makes another session, and takes back what was open and locked if the server has forgotten
    /// the client too. Whoever comes second finds that it was done.
    async fn recover(&self, lost: &Session) -> Result<(), Refusal> {
        let _alone = self.recovering.lock().await;
        if self.current().id != lost.id {
            return Ok(());
        }
        let (client, next, is_known) =
            introduce(&self.transport, self.verifier, &self.owner).await?;
        let next = if is_known { lost.next } else { next };
        let session = Arc::new(create_session(&self.transport, client, next).await?);
        if !is_known {
            for file in self.files.all() {
                self.reclaim(&session, &file).await?;
            }
            let complete = |_: &Session| vec![Operation::ReclaimComplete(false)];
            self.run_in(&session, complete).await?;
        }
        *self.current.write() = session;
        Ok(())
    }

    async fn reclaim(
        &self,
        session: &Session,
        file: &super::state::OpenFile,
    ) -> Result<(), Refusal> {
        self.find(Finding::LostState("an open was reclaimed (CLAIM_PREVIOUS)".into()));
        let results = self.run_in(session, |session| file.reclaim_open(session.client)).await;
        file.learn_open(&results?)?;
        if file.is_locked() {
            let results = self.run_in(session, |session| file.reclaim_lock(session.client)).await;
            file.learn_lock(&results?)?;
        }
        Ok(())
    }

    /// As [`Sessions::run`], in a session that is not the current one yet.
    async fn run_in(
        &self,
        session: &Session,
        operations: impl Fn(&Session) -> Vec<Operation> + Send + Sync,
    ) -> Result<Vec<OperationResult>, Refusal> {
        loop {
            match self.attempt(session, true, operations(session)).await? {
                Attempt::Done(results) => return Ok(results),
                Attempt::Again => {}
                Attempt::Later => sleep(DELAY).await,
                Attempt::Lost => return Err(Refusal::Other("a new session was lost".into())),
            }
        }
    }
}

/// EXCHANGE_ID: the client's id, the sequence number of its first session, and whether the server
/// knew it.
async fn introduce(
    transport: &Transport,
    verifier: Verifier,
    owner: &OwnerName,
) -> Result<(u64, u32, bool), Refusal> {
    let arguments = ExchangeIdArgs {
        verifier,
        owner: owner.clone(),
        flags: 0,
        protect: StateProtect::None,
        implementation: List(Vec::new()),
    };
    match single(transport, Operation::ExchangeId(arguments)).await? {
        OperationResult::ExchangeId(Outcome::Ok(known)) => {
            let is_known = known.flags & exchange_id_flags::CONFIRMED != 0;
            Ok((known.client, known.sequence, is_known))
        }
        other => Err(Refusal::Other(format!("EXCHANGE_ID gave {other:?}"))),
    }
}

async fn create_session(
    transport: &Transport,
    client: u64,
    sequence: u32,
) -> Result<Session, Refusal> {
    let channel = ChannelAttributes {
        header_pad: 0,
        max_request: 1 << 20,
        max_response: 1 << 20,
        max_response_cached: 4 << 10,
        max_operations: 16,
        max_requests: SLOTS,
        rdma_ird: List(Vec::new()),
    };
    let arguments = CreateSessionArgs {
        client,
        sequence,
        flags: 0,
        fore: channel.clone(),
        back: ChannelAttributes { max_requests: 1, ..channel },
        callback_program: 0x4000_0000,
        callback_security: List(Vec::new()),
    };
    match single(transport, Operation::CreateSession(arguments)).await? {
        OperationResult::CreateSession(Outcome::Ok(made)) => {
            let count = made.fore.max_requests.min(SLOTS);
            let free = Mutex::new((0..count).rev().map(|slot| (slot, 0)).collect());
            let slots = Slots { free, permits: Semaphore::new(count as usize) };
            Ok(Session { client, next: sequence.wrapping_add(1), id: made.session, slots })
        }
        other => Err(Refusal::Other(format!("CREATE_SESSION gave {other:?}"))),
    }
}

/// Runs one operation outside of a session; again while the server asks for that.
async fn single(transport: &Transport, operation: Operation) -> Result<OperationResult, Refusal> {
    loop {
        let arguments = CompoundArgs::new(Tag::default(), 1, std::slice::from_ref(&operation));
        let results: CompoundResults = transport.call(COMPOUND, &arguments).await?;
        if results.status == Status::Delay {
            sleep(DELAY).await;
            continue;
        }
        let first = results.results.0.into_iter().next();
        return first.ok_or_else(|| Refusal::Other("an empty answer".into()));
    }
}
