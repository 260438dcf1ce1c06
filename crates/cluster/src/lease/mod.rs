//! The lease of each service: renewals in memory, replies only while it is valid.
//!
//! # What is promised
//!
//! At no moment are the leases of two epochs of a service valid, on whatever nodes, whoever leads,
//! whatever the network does, as long as no clock is off by more than [`Timing::clock_drift`].
//!
//! # How it is kept
//!
//! The holder of a service is what consensus committed ([`LeaseTable`]). A commit alone gives no
//! right to serve: that is a *renewal*, which the leader ([`Lessor`]) sends in its answers to a
//! holder's heartbeats, and which the holder ([`Tenant`]) lets end by itself. Let `L` be the lease and
//! `W` the wait, longer than `L` by what two clocks can differ ([`Timing::lease_wait`]).
//!
//! *A renewal counts from a moment at which nobody else could be leader.* Each voter's answer to a
//! leader's heartbeat says that it has durably voted in no later term ([`Support`]). If a majority
//! answered heartbeats that left at `q` or later, then at `q` no majority had voted for another
//! leader, since the two majorities share a node, which voted after it answered. The leader tells
//! the holder how old `q` is, and the holder subtracts that age from `L`, counted from the moment it
//! *sent* the heartbeat that is answered, which was before the leader looked at its clock. So every
//! lease ends before `q + W`.
//!
//! - *A leader that cannot reach a quorum does not renew*: its `q` stands still, the age grows, and
//!   what it gives shrinks to nothing, also to itself. A node that serves when the quorum is lost
//!   goes on while its lease lasts, and then is silent.
//! - *A new leader* knows that every `q` of the leaders before it was earlier than its own election,
//!   and waits `W` from there. It can do better: each voter says how long it has acknowledged no
//!   earlier leader. Any majority of an earlier leader has a node in any majority of voters that say
//!   so, hence the wait counts from the latest of their last acknowledgements, which is when the
//!   earlier leader died, and the election costs nothing in addition.
//! - *A lease that moves*: the leader stops to renew it, and lets the new holder begin `W` after the
//!   last `q` that it renewed by. The commit runs in the meantime. It need not wait if the holder
//!   said that it released the service, or if the holder's run has ended (its node has a later one),
//!   or if the whole node was fenced. Fencing the *storage* ends no lease: a fenced server can still
//!   reply from memory.
//! - *A holder that a new leader finds at work* is renewed at once: it could begin only after all
//!   earlier leases had ended. Whether it did begin it says itself, in each heartbeat.
//! - *Which services a renewal is for*: all that the holder has by the log up to the position that
//!   its heartbeat named (the *basis*), except those that the leader names. What changed after the
//!   basis is always named, and a leader that does not know the log that far does not renew.
//!
//! # What a clock cannot see
//!
//! A server that was stopped finds its lease ended when it goes on, since `CLOCK_BOOTTIME` went on.
//! But it may have been stopped between its look at the lease and the system call that sends the
//! reply; the keeper of the addresses, a process of its own, takes the address away meanwhile. And
//! a hypervisor may stop a machine together with its clock. Against both, and against writes that
//! were already on their way to the storage, only fencing the storage helps; see the engines.
//!
//! [`Timing::clock_drift`]: crate::heartbeat::Timing::clock_drift
//! [`Timing::lease_wait`]: crate::heartbeat::Timing::lease_wait
//! [`Support`]: crate::heartbeat::Support

mod agreed;
mod gates;
mod ids;
mod lessor;
mod source;
mod table;
mod tenant;

pub use crate::model::{Epoch, NodeId};
pub use gates::Gates;
pub use ids::{Holder, Incarnation, Revision, ServiceId, Term};
pub use lessor::{Claims, Lessor, Voters};
pub use source::{Elected, ElectionRefused, LeaseSource, Right};
pub use table::{Change, Lease, LeaseTable};
pub use tenant::{Renewal, Tenant};
