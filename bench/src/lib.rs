//! Side-by-side measurements against peers.
//!
//! A [`server::Server`] is what is measured: it says how it is started. A [`rows::Scene`] is what
//! is asked of it: rows of a table, as data. [`load`] asks and takes the time, knowing nothing of
//! any protocol but ONC RPC; [`v3`] makes the requests and judges the replies. [`comparison`] runs
//! the servers in turn over the same [`fixture`], and [`report`] prints what came of it.

pub mod comparison;
pub mod error;
pub mod filesystem;
pub mod fixture;
pub mod load;
pub mod options;
pub mod pattern;
pub mod report;
pub mod rows;
pub mod server;
pub mod usage;
pub mod v3;

pub use error::Error;
