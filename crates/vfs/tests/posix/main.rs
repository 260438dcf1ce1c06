//! The POSIX filesystem against real ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod attributes;
mod cache;
mod common;
mod confinement;
mod data;
mod deferred;
mod extended;
mod filesystems;
mod hidden;
mod identity;
mod images;
mod kept;
mod names;
mod permit;
mod power_cuts;
mod ranges;
