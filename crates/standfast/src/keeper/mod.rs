//! The keeper: a process that outlives the daemon for a moment, so that nothing is said in its name.
//!
//! When the daemon dies (`kill -9`), its kernel would end every connection with a FIN, refuse new
//! ones with a reset, and keep the floating addresses up; when it is frozen, the addresses stay and
//! the kernel goes on acknowledging what clients send. The keeper is told of the addresses and of the
//! end of the lease, and holds a second descriptor of each socket. Once the daemon is gone, or its
//! lease is over, it takes the addresses down; the sockets of a dead daemon are then dropped without
//! a word ([`standfast_net::silence`]). The successor does the rest.
//!
//! The two talk over a pair of sockets that the keeper is started with; its end is the sign that the
//! daemon is gone.

mod message;
mod process;

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use standfast_rpc::gate::BootTime;
use standfast_rpc::program::Peer;
use standfast_rpc::server::SocketWatch;
use tokio::sync::Notify;

pub(crate) use process::run;

use message::{Message, send};

/// The subcommand that the keeper is; people have no use for it.
pub(crate) const SUBCOMMAND: &str = "keeper";

/// The lease is told again when it ends this much later than the keeper knows.
const WORTH_TELLING: Duration = Duration::from_millis(40);

/// The daemon's side.
#[derive(Debug)]
pub(crate) struct Keeper {
    socket: OwnedFd,
    /// The end of the lease that it was told, in nanoseconds of the boot clock.
    told: AtomicU64,
    lowered: Arc<Notify>,
}

impl Keeper {
    /// Starts one.
    ///
    /// # Errors
    /// If there can be no sockets or no process.
    pub(crate) fn start() -> io::Result<Arc<Self>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (ours, its) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SUBCOMMAND).stdin(Stdio::from(its));
        // A signal to the daemon's group is not for the keeper, which ends after it.
        command.process_group(0);
        let mut child = command.spawn()?;
        let (answers, lowered) = (ours.try_clone()?, Arc::new(Notify::new()));
        let tell = Arc::clone(&lowered);
        std::thread::Builder::new().name("keeper".into()).spawn(move || {
            while hear(&answers) {
                tell.notify_one();
            }
            let ended = child.wait();
            tracing::error!(?ended, "the keeper has ended: a death of this daemon would be heard");
        })?;
        Ok(Arc::new(Self { socket: ours, told: AtomicU64::new(0), lowered }))
    }

    /// These addresses are up, and no others.
    pub(crate) fn addresses(&self, addresses: &BTreeSet<IpAddr>) {
        self.tell(&Message::Addresses(addresses.clone()), None);
    }

    /// Some lease lasts until then.
    pub(crate) fn lease(&self, until: BootTime) {
        let until = until.since_start().as_nanos();
        let until = u64::try_from(until).unwrap_or(u64::MAX);
        let known = self.told.load(Ordering::Relaxed);
        let worth = u64::try_from(WORTH_TELLING.as_nanos()).unwrap_or(u64::MAX);
        if until > known.saturating_add(worth) {
            self.told.store(until, Ordering::Relaxed);
            self.tell(&Message::Until(until), None);
        }
    }

    /// The service of these addresses is given up: its sockets say nothing more.
    pub(crate) fn drop_sockets(&self, addresses: BTreeSet<IpAddr>) {
        self.tell(&Message::Drop(addresses), None);
    }

    fn tell(&self, message: &Message, with: Option<BorrowedFd<'_>>) {
        if let Err(error) = send(self.socket.as_fd(), message, with) {
            tracing::debug!(%error, ?message, "the keeper does not hear");
        }
    }

    /// Returns after the keeper took the addresses down because no lease was left.
    pub(crate) async fn lowered(&self) {
        self.lowered.notified().await;
    }
}

/// Each socket is to be dropped without a word if the daemon dies.
impl SocketWatch for Keeper {
    fn listening(&self, socket: BorrowedFd<'_>) {
        self.tell(&Message::Socket, Some(socket));
    }

    fn accepted(&self, socket: BorrowedFd<'_>, _: &Peer) {
        self.tell(&Message::Socket, Some(socket));
    }
}

/// Waits until the keeper says something; false once it has ended.
fn hear(socket: &OwnedFd) -> bool {
    let mut octets = [0; 16];
    loop {
        let mut sources = [PollFd::new(socket, PollFlags::IN)];
        match poll(&mut sources, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
        match rustix::io::read(socket, &mut octets) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
