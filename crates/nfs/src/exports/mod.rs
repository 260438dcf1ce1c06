//! Which clients may use an export, and how.

mod client_table;
mod expiring;
mod name_service;
mod names;

pub use client_table::{ClientTable, Decision};
pub use name_service::{NameError, NameService, SystemNames};
pub use names::Names;
