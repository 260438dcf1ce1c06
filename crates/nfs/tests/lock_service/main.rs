//! The lock service over loopback: real messages, real files of the status monitor; the files
//! that are exported and the lock managers of the clients are fakes.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong stops")]

mod grants;
mod locks;
mod restarts;
mod world;
