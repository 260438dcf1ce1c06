//! The log, its storage, its network: who agrees on the state.

pub mod store;
mod types;

pub use types::TypeConfig;
