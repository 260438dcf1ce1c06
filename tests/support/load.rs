//! Clients under load, on a host of the lab.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use standfast_drill::check::check;
use standfast_drill::client::{NewSocket, here};
use standfast_drill::history::{Finding, History};
use standfast_drill::load::{Load, LoadSettings, NamesOverNfs3};
use standfast_lab::Host;
use tokio::runtime::Runtime;

use crate::server::PORT;
use crate::{Result, SOON};

/// Clients that run until they are told to stop, and the runtime that they run on.
pub struct Clients {
    runtime: Runtime,
    settings: LoadSettings,
    load: Load,
}

impl Clients {
    /// Mounts `/export` of a server from a host: one client over NFSv3, two over NFSv4.1, which also
    /// lock. All make names.
    ///
    /// # Errors
    /// What the server refused.
    pub fn start(host: &Arc<Host>, server: IpAddr, seed: u64) -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let settings = LoadSettings {
            server: (server, PORT).into(),
            socket: sockets(host),
            export: "/export".into(),
            directory: "load".into(),
            nfs3: 1,
            names_over_nfs3: NamesOverNfs3::All,
            nfs41: 2,
            pace: Duration::from_millis(4),
            seed,
        };
        let started =
            runtime.block_on(async { tokio::time::timeout(SOON, Load::start(&settings)).await });
        let load = started.map_err(|_| "the clients could not start")??;
        let clients = Self { runtime, settings, load };
        clients.go_on()?;
        Ok(clients)
    }

    /// Waits until each worker has been answered.
    ///
    /// # Errors
    /// If one is not.
    pub fn go_on(&self) -> Result {
        let since = self.load.recorder().now();
        if self.runtime.block_on(self.load.answered_since(since, SOON)) {
            return Ok(());
        }
        let seen = self.load.recorder().history();
        Err(format!("clients hang; findings: {:?}", seen.findings).into())
    }

    /// Stops the clients, reads back what they wrote, and checks that nothing is wrong.
    ///
    /// # Errors
    /// What is wrong, and findings that `allowed` does not allow.
    pub fn finish(self, allowed: impl Fn(&Finding) -> bool) -> Result<History> {
        let Self { runtime, settings, load } = self;
        let history = runtime.block_on(load.stop(SOON));
        let remains = runtime.block_on(settings.read_back(&history, SOON))?;
        let violations = check(&history, &remains);
        let findings = history.findings.iter().filter(|found| !allowed(&found.what));
        let findings: Vec<_> = findings.collect();
        if violations.is_empty() && findings.is_empty() {
            return Ok(history);
        }
        let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
        let count = history.operations.len();
        Err(format!("after {count} operations: {lines:#?}, {findings:#?}").into())
    }
}

/// Sockets in the network of a host.
fn sockets(host: &Arc<Host>) -> NewSocket {
    let host = Arc::clone(host);
    Arc::new(move |domain| {
        let make = here();
        host.enter(move || make(domain)).map_err(std::io::Error::other)?
    })
}
