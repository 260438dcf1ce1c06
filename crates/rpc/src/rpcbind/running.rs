//! The rpcbind that runs on this machine already.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::Registration;
use super::plan::{Step, to_register, to_withdraw};
use super::protocol::{
    Mapping, PORT, PORTMAP_VERSION, PROGRAM, PortmapProcedure, RPCBIND_VERSION_4, Rpcb,
    RpcbindProcedure,
};
use super::table::Owner;
use crate::auth::OpaqueAuth;
use crate::client::{CallError, LocalTarget, Target};
use crate::message::ReplyStatus;
use crate::program::Transport;
use crate::xdr::{Chain, Decode, Encode};

/// Where rpcbind has its socket for services of its machine.
const SOCKET: &str = "/run/rpcbind.sock";

/// How long rpcbind may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How to reach it.
#[derive(Clone, Debug)]
enum Door {
    /// Its socket: it sees who we are, so no reserved port is needed.
    Socket(PathBuf),
    /// Its port on this machine, which a portmapper may still expect.
    Loopback(SocketAddr),
}

/// The rpcbind that runs on this machine.
#[derive(Clone, Debug)]
pub struct RunningRpcbind {
    door: Door,
    /// A portmapper that knows version 2 only.
    portmap_only: bool,
}

impl RunningRpcbind {
    /// Finds it, at its socket or at port 111.
    pub async fn find() -> Result<Self, CallError> {
        let doors = [
            Door::Socket(Path::new(SOCKET).to_path_buf()),
            Door::Loopback((Ipv4Addr::LOCALHOST, PORT).into()),
        ];
        let mut result = Err(CallError::Timeout(Duration::ZERO));
        for door in doors {
            result = Self::at(door).await;
            if result.is_ok() {
                break;
            }
        }
        result
    }

    async fn at(door: Door) -> Result<Self, CallError> {
        let mut found = Self { door, portmap_only: false };
        match found.call(RPCBIND_VERSION_4, RpcbindProcedure::Null as u32, &()).await {
            Err(CallError::Refused(ReplyStatus::ProgramMismatch { .. })) => {
                found.portmap_only = true;
                Ok(found)
            }
            answer => answer.map(|()| found),
        }
    }

    /// Makes sure that all of `wanted` is registered; says how much had to be changed. What is
    /// registered is left alone, so this may be done again and again.
    pub async fn register(&self, wanted: &[Registration]) -> Result<usize, CallError> {
        let wanted: Vec<_> = wanted.iter().copied().filter(|entry| self.knows(entry)).collect();
        self.perform(to_register(&wanted, &self.registrations().await?)).await
    }

    /// Removes those of `ours` that are still there; says how many.
    pub async fn withdraw(&self, ours: &[Registration]) -> Result<usize, CallError> {
        self.perform(to_withdraw(ours, &self.registrations().await?)).await
    }

    /// What is registered over IP.
    pub async fn registrations(&self) -> Result<Vec<Registration>, CallError> {
        if self.portmap_only {
            let dump = PortmapProcedure::Dump as u32;
            let all: Chain<Mapping> = self.call(PORTMAP_VERSION, dump, &()).await?;
            return Ok(all.0.iter().filter_map(Registration::from_mapping).collect());
        }
        let dump = RpcbindProcedure::Dump as u32;
        let all: Chain<Rpcb> = self.call(RPCBIND_VERSION_4, dump, &()).await?;
        Ok(all.0.iter().filter_map(Registration::from_rpcb).collect())
    }

    fn knows(&self, registration: &Registration) -> bool {
        !self.portmap_only || registration.address.is_ipv4()
    }

    async fn perform(&self, steps: Vec<Step>) -> Result<usize, CallError> {
        for step in &steps {
            let (registration, procedure) = match step {
                Step::Set(registration) => (registration, PortmapProcedure::Set),
                Step::Unset(registration) => {
                    tracing::info!(?registration, "removing a registration from rpcbind");
                    (registration, PortmapProcedure::Unset)
                }
            };
            if !self.change(procedure, *registration).await? {
                tracing::warn!(?step, "rpcbind refuses to change a registration");
            }
        }
        Ok(steps.len())
    }

    /// Sets or removes; the procedures have the same numbers in all versions.
    async fn change(
        &self,
        procedure: PortmapProcedure,
        registration: Registration,
    ) -> Result<bool, CallError> {
        match registration.to_mapping().filter(|_| self.portmap_only) {
            Some(mapping) => self.call(PORTMAP_VERSION, procedure as u32, &mapping).await,
            None => {
                let rpcb = registration.to_rpcb(Owner::Server.name());
                self.call(RPCBIND_VERSION_4, procedure as u32, &rpcb).await
            }
        }
    }

    async fn call<A: Encode, R: Decode>(
        &self,
        version: u32,
        procedure: u32,
        arguments: &A,
    ) -> Result<R, CallError> {
        let procedure = (PROGRAM, version, procedure);
        match &self.door {
            Door::Socket(path) => {
                LocalTarget { path: path.clone(), procedure, timeout: TIMEOUT }
                    .call(arguments)
                    .await
            }
            Door::Loopback(address) => {
                let target = Target {
                    address: *address,
                    source: None,
                    // Each call of its own would leave a connection in TIME_WAIT behind, and
                    // reserved ports are few.
                    transport: Transport::Udp,
                    procedure,
                    credential: OpaqueAuth::none(),
                    privileged: true,
                    timeout: TIMEOUT,
                    gate: Arc::default(),
                };
                target.call(arguments).await
            }
        }
    }
}
