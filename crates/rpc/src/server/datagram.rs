//! Calls over UDP.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};

use super::dispatch::Outgoing;
use super::listener::{Binding, bound_socket, canonical};
use super::{Activity, Server};
use crate::program::{Peer, Transport};
use crate::record::MARK_SIZE;

/// The largest datagram.
const DATAGRAM_SIZE: usize = 64 << 10;

/// Receive and send buffers of a socket: a burst of large writes should not be lost.
const SOCKET_BUFFER: usize = 4 << 20;

/// Opens a UDP socket on `address` that tells which of the machine's addresses each datagram was
/// sent to: the reply must come from that one, or the client will not know it.
pub fn listen_udp(address: SocketAddr, binding: Binding) -> io::Result<UdpSocket> {
    let socket = bound_socket(address, Transport::Udp, binding)?;
    SockRef::from(&socket).set_recv_buffer_size(SOCKET_BUFFER)?;
    SockRef::from(&socket).set_send_buffer_size(SOCKET_BUFFER)?;
    match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    UdpSocket::from_std(socket.into())
}

/// How to send a reply so that it leaves from the address that was asked.
#[derive(Clone, Copy)]
enum Source {
    V4(nix::libc::in_pktinfo),
    V6(nix::libc::in6_pktinfo),
    Any,
}

struct Datagram {
    message: Bytes,
    from: SocketAddr,
    to: IpAddr,
    source: Source,
}

impl Server {
    /// Serves the datagrams of a socket until `shutdown` turns true.
    pub async fn serve_udp(
        self: Arc<Self>,
        socket: UdpSocket,
        mut shutdown: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let socket = Arc::new(socket);
        let local = socket.local_addr()?;
        let slots = Arc::new(Semaphore::new(self.limits().requests_per_connection));
        let mut buffer = vec![0; DATAGRAM_SIZE];
        let mut draining = self.draining.subscribe();
        loop {
            tokio::select! {
                // The sender is as old as we are.
                _ = draining.wait_for(|draining| !draining) => {}
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            }
            // With all slots taken, datagrams wait in the socket and then get lost: the client
            // sends them again.
            let slot = tokio::select! {
                slot = Arc::clone(&slots).acquire_owned() => slot.map_err(io::Error::other)?,
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            };
            let received = tokio::select! {
                received = receive(&socket, &mut buffer) => received,
                _ = shutdown.wait_for(|stop| *stop) => return Ok(()),
            };
            let datagram = match received {
                Ok(datagram) => datagram,
                // An ICMP error of an earlier reply, for example.
                Err(error) => {
                    tracing::debug!(%error, "receiving a datagram");
                    continue;
                }
            };
            let peer = Peer {
                address: canonical(datagram.from),
                local: SocketAddr::new(datagram.to, local.port()),
                transport: Transport::Udp,
            };
            self.answer(&socket, datagram, peer, slot);
        }
    }

    /// Runs the call of a datagram, here if memory can answer it, else beside.
    fn answer(
        self: &Arc<Self>,
        socket: &Arc<UdpSocket>,
        datagram: Datagram,
        peer: Peer,
        slot: tokio::sync::OwnedSemaphorePermit,
    ) {
        // What was on its way when a draining began, the client asks again.
        if !self.gate.may_send() || self.is_draining() {
            return;
        }
        let counters = &self.counters;
        counters.bytes_received.fetch_add(datagram.message.len() as u64, Ordering::Relaxed);
        let (from, source) = (datagram.from, datagram.source);
        let activity = Arc::new(Activity::new(peer));
        let prepared = match self.prepare(datagram.message, peer, &activity) {
            None => return,
            Some(Err(reply)) => return self.reply(socket, reply, from, source),
            Some(Ok(prepared)) => prepared,
        };
        let Some(share) = self.budget.try_take(prepared.size) else {
            counters.paused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // Asked again: whoever drains either sees the memory taken or is seen here.
        if self.is_draining() {
            return;
        }
        let registration = self.registry.register(Arc::clone(&activity));
        let scope = (self.batch_scope)();
        let mut running = self.run(prepared);
        let first = Pin::new(&mut running).poll(&mut Context::from_waker(Waker::noop()));
        drop(scope);
        match first {
            Poll::Ready(reply) => self.reply(socket, reply, from, source),
            Poll::Pending => {
                let (server, socket) = (Arc::clone(self), Arc::clone(socket));
                tokio::spawn(async move {
                    tokio::select! {
                        reply = running => server.reply(&socket, reply, from, source),
                        () = server.forgets_calls() => {}
                    }
                    drop((slot, share, registration));
                });
            }
        }
    }

    /// Sends a reply. One that the socket does not take at once is lost, as datagrams are; the
    /// client asks again.
    fn reply(&self, socket: &UdpSocket, reply: Outgoing, to: SocketAddr, source: Source) {
        let Some(segments) = reply.filter(|_| self.gate.may_send()) else { return };
        let message = segments.to_bytes().slice(MARK_SIZE..);
        self.counters.bytes_sent.fetch_add(message.len() as u64, Ordering::Relaxed);
        let sent = socket.try_io(Interest::WRITABLE, || send(socket, &message, to, source));
        if let Err(error) = sent {
            tracing::debug!(client = %to, %error, "sending a datagram");
        }
    }
}

async fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    socket.async_io(Interest::READABLE, || receive_now(socket, buffer)).await
}

fn receive_now(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo, nix::libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = recvmsg::<SockaddrStorage>(
        socket.as_raw_fd(),
        &mut slices,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let from = received.address.as_ref().and_then(socket_address);
    let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    let (mut to, mut source) = (IpAddr::from([0, 0, 0, 0]), Source::Any);
    for message in received.cmsgs()? {
        match message {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                to = IpAddr::from(u32::from_be(info.ipi_addr.s_addr).to_be_bytes());
                // The route decides the interface; the source is the address that was asked.
                let spec_dst = info.ipi_addr;
                source = Source::V4(nix::libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: spec_dst,
                    ..info
                });
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                to = IpAddr::from(info.ipi6_addr.s6_addr);
                source = Source::V6(info);
            }
            _ => {}
        }
    }
    let length = received.bytes;
    Ok(Datagram { message: Bytes::copy_from_slice(&buffer[..length]), from, to, source })
}

fn send(socket: &UdpSocket, message: &[u8], to: SocketAddr, source: Source) -> io::Result<()> {
    let slices = [IoSlice::new(message)];
    let to = SockaddrStorage::from(to);
    let control = match &source {
        Source::V4(info) => Some(ControlMessage::Ipv4PacketInfo(info)),
        Source::V6(info) => Some(ControlMessage::Ipv6PacketInfo(info)),
        Source::Any => None,
    };
    sendmsg(socket.as_raw_fd(), &slices, control.as_slice(), MsgFlags::empty(), Some(&to))?;
    Ok(())
}

fn socket_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
    v4.or_else(|| storage.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6))))
}
