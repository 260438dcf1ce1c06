//! Asking another machine where its programs listen.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::Netid;
use super::netid::{from_universal, protocol_number};
use super::protocol::{
    Mapping, PORT, PORTMAP_VERSION, PROGRAM, PortmapProcedure, RPCBIND_VERSION_3,
    RPCBIND_VERSION_4, Rpcb, RpcbindProcedure, Text,
};
use super::table::text;
use crate::auth::OpaqueAuth;
use crate::client::{CallError, Target};
use crate::message::ReplyStatus;
use crate::program::Transport;
use crate::xdr::{Decode, Encode};

/// Why a port could not be learnt.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The machine could not be asked.
    #[error("rpcbind at {0}: {1}")]
    Call(SocketAddr, #[source] CallError),
    /// The program is not there.
    #[error("rpcbind at {rpcbind} knows no program {program} version {version}")]
    NotRegistered {
        /// Who was asked.
        rpcbind: SocketAddr,
        /// Program number.
        program: u32,
        /// Program version.
        version: u32,
    },
    /// The answer is no address.
    #[error("rpcbind at {0} answers {1:?}, which is no address")]
    BadAddress(SocketAddr, Text),
}

/// The port where a program of `host` listens; 0 never.
pub async fn port_of(
    host: IpAddr,
    program: u32,
    version: u32,
    transport: Transport,
    timeout: Duration,
) -> Result<u16, LookupError> {
    port_at(SocketAddr::new(host, PORT), program, version, transport, timeout).await
}

/// As [`port_of`], from an rpcbind at another address than the usual.
pub async fn port_at(
    rpcbind: SocketAddr,
    program: u32,
    version: u32,
    transport: Transport,
    timeout: Duration,
) -> Result<u16, LookupError> {
    let question = Question { rpcbind, program, version, transport, timeout };
    let port = match rpcbind {
        // Every machine understands this; the later versions add nothing for IPv4.
        SocketAddr::V4(_) => question.get_port().await,
        SocketAddr::V6(_) => question.get_address().await,
    }?;
    match port {
        0 => Err(LookupError::NotRegistered { rpcbind, program, version }),
        port => Ok(port),
    }
}

struct Question {
    rpcbind: SocketAddr,
    program: u32,
    version: u32,
    transport: Transport,
    timeout: Duration,
}

impl Question {
    async fn get_port(&self) -> Result<u16, LookupError> {
        let mapping = Mapping {
            program: self.program,
            version: self.version,
            protocol: protocol_number(self.transport),
            port: 0,
        };
        let port: u32 = self
            .call(PORTMAP_VERSION, PortmapProcedure::GetPort as u32, &mapping)
            .await
            .map_err(|error| LookupError::Call(self.rpcbind, error))?;
        u16::try_from(port)
            .map_err(|_| LookupError::BadAddress(self.rpcbind, text(&port.to_string())))
    }

    async fn get_address(&self) -> Result<u16, LookupError> {
        let rpcb = Rpcb {
            program: self.program,
            version: self.version,
            netid: text(Netid::of(self.transport, self.rpcbind.ip()).name()),
            address: Text::default(),
            owner: Text::default(),
        };
        let procedure = RpcbindProcedure::GetAddress as u32;
        let mut answer: Result<Text, _> = self.call(RPCBIND_VERSION_4, procedure, &rpcb).await;
        if let Err(CallError::Refused(ReplyStatus::ProgramMismatch { .. })) = answer {
            answer = self.call(RPCBIND_VERSION_3, procedure, &rpcb).await;
        }
        let address = answer.map_err(|error| LookupError::Call(self.rpcbind, error))?;
        if address.is_empty() {
            return Ok(0);
        }
        from_universal(&address)
            .map(|address| address.port())
            .ok_or(LookupError::BadAddress(self.rpcbind, address))
    }

    async fn call<A: Encode, R: Decode>(
        &self,
        version: u32,
        procedure: u32,
        arguments: &A,
    ) -> Result<R, CallError> {
        let target = Target {
            address: self.rpcbind,
            source: None,
            transport: self.transport,
            procedure: (PROGRAM, version, procedure),
            credential: OpaqueAuth::none(),
            privileged: false,
            timeout: self.timeout,
            gate: Arc::default(),
        };
        target.call(arguments).await
    }
}
