//! How clients find the daemon.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use miette::IntoDiagnostic;
use standfast_rpc::program::Transport;
use standfast_rpc::rpcbind::{Mode, Publication, Registration};
use standfast_serving::server_limits;
use standfast_settings::{Rpcbind, Server as ServerSettings};

use super::Daemon;

/// Makes the ports known as the settings say.
pub(super) async fn publish(daemon: &Daemon) -> miette::Result<Option<Publication>> {
    let (settings, limits) = {
        let settings = daemon.settings.lock();
        (settings.server.clone(), server_limits(&settings.limits))
    };
    let mode = match settings.rpcbind {
        Rpcbind::Auto => Mode::Auto,
        Rpcbind::Serve => Mode::Serve,
        Rpcbind::Register => Mode::Register,
        Rpcbind::Off => return Ok(None),
    };
    match Publication::start(mode, registrations(&daemon.published(), &settings), limits).await {
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
fn registrations(listening: &[SocketAddr], settings: &ServerSettings) -> Vec<Registration> {
    use standfast_nfs::{mount, nlm, nsm, v3};
    let programs = [
        (v3::protocol::PROGRAM, vec![3, 4], None),
        (mount::protocol::PROGRAM, vec![1, 3], settings.mount_port),
        (nlm::protocol::PROGRAM, vec![1, 3, 4], settings.nlm_port),
        (nsm::protocol::PROGRAM, vec![1], settings.nsm_port),
    ];
    let transports: &[Transport] =
        if settings.udp { &[Transport::Tcp, Transport::Udp] } else { &[Transport::Tcp] };
    let mut registrations = Vec::new();
    for main in listening {
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
fn hostname() -> String {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into_owned()
}
