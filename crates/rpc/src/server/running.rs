//! A call under way.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::Activity;
use super::dispatch::Outgoing;
use crate::message::ReplyStatus;
use crate::program::{CallFuture, Reply};
use crate::reply_cache::{Admission, Keep, Kept, Pending};
use crate::results::refusal;
use crate::xdr::Segments;

/// A call under way, until its reply is known. It need not be pinned, so that it is moved to
/// where it waits only if it has to wait.
pub(super) struct Running {
    activity: Arc<Activity>,
    kind: Kind,
}

/// What is to be done with the reply.
type End = (Option<Pending>, Option<Kept>);

enum Kind {
    /// A program runs it.
    Program { xid: u32, call: CallFuture, end: End },
    /// Its reply is being kept.
    Keeping { keep: Keep, reply: Option<(Segments, Bytes, Pending)> },
    /// Another copy of it is run.
    Copy(oneshot::Receiver<Option<Bytes>>),
    /// The reply is known.
    Known(Outgoing),
}

impl Running {
    /// Starts a call: `start` asks the program.
    pub(super) fn start(
        activity: Arc<Activity>,
        xid: u32,
        end: End,
        start: impl FnOnce() -> CallFuture,
    ) -> Self {
        // A fault in a program costs that one call, not the calls beside it.
        let kind = match catch_unwind(AssertUnwindSafe(start)) {
            Ok(call) => Kind::Program { xid, call, end },
            Err(_panic) => finish(xid, system_error(), end),
        };
        Self { activity, kind }
    }

    /// A call that the reply cache knows.
    pub(super) fn known(activity: Arc<Activity>, admission: Admission) -> Self {
        let kind = match admission {
            Admission::Done(record) => Kind::Known(from_cache(Some(record))),
            Admission::Running(copy) => Kind::Copy(copy),
            Admission::New(_) | Admission::Drop => Kind::Known(None),
        };
        Self { activity, kind }
    }
}

impl Future for Running {
    type Output = Outgoing;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outgoing> {
        if let Kind::Program { xid, call, end } = &mut self.kind {
            let polled = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context)));
            let reply = ready!(polled.unwrap_or_else(|_panic| Poll::Ready(system_error())));
            self.kind = finish(*xid, reply, std::mem::take(end));
        }
        let outgoing = match &mut self.kind {
            Kind::Keeping { keep, reply } => {
                let kept = ready!(keep.as_mut().poll(context));
                reply.take().filter(|_| kept).map(|(segments, record, pending)| {
                    pending.finish(Some(record));
                    segments
                })
            }
            Kind::Copy(copy) => from_cache(ready!(Pin::new(copy).poll(context)).ok().flatten()),
            Kind::Known(outgoing) => outgoing.take(),
            // It has just come to its end.
            Kind::Program { .. } => None,
        };
        self.activity.end();
        Poll::Ready(outgoing)
    }
}

fn system_error() -> Reply {
    Reply::status(ReplyStatus::SystemError)
}

/// The reply as a record; noted for the next time that the call comes, and kept before it leaves
/// if it is to outlive the server.
fn finish(xid: u32, reply: Reply, (pending, kept): End) -> Kind {
    let segments = match reply {
        Reply::Success(results) => results.into_record(xid),
        Reply::Refused(status) => refusal(xid, status),
        Reply::None => return Kind::Known(None),
    };
    let Some(pending) = pending else { return Kind::Known(Some(segments)) };
    let record = segments.to_bytes();
    match kept {
        Some(kept) => {
            let keep = kept.keep(&pending, &record);
            Kind::Keeping { keep, reply: Some((segments, record, pending)) }
        }
        None => {
            pending.finish(Some(record));
            Kind::Known(Some(segments))
        }
    }
}

fn from_cache(record: Option<Bytes>) -> Outgoing {
    record.map(|head| Segments { head, rest: Vec::new() })
}
