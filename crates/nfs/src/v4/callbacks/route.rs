//! How a client is called, as its state says.

use std::net::SocketAddr;

use standfast_rpc::Transport;
use standfast_rpc::rpcbind::{Netid, from_universal};

use super::super::protocol::{CallbackSecurity, SessionId};
use super::super::state::{CallbackTarget, Connection, Holder, State};

/// The operations that a callback takes: CB_SEQUENCE and its own.
const OPERATIONS: u32 = 2;

/// Slots of a back channel that are used at most.
const SLOTS: u32 = 16;

/// How a client is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Over a connection of ours (minor version 0).
    Dial(DialRoute),
    /// Over the connections of its sessions.
    Sessions(Vec<SessionRoute>),
}

/// Where a client of minor version 0 listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialRoute {
    /// Its address; none if what it gave is not one that can be called.
    pub address: Option<SocketAddr>,
    /// RPC program.
    pub program: u32,
    /// To be sent along.
    pub ident: u32,
}

/// The back channel of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRoute {
    /// The session.
    pub id: SessionId,
    /// Minor version.
    pub minor: u32,
    /// RPC program.
    pub program: u32,
    /// Credential.
    pub security: CallbackSecurity,
    /// Slots.
    pub slots: u32,
    /// Its connections.
    pub connections: Vec<Connection>,
}

impl Route {
    /// How a client of `state` is called; `None` if there is no such client.
    pub fn of<H: Holder>(state: &State<H>, client: u64) -> Option<Self> {
        if let Some(target) = state.callback_target(client) {
            return Some(Self::Dial(DialRoute::of(target)));
        }
        let sessions = state.sessions_of(client).filter_map(|id| SessionRoute::of(state, id));
        let sessions: Vec<SessionRoute> = sessions.collect();
        (!sessions.is_empty()).then_some(Self::Sessions(sessions))
    }
}

impl DialRoute {
    fn of(target: &CallbackTarget) -> Self {
        let given = &target.client.address;
        let is_tcp = |netid: Netid| netid.transport == Transport::Tcp;
        let netid = Netid::from_name(&given.netid).filter(|netid| is_tcp(*netid));
        let address = from_universal(&given.address)
            .filter(|it| netid.is_some_and(|netid| netid.ipv6 == it.is_ipv6()))
            .filter(|it| it.port() != 0 && !it.ip().is_unspecified() && !it.ip().is_multicast());
        Self { address, program: target.client.program, ident: target.ident }
    }
}

impl SessionRoute {
    fn of<H: Holder>(state: &State<H>, id: &SessionId) -> Option<Self> {
        let record = state.session(id).ok()?;
        let usable = record.has_back_channel && record.back.max_operations >= OPERATIONS;
        usable.then(|| Self {
            id: *id,
            minor: record.minor,
            program: record.callback_program,
            security: record.callback_security.clone(),
            slots: record.back.max_requests.min(SLOTS),
            connections: state.back_channel(id).collect(),
        })
    }
}
