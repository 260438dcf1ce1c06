//! COMPOUND: operations run one after the other until one fails (RFC 8881 sections 2.10.6.4, 16.2).

use std::time::Instant;

use standfast_rpc::results::Results;
use standfast_rpc::xdr::{Encode, Encoder};
use standfast_rpc::{Call, Reply};

use super::Nfs4;
use super::context::Compound;
use super::operations::{self, session};
use super::protocol::{
    CompoundArgs, MAX_MINOR, Operation, OperationCode, OperationError, Outcome, Status, Tag,
    refused,
};
use super::state::Sequenced;

/// The mark of a record is not part of the message whose size a session limits.
const RECORD_MARK: usize = 4;

/// A reply that is being written.
struct Writer {
    encoder: Encoder,
    /// Where the results of COMPOUND begin.
    start: usize,
    /// Where the number of results is.
    count_at: usize,
    results: u32,
}

impl Writer {
    fn new(tag: &Tag) -> Self {
        let mut encoder = Results::begin();
        let start = encoder.len();
        Status::Ok.encode(&mut encoder);
        // Copied, so that nothing large is before the places that are filled in later.
        encoder.opaque(tag);
        let count_at = encoder.len();
        encoder.u32(0);
        Self { encoder, start, count_at, results: 0 }
    }

    /// Bytes of the message so far.
    fn len(&self) -> usize {
        self.encoder.len() - RECORD_MARK
    }

    /// Adds the result of an operation that is not run.
    fn refuse(&mut self, code: OperationCode, status: Status) {
        self.encoder.fixed(&refused(OperationError { code, status }));
        self.results += 1;
    }

    fn end(&mut self, status: Status) {
        self.encoder.set_at(self.start, &(status as u32).to_be_bytes());
        self.encoder.set_at(self.count_at, &self.results.to_be_bytes());
    }

    fn into_reply(self) -> Reply {
        Reply::Success(Results::end(self.encoder))
    }
}

/// Runs a COMPOUND.
pub(super) async fn run(nfs: &Nfs4, call: &Call) -> Reply {
    let args: CompoundArgs = match call.decode() {
        Ok(args) => args,
        Err(refused) => return refused,
    };
    let mut writer = Writer::new(&args.tag);
    let status = if args.minor > MAX_MINOR {
        Status::MinorVersMismatch
    } else if args.minor == 0 && nfs.has_too_many(args.count) {
        Status::Resource
    } else {
        let mut context = Compound::new(nfs, call, args.minor, args.count);
        context.recall_steps();
        let reply = match run_all(&mut context, &args, &mut writer).await {
            Ran::Replay(reply) => reply,
            Ran::Ended(status) => {
                writer.end(status);
                session::finish(&mut context, || writer.encoder.copy_from(writer.start));
                writer.into_reply()
            }
        };
        return match context.take_pending().durable().await {
            Ok(()) => {
                context.forget_steps();
                reply
            }
            Err(stopped) => {
                tracing::error!(error = %stopped, client = %call.peer.address, "no reply is sent");
                Reply::None
            }
        };
    };
    writer.end(status);
    writer.into_reply()
}

/// How the operations ended.
enum Ran {
    /// With this status.
    Ended(Status),
    /// They ran before: the reply of then.
    Replay(Reply),
}

