//! NFS-Ganesha with its VFS backend.

use std::fs;
use std::path::Path;
use std::process::Command;

use standfast_lab::Requirement;

use super::{Launch, NFS_PORT, Server};
use crate::Error;

const MOUNT_PORT: u16 = 20048;
const PROGRAM: &str = "ganesha.nfsd";

/// Debian's packages `nfs-ganesha` and `nfs-ganesha-vfs`, with the settings they come with as far
/// as speed is concerned.
#[derive(Debug, Clone, Copy)]
pub struct Ganesha;

impl Server for Ganesha {
    fn name(&self) -> &'static str {
        "ganesha"
    }

    fn requirements(&self) -> Vec<Requirement> {
        ["rpcbind", PROGRAM].map(Requirement::Program).to_vec()
    }

    fn launch(&self, directory: &Path, scratch: &Path) -> Result<Launch, Error> {
        let settings = scratch.join("ganesha.conf");
        fs::write(&settings, configuration(directory)).map_err(Error::path("write", &settings))?;
        let mut daemon = Command::new(PROGRAM);
        daemon.arg("-F").arg("-f").arg(&settings);
        daemon.args(["-L", "/dev/stderr", "-p", "/run/ganesha.pid"]);
        Ok(Launch {
            // It wants to register.
            before: vec![vec!["rpcbind", "-w"]],
            daemon,
            mount_port: MOUNT_PORT,
            export: directory.display().to_string(),
        })
    }
}

fn configuration(directory: &Path) -> String {
    format!(
        "NFS_CORE_PARAM {{ Protocols = 3, 4; NFS_Port = {NFS_PORT}; MNT_Port = {MOUNT_PORT};\n\
         Enable_NLM = false; Enable_RQUOTA = false; }}\n\
         NFSV4 {{ Graceless = true; RecoveryBackend = fs; }}\n\
         EXPORT {{ Export_Id = 1; Path = \"{0}\"; Pseudo = \"{0}\"; Access_Type = RW;\n\
         Squash = no_root_squash; SecType = sys; FSAL {{ Name = VFS; }} }}\n\
         LOG {{ Default_Log_Level = EVENT; }}\n",
        directory.display()
    )
}
