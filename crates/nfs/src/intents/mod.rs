//! Requests that must not run twice, across the end of the server.
//!
//! An operation that changes names notes what it is about to do ([`wish`]), then does it, then
//! notes what became of it, and its reply is written down. If the server dies in between, the
//! retransmission finds the steps ([`record`]), and what became of the last one ([`look`]).
//!
//! Where steps are noted depends on the protocol. NFSv3 and NFSv4.0 have [`Calls`] for them, whose
//! store outlives the process and needs no flush: no more than their reply is flushed. Minor
//! versions with sessions have the journal for what they are about to do (`crate::v4::intents`),
//! and [`Calls`] for what became of it until that is in the journal.

mod calls;
mod look;
pub mod record;
mod settle;
mod steps;
#[cfg(test)]
mod tests;
mod wish;

pub(crate) use calls::Ongoing;
pub use calls::{Calls, MAX_STEP_BYTES, RequestName, StepStore};
pub(crate) use look::settled;
pub use settle::{LastRun, settle};
pub(crate) use steps::{Past, Steps};
pub(crate) use wish::{NameIn, Wish, after_creation};
