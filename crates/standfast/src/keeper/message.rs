//! What the daemon tells its keeper: one datagram each, with a descriptor if it is about a socket.

use std::collections::BTreeSet;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};

/// Room for some thousand addresses.
const MOST_OCTETS: usize = 128 * 1024;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Message {
    /// The addresses that are up.
    Addresses(BTreeSet<IpAddr>),
    /// The end of the last lease, in nanoseconds of the boot clock.
    Until(u64),
    /// The descriptor that comes with it is of a socket of a service.
    Socket,
    /// The sockets at these addresses are given up: none of them says a word more.
    Drop(BTreeSet<IpAddr>),
}

/// Sends one; it does not wait.
pub(super) fn send(
    to: BorrowedFd<'_>,
    message: &Message,
    with: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let octets = serde_json::to_vec(message)?;
    let descriptors: Vec<BorrowedFd<'_>> = with.into_iter().collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    sendmsg(to, &[IoSlice::new(&octets)], &mut ancillary, flags)?;
    Ok(())
}

/// What came.
pub(super) enum Received {
    /// Nothing at the moment.
    Nothing,
    /// The daemon is gone.
    End,
    /// A message, with its descriptor.
    Message(Message, Option<OwnedFd>),
}

/// Takes one; it does not wait.
pub(super) fn receive(from: BorrowedFd<'_>) -> io::Result<Received> {
    let mut octets = vec![0; MOST_OCTETS];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let mut slices = [IoSliceMut::new(&mut octets)];
    let received = match recvmsg(from, &mut slices, &mut ancillary, flags) {
        Ok(received) => received,
        Err(rustix::io::Errno::AGAIN) => return Ok(Received::Nothing),
        Err(error) => return Err(error.into()),
    };
    let descriptor = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    if received.bytes == 0 {
        return Ok(Received::End);
    }
    let message = serde_json::from_slice(octets.get(..received.bytes).unwrap_or_default())?;
    Ok(Received::Message(message, descriptor))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn messages_arrive_with_their_descriptors_and_the_end_is_seen() {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, its) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        assert!(matches!(receive(its.as_fd()).unwrap(), Received::Nothing));
        let addresses = Message::Addresses(["192.0.2.1".parse().unwrap()].into());
        send(ours.as_fd(), &addresses, None).unwrap();
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        send(ours.as_fd(), &Message::Socket, Some(socket.as_fd())).unwrap();
        let Received::Message(first, None) = receive(its.as_fd()).unwrap() else { panic!() };
        assert_eq!(first, addresses);
        let Received::Message(Message::Socket, Some(descriptor)) = receive(its.as_fd()).unwrap()
        else {
            panic!()
        };
        let again = std::net::TcpListener::from(descriptor);
        assert_eq!(again.local_addr().unwrap(), socket.local_addr().unwrap());
        drop(ours);
        assert!(matches!(receive(its.as_fd()).unwrap(), Received::End));
    }
}
