//! Calls from us to the services of clients.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use standfast_rpc::Transport;
use standfast_rpc::auth::OpaqueAuth;
use standfast_rpc::client::{CallError, Target};
use standfast_rpc::gate::ReplyGate;
use standfast_rpc::rpcbind::{LookupError, port_of};
use standfast_rpc::xdr::{Decode, DecodeError, Decoder, Encode, Encoder};

/// Ports that are remembered; beyond it, all are asked for again.
const CACHED_PORTS: usize = 4096;

/// A datagram may have been sent again after this part of the time limit.
const RESENT_AFTER: u32 = 4;

/// Whom to call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    /// Its address.
    pub address: IpAddr,
    /// The address of ours to call from; `None`: any.
    pub local: Option<IpAddr>,
    /// What carries the call, if the service is there on it, or else the other one.
    pub transport: Transport,
}

/// The answer to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The results, encoded.
    pub results: Bytes,
    /// Whether the call may have been received more than once: the answer may be that to the
    /// second time.
    pub resent: bool,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutcallError {
    /// Where the service listens could not be learnt.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The call failed.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// A call that is under way.
pub type Outcall<'a> = Pin<Box<dyn Future<Output = Result<Answer, OutcallError>> + Send + 'a>>;

/// Makes calls to services of clients.
pub trait Caller: Send + Sync + 'static {
    /// Calls a procedure (program, version, procedure) with encoded arguments.
    fn call(&self, to: Destination, procedure: (u32, u32, u32), arguments: Bytes) -> Outcall<'_>;
}

/// Values that are encoded already.
pub(crate) struct Encoded(pub(crate) Bytes);

impl Encode for Encoded {
    fn encode(&self, encoder: &mut Encoder) {
        encoder.fixed(&self.0);
    }
}

impl Decode for Encoded {
    fn decode(decoder: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self(decoder.rest()))
    }
}

type Service = (IpAddr, u32, u32, Transport);

/// The real one: asks the client's rpcbind for the port, which it remembers.
#[derive(Debug)]
pub struct NetworkCaller {
    timeout: Duration,
    privileged: bool,
    gate: Arc<ReplyGate>,
    ports: Mutex<HashMap<Service, u16>>,
}

impl NetworkCaller {
    /// Waits for each answer (of rpcbind, of the service) for at most `timeout`. Calls come from
    /// a port below 1024 if `privileged`, which clients expect and only root can do.
    pub fn new(timeout: Duration, privileged: bool) -> Self {
        Self { timeout, privileged, gate: Arc::default(), ports: Mutex::default() }
    }

    /// Calls only while `gate` is open.
    pub fn behind(self, gate: Arc<ReplyGate>) -> Self {
        Self { gate, ..self }
    }

    async fn port(&self, service: Service) -> Result<u16, LookupError> {
        if let Some(port) = self.ports.lock().get(&service) {
            return Ok(*port);
        }
        let (address, program, version, transport) = service;
        let port = port_of(address, program, version, transport, self.timeout).await?;
        let mut ports = self.ports.lock();
        if ports.len() >= CACHED_PORTS {
            ports.clear();
        }
        ports.insert(service, port);
        Ok(port)
    }

    /// Where the service listens: on the transport that was asked for, or on the other one.
    async fn find(
        &self,
        to: Destination,
        program: u32,
        version: u32,
    ) -> Result<(u16, Transport), LookupError> {
        let other = match to.transport {
            Transport::Tcp => Transport::Udp,
            Transport::Udp => Transport::Tcp,
        };
        let service = |transport| (to.address, program, version, transport);
        match self.port(service(to.transport)).await {
            Ok(port) => Ok((port, to.transport)),
            Err(first) => match self.port(service(other)).await {
                Ok(port) => Ok((port, other)),
                Err(_) => Err(first),
            },
        }
    }

    async fn run(
        &self,
        to: Destination,
        procedure: (u32, u32, u32),
        arguments: Bytes,
    ) -> Result<Answer, OutcallError> {
        if !self.gate.may_send() {
            return Err(CallError::Silent.into());
        }
        let (program, version, _) = procedure;
        let (port, transport) = self.find(to, program, version).await?;
        let target = Target {
            address: SocketAddr::new(to.address, port),
            source: to.local,
            transport,
            procedure,
            credential: OpaqueAuth::none(),
            privileged: self.privileged,
            timeout: self.timeout,
            gate: Arc::clone(&self.gate),
        };
        let begun = Instant::now();
        match target.call::<_, Encoded>(&Encoded(arguments)).await {
            Ok(Encoded(results)) => {
                let late = begun.elapsed() >= self.timeout / RESENT_AFTER;
                Ok(Answer { results, resent: transport == Transport::Udp && late })
            }
            Err(error) => {
                // The service may have moved.
                self.ports.lock().remove(&(to.address, program, version, transport));
                Err(error.into())
            }
        }
    }
}

impl Caller for NetworkCaller {
    fn call(&self, to: Destination, procedure: (u32, u32, u32), arguments: Bytes) -> Outcall<'_> {
        Box::pin(self.run(to, procedure, arguments))
    }
}
