//! A server that runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use standfast_lab::{Daemon, Host, Lab, missing, wait_for};

use super::{NFS_PORT, Server};
use crate::Error;
use crate::load::Session;
use crate::usage::Watched;
use crate::v3;

/// How long a server may take to answer its first call.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Lines of the log that are shown when it does not.
const LOG_LINES: usize = 20;

/// A server in namespaces of its own, reached over its loopback interface.
#[derive(Debug)]
pub struct Running {
    /// Its name.
    pub name: &'static str,
    /// What it uses.
    pub watched: Watched,
    daemon: Daemon,
    host: Host,
    mount_port: u16,
    export: String,
}

impl Running {
    /// Starts `server` over `directory` and waits until it answers.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::NotReady`], and those of starting it.
    pub fn start(
        lab: &Lab,
        server: &dyn Server,
        directory: &Path,
        scratch: &Path,
    ) -> Result<Self, Error> {
        let name = server.name();
        let missing = missing(&server.requirements());
        if !missing.is_empty() {
            return Err(Error::Missing { server: name, missing });
        }
        let launch = server.launch(directory, scratch)?;
        let host = lab.host(name)?;
        for command in &launch.before {
            host.run(command)?.ok()?;
        }
        let daemon = host.start(name, launch.daemon)?;
        let watched = Watched::new(daemon.pid())?;
        let (mount_port, export) = (launch.mount_port, launch.export);
        let running = Self { name, watched, daemon, host, mount_port, export };
        running.wait_ready()?;
        Ok(running)
    }

    /// A connection to NFS.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn connect(&self) -> Result<Session, Error> {
        self.connect_to(NFS_PORT)
    }

    /// The handle of the export's root.
    ///
    /// # Errors
    /// [`Error::Mount`], and those of the connection.
    pub fn root(&self) -> Result<v3::FileHandle, Error> {
        v3::mount(&mut self.connect_to(self.mount_port)?, &self.export)
    }

    fn connect_to(&self, port: u16) -> Result<Session, Error> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        self.host.enter(move || Session::connect(address))?
    }

    fn wait_ready(&self) -> Result<(), Error> {
        let mut last = None;
        let ready = wait_for(START_LIMIT, "an answer", || {
            if !self.daemon.is_running() {
                return Ok(Some(()));
            }
            let answer =
                self.root().and_then(|root| v3::get_attributes(&mut self.connect()?, &root));
            Ok(answer.map_or_else(
                |error| {
                    last = Some(error);
                    None
                },
                |_attributes| Some(()),
            ))
        });
        match (ready, last) {
            (Ok(()), _) if self.daemon.is_running() => Ok(()),
            (_, last) => Err(Error::NotReady {
                server: self.name,
                reason: last.map_or_else(|| "it ended".into(), |error| error.to_string()),
                log: self.end_of_log(),
            }),
        }
    }

    /// The end of what the server printed.
    #[must_use]
    pub fn end_of_log(&self) -> String {
        let log = self.daemon.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}
