//! Accepting connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::connection::Connection;
use super::{Activity, Server, silence};
use crate::channel::ChannelEnd;
use crate::program::{Peer, Transport};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// How long accepting pauses when the process has no file descriptors left.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// Whether an address has to be there when it is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// It is an address of this machine: another one is an error.
    Present,
    /// It may come later (`IP_FREEBIND`, `ip(7)`), as a floating address does: whoever listens
    /// before it is raised refuses no client.
    Ahead,
}

/// A socket that is bound and may be shared with a later start of the server; an IPv6 socket
/// takes IPv6 only, so that each family has its own.
pub(super) fn bound_socket(
    address: SocketAddr,
    transport: Transport,
    binding: Binding,
) -> io::Result<Socket> {
    let (kind, protocol) = match transport {
        Transport::Tcp => (Type::STREAM, Protocol::TCP),
        Transport::Udp => (Type::DGRAM, Protocol::UDP),
    };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    match (binding, address) {
        (Binding::Present, _) => {}
        (Binding::Ahead, SocketAddr::V4(_)) => socket.set_freebind_v4(true)?,
        (Binding::Ahead, SocketAddr::V6(_)) => socket.set_freebind_v6(true)?,
    }
    if transport == Transport::Tcp {
        socket.set_reuse_address(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Listens for TCP connections on `address`.
pub fn listen_tcp(address: SocketAddr, binding: Binding) -> io::Result<TcpListener> {
    let socket = bound_socket(address, Transport::Tcp, binding)?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The nearest time that the kernel takes for its probes (`tcp`(7)): whole seconds, within limits.
fn keepalive_time(time: Duration) -> Duration {
    time.clamp(Duration::from_secs(1), Duration::from_secs(32_767))
}

/// The address without the IPv6 form of an IPv4 one.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}

/// Leaves connections without a word that wait to be accepted: the kernel would reset them.
fn forsake_waiting(listener: TcpListener) {
    let Ok(listener) = listener.into_std() else { return };
    for _ in 0..=BACKLOG {
        match listener.accept() {
            Ok((stream, _)) => silence::forsake(&stream),
            Err(_no_more) => return,
        }
    }
}

impl Server {
    /// Serves the connections of a listener until `shutdown` turns true.
    pub async fn serve_tcp(
        self: Arc<Self>,
        listener: TcpListener,
        mut shutdown: watch::Receiver<bool>,
    ) {
        if let Some(watch) = self.sockets.get() {
            watch.listening(listener.as_fd());
        }
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = shutdown.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, address)) => self.admit_connection(stream, address, &shutdown),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(EXHAUSTED_PAUSE).await;
                }
            }
        }
        if self.is_silenced() {
            forsake_waiting(listener);
        }
    }

    fn admit_connection(
        self: &Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        shutdown: &watch::Receiver<bool>,
    ) {
        self.counters.accepted.fetch_add(1, Ordering::Relaxed);
        if self.registry.len() >= self.limits().connections {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(client = %address, limit = self.limits().connections,
                "connection closed: the limit of connections is reached");
            return;
        }
        let local = match self.prepare_stream(&stream) {
            Ok(local) => local,
            // The client was faster and is gone again.
            Err(error) => return tracing::debug!(client = %address, %error, "connection lost"),
        };
        let peer = Peer {
            address: canonical(address),
            local: canonical(local),
            transport: Transport::Tcp,
        };
        if let Some(watch) = self.sockets.get() {
            watch.accepted(stream.as_fd(), &peer);
        }
        let calls = ChannelEnd::new(self.limits().callbacks_per_connection);
        let activity = Arc::new(Activity::with_channel(peer, calls.channel()));
        // It counts from here on, so that the limit holds whatever the other thread does.
        let registration = self.registry.register(Arc::clone(&activity));
        let (server, shutdown) = (Arc::clone(self), shutdown.clone());
        let here = Handle::current();
        let thread = self.reactors.next().unwrap_or(&here);
        // The socket belongs to the thread that it was accepted on until it is taken from there.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(client = %address, %error, "connection lost"),
        };
        thread.spawn(async move {
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => {
                    return tracing::warn!(client = %peer.address, %error, "connection lost");
                }
            };
            tracing::debug!(client = %peer.address, "connected");
            let (watch, gate) = (server.sockets.get().cloned(), Arc::clone(&server.gate));
            let connection = Connection::new(server, stream, activity, registration, calls);
            let ended = connection.serve(shutdown).await;
            if let Some(watch) = watch
                && gate.may_send()
            {
                watch.ended(&peer);
            }
            tracing::debug!(client = %peer.address, reason = %ended, "disconnected");
        });
    }

    /// Sets what makes a dead client's connection go in time; gives our address.
    fn prepare_stream(&self, stream: &TcpStream) -> io::Result<SocketAddr> {
        stream.set_nodelay(true)?;
        let socket = SockRef::from(stream);
        let timeout = self.limits().send_timeout;
        let keepalive = TcpKeepalive::new()
            .with_time(keepalive_time(timeout))
            .with_interval(keepalive_time(timeout / 6))
            .with_retries(3);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(timeout))?;
        stream.local_addr()
    }
}
