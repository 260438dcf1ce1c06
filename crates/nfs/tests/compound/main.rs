//! COMPOUND of NFSv4 over real directories: requests and replies as they are on the wire.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that goes wrong stops")]
#![expect(clippy::print_stderr, reason = "a test that cannot run says so")]

mod attributes;
mod data;
mod frame;
mod names;
mod server;
mod tree;
