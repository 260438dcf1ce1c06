//! A server in a lab: `standfast run` on a host of its own.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use standfast_lab::{Daemon, Host, Lab, Output, wait_until};

use crate::program::standfast;
use crate::{Result, SOON};

/// The port of NFS and MOUNT.
pub const PORT: u16 = 2049;
/// The port of rpcbind.
const RPCBIND: u16 = 111;

/// A running server. Its settings file and what it must remember are in the lab's directory, so
/// they outlive its process and its host.
#[derive(Debug)]
pub struct Server {
    /// The machine that it runs on.
    pub host: Host,
    program: PathBuf,
    directory: PathBuf,
    daemon: Option<Daemon>,
}

impl Server {
    /// Starts a server with one export, `/export`, the directory [`Server::export`], which
    /// everybody may write to, with these options for everybody.
    ///
    /// # Errors
    /// What starting it failed with.
    pub fn start(lab: &Lab, options: &str) -> Result<Self> {
        let directory = lab.dir().join("export");
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o1777))?;
        Self::start_with(lab, &export(&directory, "/export", &[&format!("*:{options}")]))
    }

    /// Starts a server with these settings, to which only the place of its state is added.
    ///
    /// # Errors
    /// What starting it failed with.
    pub fn start_with(lab: &Lab, settings: &str) -> Result<Self> {
        let mut server = Self::prepare(lab, settings)?;
        server.restart()?;
        Ok(server)
    }

    /// The same, without starting its process.
    ///
    /// # Errors
    /// What making its host failed with.
    pub fn prepare(lab: &Lab, settings: &str) -> Result<Self> {
        let directory = lab.dir().to_owned();
        let server =
            Self { host: lab.host("server")?, program: standfast()?, directory, daemon: None };
        server.write_settings(settings)?;
        Ok(server)
    }

    /// Writes the settings file; the server does not read it by itself.
    ///
    /// # Errors
    /// What writing failed with.
    pub fn write_settings(&self, settings: &str) -> Result {
        let state = self.directory.join("state");
        let place = format!("[server]\nstate_dir = \"{}\"\n", state.display());
        Ok(fs::write(self.settings(), format!("{place}{settings}"))?)
    }

    /// The settings file.
    #[must_use]
    pub fn settings(&self) -> PathBuf {
        self.directory.join("standfast.toml")
    }

    /// The directory of the export of [`Server::start`].
    #[must_use]
    pub fn export(&self) -> PathBuf {
        self.directory.join("export")
    }

    /// Its IPv4 address.
    #[must_use]
    pub fn v4(&self) -> IpAddr {
        self.host.addresses().v4.into()
    }

    /// Its IPv6 address.
    #[must_use]
    pub fn v6(&self) -> IpAddr {
        self.host.addresses().v6.into()
    }

    /// Its process.
    ///
    /// # Errors
    /// If it was never started.
    pub fn daemon(&self) -> Result<&Daemon> {
        self.daemon.as_ref().ok_or_else(|| "the server was not started".into())
    }

    /// Kills the process, as the kernel does when memory runs out.
    ///
    /// # Errors
    /// What killing failed with.
    pub fn kill(&self) -> Result {
        Ok(self.daemon()?.kill()?)
    }

    /// Starts the process, after killing it if it runs, and waits until it serves.
    ///
    /// # Errors
    /// If it does not come up, with what it said.
    pub fn restart(&mut self) -> Result {
        self.daemon = None;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.settings());
        let daemon = self.daemon.insert(self.host.start("standfast", command)?);
        wait_until(SOON, "the server to start or to give up", || {
            !daemon.is_running()
                || [PORT, RPCBIND]
                    .iter()
                    .all(|port| self.host.wait_port(*port, std::time::Duration::ZERO).is_ok())
        })?;
        if daemon.is_running() {
            Ok(())
        } else {
            Err(format!("the server ended: {}", daemon.log()).into())
        }
    }

    /// Runs `standfast` on the server's machine, with the arguments.
    ///
    /// # Errors
    /// What running it failed with; another exit status than 0 is no error.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        let program = self.program.to_string_lossy();
        Ok(self.host.run([&[program.as_ref()], arguments].concat())?)
    }

    /// Has the server read its settings again.
    ///
    /// # Errors
    /// [`standfast_lab::Error::Failed`] if it refuses them.
    pub fn reload(&self) -> Result<String> {
        Ok(self.run(&["reload"])?.ok()?)
    }

    /// What `standfast status --json` says.
    ///
    /// # Errors
    /// If it fails, or prints no JSON.
    pub fn status(&self) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.run(&["status", "--json"])?.ok()?)?)
    }
}

/// The settings of an export: a directory, the path for clients, and who may do what.
#[must_use]
pub fn export(directory: &Path, path: &str, allow: &[&str]) -> String {
    let directory = directory.display();
    format!("[[export]]\npath = \"{directory}\"\nas = \"{path}\"\nallow = {allow:?}\n")
}
