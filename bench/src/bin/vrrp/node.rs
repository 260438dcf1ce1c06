//! A router of either kind.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use standfast_lab::{Daemon, Host, Lab, wait_until};
use standfast_vrrp::driver;
use standfast_vrrp::settings::File;
use tokio::signal::unix::{SignalKind, signal};

use crate::Fallible;

/// Names the settings file of a router that this program is to be.
pub(crate) const SETTINGS: &str = "STANDFAST_VRRP_SETTINGS";
/// How long a router may take to come up, beyond what its intervals ask for.
const LIMIT: Duration = Duration::from_secs(30);

/// Whose router it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Implementation {
    Ours,
    Keepalived,
}

/// A running router.
pub(crate) struct Node {
    daemon: Daemon,
    side: Implementation,
}

impl Implementation {
    pub(crate) const ALL: [Self; 2] = [Self::Ours, Self::Keepalived];

    /// What its log says when it enters a state.
    fn entry(self, state: &str) -> String {
        match self {
            Self::Ours => format!("to={state}"),
            Self::Keepalived => format!("Entering {state} STATE"),
        }
    }
}

/// Runs our virtual routers until SIGTERM.
pub(crate) fn serve(path: &Path) -> Fallible<()> {
    tracing_subscriber::fmt().with_ansi(false).init();
    let file: File = toml::from_str(&fs::read_to_string(path)?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async {
            terminate.recv().await;
        };
        Ok(driver::run(&file.vrrp, stop).await?)
    })
}

impl Node {
    pub(crate) fn start(
        lab: &Lab,
        host: &Host,
        side: Implementation,
        priority: u8,
        interval: Duration,
        floating: Ipv4Addr,
    ) -> Fallible<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let run = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| lab.dir().join(format!("{run}-{name}"));
        let interface = host.interface();
        let command = match side {
            Implementation::Ours => {
                let path = file("vrrp.toml");
                let settings = format!(
                    "[[vrrp.instance]]\nname = \"one\"\ninterface = \"{interface}\"\nrouter_id = 51\n\
                     priority = {priority}\nadvert_interval = \"{}ms\"\n\
                     addresses = [\"{floating}/24\"]\n",
                    interval.as_millis()
                );
                fs::write(&path, settings)?;
                let mut command = Command::new(std::env::current_exe()?);
                command.env(SETTINGS, &path);
                command
            }
            Implementation::Keepalived => {
                let path = file("keepalived.conf");
                let configuration = format!(
                    "vrrp_instance one {{\n state BACKUP\n interface {interface}\n version 3\n \
                     virtual_router_id 51\n priority {priority}\n advert_int {}\n \
                     virtual_ipaddress {{\n {floating}/24\n }}\n}}\n",
                    interval.as_secs_f64()
                );
                fs::write(&path, configuration)?;
                let mut command = Command::new("keepalived");
                command.args(["--dont-fork", "--log-console", "--vrrp", "--use-file"]);
                command.arg(&path).arg("--pid").arg(file("pid"));
                command.arg("--vrrp_pid").arg(file("vrrp.pid"));
                command
            }
        };
        Ok(Self { daemon: host.start(&format!("router-{run}"), command)?, side })
    }

    pub(crate) fn wait_for_backup(&self) -> Fallible<()> {
        self.wait_for("BACKUP")
    }

    pub(crate) fn wait_for_master(&self) -> Fallible<()> {
        self.wait_for("MASTER")
    }

    fn wait_for(&self, state: &str) -> Fallible<()> {
        let entry = self.side.entry(state);
        Ok(wait_until(LIMIT, &format!("`{entry}`"), || self.daemon.log().contains(&entry))?)
    }

    /// SIGKILL to all its processes, the children first: they would say farewell if they saw their
    /// parent die.
    pub(crate) fn kill(&self) -> Fallible<()> {
        let id = self.daemon.pid();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children"))?;
        for child in children.split_whitespace() {
            kill(Pid::from_raw(child.parse()?), Signal::SIGKILL)?;
        }
        Ok(self.daemon.signal(Signal::SIGKILL)?)
    }

    /// Waits until it is gone, which may take longer than the backup does.
    pub(crate) fn bury(&self) -> Fallible<()> {
        self.daemon.wait(LIMIT)?;
        Ok(())
    }

    pub(crate) fn stop(&self) -> Fallible<()> {
        self.daemon.terminate(LIMIT)?;
        Ok(())
    }
}
