//! Byte-range locks: LOCK, LOCKT, LOCKU and RELEASE_LOCKOWNER.

use std::time::Instant;

use standfast_rpc::xdr;
use standfast_vfs::FileKind;

use super::super::context::Compound;
use super::super::keeper::ServiceState;
use super::super::protocol::{
    Detailed, LockArgs, LockDenied, LockTestArgs, LockType, Locker, Outcome, StateId, StateOwner,
    Status, UnlockArgs,
};
use super::super::requests::fingerprint;
use super::super::state::{Kept, LockBy, LockRefusal, LockRequest, OwnerKind, OwnerReply};
use super::{owners, plain};
use crate::locks::{FileKey, Mode, Range};

type Locked = Detailed<StateId, LockDenied>;

/// The range of a request: a length of all ones reaches to the end of the file.
fn range(offset: u64, length: u64) -> Result<Range, Status> {
    match length {
        0 => Err(Status::Inval),
        u64::MAX => Range::new(offset, 0).ok_or(Status::Inval),
        length => Range::new(offset, length).ok_or(Status::Inval),
    }
}

fn mode(kind: LockType) -> Mode {
    match kind {
        LockType::Read | LockType::ReadWait => Mode::Shared,
        LockType::Write | LockType::WriteWait => Mode::Exclusive,
    }
}

fn waits(kind: LockType) -> bool {
    matches!(kind, LockType::ReadWait | LockType::WriteWait)
}

fn explained<T>(result: Result<T, LockRefusal>) -> Detailed<T, LockDenied> {
    match result {
        Ok(value) => Detailed::Plain(Outcome::Ok(value)),
        Err(LockRefusal::Denied(denied)) => Detailed::Explained(denied),
        Err(LockRefusal::Status(status)) => Detailed::Plain(Outcome::Fail(status)),
    }
}

/// The current object, which must be a regular file.
async fn regular_file(context: &Compound<'_>) -> Result<FileKey, Status> {
    let file = context.file()?;
    match file.kind().await? {
        FileKind::Regular => Ok(file.key()),
        FileKind::Directory => Err(Status::IsDir),
        _ => Err(Status::Inval),
    }
}

/// LOCK (RFC 8881 section 18.10, RFC 7530 section 16.10).
pub(super) async fn lock(context: &mut Compound<'_>, args: LockArgs) -> Locked {
    let result = locked(context, args).await;
    result.unwrap_or_else(|status| Detailed::Plain(Outcome::Fail(status)))
}

async fn locked(context: &mut Compound<'_>, args: LockArgs) -> Result<Locked, Status> {
    let file = regular_file(context).await?;
    let range = range(args.offset, args.length)?;
    let (client, minor) = (context.client(), context.minor);
    let request = |by| LockRequest {
        client,
        by,
        range,
        mode: mode(args.kind),
        reclaim: args.reclaim,
        wait: waits(args.kind) && minor > 0,
    };
    let answer = match args.locker {
        Locker::Known(known) => {
            let id = context.stateid(known.lock)?;
            owners::run(context, &id, known.lock_seqid, |state, now| {
                let by = LockBy::Locks(id);
                explained(lock_file(state, &file, &id, &request(by), now))
            })
        }
        Locker::New(new) => {
            let open = context.stateid(new.open)?;
            let fingerprint = fingerprint(context.call);
            owners::run(context, &open, new.open_seqid, |state, now| {
                let by = LockBy::Open { open, owner: &new.owner.name };
                if client.is_some() {
                    return explained(lock_file(state, &file, &open, &request(by), now));
                }
                let (holder, seqid) = (new.owner.client, new.lock_seqid);
                if let Err(status) = state.new_lock_owner(holder, &new.owner.name, seqid) {
                    return explained(Err(status.into()));
                }
                let answer = explained(lock_file(state, &file, &open, &request(by), now));
                let owner = state.find_owner(holder, OwnerKind::Lock, &new.owner.name);
                if let Some(owner) = owner {
                    let reply = Kept::from(xdr::to_bytes(&answer));
                    let reply = OwnerReply { owner, seqid, fingerprint, reply };
                    state.owner_replied(reply, answer.status(), now);
                }
                answer
            })
        }
    };
    if let Detailed::Plain(Outcome::Ok(id)) = answer {
        context.set_stateid(id);
    }
    Ok(answer)
}

/// Locks, if the stateid is of the file.
fn lock_file(
    state: &mut ServiceState,
    file: &FileKey,
    id: &StateId,
    request: &LockRequest<'_>,
    now: Instant,
) -> Result<StateId, LockRefusal> {
    if state.file_of(request.client, id)? != *file {
        return Err(Status::BadStateId.into());
    }
    state.lock(request, now)
}

/// LOCKT (RFC 8881 section 18.11).
pub(super) async fn lock_test(
    context: &mut Compound<'_>,
    args: LockTestArgs,
) -> Detailed<(), LockDenied> {
    let checked = async {
        let file = regular_file(context).await?;
        Ok((file, range(args.offset, args.length)?))
    };
    let (file, range) = match checked.await {
        Ok(checked) => checked,
        Err(status) => return explained(Err(LockRefusal::Status(status))),
    };
    let client = context.client().unwrap_or(args.owner.client);
    let (owner, mode) = (&args.owner.name, mode(args.kind));
    explained(context.state(|state, now| state.test_lock(client, owner, &file, range, mode, now)))
}

/// LOCKU (RFC 8881 section 18.12).
pub(super) async fn unlock(context: &mut Compound<'_>, args: UnlockArgs) -> Outcome<StateId> {
    unlocked(context, args).unwrap_or_else(Outcome::Fail)
}

fn unlocked(context: &mut Compound<'_>, args: UnlockArgs) -> Result<Outcome<StateId>, Status> {
    let file = context.file()?.key();
    let range = range(args.offset, args.length)?;
    let id = context.stateid(args.stateid)?;
    let client = context.client();
    let outcome = owners::run(context, &id, args.seqid, |state, now| {
        let result = match state.file_of(client, &id) {
            Ok(known) if known != file => Err(Status::BadStateId),
            Ok(_) => state.unlock(client, &id, range, now),
            Err(status) => Err(status),
        };
        result.into()
    });
    if let Outcome::Ok(id) = outcome {
        context.set_stateid(id);
    }
    Ok(outcome)
}

/// RELEASE_LOCKOWNER (RFC 7530 section 16.37).
pub(super) async fn release_lock_owner(context: &mut Compound<'_>, owner: StateOwner) -> Status {
    plain(context.state(|state, now| state.release_lock_owner(owner.client, &owner.name, now)))
}
