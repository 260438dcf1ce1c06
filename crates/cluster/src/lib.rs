//! Members, consensus, leases and placement: who runs what.
//!
//! Two halves. What must be agreed and durable ([`model`], kept by [`consensus`] over links that
//! [`pki`] protects): members, settings, and each *change* of holder. What must be fast
//! ([`heartbeat`], [`lease`], [`placement`], [`agent`]): who is alive, whose lease is renewed, who
//! should hold what, and the steps to it. The second half thinks without I/O and proposes commands
//! to the first.

pub mod agent;
pub mod consensus;
pub mod health;
pub mod heartbeat;
pub mod lease;
pub mod model;
pub mod node;
pub mod pki;
pub mod placement;
mod planted;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
