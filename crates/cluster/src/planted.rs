//! Faults that tests plant, to see that the simulator finds them. Nothing of it is in a build for
//! use.

/// A mistake that somebody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(dead_code, unreachable_pub, reason = "only tests plant faults")]
pub enum Fault {
    /// A lease counts from the arrival of the renewal, not from the sending of the request.
    LeaseFromArrival,
    /// The leader does not wait for the end of the lease before.
    NoWait,
    /// A new leader does not wait for the leases that the one before it gave.
    NewLeaderNoWait,
    /// A leader without a quorum renews.
    RenewWithoutQuorum,
    /// A voter acknowledges a leader of an earlier term than it voted in.
    EndorseAnyTerm,
    /// A renewal counts for services that the node was given after it asked.
    IgnoreBasis,
    /// Waits are as long as leases, as if all clocks went alike.
    IgnoreDrift,
    /// A server replies without looking at its lease.
    ReplyWithoutLease,
    /// The address comes before the server listens.
    AddressBeforeListen,
}

#[cfg(any(test, feature = "simulation"))]
mod switch {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Plants a fault, or none, on this thread.
    pub fn plant(fault: Option<Fault>) {
        PLANTED.with(|cell| cell.set(fault));
    }

    pub(crate) fn planted(fault: Fault) -> bool {
        PLANTED.with(|cell| cell.get() == Some(fault))
    }
}

#[cfg(any(test, feature = "simulation"))]
pub use switch::plant;
#[cfg(any(test, feature = "simulation"))]
pub(crate) use switch::planted;

#[cfg(not(any(test, feature = "simulation")))]
pub(crate) const fn planted(_: Fault) -> bool {
    false
}
