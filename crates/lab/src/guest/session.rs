//! One run of a guest, from its boot to its end.

use std::fs;
use std::io::pipe;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

use super::kernel;
use super::line::Line;
use crate::lab::{MEMORY, Site, make_dir, tail};
use crate::network::{Addresses, GUEST_INTERFACE};
use crate::process::{Process, text_of};
use crate::{Cell, Error, cell};

const INIT: &str = include_str!("init.sh");
const AGENT: &str = include_str!("agent.sh");
const INIT_FILE: &str = "init";
const AGENT_FILE: &str = "agent";
/// How many lines of the console a failed boot quotes.
const CONSOLE_TAIL: usize = 15;

/// What stays the same from one run of a guest to the next.
#[derive(Debug)]
pub(super) struct Hardware {
    pub(super) name: String,
    pub(super) addresses: Addresses,
    pub(super) port: String,
    pub(super) memory: u64,
    /// Arguments of the kernel that describe the disks.
    pub(super) disks: Vec<String>,
    pub(super) boot_limit: Duration,
}

/// A guest that runs, or has crashed.
#[derive(Debug)]
pub(super) struct Session {
    cell: Cell,
    /// The kernel's first process; its helpers die with the cell.
    leader: Process,
    pub(super) line: Line,
    control: PathBuf,
    commands: AtomicU64,
}

impl Session {
    /// Boots the guest.
    pub(super) fn boot(site: &Site, hardware: &Hardware) -> Result<Self, Error> {
        let name = &hardware.name;
        let control = fresh_control(&site.control.path().join(name))?;
        let machine = site.machine_dir(name)?;
        write_scripts(&machine)?;
        for part in ["sm", "sm.bak", "v4recovery", "rpc_pipefs"] {
            make_dir(&machine.join("nfs").join(part))?;
        }
        let program = kernel::prepare(&control)?;
        let (console, log) = site.open_log(name)?;
        let (from_guest, stdout) = pipe().map_err(Error::io("make a pipe"))?;
        let (stdin, to_guest) = pipe().map_err(Error::io("make a pipe"))?;
        let mut command = kernel_command(&program, hardware, &control, &machine, site.dir.path());
        command.stdin(stdin).stdout(stdout).stderr(log);
        let network = cell::Network::Of(site.cell.network());
        let cell = Cell::start(name, network, false, || Ok(()))?;
        let leader = cell.spawn(command)?;
        let line = Line::new(name, from_guest, to_guest)?;
        line.wait_ready(hardware.boot_limit).map_err(|source| Error::Boot {
            guest: name.clone(),
            source: Box::new(source),
            console: tail(&text_of(&console), CONSOLE_TAIL),
        })?;
        Ok(Self { cell, leader, line, control, commands: AtomicU64::new(1) })
    }

    /// Hands a shell command to the agent and gives its number.
    pub(super) fn start(&self, command: &str) -> Result<u64, Error> {
        let id = self.commands.fetch_add(1, Ordering::Relaxed);
        let path = self.file(id, "command");
        fs::write(&path, command).map_err(Error::io(format!("write {}", path.display())))?;
        self.line.send("run", id)?;
        Ok(id)
    }

    /// A file of the command `id`.
    pub(super) fn file(&self, id: u64, kind: &str) -> PathBuf {
        self.control.join(format!("{id}.{kind}"))
    }

    pub(super) fn is_running(&self) -> bool {
        self.leader.is_running()
    }

    pub(super) fn crash(&self) {
        self.cell.kill();
    }

    /// Signals the leader alone: the kernel aborts if all its processes are stopped.
    pub(super) fn signal(&self, signal: Signal) -> Result<(), Error> {
        self.leader.signal(signal)
    }
}

/// An empty control directory: the numbers of commands start again at each boot.
fn fresh_control(path: &Path) -> Result<PathBuf, Error> {
    let _ = fs::remove_dir_all(path);
    make_dir(path)
}

/// The guest's scripts are on disk: its kernel covers the host's `/dev` before they are read.
fn write_scripts(dir: &Path) -> Result<(), Error> {
    for (file, text) in [(INIT_FILE, INIT), (AGENT_FILE, AGENT)] {
        let path = dir.join(file);
        fs::write(&path, text)
            .and_then(|()| fs::set_permissions(&path, PermissionsExt::from_mode(0o755)))
            .map_err(Error::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

/// The command line of the guest's kernel.
fn kernel_command(
    program: &Path,
    hardware: &Hardware,
    control: &Path,
    machine: &Path,
    dir: &Path,
) -> Command {
    let Hardware { name, addresses, port, memory, disks, .. } = hardware;
    let (control, machine, dir) = (control.display(), machine.display(), dir.display());
    let mut command = Command::new(program);
    // The guest's memory is a file in TMPDIR.
    command.env_clear().env("TMPDIR", MEMORY).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.args([
        format!("mem={memory}"),
        format!("umid={name}"),
        format!("uml_dir={control}/uml"),
        // Ends when its kernel does, and panics at once.
        "noreboot".into(),
        "panic=-1".into(),
        "rootfstype=hostfs".into(),
        "rootflags=/".into(),
        "ro".into(),
        format!("init={machine}/{INIT_FILE}"),
        // The console goes to stderr, the agent's line to stdin and stdout.
        "con=null".into(),
        "con0=null,fd:2".into(),
        "ssl=null".into(),
        "ssl0=fd:0,fd:1".into(),
        format!("vec0:transport=tap,ifname={port},depth=128,gro=1,mac={}", addresses.mac()),
        format!("lab_name={name}"),
        format!("lab_v4={}", addresses.v4),
        format!("lab_v6={}", addresses.v6),
        format!("lab_dir={dir}"),
        format!("lab_control={control}"),
        format!("lab_machine={machine}"),
        format!("lab_interface={GUEST_INTERFACE}"),
    ]);
    command.args(disks);
    command
}
