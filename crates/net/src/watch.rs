//! Notice of changes to interfaces and addresses.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};

use crate::Error;

/// Multicast groups of rtnetlink(7): `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100;
/// Notices taken per call; what is left wakes the caller again.
const MOST_NOTICES: usize = 256;

/// A netlink socket that becomes readable when an interface or an address changed.
#[derive(Debug)]
pub struct Watch(Socket);

impl Watch {
    /// Starts to watch.
    ///
    /// # Errors
    /// If the kernel refuses the socket.
    pub fn new() -> Result<Self, Error> {
        let open = || {
            let mut socket = Socket::new(NETLINK_ROUTE)?;
            socket.bind(&SocketAddr::new(0, GROUPS))?;
            socket.set_non_blocking(true)?;
            Ok(socket)
        };
        open().map(Self).map_err(Error::system("watch the interfaces over netlink"))
    }

    /// Takes all notices; says whether there were any. Also when some were lost, there were some.
    pub fn take(&self) -> bool {
        let mut scratch = [0_u8; 4096];
        let mut any = false;
        for _ in 0..MOST_NOTICES {
            match self.0.recv(&mut &mut scratch[..], 0) {
                Ok(_) => any = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => return true,
            }
        }
        any
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the socket is open as long as `self` lives, and so is the borrow.
        unsafe { BorrowedFd::borrow_raw(self.0.as_raw_fd()) }
    }
}
