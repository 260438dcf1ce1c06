//! Answers for addresses that are announced but not on any interface, so that the kernel forwards
//! packets to them and accepts none: `Accept_Mode` false of RFC 9568, section 6.1.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddrV6};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::RecvFlags;
use socket2::{Domain, Protocol, Socket, Type};

use crate::frame::{self, Question};
use crate::{Error, PacketSocket};

/// Longer than any ARP packet or neighbour solicitation that is answered.
const MOST_OCTETS: usize = 256;

#[derive(Debug)]
enum Listener {
    Arp(PacketSocket),
    NeighbourDiscovery(Socket),
}

/// Hears who asks for a set of addresses of one family on one interface.
#[derive(Debug)]
pub struct Responder {
    listener: Listener,
    addresses: Vec<IpAddr>,
}

impl Responder {
    /// Listens on the interface `link` for questions about `addresses`, which are of one family.
    ///
    /// # Errors
    /// If the socket cannot be opened.
    pub fn new(link: u32, addresses: Vec<IpAddr>) -> Result<Self, Error> {
        let listener = if addresses.iter().all(IpAddr::is_ipv4) {
            Listener::Arp(PacketSocket::for_arp(link)?)
        } else {
            let groups = addresses.iter().filter_map(solicited_node_group);
            let socket = open_neighbour_discovery(link, groups)
                .map_err(Error::system("listen for neighbour solicitations"))?;
            Listener::NeighbourDiscovery(socket)
        };
        Ok(Self { listener, addresses })
    }

    /// The next question about one of the addresses; `None` when there is none at the moment.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn question(&self) -> Result<Option<Question>, Error> {
        let mut buffer = [0; MOST_OCTETS];
        loop {
            let question = match &self.listener {
                Listener::Arp(socket) => match socket.receive(&mut buffer)? {
                    Some(frame) => frame::read_arp_request(frame),
                    None => return Ok(None),
                },
                Listener::NeighbourDiscovery(socket) => match solicitation(socket) {
                    Ok(question) => question,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(error) => return Err(Error::system("hear a solicitation")(error)),
                },
            };
            if let Some(question) = question
                && self.addresses.contains(&question.target)
            {
                return Ok(Some(question));
            }
        }
    }
}

impl AsFd for Responder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.listener {
            Listener::Arp(socket) => socket.as_fd(),
            Listener::NeighbourDiscovery(socket) => socket.as_fd(),
        }
    }
}

/// RFC 4291, section 2.7.1.
fn solicited_node_group(address: &IpAddr) -> Option<Ipv6Addr> {
    let IpAddr::V6(address) = address else { return None };
    let [.., high, low] = address.segments();
    Some(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low))
}

fn open_neighbour_discovery(
    link: u32,
    groups: impl Iterator<Item = Ipv6Addr>,
) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    socket.set_nonblocking(true)?;
    socket.bind_device_by_index_v6(NonZeroU32::new(link))?;
    for group in groups {
        match socket.join_multicast_v6(&group, link) {
            // Two addresses may share a group.
            Err(error) if error.raw_os_error() == Some(libc::EADDRINUSE) => {}
            result => result?,
        }
    }
    Ok(socket)
}

fn solicitation(socket: &Socket) -> io::Result<Option<Question>> {
    let mut buffer = [0; MOST_OCTETS];
    let (length, _, from) = rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::empty())?;
    let asker = from.and_then(|from| SocketAddrV6::try_from(from).ok());
    let message = buffer.get(..length).unwrap_or_default();
    Ok(asker.and_then(|asker| frame::read_neighbour_solicitation(message, *asker.ip())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_of_an_address_has_its_last_24_bits() {
        let group = solicited_node_group(&"2001:db8::12:3456".parse().unwrap());
        assert_eq!(group, Some("ff02::1:ff12:3456".parse().unwrap()));
        assert_eq!(solicited_node_group(&"192.0.2.1".parse().unwrap()), None);
    }
}
