//! Making our ports known, in the way that fits the machine.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::protocol::{PORT, PORTMAP_VERSION, PROGRAM, RPCBIND_VERSION_4};
use super::{Registration, Rpcbind, RunningRpcbind};
use crate::client::CallError;
use crate::program::Transport;
use crate::server::{Binding, Reactors, Server, ServerLimits, listen_tcp, listen_udp};

/// How often we look whether a running rpcbind still knows us: it forgets when it restarts.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

/// How clients learn our ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Answer at port 111 if nobody does, else register.
    Auto,
    /// Answer at port 111.
    Serve,
    /// Register with the rpcbind that runs.
    Register,
}

/// Why our ports could not be made known.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// Port 111 is not to be had.
    #[error("cannot listen on {address} over {transport:?} to answer as rpcbind: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Over what.
        transport: Transport,
        /// Why not.
        source: io::Error,
    },
    /// The rpcbind of this machine does not answer.
    #[error(
        "cannot register with the rpcbind of this machine: {0}; start it, or mount with the port \
         given"
    )]
    Register(#[from] CallError),
}

/// Sockets at port 111, and who answers there.
pub struct Serving {
    server: Arc<Server>,
    streams: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
}

/// Registrations with a running rpcbind.
pub struct Registered {
    rpcbind: RunningRpcbind,
    registrations: Vec<Registration>,
}

/// Our ports, made known.
pub enum Publication {
    /// We answer ourselves.
    Serving(Serving),
    /// The rpcbind of this machine answers.
    Registered(Registered),
}

impl Publication {
    /// Makes `registrations` known. After this, [`Self::run`] has to run.
    pub async fn start(
        mode: Mode,
        registrations: Vec<Registration>,
        limits: ServerLimits,
    ) -> Result<Self, PublishError> {
        if mode != Mode::Register {
            match Serving::start(&registrations, limits) {
                Ok(serving) => return Ok(Self::Serving(serving)),
                Err(PublishError::Listen { source, .. })
                    if mode == Mode::Auto && source.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => return Err(error),
            }
        }
        let rpcbind = RunningRpcbind::find().await?;
        rpcbind.register(&registrations).await?;
        Ok(Self::Registered(Registered { rpcbind, registrations }))
    }

    /// Keeps them known until `shutdown` turns true, then takes them back.
    pub async fn run(self, shutdown: watch::Receiver<bool>) {
        match self {
            Self::Serving(serving) => serving.run(shutdown).await,
            Self::Registered(registered) => registered.run(shutdown).await,
        }
    }
}

impl Serving {
    fn start(registrations: &[Registration], limits: ServerLimits) -> Result<Self, PublishError> {
        let (mut streams, mut datagrams, mut all) = (vec![], vec![], registrations.to_vec());
        for ip in [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)] {
            let address = SocketAddr::new(ip, PORT);
            let failed = |transport, source| PublishError::Listen { address, transport, source };
            match listen_tcp(address, Binding::Present) {
                Err(error) if is_missing_family(&error) => continue,
                listener => {
                    streams.push(listener.map_err(|error| failed(Transport::Tcp, error))?);
                }
            }
            datagrams.push(
                listen_udp(address, Binding::Present)
                    .map_err(|error| failed(Transport::Udp, error))?,
            );
            for transport in [Transport::Tcp, Transport::Udp] {
                all.extend((PORTMAP_VERSION..=RPCBIND_VERSION_4).map(|version| Registration {
                    program: PROGRAM,
                    version,
                    transport,
                    address,
                }));
            }
        }
        let server = Server::new(
            vec![Rpcbind::new(all)],
            limits,
            Arc::new(|| Box::new(())),
            Reactors::default(),
        );
        Ok(Self { server, streams, datagrams })
    }

    async fn run(self, shutdown: watch::Receiver<bool>) {
        let mut tasks = JoinSet::new();
        for listener in self.streams {
            tasks.spawn(Arc::clone(&self.server).serve_tcp(listener, shutdown.clone()));
        }
        for socket in self.datagrams {
            let served = Arc::clone(&self.server).serve_udp(socket, shutdown.clone());
            tasks.spawn(async move {
                if let Err(error) = served.await {
                    tracing::error!(%error, "rpcbind over UDP ended");
                }
            });
        }
        while tasks.join_next().await.is_some() {}
    }
}

/// A machine without IPv6 (or IPv4) needs no socket of it.
fn is_missing_family(error: &io::Error) -> bool {
    let missing = [nix::libc::EAFNOSUPPORT, nix::libc::EADDRNOTAVAIL];
    error.raw_os_error().is_some_and(|number| missing.contains(&number))
}

impl Registered {
    async fn run(self, mut shutdown: watch::Receiver<bool>) {
        let mut check = interval(CHECK_INTERVAL);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = true;
        loop {
            tokio::select! {
                _ = check.tick() => {}
                _ = shutdown.wait_for(|stop| *stop) => break,
            }
            match self.rpcbind.register(&self.registrations).await {
                Ok(0) => known = true,
                Ok(changed) => {
                    tracing::info!(changed, "registered again with rpcbind");
                    known = true;
                }
                Err(error) if known => {
                    tracing::warn!(%error, "the rpcbind of this machine does not answer; clients \
                        that ask it for our ports find nothing until it does");
                    known = false;
                }
                Err(_) => {}
            }
        }
        if let Err(error) = self.rpcbind.withdraw(&self.registrations).await {
            tracing::warn!(%error, "our registrations stay with rpcbind");
        }
    }
}