async fn run_all(context: &mut Compound<'_>, args: &CompoundArgs, writer: &mut Writer) -> Ran {
    let mut retry_uncached = false;
    for (position, read) in args.operations().enumerate() {
        context.position = position as u32;
        let operation = match read {
            Ok(operation) => operation,
            Err(OperationError { code, status }) => {
                let status = placement(context, code).err().unwrap_or(status);
                writer.refuse(code, status);
                return Ran::Ended(status);
            }
        };
        let code = operation.code();
        let allowed = placement(context, code);
        let allowed = if retry_uncached { Err(Status::RetryUncachedRep) } else { allowed };
        if let Err(status) = allowed.and_then(|()| room(context, code, writer.len())) {
            writer.refuse(code, status);
            return Ran::Ended(status);
        }
        let status = match operation {
            Operation::Sequence(sequence) => match session::sequence(context, sequence).await {
                Ok(Sequenced::Replay(kept)) => {
                    let mut encoder = Results::begin();
                    encoder.fixed(&kept);
                    return Ran::Replay(Reply::Success(Results::end(encoder)));
                }
                Ok(Sequenced::New(ok) | Sequenced::Unfinished(ok, _)) => {
                    add(context, writer, code, &Outcome::Ok(ok))
                }
                Ok(Sequenced::Uncached(ok)) => {
                    retry_uncached = true;
                    add(context, writer, code, &Outcome::Ok(ok))
                }
                Err(status) => {
                    writer.refuse(code, status);
                    status
                }
            },
            operation => run_one(context, writer, operation).await,
        };
        if status != Status::Ok {
            return Ran::Ended(status);
        }
    }
    Ran::Ended(Status::Ok)
}

async fn run_one(context: &mut Compound<'_>, writer: &mut Writer, operation: Operation) -> Status {
    let code = operation.code();
    let mark = writer.encoder.mark();
    let before = writer.len();
    let begun = Instant::now();
    let status = operations::run(context, operation, &mut writer.encoder).await;
    if let Some(place) = context.place() {
        let failed = !matches!(status, Status::Ok | Status::Same | Status::NotSame);
        place.export.metrics().finished_operation(code, failed, begun.elapsed());
    }
    if writer.len() - before > context.room {
        writer.encoder.reset(mark);
        let status = too_big(context, writer.len());
        writer.refuse(code, status);
        return status;
    }
    writer.results += 1;
    context.changed |= status == Status::Ok && operations::runs_once(code);
    status
}

/// Adds a result.
fn add<T: Encode>(
    context: &mut Compound<'_>,
    writer: &mut Writer,
    code: OperationCode,
    outcome: &Outcome<T>,
) -> Status {
    code.encode(&mut writer.encoder);
    outcome.encode(&mut writer.encoder);
    writer.results += 1;
    context.room = usize::MAX;
    outcome.status()
}

/// Whether an operation may stand where it does (RFC 8881 section 2.10.6.4 and the descriptions of
/// the operations).
fn placement(context: &Compound<'_>, code: OperationCode) -> Result<(), Status> {
    use OperationCode::{
        BindConnToSession, CreateSession, DestroyClientId, DestroySession, ExchangeId, Illegal,
        Sequence,
    };
    if context.minor == 0 || code == Illegal {
        return Ok(());
    }
    let is_first = context.position == 0;
    match code {
        Sequence if is_first => Ok(()),
        Sequence => Err(Status::SequencePos),
        BindConnToSession if context.count > 1 => Err(Status::NotOnlyOp),
        ExchangeId | CreateSession | DestroySession | DestroyClientId | BindConnToSession
            if context.session.is_none() =>
        {
            if context.count == 1 {
                Ok(())
            } else {
                Err(Status::NotOnlyOp)
            }
        }
        _ if context.session.is_none() => Err(Status::OpNotInSession),
        _ => Ok(()),
    }
}

/// Notes how much room the result of an operation has.
///
/// # Errors
/// `REP_TOO_BIG` or `REP_TOO_BIG_TO_CACHE`, if what the operation does could not be told.
fn room(context: &mut Compound<'_>, code: OperationCode, used: usize) -> Result<(), Status> {
    let limit = match context.session {
        Some(session) if session.keep_reply => session.max_reply.min(session.max_kept),
        Some(session) => session.max_reply,
        None => context.nfs.max_reply(),
    };
    context.used = used;
    context.room = limit.saturating_sub(used);
    if context.room < operations::least_room(code) { Err(too_big(context, used)) } else { Ok(()) }
}

fn too_big(context: &Compound<'_>, used: usize) -> Status {
    match context.session {
        None => Status::Resource,
        Some(session) if session.keep_reply && session.max_kept < session.max_reply.max(used) => {
            Status::RepTooBigToCache
        }
        Some(_) => Status::RepTooBig,
    }
}
