//! A socket for whole Ethernet frames.

use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};

use crate::Error;

/// A socket that sends frames on any interface, and receives those of one protocol if it is told
/// to.
#[derive(Debug)]
pub struct PacketSocket(Socket);

impl PacketSocket {
    /// A socket that only sends.
    ///
    /// # Errors
    /// If the socket cannot be opened, as without `CAP_NET_RAW`.
    pub fn sender() -> Result<Self, Error> {
        Self::open(0)
    }

    /// A socket that receives ARP from the interface `link`.
    ///
    /// # Errors
    /// If the socket cannot be opened or bound.
    pub fn for_arp(link: u32) -> Result<Self, Error> {
        let socket = Self::open(0)?;
        let address = link_address(link, libc::ETH_P_ARP as u16);
        socket.0.bind(&address).map_err(Error::system("listen for ARP on an interface"))?;
        Ok(socket)
    }

    fn open(protocol: u16) -> Result<Self, Error> {
        let protocol = Protocol::from(i32::from(protocol.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(protocol))
            .map_err(Error::system("open a packet socket"))?;
        socket.set_nonblocking(true).map_err(Error::system("set up a packet socket"))?;
        Ok(Self(socket))
    }

    /// Sends one frame on the interface `link`.
    ///
    /// # Errors
    /// What the kernel says, such as that the interface is down.
    pub fn send(&self, link: u32, frame: &[u8]) -> Result<(), Error> {
        self.0
            .send_to(frame, &link_address(link, 0))
            .map(|_| ())
            .map_err(Error::system(format!("send a frame on interface number {link}")))
    }

    /// Receives one frame, if there is one; the rest of a longer one is cut off.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn receive<'a>(&self, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Error> {
        match (&self.0).read(buffer) {
            Ok(length) => Ok(buffer.get(..length)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(Error::system("receive a frame")(error)),
        }
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn link_address(link: u32, protocol: u16) -> SockAddr {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: `sockaddr_ll` is a socket address, smaller than the storage, and all zeros are valid.
    let address = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    address.sll_family = libc::AF_PACKET as libc::sa_family_t;
    address.sll_protocol = protocol.to_be();
    address.sll_ifindex = link.cast_signed();
    address.sll_halen = 6;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the storage holds a `sockaddr_ll` of that length.
    unsafe { SockAddr::new(storage, length) }
}
