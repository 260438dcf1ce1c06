//! Standfast itself.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use standfast_lab::Requirement;

use super::{Launch, NFS_PORT, Server};
use crate::Error;

/// The load generator is root on a port above 1023.
const ALLOW: &str = "127.0.0.0/8:rw,no_root_squash,insecure";

/// The program that was built into the directory that this one is in.
#[derive(Debug, Clone, Copy)]
pub struct Standfast;

impl Server for Standfast {
    fn name(&self) -> &'static str {
        "standfast"
    }

    fn requirements(&self) -> Vec<Requirement> {
        Vec::new()
    }

    fn launch(&self, directory: &Path, scratch: &Path) -> Result<Launch, Error> {
        let mut daemon = Command::new(program()?);
        daemon.arg("serve").arg(directory).args(["--allow", ALLOW, "--rpcbind", "off"]);
        daemon.arg("--state-dir").arg(scratch);
        Ok(Launch {
            before: Vec::new(),
            daemon,
            mount_port: NFS_PORT,
            export: directory.display().to_string(),
        })
    }
}

fn program() -> Result<PathBuf, Error> {
    let own = env::current_exe().map_err(Error::io("find my own program"))?;
    let program = own.with_file_name("standfast");
    if program.is_file() { Ok(program) } else { Err(Error::NotBuilt(program)) }
}
