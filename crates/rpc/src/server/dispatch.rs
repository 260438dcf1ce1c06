//! From a message to its reply: header, credentials, reply cache, program.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::time::Instant;

use super::running::Running;
use super::{Activity, Server};
use crate::message::{CallMessage, RPC_VERSION, ReplyStatus};
use crate::program::{Call, Peer, Program};
use crate::reply_cache::{Admission, Keeping, Kept, RequestKey};
use crate::results;
use crate::xdr::Segments;

/// A reply as it goes out, a record. `None`: silence.
pub(super) type Outgoing = Option<Segments>;

/// A call that was read and found good.
pub(super) struct Prepared {
    program: Arc<dyn Program>,
    call: Call,
    message: Bytes,
    /// About how many bytes the request and its reply take.
    pub(super) size: usize,
}

impl Server {
    /// Reads a message: a call that has to run, or the reply to one that need not. What is not a
    /// call at all gives `None`.
    pub(super) fn prepare(
        &self,
        message: Bytes,
        peer: Peer,
        activity: &Arc<Activity>,
    ) -> Option<Result<Prepared, Outgoing>> {
        let Ok(header) = CallMessage::decode(&message) else {
            self.counters.malformed.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        let refuse = |status| Some(Err(refusal(header.xid, status)));
        if header.rpc_version != RPC_VERSION {
            return refuse(ReplyStatus::RpcMismatch);
        }
        let Some(programs) = self.programs.get(&header.program) else {
            return refuse(ReplyStatus::ProgramUnavailable);
        };
        let Some(program) =
            programs.iter().find(|program| program.versions().contains(&header.version))
        else {
            return refuse(mismatch(programs));
        };
        let credential = match header.credential {
            Ok(credential) => credential,
            Err(stat) => return refuse(ReplyStatus::AuthError(stat)),
        };
        self.counters.calls.fetch_add(1, Ordering::Relaxed);
        let call = Call {
            xid: header.xid,
            version: header.version,
            procedure: header.procedure,
            credential,
            arguments: header.arguments,
            peer,
            activity: Arc::clone(activity),
            keeping: None,
        };
        let size = message.len() + program.reply_size(&call);
        Some(Ok(Prepared { program: Arc::clone(program), call, message, size }))
    }

    /// Starts a call.
    pub(super) fn run(&self, prepared: Prepared) -> Running {
        let Prepared { program, mut call, message, .. } = prepared;
        let activity = Arc::clone(&call.activity);
        let now = Instant::now();
        activity.begin(program.number(), call.version, call.procedure, now);
        let (mut pending, mut kept) = (None, None);
        if program.runs_once(&call) {
            let key = RequestKey::new(call.peer.address.ip(), call.xid, &message);
            match self.reply_cache.admit(key, now.into_std()) {
                Admission::New(new) => {
                    self.counters.reply_cache_misses.fetch_add(1, Ordering::Relaxed);
                    pending = Some(new);
                    let outlives = || program.outlives(&call);
                    if let Some(log) = self.reply_log.get().filter(|_| outlives()) {
                        let keeping = Arc::new(Keeping::new(key));
                        call.keeping = Some(Arc::clone(&keeping));
                        kept = Some(Kept { log: Arc::clone(log), keeping });
                    }
                }
                known => {
                    self.counters.reply_cache_hits.fetch_add(1, Ordering::Relaxed);
                    return Running::known(activity, known);
                }
            }
        }
        Running::start(activity, call.xid, (pending, kept), || program.call(call))
    }
}

fn refusal(xid: u32, status: ReplyStatus) -> Outgoing {
    Some(results::refusal(xid, status))
}

fn mismatch(programs: &[Arc<dyn Program>]) -> ReplyStatus {
    let versions = programs.iter().map(|program| program.versions());
    let (low, high) = versions.fold((u32::MAX, 0), |(low, high), range| {
        (low.min(*range.start()), high.max(*range.end()))
    });
    ReplyStatus::ProgramMismatch { low, high }
}
