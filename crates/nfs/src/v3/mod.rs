//! NFS version 3 (RFC 1813).

mod attributes;
mod convert;
mod data;
mod directory;
mod file_system;
mod names;
mod once;
pub mod protocol;
mod request;
mod status;

use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr::{Decode, Decoder};
use standfast_rpc::{Call, CallFuture, Program, Reply};

use crate::service::Service;
use protocol::{FileHandle, PROGRAM, Procedure, VERSION};
use request::Request;

/// Room for what a reply holds beside its payload.
const REPLY_OVERHEAD: usize = 512;

/// The program.
pub struct Nfs3 {
    service: Arc<Service>,
}

impl Nfs3 {
    /// NFSv3 over `service`.
    pub fn new(service: Arc<Service>) -> Self {
        Self { service }
    }

    async fn run(&self, call: &Call) -> Reply {
        let Ok(procedure) = Procedure::try_from(call.procedure) else {
            return Reply::status(ReplyStatus::ProcedureUnavailable);
        };
        let begun = Instant::now();
        let request = Request { service: &self.service, call, export: OnceLock::new() };
        match answer(procedure, &request).await {
            Ok((reply, failed)) => {
                if let Some(export) = request.export.get() {
                    export.metrics().finished(call.procedure, failed, begun.elapsed());
                }
                reply
            }
            Err(refused) => refused,
        }
    }
}

/// Decodes the arguments, runs the procedure and encodes its results; with it, whether it failed.
async fn answer(procedure: Procedure, request: &Request<'_>) -> Result<(Reply, bool), Reply> {
    macro_rules! run {
        ($function:path) => {{
            let outcome = $function(request, request.call.decode()?).await;
            (Reply::success(&outcome), outcome.failed())
        }};
    }
    Ok(match procedure {
        Procedure::Null => (Reply::success(&()), false),
        Procedure::GetAttr => run!(attributes::get_attr),
        Procedure::SetAttr => run!(attributes::set_attr),
        Procedure::Lookup => run!(names::lookup),
        Procedure::Access => run!(attributes::access),
        Procedure::ReadLink => run!(names::read_link),
        Procedure::Read => run!(data::read),
        Procedure::Write => run!(data::write),
        Procedure::Create => run!(names::create),
        Procedure::MkDir => run!(names::mkdir),
        Procedure::SymLink => run!(names::symlink),
        Procedure::MkNod => run!(names::mknod),
        Procedure::Remove => run!(names::remove),
        Procedure::RmDir => run!(names::rmdir),
        Procedure::Rename => run!(names::rename),
        Procedure::Link => run!(names::link),
        Procedure::ReadDir => run!(directory::read_dir),
        Procedure::ReadDirPlus => run!(directory::read_dir_plus),
        Procedure::FsStat => run!(file_system::fs_stat),
        Procedure::FsInfo => run!(file_system::fs_info),
        Procedure::PathConf => run!(file_system::path_conf),
        Procedure::Commit => run!(data::commit),
    })
}

impl Program for Nfs3 {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        VERSION..=VERSION
    }

    fn runs_once(&self, call: &Call) -> bool {
        use Procedure::{
            Create, Link, MkDir, MkNod, Remove, Rename, RmDir, SetAttr, SymLink, Write,
        };
        let once = [SetAttr, Write, Create, MkDir, SymLink, MkNod, Remove, RmDir, Rename, Link];
        Procedure::try_from(call.procedure).is_ok_and(|procedure| once.contains(&procedure))
    }

    /// A WRITE may be repeated, and one that is not stable must be.
    fn outlives(&self, call: &Call) -> bool {
        Procedure::try_from(call.procedure) != Ok(Procedure::Write)
    }

    fn reply_size(&self, call: &Call) -> usize {
        let limit = self.service.limits().payload();
        let payload = match Procedure::try_from(call.procedure) {
            Ok(Procedure::Read | Procedure::ReadDir | Procedure::ReadDirPlus) => {
                count_argument(call).unwrap_or(0).min(limit)
            }
            _ => 0,
        };
        REPLY_OVERHEAD + payload
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(async move { self.run(&call).await })
    }
}

/// How many bytes a READ, READDIR or READDIRPLUS wants: its last argument.
fn count_argument(call: &Call) -> Option<usize> {
    let mut decoder = Decoder::new(&call.arguments);
    FileHandle::decode(&mut decoder).ok()?;
    let rest = decoder.rest();
    Some(u32::from_be_bytes(*rest.last_chunk::<4>()?) as usize)
}
