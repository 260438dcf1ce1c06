//! NFS version 4: minor versions 0 (RFC 7530), 1 (RFC 8881) and 2 (RFC 7862).

mod acl;
mod attributes;
pub mod callbacks;
mod compound;
mod context;
mod intents;
pub mod keeper;
pub mod kept_files;
mod navigation;
mod object;
mod operations;
pub mod owner_names;
pub mod protocol;
pub(crate) mod pseudo;
mod requests;
mod skim;
pub mod state;
mod status;

use std::ops::RangeInclusive;
use std::sync::Arc;

use standfast_rpc::message::ReplyStatus;
use standfast_rpc::reply_cache::Left;
use standfast_rpc::{Call, CallFuture, Program, Reply};

use crate::handles::HandleCodec;
use crate::service::Service;
use keeper::Keeper;
use kept_files::Closings;
use protocol::{OwnerName, PROGRAM, VERSION};
use skim::skim;

/// Procedure number of COMPOUND; the only other one is NULL.
const COMPOUND: u32 = 1;

/// So many operations are always taken, without a look at the settings.
const USUAL_OPERATIONS: u32 = 8;

/// What a reply takes beside its payload, usually.
const USUAL_REPLY: usize = 1024;

/// Room for what a reply holds beside the payload of one operation.
const REPLY_OVERHEAD: usize = 16 << 10;

/// What a service is known by to its clients, at all of its addresses and on each of its nodes
/// (RFC 8881 section 2.10.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerIdentity {
    /// Servers with the same owner share clients and sessions.
    pub owner: OwnerName,
    /// Servers with the same scope mean the same by the same handle.
    pub scope: OwnerName,
}

impl ServerIdentity {
    /// The identity of the service `name`, whose handles are signed by `handles`.
    pub fn new(handles: &HandleCodec, name: &str) -> Self {
        let scope = format!("standfast-{:016x}", handles.identity(b""));
        let owner = format!("standfast-{:016x}", handles.identity(name.as_bytes()));
        Self { owner: owner.into_bytes().into(), scope: scope.into_bytes().into() }
    }
}

/// The program.
pub struct Nfs4 {
    service: Arc<Service>,
    keeper: Arc<Keeper>,
    identity: ServerIdentity,
}

impl Nfs4 {
    /// NFSv4 over `service`, with the state that `keeper` keeps.
    pub fn new(service: Arc<Service>, keeper: Arc<Keeper>) -> Self {
        let identity = ServerIdentity::new(service.handles(), "");
        keeper.set_closings(Closings(Arc::downgrade(&service)));
        service.set_keeper(Arc::clone(&keeper));
        Self { service, keeper, identity }
    }

    /// Gives it another identity, where one machine has several services.
    pub fn with_identity(self, identity: ServerIdentity) -> Self {
        Self { identity, ..self }
    }

    /// What it is known by.
    fn identity(&self) -> &ServerIdentity {
        &self.identity
    }

    /// How long a client may be silent, in seconds.
    fn lease_seconds(&self) -> u32 {
        let lease = self.keeper.look(|state| state.settings().lease);
        u32::try_from(lease.as_secs()).unwrap_or(u32::MAX)
    }

    /// Whether a COMPOUND of minor version 0 has too many operations; sessions have limits of
    /// their own.
    fn has_too_many(&self, operations: u32) -> bool {
        operations > USUAL_OPERATIONS
            && operations > self.keeper.look(|state| state.settings().operations)
    }

    /// The largest reply of minor version 0, in bytes.
    fn max_reply(&self) -> usize {
        self.service.limits().max_read + REPLY_OVERHEAD
    }
}

impl Program for Nfs4 {
    fn number(&self) -> u32 {
        PROGRAM
    }

    fn versions(&self) -> RangeInclusive<u32> {
        VERSION..=VERSION
    }

    fn runs_once(&self, call: &Call) -> bool {
        // Sessions have their own cache.
        call.procedure == COMPOUND && {
            let skimmed = skim(&call.arguments);
            skimmed.minor == 0 && skimmed.runs_once
        }
    }

    fn outlives(&self, _call: &Call) -> bool {
        true
    }

    fn reply_size(&self, call: &Call) -> usize {
        let payload = match call.procedure {
            COMPOUND => skim(&call.arguments).payload,
            _ => 0,
        };
        USUAL_REPLY + payload.min(self.max_reply())
    }

    fn call(self: Arc<Self>, call: Call) -> CallFuture {
        Box::pin(async move {
            if let Some(keeping) = &call.keeping {
                keeping.leave(Left::Reply);
            }
            match call.procedure {
                0 => Reply::success(&()),
                COMPOUND => compound::run(&self, &call).await,
                _ => Reply::status(ReplyStatus::ProcedureUnavailable),
            }
        })
    }
}
