//! One socket per interface and family receives the advertisements for all virtual routers on it.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recvmsg, setsockopt, sockopt};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::Error;
use crate::packet::{Envelope, GROUP_V4, GROUP_V6, PROTOCOL};

/// The longest IPv4 header and an advertisement of 255 IPv6 addresses.
const MOST_OCTETS: usize = 60 + 8 + 255 * 16;
/// Octets that the kernel may queue while we are away.
const QUEUE: usize = 1 << 20;

/// Receives VRRP packets of one family from one interface.
#[derive(Debug)]
pub(super) struct Receiver {
    socket: Socket,
    is_ipv4: bool,
    buffer: Vec<u8>,
}

impl Receiver {
    /// Opens the socket on the interface `link` and joins the group of VRRP there.
    pub(super) fn new(link: u32, is_ipv4: bool) -> Result<Self, Error> {
        let socket = open(link, is_ipv4)
            .map_err(Error::system(format!("receive VRRP on interface number {link}")))?;
        Ok(Self { socket, is_ipv4, buffer: vec![0; MOST_OCTETS] })
    }

    /// The next packet, if there is one.
    pub(super) fn receive(&mut self) -> io::Result<Option<(Envelope, &[u8])>> {
        let received = if self.is_ipv4 { self.receive_v4() } else { self.receive_v6() };
        match received {
            Ok(Some((envelope, start, end))) => {
                Ok(Some((envelope, self.buffer.get(start..end).unwrap_or_default())))
            }
            Ok(None) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The kernel hands over the IPv4 header too.
    fn receive_v4(&mut self) -> io::Result<Option<(Envelope, usize, usize)>> {
        let flags = rustix::net::RecvFlags::empty();
        let (length, _) = rustix::net::recv(&self.socket, &mut self.buffer[..], flags)?;
        let packet = self.buffer.get(..length).unwrap_or_default();
        Ok(read_ipv4(packet).map(|(envelope, start)| (envelope, start, length)))
    }

    /// For IPv6 the header comes as control messages.
    fn receive_v6(&mut self) -> io::Result<Option<(Envelope, usize, usize)>> {
        let mut space = nix::cmsg_space!(libc::in6_pktinfo, libc::c_int);
        let mut parts = [IoSliceMut::new(&mut self.buffer)];
        let message = recvmsg::<SockaddrIn6>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::empty(),
        )?;
        let (mut destination, mut ttl) = (None, None);
        for control in message.cmsgs()? {
            match control {
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    destination = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr));
                }
                ControlMessageOwned::Ipv6HopLimit(limit) => ttl = u8::try_from(limit).ok(),
                _ => {}
            }
        }
        let (Some(source), Some(destination), Some(ttl)) = (message.address, destination, ttl)
        else {
            return Ok(None);
        };
        let envelope =
            Envelope { source: source.ip().into(), destination: destination.into(), ttl };
        Ok(Some((envelope, 0, message.bytes)))
    }
}

impl AsFd for Receiver {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// The envelope of an IPv4 packet, and where its payload begins.
fn read_ipv4(packet: &[u8]) -> Option<(Envelope, usize)> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let start = usize::from(header[0] & 0x0f) * 4;
    let [.., a, b, c, d, e, f, g, h] = *header;
    let envelope = Envelope {
        source: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        destination: IpAddr::V4(Ipv4Addr::new(e, f, g, h)),
        ttl: header[8],
    };
    (start >= 20 && start <= packet.len()).then_some((envelope, start))
}

fn open(link: u32, is_ipv4: bool) -> io::Result<Socket> {
    let domain = if is_ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(PROTOCOL))))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(QUEUE)?;
    if is_ipv4 {
        socket.bind_device_by_index_v4(NonZeroU32::new(link))?;
        socket.join_multicast_v4_n(&GROUP_V4, &InterfaceIndexOrAddress::Index(link))?;
    } else {
        socket.bind_device_by_index_v6(NonZeroU32::new(link))?;
        socket.join_multicast_v6(&GROUP_V6, link)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_of_an_ipv4_packet_is_read() {
        let mut packet = vec![0x46, 0xc0, 0, 32, 0, 0, 0, 0, 255, 112, 0, 0, 192, 0, 2, 1];
        packet.extend([224, 0, 0, 18, 1, 1, 1, 1, 0x31]);
        let (envelope, start) = read_ipv4(&packet).unwrap();
        assert_eq!((envelope.ttl, start), (255, 24));
        assert_eq!(envelope.source, "192.0.2.1".parse::<IpAddr>().unwrap());
        assert_eq!(envelope.destination, IpAddr::from(GROUP_V4));
        assert_eq!(read_ipv4(&packet[..22]), None);
        assert_eq!(read_ipv4(&packet[..19]), None);
        packet[0] = 0x42;
        assert_eq!(read_ipv4(&packet), None);
    }
}
