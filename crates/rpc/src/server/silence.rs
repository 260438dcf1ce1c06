//! Leaving connections without a word.
//!
//! When a service goes to another node, its clients must not hear from this one any more: a FIN
//! or a RST would make them believe that the server is gone, while it is about to answer from
//! elsewhere. The address goes first, and with it the way out: an established socket whose source
//! address is not the machine's any more finds no route. That alone is enough where the address
//! is really gone. `TCP_REPAIR` (`tcp(7)`, made for moving live connections) makes it sure: a
//! socket in repair mode is closed by `tcp_disconnect` without sending anything. It takes
//! `CAP_NET_ADMIN`.

use nix::libc;
use socket2::SockRef;
use std::os::fd::{AsFd, AsRawFd};

/// From now on the socket sends nothing, whatever becomes of it.
pub(super) fn forsake(socket: &impl AsFd) {
    let on: libc::c_int = 1;
    let descriptor = socket.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open for as long as `socket` is borrowed, and the kernel reads
    // `optlen` bytes at `optval`, which is an integer that outlives the call.
    let result = unsafe {
        libc::setsockopt(
            descriptor,
            libc::IPPROTO_TCP,
            libc::TCP_REPAIR,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result == 0 {
        return;
    }
    // Without the right to it: a close that does not linger would reset, so let it end as it
    // ends; with the address gone, what it sends goes nowhere.
    let error = std::io::Error::last_os_error();
    let peer = SockRef::from(socket).peer_addr().ok().and_then(|address| address.as_socket());
    tracing::debug!(?peer, %error, "the connection is closed with what TCP says at its end");
}
