//! NFS, MOUNT, NLM and NSM: exports, file handles, protocol state.

mod buffers;
pub mod callers;
pub mod exports;
mod flusher;
pub mod handles;
pub mod holder;
pub mod intents;
pub mod locks;
pub mod metrics;
pub mod mount;
mod name_locks;
pub mod nlm;
pub mod nsm;
pub mod pool;
#[cfg(test)]
mod scripted;
pub mod service;
pub mod v3;
pub mod v4;
mod workers;
