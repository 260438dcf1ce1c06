//! Thousands of clusters at simulated time.
//!
//! A [`World`] has some nodes, each with its own clock, a network that delays, loses and cuts, and a
//! small model of consensus that keeps Raft's promises and no more. Everything follows from a seed.
//! The thinking of the nodes is the real one ([`crate::node::Node`]); what must always hold is
//! checked at every event, by somebody who sees all nodes at once.

mod consensus;
mod laws;
mod random;
mod scenario;
mod world;

pub use crate::planted::{Fault, plant};
pub use laws::Violation;
pub use scenario::{Outcome, Scale, run};

#[cfg(test)]
mod tests;
