//! Servers under test.

mod ganesha;
mod running;
mod standfast;

use std::path::Path;
use std::process::Command;

use standfast_lab::Requirement;

pub use ganesha::Ganesha;
pub use running::Running;
pub use standfast::Standfast;

use crate::Error;

/// The port of NFS, the same for every server: each has a network of its own.
pub const NFS_PORT: u16 = 2049;

/// How a server is started.
#[derive(Debug)]
pub struct Launch {
    /// Programs that must run to their end before.
    pub before: Vec<Vec<&'static str>>,
    /// The server itself, in the foreground.
    pub daemon: Command,
    /// Where MOUNT is.
    pub mount_port: u16,
    /// What is mounted.
    pub export: String,
}

/// A server that can be measured. Another one is one more implementation.
pub trait Server {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// What this machine must offer.
    fn requirements(&self) -> Vec<Requirement>;

    /// How it serves `directory` to everybody on the machine itself, root not squashed. `scratch`
    /// is an empty directory for its files.
    ///
    /// # Errors
    /// What preparing its files failed with.
    fn launch(&self, directory: &Path, scratch: &Path) -> Result<Launch, Error>;
}
