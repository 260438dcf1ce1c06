//! Waking the clients of a server that moved: a tickle ACK for each connection that is known.
//!
//! A client of a server that died waits: for its own retransmission, whose pauses double, or for a
//! timer of its protocol. The new holder of the address knows the client's address and port, from the
//! journal, but not the sequence numbers. It sends the client an ACK *in the name of the dead
//! connection* with numbers that cannot be right. The client must answer that with an ACK of its own
//! (RFC 9293, section 3.10.7.4). The answer goes to the new holder, whose kernel has no such
//! connection and sends a reset, with the sequence number that the client's ACK named and that is
//! therefore right. The client's connection is gone within one round trip.
//!
//! What follows is up to the protocol. A Linux NFS client connects again at once, from the same port,
//! and sends its calls anew; sessions and the reply cache see to it that none runs twice. So the
//! fastest way to wake it is the reset that its own kernel believes, and not a retransmission.
//!
//! Three things matter for the time:
//!
//! - The server listens and has the address *before* the tickle, or the new SYN is refused.
//! - The neighbours know the address's new place *before* it, or the client's answer goes to the dead
//!   node. And Linux answers segments that are out of its window at most once per 500 ms and
//!   connection (`net.ipv4.tcp_invalid_ratelimit`), so a tickle that came too early makes the next one
//!   useless: repetitions keep a longer distance than that ([`REPEAT`]).
//! - A repetition may meet the client's *next* connection, which has the same ports. There it is a
//!   segment out of the window like any other and does nothing.

use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::frame::{ipv4_header, ipv6_header};
use crate::{Error, internet_checksum};
use std::time::Duration;

/// When tickles are sent again, after the first.
pub const REPEAT: [Duration; 2] = [Duration::from_millis(600), Duration::from_millis(1300)];

const TCP: u8 = 6;
const ACK: u8 = 0x10;

/// A connection of a client, by both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Connection {
    /// The server's address and port.
    pub server: SocketAddr,
    /// The client's.
    pub client: SocketAddr,
}

/// Sends tickles.
#[derive(Debug)]
pub struct Tickler {
    v4: Option<Socket>,
    v6: Option<Socket>,
}

impl Tickler {
    /// Opens its sockets. A machine without IPv6 does without.
    ///
    /// # Errors
    /// If no raw socket can be opened, as without `CAP_NET_RAW`.
    pub fn new() -> Result<Self, Error> {
        let action = "open a raw socket to wake clients";
        // With this protocol the header comes from us, in both versions of IP (raw(7), ipv6(7)).
        let open = |domain| Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW)));
        let v4 = open(Domain::IPV4);
        let v6 = open(Domain::IPV6).ok();
        match (v4, v6) {
            (Err(error), None) => Err(Error::system(action)(error)),
            (v4, v6) => {
                let v4 = v4.ok();
                for socket in v4.iter().chain(&v6) {
                    socket.set_nonblocking(true).map_err(Error::system(action))?;
                }
                Ok(Self { v4, v6 })
            }
        }
    }

    /// Sends one tickle to the client of a connection. It is lost if the interface's queue is full;
    /// the repetition is for that.
    ///
    /// # Errors
    /// If both ends are not of one address family, or what the kernel says.
    pub fn tickle(&self, connection: &Connection) -> Result<(), Error> {
        let Connection { server, client } = connection;
        let action = format!("wake {client}, a client of {server}");
        let packet = tickle_packet(connection);
        let socket = match client.ip() {
            IpAddr::V4(_) => self.v4.as_ref(),
            IpAddr::V6(_) => self.v6.as_ref(),
        };
        let (Some(socket), Some(packet)) = (socket, packet) else {
            let reason = "its ends are of two address families, or one that is not served here";
            return Err(Error::Answer { action, reason: reason.into() });
        };
        // The port belongs to the segment; here it would be a protocol.
        let mut to = *client;
        to.set_port(0);
        socket.send_to(&packet, &SockAddr::from(to)).map(|_| ()).map_err(Error::system(action))
    }
}

/// An ACK with sequence numbers that the client cannot expect.
fn tickle_packet(connection: &Connection) -> Option<Vec<u8>> {
    let Connection { server, client } = connection;
    let mut segment = Vec::with_capacity(20);
    segment.extend(server.port().to_be_bytes());
    segment.extend(client.port().to_be_bytes());
    // Sequence and acknowledgement number zero, five words of header, window 0xff, no checksum yet.
    segment.extend([0; 8]);
    segment.extend([5 << 4, ACK, 0, 0xff, 0, 0, 0, 0]);
    let length = u8::try_from(segment.len()).unwrap_or(u8::MAX);
    let pseudo = [0, TCP, 0, length];
    match (server.ip(), client.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let sum = internet_checksum(&[&from.octets(), &to.octets(), &pseudo, &segment]);
            segment.get_mut(16..18)?.copy_from_slice(&sum.to_be_bytes());
            let mut packet = ipv4_header(from, to, TCP, segment.len());
            packet.extend(segment);
            Some(packet)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let pseudo = [0, 0, 0, length, 0, 0, 0, TCP];
            let sum = internet_checksum(&[&from.octets(), &to.octets(), &pseudo, &segment]);
            segment.get_mut(16..18)?.copy_from_slice(&sum.to_be_bytes());
            let mut packet = ipv6_header(from, to, TCP, segment.len());
            packet.extend(segment);
            Some(packet)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tickle_is_an_ack_from_the_server_with_right_checksums() {
        let connection = Connection {
            server: "192.0.2.10:2049".parse().unwrap(),
            client: "192.0.2.20:801".parse().unwrap(),
        };
        let packet = tickle_packet(&connection).unwrap();
        assert_eq!((packet.len(), packet[9], packet[33]), (40, TCP, ACK));
        assert_eq!(internet_checksum(&[&packet[..20]]), 0);
        let pseudo = [0, TCP, 0, 20];
        assert_eq!(internet_checksum(&[&packet[12..20], &pseudo, &packet[20..]]), 0);
        assert_eq!(packet[20..24], [2049_u16.to_be_bytes(), 801_u16.to_be_bytes()].concat());
        let connection = Connection {
            server: "[2001:db8::10]:2049".parse().unwrap(),
            client: "[2001:db8::20]:801".parse().unwrap(),
        };
        let packet = tickle_packet(&connection).unwrap();
        assert_eq!((packet.len(), packet[6]), (60, TCP));
        let pseudo = [0, 0, 0, 20, 0, 0, 0, TCP];
        assert_eq!(internet_checksum(&[&packet[8..40], &pseudo, &packet[40..]]), 0);
    }

    #[test]
    fn two_families_do_not_connect() {
        let connection = Connection {
            server: "192.0.2.10:2049".parse().unwrap(),
            client: "[2001:db8::20]:801".parse().unwrap(),
        };
        assert_eq!(tickle_packet(&connection), None);
    }
}
