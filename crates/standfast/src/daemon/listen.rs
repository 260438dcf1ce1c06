//! The sockets of the daemon, and how clients find them.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use miette::{IntoDiagnostic, WrapErr, miette};
use standfast_rpc::program::Transport;
use standfast_rpc::rpcbind::{Mode, Publication, Registration};
use standfast_rpc::server::{listen_tcp, listen_udp};
use standfast_settings::{Rpcbind, Server as ServerSettings};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;

use super::Daemon;

/// Sockets that are bound.
pub(super) struct Listening {
    streams: Vec<TcpListener>,
    datagrams: Vec<UdpSocket>,
    /// Where NFS is, and so everything that has no port of its own.
    main: Vec<SocketAddr>,
}

impl Listening {
    /// Binds all sockets. A family that the machine does not have is left out, as long as one is
    /// left.
    pub(super) fn bind(settings: &ServerSettings) -> miette::Result<Self> {
        let mut listening = Self { streams: vec![], datagrams: vec![], main: vec![] };
        let mut port = settings.port;
        let extra = [settings.mount_port, settings.nlm_port, settings.nsm_port];
        for ip in &settings.listen {
            let Some(bound) = listening.bind_at(*ip, port, settings.udp)? else { continue };
            listening.main.push(bound);
            // A free port that was found is the same for all addresses.
            port = bound.port();
            for port in extra.into_iter().flatten().filter(|extra| *extra != port) {
                listening.bind_at(*ip, port, settings.udp)?;
            }
        }
        if listening.main.is_empty() {
            return Err(miette!("none of the addresses to listen on is of this machine"));
        }
        Ok(listening)
    }

    fn bind_at(&mut self, ip: IpAddr, port: u16, udp: bool) -> miette::Result<Option<SocketAddr>> {
        let address = SocketAddr::new(ip, port);
        let stream = match listen_tcp(address) {
            Err(error) if ip.is_unspecified() && no_such_family(&error) => return Ok(None),
            stream => stream.into_diagnostic().wrap_err_with(|| cannot_listen(address))?,
        };
        let bound = stream.local_addr().into_diagnostic()?;
        self.streams.push(stream);
        if udp {
            let datagram = listen_udp(bound).into_diagnostic();
            self.datagrams.push(datagram.wrap_err_with(|| cannot_listen(bound))?);
        }
        Ok(Some(bound))
    }

    /// Where NFS is served.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.main.clone()
    }

    /// Makes the ports known as the settings say.
    pub(super) async fn publish(&self, daemon: &Daemon) -> miette::Result<Option<Publication>> {
        let settings = daemon.settings.lock().server.clone();
        let mode = match settings.rpcbind {
            Rpcbind::Auto => Mode::Auto,
            Rpcbind::Serve => Mode::Serve,
            Rpcbind::Register => Mode::Register,
            Rpcbind::Off => return Ok(None),
        };
        let registrations = self.registrations(&settings);
        let limits = super::server_limits(&daemon.settings.lock().limits.clone());
        match Publication::start(mode, registrations, limits).await {
            Ok(publication) => Ok(Some(publication)),
            // Clients that give the port in the mount command can do without.
            Err(error) if mode == Mode::Auto => {
                tracing::warn!(%error, "clients must give the port when they mount");
                Ok(None)
            }
            Err(error) => Err(error).into_diagnostic(),
        }
    }

    /// Every version of every program on every transport.
    fn registrations(&self, settings: &ServerSettings) -> Vec<Registration> {
        use standfast_nfs::{mount, nlm, nsm, v3};
        let programs = [
            (v3::protocol::PROGRAM, vec![3], None),
            (mount::protocol::PROGRAM, vec![1, 3], settings.mount_port),
            (nlm::protocol::PROGRAM, vec![1, 3, 4], settings.nlm_port),
            (nsm::protocol::PROGRAM, vec![1], settings.nsm_port),
        ];
        let transports: &[Transport] =
            if settings.udp { &[Transport::Tcp, Transport::Udp] } else { &[Transport::Tcp] };
        let mut registrations = Vec::new();
        for main in &self.main {
            for (program, versions, port) in &programs {
                for version in versions {
                    registrations.extend(transports.iter().map(|transport| Registration {
                        program: *program,
                        version: *version,
                        transport: *transport,
                        address: SocketAddr::new(main.ip(), port.unwrap_or(main.port())),
                    }));
                }
            }
        }
        registrations
    }

    /// Serves on all sockets until the daemon stops.
    pub(super) fn start(self, daemon: &Daemon, stopped: &watch::Receiver<bool>) {
        for stream in self.streams {
            tokio::spawn(Arc::clone(&daemon.server).serve_tcp(stream, stopped.clone()));
        }
        for datagram in self.datagrams {
            let served = Arc::clone(&daemon.server).serve_udp(datagram, stopped.clone());
            tokio::spawn(async move {
                if let Err(error) = served.await {
                    tracing::error!(%error, "serving over UDP ended");
                }
            });
        }
    }
}

fn cannot_listen(address: SocketAddr) -> String {
    format!("cannot listen on {address}; stop what listens there, or choose another port")
}

fn no_such_family(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// The command that mounts an export from another machine.
pub(super) fn mount_command(address: SocketAddr, path: &Path) -> String {
    let host = match address.ip() {
        ip if !ip.is_unspecified() => match ip {
            IpAddr::V4(v4) => v4.to_string(),
            IpAddr::V6(v6) => format!("[{v6}]"),
        },
        _ => hostname(),
    };
    let port = address.port();
    let ports = match port {
        2049 => String::new(),
        _ => format!(",port={port},mountport={port},nolock"),
    };
    format!("mount -t nfs -o vers=3,proto=tcp{ports} {host}:{} /mnt", path.display())
}

/// The name of this machine.
pub(super) fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
