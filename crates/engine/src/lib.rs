//! What keeps the bytes: storage that several nodes reach.
//!
//! An [`Engine`] is made usable on one node (*promote*), given back (*demote*), and kept from nodes
//! that held it before (*fence*). Every call is idempotent and may be repeated after a crash at any
//! point. [`Directory`] is a directory that every node mounts; [`Simulated`] is the twin for tests.
//! Calls may block; they are made where that harms nobody.

mod command;
mod directory;
mod engine;
mod identity;
mod probe;
mod simulated;

pub use command::{CommandError, FenceCommand};
pub use directory::{Directory, DirectorySettings};
pub use engine::{Claim, Engine, EngineError, Fenced, Health, TwoHolders};
pub use identity::{Identity, IdentityError};
pub use simulated::{Fault, Simulated, Storage};
