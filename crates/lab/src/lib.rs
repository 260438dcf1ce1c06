//! Hosts for tests: network namespaces and real Linux guests.
//!
//! A [`Lab`] is a bridge in a network namespace of its own. On it are [`Host`]s, machines made of
//! namespaces that run this machine's programs, and [`Guest`]s, machines with a Linux kernel of
//! their own. Tests start daemons, crash and freeze machines, cut links and look at the frames.
//!
//! Nothing that a lab makes outlives it. Processes live in PID namespaces that end when the test
//! process does, however it ends; network namespaces have no names; directories are locked by
//! their owner, and removed by the next lab if their owner was killed.
//!
//! ```no_run
//! use standfast_lab::{Lab, MIB};
//! use std::process::Command;
//!
//! # fn main() -> Result<(), standfast_lab::Error> {
//! let lab = Lab::new("example")?;
//! let server = lab.host("server")?;
//! let daemon = server.start("serve", Command::new("standfast"))?;
//! server.wait_port(2049, standfast_lab::COMMAND_LIMIT)?;
//! let client = lab.guest("client").memory(256 * MIB).boot()?;
//! client.mount_nfs(server.addresses().v4.into(), "/srv", "vers=3", "/mnt/nfs")?;
//! assert!(client.run("ls /mnt/nfs")?.success());
//! # drop(daemon);
//! # Ok(())
//! # }
//! ```

mod capture;
mod cell;
mod daemon;
mod error;
mod guest;
mod host;
mod lab;
mod network;
mod output;
mod process;
mod program;
mod requirement;
pub mod trial;
mod wait;
mod work_dir;

pub use capture::Capture;
pub(crate) use cell::Cell;
pub use daemon::Daemon;
pub use error::Error;
pub use guest::{Guest, GuestBuilder, GuestProcess, MIB};
pub use host::{COMMAND_LIMIT, Host};
pub use lab::Lab;
pub use network::{Addresses, Direction};
pub use nix::sys::signal::Signal;
pub use output::Output;
pub use program::write_program;
pub use requirement::{Requirement, missing};
pub use wait::{wait_for, wait_until};
