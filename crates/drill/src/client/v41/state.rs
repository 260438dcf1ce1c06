//! What a client has open and locked.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use standfast_nfs::v4::protocol::{
    DelegationType, Detailed, FileHandle, KnownLockOwner, LockArgs, LockType, Locker, NewLockOwner,
    OpenArgs, OpenClaim, OpenHow, Operation, OperationResult, Outcome, OwnerName, StateId,
    StateOwner, UnlockArgs, share_access,
};

use crate::client::Refusal;

/// An open file.
#[derive(Debug)]
pub struct OpenFile {
    handle: FileHandle,
    owner: OwnerName,
    state: Mutex<FileState>,
}

#[derive(Clone, Copy, Debug)]
struct FileState {
    open: StateId,
    lock: Option<StateId>,
    is_locked: bool,
}

/// All of a client.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(Mutex<Vec<Weak<OpenFile>>>);

impl OpenFiles {
    pub(super) fn add(&self, file: OpenFile) -> Arc<OpenFile> {
        let file = Arc::new(file);
        let mut files = self.0.lock();
        files.retain(|file| file.strong_count() > 0);
        files.push(Arc::downgrade(&file));
        file
    }

    pub(super) fn all(&self) -> Vec<Arc<OpenFile>> {
        self.0.lock().iter().filter_map(Weak::upgrade).collect()
    }
}

/// OPEN for reading and writing, without a delegation.
pub(super) fn open(client: u64, owner: &OwnerName, how: OpenHow, claim: OpenClaim) -> Operation {
    Operation::Open(OpenArgs {
        seqid: 0,
        access: share_access::BOTH | share_access::WANT_NONE,
        deny: 0,
        owner: StateOwner { client, name: owner.clone() },
        how,
        claim,
    })
}

impl OpenFile {
    pub(super) fn new(
        owner: OwnerName,
        handle: FileHandle,
        results: &[OperationResult],
    ) -> Result<Self, Refusal> {
        let state = FileState { open: opened(results)?, lock: None, is_locked: false };
        Ok(Self { handle, owner, state: Mutex::new(state) })
    }

    /// Goes to the file.
    pub(super) fn here(&self) -> Operation {
        Operation::PutHandle(self.handle.clone())
    }

    /// By which right it is read and written.
    pub(super) fn stateid(&self) -> StateId {
        let state = self.state.lock();
        state.lock.unwrap_or(state.open)
    }

    pub(super) fn open_stateid(&self) -> StateId {
        self.state.lock().open
    }

    pub(super) fn is_locked(&self) -> bool {
        self.state.lock().is_locked
    }

    fn locker(&self, client: u64, is_new: bool) -> Locker {
        let state = *self.state.lock();
        match state.lock.filter(|_| !is_new) {
            Some(lock) => Locker::Known(KnownLockOwner { lock, lock_seqid: 0 }),
            None => Locker::New(NewLockOwner {
                open_seqid: 0,
                open: state.open,
                lock_seqid: 0,
                owner: StateOwner { client, name: self.owner.clone() },
            }),
        }
    }

    /// LOCK of the whole file.
    pub(super) fn lock(&self, client: u64) -> Vec<Operation> {
        self.lock_as(self.locker(client, false), false)
    }

    fn lock_as(&self, locker: Locker, reclaim: bool) -> Vec<Operation> {
        let kind = LockType::Write;
        let lock = LockArgs { kind, reclaim, offset: 0, length: u64::MAX, locker };
        vec![self.here(), Operation::Lock(lock)]
    }

    /// LOCKU of the whole file.
    pub(super) fn unlock(&self) -> Vec<Operation> {
        let (kind, stateid) = (LockType::Write, self.stateid());
        let unlock = UnlockArgs { kind, seqid: 0, stateid, offset: 0, length: u64::MAX };
        vec![self.here(), Operation::Unlock(unlock)]
    }

    /// OPEN of what was open before the server lost its state.
    pub(super) fn reclaim_open(&self, client: u64) -> Vec<Operation> {
        let claim = OpenClaim::Previous(DelegationType::None);
        vec![self.here(), open(client, &self.owner, OpenHow::NoCreate, claim)]
    }

    /// LOCK of what was locked then.
    pub(super) fn reclaim_lock(&self, client: u64) -> Vec<Operation> {
        self.lock_as(self.locker(client, true), true)
    }

    pub(super) fn learn_open(&self, results: &[OperationResult]) -> Result<(), Refusal> {
        let open = opened(results)?;
        let mut state = self.state.lock();
        state.open = open;
        if !state.is_locked {
            state.lock = None;
        }
        Ok(())
    }

    pub(super) fn learn_lock(&self, results: &[OperationResult]) -> Result<(), Refusal> {
        match results.last() {
            Some(OperationResult::Lock(Detailed::Plain(Outcome::Ok(stateid)))) => {
                let mut state = self.state.lock();
                (state.lock, state.is_locked) = (Some(*stateid), true);
                Ok(())
            }
            other => Err(Refusal::Other(format!("LOCK gave {other:?}"))),
        }
    }

    pub(super) fn learn_unlock(&self, results: &[OperationResult]) -> Result<(), Refusal> {
        match results.last() {
            Some(OperationResult::Unlock(Outcome::Ok(stateid))) => {
                let mut state = self.state.lock();
                (state.lock, state.is_locked) = (Some(*stateid), false);
                Ok(())
            }
            other => Err(Refusal::Other(format!("LOCKU gave {other:?}"))),
        }
    }
}

fn opened(results: &[OperationResult]) -> Result<StateId, Refusal> {
    let stateid = results.iter().find_map(|result| match result {
        OperationResult::Open(Outcome::Ok(open)) => Some(open.stateid),
        _ => None,
    });
    stateid.ok_or_else(|| Refusal::Other("OPEN gave no stateid".into()))
}
