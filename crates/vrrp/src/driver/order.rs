//! What the rest of the process tells the thread of the virtual routers.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};

use rustix::event::{EventfdFlags, eventfd};
use tokio::sync::oneshot;

use super::Error;
use super::interfaces::Interfaces;
use super::status::Report;
use crate::instance::Command;
use crate::routers::TrackId;
use crate::tracking::Status;

/// Orders that may wait.
const MOST_WAITING: usize = 1024;

/// An order.
#[derive(Debug)]
pub(super) enum Order {
    /// The interfaces changed.
    Interfaces(Arc<Interfaces>),
    /// A tracked thing has a new result.
    Track(TrackId, Status),
    /// A person commands a virtual router.
    Command { instance: usize, command: Option<Command>, answer: oneshot::Sender<()> },
    /// Somebody wants to know.
    Report(oneshot::Sender<Report>),
    /// Leave.
    Stop,
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Orders {
    sender: SyncSender<Order>,
    wake: Arc<OwnedFd>,
}

pub(super) type Inbox = (std::sync::mpsc::Receiver<Order>, Arc<OwnedFd>);

impl Orders {
    pub(super) fn new() -> Result<(Self, Inbox), Error> {
        let wake = waker()?;
        let (sender, receiver) = sync_channel(MOST_WAITING);
        Ok((Self { sender, wake: wake.clone() }, (receiver, wake)))
    }

    /// Gives an order; returns whether the thread is there to take it.
    pub(super) fn give(&self, order: Order) -> bool {
        let taken = match self.sender.try_send(order) {
            Ok(()) => true,
            Err(TrySendError::Full(order)) => {
                tracing::warn!(?order, "too many orders for the virtual routers");
                false
            }
            Err(TrySendError::Disconnected(_)) => false,
        };
        taken && wake(&self.wake).is_ok()
    }

    /// Makes it stop; the end of all orders does so too, should it be too busy to hear this one.
    pub(super) fn stop(self) {
        self.give(Order::Stop);
    }
}

/// Something that a thread can wait for, and another can wake it with.
pub(super) fn waker() -> Result<Arc<OwnedFd>, Error> {
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    eventfd(0, flags).map(Arc::new).map_err(Error::system("make an eventfd"))
}

/// Wakes the thread.
pub(super) fn wake(wake: &OwnedFd) -> rustix::io::Result<()> {
    match rustix::io::write(wake.as_fd(), &1_u64.to_ne_bytes()) {
        // The counter is full, so it is awake.
        Ok(_) | Err(rustix::io::Errno::AGAIN) => Ok(()),
        Err(error) => Err(error),
    }
}
