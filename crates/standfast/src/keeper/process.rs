//! The process: a loop that waits for the daemon's words, its end, and the end of the lease.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::time::Duration;

use miette::{IntoDiagnostic, WrapErr, miette};
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use standfast_net::{Netlink, silence};
use standfast_rpc::gate::BootTime;

use super::message::{Message, Received, receive};

/// Sockets that are held at most; those beyond it end as they do without a keeper.
const MOST_SOCKETS: usize = 100_000;
/// Events that are taken at a time.
const MOST_EVENTS: usize = 64;
/// What tells the daemon's socket from the others.
const DAEMON: u64 = u64::MAX;

/// What the daemon has up.
struct Kept {
    epoll: OwnedFd,
    addresses: BTreeSet<IpAddr>,
    until: BootTime,
    /// The addresses were taken down, for want of a lease.
    is_down: bool,
    /// By their descriptors, with the addresses that they are at.
    sockets: BTreeMap<u64, (Option<IpAddr>, OwnedFd)>,
}

/// Runs until the daemon is gone. Standard input is the socket to it.
pub(crate) fn run() -> miette::Result<()> {
    let daemon = rustix::stdio::stdin();
    if rustix::net::sockopt::socket_type(daemon).is_err() {
        return Err(miette!("the keeper is started by the daemon, not by people"));
    }
    ignore_signals()?;
    crate::privileges::reduce_to_keeping().into_diagnostic()?;
    let poll = epoll::create(CreateFlags::CLOEXEC).into_diagnostic()?;
    epoll::add(&poll, daemon, EventData::new_u64(DAEMON), EventFlags::IN).into_diagnostic()?;
    let mut kept = Kept {
        epoll: poll,
        addresses: BTreeSet::new(),
        until: BootTime::from_start(Duration::ZERO),
        is_down: true,
        sockets: BTreeMap::new(),
    };
    loop {
        kept.wait();
        loop {
            match receive(daemon) {
                Ok(Received::Nothing) => break,
                Ok(Received::Message(message, socket)) => kept.take(message, socket),
                Ok(Received::End) | Err(_) => {
                    kept.end();
                    return Ok(());
                }
            }
        }
        if !kept.is_down && BootTime::now() >= kept.until {
            kept.lower();
            // So that it raises them again, should it have a lease after all.
            let _told = rustix::io::write(daemon, b"lowered");
        }
    }
}

/// What ends the daemon in good order comes to the keeper as the end of the socket.
fn ignore_signals() -> miette::Result<()> {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        // SAFETY: ignoring a signal installs no handler.
        let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR {
            return Err(std::io::Error::last_os_error())
                .into_diagnostic()
                .wrap_err("cannot ignore signals");
        }
    }
    Ok(())
}

/// The address that a socket is at.
fn local(socket: &OwnedFd) -> Option<IpAddr> {
    let address = socket2::SockRef::from(socket).local_addr().ok()?;
    Some(address.as_socket()?.ip().to_canonical())
}

impl Kept {
    /// Waits for something to do.
    fn wait(&mut self) {
        let timeout = (!self.is_down).then(|| {
            let left = self.until.since_start().saturating_sub(BootTime::now().since_start());
            let left = left.min(Duration::from_secs(60));
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(60),
                tv_nsec: i64::from(left.subsec_nanos()),
            }
        });
        let mut events: Vec<Event> = Vec::with_capacity(MOST_EVENTS);
        if epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref())
            .is_err()
        {
            return;
        }
        for event in events {
            let number = event.data.u64();
            if number != DAEMON {
                // The connection has ended in the usual way.
                self.sockets.remove(&number);
            }
        }
    }

    fn take(&mut self, message: Message, socket: Option<OwnedFd>) {
        match message {
            Message::Addresses(addresses) => {
                self.addresses = addresses;
                self.is_down = self.addresses.is_empty();
            }
            Message::Until(until) => {
                self.until = BootTime::from_start(Duration::from_nanos(until));
            }
            Message::Drop(addresses) => {
                self.sockets.retain(|_, (at, socket)| {
                    let stays = at.is_none_or(|at| !addresses.contains(&at));
                    if !stays {
                        let _silenced = silence(&socket.as_fd());
                    }
                    stays
                });
            }
            Message::Socket => {
                let Some(socket) = socket.filter(|_| self.sockets.len() < MOST_SOCKETS) else {
                    return;
                };
                let number = u64::try_from(socket.as_raw_fd()).unwrap_or_default();
                let ends = EventFlags::HUP | EventFlags::RDHUP | EventFlags::ERR;
                let at = local(&socket);
                if epoll::add(&self.epoll, &socket, EventData::new_u64(number), ends).is_ok() {
                    self.sockets.insert(number, (at, socket));
                }
            }
        }
    }

    /// Takes the addresses down.
    fn lower(&mut self) {
        self.is_down = true;
        let Ok(mut netlink) = Netlink::new() else { return };
        let Ok(known) = netlink.addresses() else { return };
        for on in known.iter().filter(|on| self.addresses.contains(&on.address.addr())) {
            let _lowered = netlink.remove_address(on.link, on.address);
        }
    }

    /// The daemon is gone: the addresses first, then the sockets, without a word.
    fn end(&mut self) {
        self.lower();
        for (_, socket) in self.sockets.values() {
            // One that cannot be silenced has ended already.
            let _silenced = silence(&socket.as_fd());
        }
    }
}
