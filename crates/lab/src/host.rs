//! Hosts: machines made of namespaces.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::unistd::{User, chown, sethostname};

use crate::lab::{Site, make_dir};
use crate::network::{self, Addresses, Direction};
use crate::process::{self, locked, text_of};
use crate::wait::wait_until;
use crate::{Cell, Daemon, Error, Output, cell};

/// How long [`Host::run`] and [`crate::Guest::run`] let a command run.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(300);
/// The state of `rpc.statd` and its like, which a machine keeps when it restarts.
const NFS_STATE: &str = "/var/lib/nfs";

/// A machine made of namespaces: its own network, mounts, processes and name, but this machine's
/// kernel and clock (no namespace has a wall clock of its own).
#[derive(Debug)]
pub struct Host {
    name: String,
    addresses: Addresses,
    port: String,
    site: Arc<Site>,
    /// `None` while it is switched off.
    cell: Mutex<Option<Arc<Cell>>>,
}

impl Host {
    pub(crate) fn new(site: Arc<Site>, name: &str) -> Result<Self, Error> {
        let (addresses, port) = site.add_machine("host")?;
        let host = Self { name: name.into(), addresses, port, site, cell: Mutex::new(None) };
        host.restart()?;
        Ok(host)
    }

    /// Its name, which is also its hostname.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its addresses on the bridge.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Its network interface.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        network::HOST_INTERFACE
    }

    /// Starts a daemon; what it prints goes to the log `HOST.NAME.log`.
    ///
    /// # Errors
    /// [`Error::Off`], or what starting it failed with.
    pub fn start(&self, name: &str, mut command: Command) -> Result<Daemon, Error> {
        let (path, log) = self.site.open_log(&format!("{}.{name}", self.name))?;
        let second = log.try_clone().map_err(Error::io("duplicate a descriptor"))?;
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        let process = self.cell()?.spawn(command)?;
        Ok(Daemon::new(format!("{name} on {}", self.name), process, path))
    }

    /// Runs a command to its end, for at most [`COMMAND_LIMIT`].
    ///
    /// # Errors
    /// As [`Host::run_within`].
    pub fn run<A: AsRef<OsStr>>(&self, argv: impl IntoIterator<Item = A>) -> Result<Output, Error> {
        self.run_within(COMMAND_LIMIT, argv)
    }

    /// Runs a command to its end; what still runs after `limit` is killed with its process group.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::TimedOut`], or what starting it failed with. That it ended with
    /// another status than 0 is no error; see [`Output::ok`].
    pub fn run_within<A: AsRef<OsStr>>(
        &self,
        limit: Duration,
        argv: impl IntoIterator<Item = A>,
    ) -> Result<Output, Error> {
        let mut words = argv.into_iter();
        let Some(program) = words.next() else {
            return Err(Error::io("run a command")(std::io::Error::from(
                std::io::ErrorKind::InvalidInput,
            )));
        };
        let mut command = Command::new(program);
        command.args(words);
        process::run(self.cell()?.as_ref(), command, "", limit)
    }

    /// Runs `work` inside the host, on a thread that must not start threads: sockets that it makes
    /// are the host's, wherever they are used later, and mounts that it makes too.
    ///
    /// # Errors
    /// [`Error::Off`].
    pub fn enter<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Error> {
        self.cell()?.enter(work)
    }

    /// Waits until something listens on TCP port `port`, by looking only.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::TimedOut`].
    pub fn wait_port(&self, port: u16, limit: Duration) -> Result<(), Error> {
        self.wait_socket("tcp", LISTENING, port, limit)
    }

    /// Waits until something is bound to UDP port `port`, by looking only.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::TimedOut`].
    pub fn wait_udp_port(&self, port: u16, limit: Duration) -> Result<(), Error> {
        self.wait_socket("udp", UNCONNECTED, port, limit)
    }

    fn wait_socket(
        &self,
        protocol: &str,
        state: &str,
        port: u16,
        limit: Duration,
    ) -> Result<(), Error> {
        let tables = PathBuf::from(format!("/proc/{}/net", self.cell()?.id()));
        let files = [tables.join(protocol), tables.join(format!("{protocol}6"))];
        wait_until(limit, &format!("{}: {protocol} port {port}", self.name), || {
            files.iter().any(|file| has_socket(&text_of(file), state, port))
        })
    }

    /// A node crash: the link falls silent, then everything on the machine is gone at once.
    ///
    /// # Errors
    /// What removing the port failed with.
    pub fn kill(&self) -> Result<(), Error> {
        let Some(cell) = locked(&self.cell).take() else { return Ok(()) };
        // First, so that no peer gets the resets and farewells of closing sockets.
        let removed = network::remove_port(&self.site.cell, &self.port);
        cell.kill();
        removed
    }

    /// Switches the machine on, after [`Host::kill`] if it runs: the same name, addresses and
    /// `/var/lib/nfs`, but no process and no other address, as after the boot of a real one.
    ///
    /// # Errors
    /// What making its namespaces and its link failed with.
    pub fn restart(&self) -> Result<(), Error> {
        self.kill()?;
        let state = make_dir(&self.site.machine_dir(&self.name)?.join("nfs"))?;
        let name = self.name.clone();
        let prepare = move || prepare(&name, &state);
        let cell = Cell::start(&self.name, cell::Network::Own, true, prepare)?;
        network::make_host_port(&self.site.cell, &self.port, self.addresses, cell.network())?;
        network::bring_up(&cell, self.addresses, network::HOST_INTERFACE)?;
        *self.slot() = Some(Arc::new(cell));
        Ok(())
    }

    /// Cuts the link; its carrier stays up, as behind a failed switch.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::Failed`].
    pub fn cut_link(&self, direction: Direction) -> Result<(), Error> {
        self.cell()?;
        network::cut(&self.site.cell, &self.port, direction)
    }

    /// Mends the link.
    ///
    /// # Errors
    /// [`Error::Off`], [`Error::Failed`].
    pub fn mend_link(&self) -> Result<(), Error> {
        self.cell()?;
        network::mend(&self.site.cell, &self.port)
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Cell>>> {
        locked(&self.cell)
    }

    fn cell(&self) -> Result<Arc<Cell>, Error> {
        self.slot().clone().ok_or_else(|| Error::Off(self.name.clone()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}

/// Gives a host its own name, `/run`, `/sys` and `/var/lib/nfs`. Runs in its namespaces.
fn prepare(name: &str, state: &Path) -> Result<(), Error> {
    sethostname(name).map_err(Error::io("set the hostname"))?;
    let none = MsFlags::empty();
    // A new /sys, to see the interfaces of this network and not those of the machine.
    mount(Some("sysfs"), "/sys", Some("sysfs"), none, None::<&str>)
        .map_err(Error::io("mount /sys"))?;
    mount(Some("tmpfs"), "/run", Some("tmpfs"), none, Some("mode=0755"))
        .map_err(Error::io("mount /run"))?;
    for dir in ["/run/lock", "/run/rpcbind", "/run/ganesha"] {
        make_dir(Path::new(dir))?;
    }
    if Path::new(NFS_STATE).exists() {
        make_nfs_state(state)?;
        mount(Some(state), NFS_STATE, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .map_err(Error::io(format!("mount {NFS_STATE}")))?;
    }
    Ok(())
}

/// Lays out an empty `/var/lib/nfs`, as the package does.
fn make_nfs_state(dir: &Path) -> Result<(), Error> {
    for part in ["sm", "sm.bak", "v4recovery", "ganesha"] {
        make_dir(&dir.join(part))?;
    }
    for file in ["state", "etab", "rmtab"] {
        fs::File::options()
            .create(true)
            .append(true)
            .open(dir.join(file))
            .map_err(Error::io(file))?;
    }
    // rpc.statd runs as the owner of its directory.
    if let Ok(Some(statd)) = User::from_name("statd") {
        for part in ["sm", "sm.bak", "state", ""] {
            chown(&dir.join(part), Some(statd.uid), Some(statd.gid))
                .map_err(Error::io(format!("chown {}", dir.join(part).display())))?;
        }
    }
    Ok(())
}

/// The states of `/proc/net/tcp` and `/proc/net/udp`.
const LISTENING: &str = "0A";
const UNCONNECTED: &str = "07";

/// Whether a table like `/proc/net/tcp` has a socket in `state` with the local port `port`.
fn has_socket(table: &str, state: &str, port: u16) -> bool {
    let suffix = format!(":{port:04X}");
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        local.ends_with(&suffix) && fields.nth(1) == Some(state)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue\n\
        0: 0100007F:0801 00000000:0000 0A 00000000:00000000\n\
        1: 0100007F:0016 0100007F:0801 01 00000000:00000000\n";

    #[test]
    fn finds_listeners_only() {
        assert!(has_socket(TABLE, LISTENING, 2049));
        assert!(!has_socket(TABLE, LISTENING, 22));
        assert!(!has_socket(TABLE, LISTENING, 1));
        assert!(!has_socket("", LISTENING, 2049));
    }
}
