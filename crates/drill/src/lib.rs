//! Failover drills: clients under load, faults, and what the clients saw.
//!
//! A [`client`] speaks NFSv3 or NFSv4.1 from user space and treats failures as the Linux client
//! does: it connects again to the same address, sends what was not answered once more, and never
//! gives up. A [`load`] drives several of them and writes their [`history`]: what was asked, when,
//! and what came of it. [`check`] reads the histories and says what must not have happened;
//! [`pause`] says how long a client stood still.
//!
//! A [`round`] of a drill puts a [`fault`] in the middle of a load on any [`round::Subject`];
//! [`cluster`] is one: three nodes of Standfast on one machine.

pub mod check;
pub mod client;
pub mod cluster;
mod error;
pub mod fault;
pub mod history;
pub mod load;
pub mod pause;
pub mod round;

pub use error::Error;
