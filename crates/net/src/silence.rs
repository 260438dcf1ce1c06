//! Ending a connection without a word to the other side.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use crate::Error;

/// Puts a TCP socket into the state in which closing it sends nothing: neither FIN nor reset
/// (`TCP_REPAIR`, tcp(7)). What is still to be sent is dropped. Needs `CAP_NET_ADMIN`.
///
/// For a server that gives its address up: the address has gone first, and whatever the kernel would
/// say now in the name of the connections would be for the successor's clients.
///
/// # Errors
/// What the kernel says, such as that the socket is no TCP socket.
pub fn silence(socket: &impl AsFd) -> Result<(), Error> {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open as long as the borrow, and the value lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_REPAIR,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Error::system("silence a connection")(io::Error::last_os_error())),
    }
}
