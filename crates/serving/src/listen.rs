//! The sockets of a service.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use standfast_rpc::Server;
use standfast_rpc::server::{Binding, listen_tcp, listen_udp};
use standfast_settings::Server as ServerSettings;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::StartError;

/// Sockets that are bound. Must be made and served in a runtime.
pub struct Listening {
    binding: Binding,
    streams: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    /// Where NFS is, and so everything that has no port of its own.
    main: Vec<SocketAddr>,
}

impl Listening {
    /// Binds all sockets. A family that the machine does not have is left out, as long as one is
    /// left. With [`Binding::Ahead`], addresses need not be there yet: clients that come once they
    /// are find who listens. Sockets of other addresses on the same port are not disturbed; those
    /// of *all* addresses (`0.0.0.0`, `::`) are in each other's and everybody's way.
    pub(crate) fn bind(
        addresses: &[IpAddr],
        settings: &ServerSettings,
        binding: Binding,
    ) -> Result<Self, StartError> {
        let mut listening = Self { binding, streams: vec![], datagrams: vec![], main: vec![] };
        let mut port = settings.port;
        let extra = [settings.mount_port, settings.nlm_port, settings.nsm_port];
        for ip in addresses {
            let Some(bound) = listening.bind_at(*ip, port, settings.udp)? else { continue };
            listening.main.push(bound);
            // A free port that was found is the same for all addresses.
            port = bound.port();
            for port in extra.into_iter().flatten().filter(|extra| *extra != port) {
                listening.bind_at(*ip, port, settings.udp)?;
            }
        }
        if listening.main.is_empty() {
            return Err(StartError::NoAddress);
        }
        Ok(listening)
    }

    fn bind_at(
        &mut self,
        ip: IpAddr,
        port: u16,
        udp: bool,
    ) -> Result<Option<SocketAddr>, StartError> {
        let address = SocketAddr::new(ip, port);
        let failed = |address| move |error| StartError::Listen { address, error };
        let stream = match listen_tcp(address, self.binding) {
            Err(error) if ip.is_unspecified() && no_such_family(&error) => return Ok(None),
            stream => stream.map_err(failed(address))?,
        };
        let bound = stream.local_addr().map_err(failed(address))?;
        self.streams.push(stream);
        if udp {
            self.datagrams.push(listen_udp(bound, self.binding).map_err(failed(bound))?);
        }
        Ok(Some(bound))
    }

    /// Where NFS is served.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.main.clone()
    }

    /// Serves on all sockets until `stopped` turns true; each ends with its task.
    pub(crate) fn serve(
        self,
        server: &Arc<Server>,
        stopped: &watch::Receiver<bool>,
    ) -> Vec<JoinHandle<()>> {
        let over_tcp = self
            .streams
            .into_iter()
            .map(|stream| tokio::spawn(Arc::clone(server).serve_tcp(stream, stopped.clone())));
        let over_udp = self.datagrams.into_iter().map(|datagram| {
            let served = Arc::clone(server).serve_udp(datagram, stopped.clone());
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    tracing::error!(%error, "serving over UDP ended");
                }
            })
        });
        over_tcp.chain(over_udp).collect()
    }
}

fn no_such_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
