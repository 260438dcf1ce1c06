//! A thread that looks at the interfaces for the thread of the virtual routers. The kernel may keep who
//! asks for them waiting, while somebody else changes interfaces; timers must not wait with it.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use standfast_net::{Netlink, Watch};

use super::Error;
use super::interfaces::Interfaces;
use super::order::{self, Order, Orders};

/// How often to look although nothing was said of a change.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Scout {
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Scout {
    /// Starts to watch, and sends a picture of the interfaces whenever they changed.
    pub(super) fn start(orders: Orders) -> Result<Self, Error> {
        let stop = order::waker()?;
        // Before the first look, so that no change is missed between.
        let watch = Watch::new()?;
        let netlink = Netlink::new()?;
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("vrrp-scout".into())
            .spawn(move || run(&stopped, &watch, netlink, &orders))
            .map_err(Error::system("start the thread that looks at the interfaces"))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Scout {
    fn drop(&mut self) {
        if order::wake(&self.stop).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // If it panicked, the panic has been told.
            let _ = thread.join();
        }
    }
}

fn run(stop: &OwnedFd, watch: &Watch, mut netlink: Netlink, orders: &Orders) {
    let timeout = Timespec::try_from(LOOK_AGAIN).ok();
    loop {
        watch.take();
        match Interfaces::look(&mut netlink) {
            Ok(interfaces) => {
                orders.give(Order::Interfaces(Arc::new(interfaces)));
            }
            Err(error) => tracing::error!(%error, "cannot look at the interfaces"),
        }
        let mut waiting = [PollFd::new(stop, PollFlags::IN), PollFd::new(watch, PollFlags::IN)];
        match poll(&mut waiting, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tracing::error!(%error, "cannot watch the interfaces"),
        }
        if !waiting[0].revents().is_empty() {
            return;
        }
    }
}
