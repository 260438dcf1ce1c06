//! The lock manager as a program: messages in, messages out.

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr::{self, Opaque};
use standfast_rpc::{Call, CallFuture, Program, Reply};

use super::LockService;
use super::locker::LockTerms;
use super::protocol::{
    ASYNC_STEP, CancelArgs, FreeAllArgs, Holder, LockArgs, LockResult, Netobj, Offset, PROGRAM,
    Procedure, ShareAccess, ShareArgs, ShareMode, ShareResult, Status, TestArgs, TestReply,
    TestResult, UnlockArgs, VERSION_3, VERSION_4,
};
use super::service::ShareRequest;
use crate::holder::ServiceHolder;
use crate::locks::{Access, Conflict, Mode, Share};
use crate::nsm::caller::Encoded;

/// Program 100021.
pub struct NlmProgram {
    service: Arc<LockService>,
}

impl NlmProgram {
    pub(super) fn new(service: Arc<LockService>) -> Self {
        Self { service }
    }

    async fn run(&self, call: &Call) -> Result<Reply, Reply> {
        let unavailable = || Reply::status(ReplyStatus::ProcedureUnavailable);
        let procedure = Procedure::try_from(call.procedure).map_err(|_| unavailable())?;
        let is_new = procedure as u32 >= Procedure::Share as u32;
        if is_new && call.version < VERSION_3 {
            return Err(unavailable());
        }
        if call.version >= VERSION_4 {
            self.run_with::<u64>(call, procedure).await
        } else {
            self.run_with::<u32>(call, procedure).await
        }
    }

    async fn run_with<O: Offset>(&self, call: &Call, procedure: Procedure) -> Result<Reply, Reply> {
        let number = procedure as u32;
        match procedure {
            Procedure::TestMsg
            | Procedure::LockMsg
            | Procedure::CancelMsg
            | Procedure::UnlockMsg
            | Procedure::GrantedMsg => {
                let results = self.results::<O>(call, number - ASYNC_STEP).await?;
                self.service.send_result(call, number + ASYNC_STEP, results);
                Ok(Reply::success(&()))
            }
            // Results of messages; we send none.
            Procedure::TestRes
            | Procedure::LockRes
            | Procedure::CancelRes
            | Procedure::UnlockRes
            | Procedure::GrantedRes => Ok(Reply::success(&())),
            _ => Ok(Reply::success(&Encoded(self.results::<O>(call, number).await?))),
        }
    }

    /// Runs a procedure that is not a message; gives its encoded results.
    async fn results<O: Offset>(&self, call: &Call, number: u32) -> Result<Bytes, Reply> {
        let procedure = Procedure::try_from(number)
            .map_err(|_| Reply::status(ReplyStatus::ProcedureUnavailable))?;
        Ok(match procedure {
            Procedure::Test => xdr::to_bytes(&self.test::<O>(call, call.decode()?).await),
            Procedure::Lock => xdr::to_bytes(&self.lock::<O>(call, call.decode()?, true).await),
            Procedure::NmLock => xdr::to_bytes(&self.lock::<O>(call, call.decode()?, false).await),
            Procedure::Cancel => {
                let args: CancelArgs<O> = call.decode()?;
                let status = self.service.cancel(call, &args.lock, args.exclusive).await;
                xdr::to_bytes(&lock_result(call, args.cookie, status))
            }
            Procedure::Unlock => {
                let args: UnlockArgs<O> = call.decode()?;
                let status = self.service.unlock(call, &args.lock).await;
                xdr::to_bytes(&lock_result(call, args.cookie, status))
            }
            Procedure::Granted => {
                // We wait for no lock of anybody.
                let args: TestArgs<O> = call.decode()?;
                xdr::to_bytes(&lock_result(call, args.cookie, Ok(Status::Denied)))
            }
            Procedure::Share | Procedure::Unshare => {
                let wanted = procedure == Procedure::Share;
                xdr::to_bytes(&self.share(call, call.decode()?, wanted).await)
            }
            Procedure::FreeAll => {
                let args: FreeAllArgs = call.decode()?;
                self.service.free_all(&args.name, call.peer.address.ip()).await;
                Bytes::new()
            }
            _ => Bytes::new(),
        })
    }

    async fn test<O: Offset>(&self, call: &Call, args: TestArgs<O>) -> TestResult<O> {
        let reply = match self.service.test(call, &args.lock, args.exclusive).await {
            Ok(None) => TestReply::Granted,
            Ok(Some(conflict)) => TestReply::Denied(holder(conflict)),
            Err(status) => status.in_version(call.version).into(),
        };
        TestResult { cookie: args.cookie, reply }
    }

    async fn lock<O: Offset>(&self, call: &Call, args: LockArgs<O>, monitored: bool) -> LockResult {
        let LockArgs { cookie, block, exclusive, lock, reclaim, state } = args;
        let terms = LockTerms { block, reclaim, state };
        let status = self.service.lock(call, &lock, exclusive, terms, monitored).await;
        lock_result(call, cookie, status)
    }

    async fn share(&self, call: &Call, args: ShareArgs, wanted: bool) -> ShareResult {
        let wish = ShareRequest {
            caller_name: &args.share.caller_name,
            handle: &args.share.handle,
            owner: &args.share.owner,
        };
        let status = if wanted {
            let share = Share { access: access(args.share.access), deny: deny(args.share.mode) };
            self.service.share(call, wish, share, args.reclaim).await
        } else {
            self.service.unshare(call, wish).await
        };
        let status = status.unwrap_or_else(|refused| refused).in_version(call.version);
        ShareResult { cookie: args.cookie, status, sequence: 0 }
    }
}

fn lock_result(call: &Call, cookie: Netobj, status: Result<Status, Status>) -> LockResult {
    let status = status.unwrap_or_else(|refused| refused).in_version(call.version);
    LockResult { cookie, status }
}

/// Who holds a lock, in the words of the protocol. An owner of NFSv4 is no process of a host.
fn holder<O: Offset>(conflict: Conflict<ServiceHolder>) -> Holder<O> {
    let (svid, name) = match &conflict.owner {
        ServiceHolder::Nlm(owner, _) => (owner.svid, Opaque(owner.name.clone())),
        ServiceHolder::V4(..) => (0, Opaque::copy_from_slice(b"NFSv4")),
    };
    Holder {
        exclusive: conflict.mode == Mode::Exclusive,
        svid,
        owner: name,
        offset: O::narrow(conflict.range.first()),
        length: O::narrow(conflict.range.length()),
    }
}

fn access(access: ShareAccess) -> Access {
    Access {
        read: matches!(access, ShareAccess::Read | ShareAccess::ReadWrite),
        write: matches!(access, ShareAccess::Write | ShareAccess::ReadWrite),
    }
}

fn deny(mode: ShareMode) -> Access {
    Access {
        read: matches!(mode, ShareMode::DenyRead | ShareMode::DenyReadWrite),
        write: matches!(mode, ShareMode::DenyWrite | ShareMode::DenyReadWrite),
    }
}

impl Program for NlmProgram {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        1..=VERSION_4
    }

    /// A lock that comes late, after its unlock, must not be set again.
    fn runs_once(&self, call: &Call) -> bool {
        matches!(
            Procedure::try_from(call.procedure),
            Ok(Procedure::Lock
                | Procedure::Cancel
                | Procedure::Unlock
                | Procedure::Share
                | Procedure::Unshare
                | Procedure::NmLock
                | Procedure::FreeAll)
        )
    }

    fn reply_size(&self, _call: &Call) -> usize {
        2048
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(async move { self.run(&call).await.unwrap_or_else(|refused| refused) })
    }
}
