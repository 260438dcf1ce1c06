//! What people build: keepalived moves an address between two machines, and its notify script
//! starts NFS-Ganesha on the one that has it. The directory is shared, and so is the recovery state.
//!
//! The settings are those that are good for a short pause and safe for the data: VRRP advertisements
//! every 0.2 s, the recovery state on the shared storage, lease and grace period short (their
//! minimum in Ganesha is a few seconds), the grace period on, since without it a client could take
//! what another had locked.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use standfast_drill::Error;
use standfast_drill::fault::Fault;
use standfast_drill::round::Subject;
use standfast_lab::{Addresses, Daemon, Direction, Host, Lab, Signal, wait_until};

const NFS: u16 = 2049;
const PATIENCE: Duration = Duration::from_secs(60);
/// Lease and grace period, in seconds.
const LEASE: u32 = 10;

/// Two machines.
pub(crate) struct Pair {
    machines: Vec<Machine>,
    client: Arc<Host>,
    floating: Addresses,
    export: PathBuf,
    struck: Option<usize>,
    /// Processes that were stopped.
    frozen: Vec<u32>,
}

struct Machine {
    host: Host,
    directory: PathBuf,
    keepalived: Option<Daemon>,
    rpcbind: Option<Daemon>,
}

impl Pair {
    pub(crate) fn start(lab: &Lab) -> Result<Self, Error> {
        let shared = lab.dir().join("storage");
        let export = shared.join("data");
        make(&export)?;
        let _made = fs::set_permissions(&export, fs::Permissions::from_mode(0o1777));
        let floating = lab.floating_addresses()?;
        let mut machines = Vec::new();
        for (name, priority) in [("one", 100), ("two", 90)] {
            let directory = lab.dir().join("nodes").join(name);
            make(&directory)?;
            let machine =
                Machine { host: lab.host(name)?, directory, keepalived: None, rpcbind: None };
            machine.configure(&shared, &export, floating, priority)?;
            machines.push(machine);
        }
        let client = Arc::new(lab.host("client")?);
        let mut pair =
            Self { machines, client, floating, export, struck: None, frozen: Vec::new() };
        for machine in &mut pair.machines {
            machine.start()?;
        }
        pair.wait_healthy()?;
        Ok(pair)
    }

    pub(crate) fn client(&self) -> &Arc<Host> {
        &self.client
    }

    /// The machine that has the address.
    fn holder(&self) -> Option<usize> {
        (0..self.machines.len())
            .filter(|number| Some(*number) != self.struck)
            .find(|number| self.machines[*number].has(self.floating.v4.into()))
    }
}

impl Subject for Pair {
    fn name(&self) -> &str {
        "keepalived+ganesha"
    }

    fn service(&self) -> (SocketAddr, String) {
        ((self.floating.v4, NFS).into(), self.export.display().to_string())
    }

    fn serves_nfs3(&self) -> bool {
        false
    }

    fn inject(&mut self, fault: Fault) -> Result<String, Error> {
        let holder = self.holder().ok_or_else(|| nobody("serves"))?;
        if fault != Fault::Move {
            self.struck = Some(holder);
        }
        let machine = &mut self.machines[holder];
        match fault {
            // Ganesha alone would never be missed: keepalived watches no process by itself. It is
            // given the check that people give it, which ends it with the server.
            Fault::Kill => machine.kill("ganesha.nfsd")?,
            Fault::PowerOff => machine.host.kill()?,
            Fault::Freeze => self.frozen = machine.freeze()?,
            Fault::CutLink => machine.host.cut_link(Direction::Both)?,
            Fault::CutSending => machine.host.cut_link(Direction::Out)?,
            Fault::CutHearing => machine.host.cut_link(Direction::In)?,
            // keepalived gives the address up when it is told to end.
            Fault::Move => {
                if let Some(keepalived) = machine.keepalived.take() {
                    keepalived.terminate(PATIENCE)?;
                }
                machine.kill("ganesha.nfsd")?;
            }
        }
        Ok(machine.host.name().into())
    }

    fn end(&mut self, fault: Fault) -> Result<(), Error> {
        for process in std::mem::take(&mut self.frozen) {
            signal(process, Signal::SIGCONT);
        }
        let struck = self.struck.take();
        if fault == Fault::Move {
            for machine in self.machines.iter_mut().filter(|machine| machine.keepalived.is_none()) {
                machine.start()?;
            }
        }
        let Some(struck) = struck else { return Ok(()) };
        let machine = &mut self.machines[struck];
        match fault {
            Fault::PowerOff | Fault::Kill => {
                machine.keepalived = None;
                machine.rpcbind = None;
                machine.host.restart()?;
                machine.start()
            }
            Fault::Freeze | Fault::Move => Ok(()),
            _ => Ok(machine.host.mend_link()?),
        }
    }

    fn wait_healthy(&mut self) -> Result<(), Error> {
        wait_until(PATIENCE, "one machine to serve", || {
            let holders =
                self.machines.iter().filter(|machine| machine.has(self.floating.v4.into()));
            holders.count() == 1
        })?;
        let holder = self.holder().ok_or_else(|| nobody("serves"))?;
        self.machines[holder].host.wait_port(NFS, PATIENCE)?;
        // A new master's grace period must be over, or the next round would measure it too.
        let over = Instant::now() + Duration::from_secs(u64::from(LEASE) + 2);
        sleep(over.saturating_duration_since(Instant::now()));
        Ok(())
    }
}

impl Machine {
    fn configure(
        &self,
        shared: &Path,
        export: &Path,
        floating: Addresses,
        priority: u8,
    ) -> Result<(), Error> {
        let recovery = shared.join("recovery");
        make(&recovery)?;
        write(
            &self.directory.join("ganesha.conf"),
            &format!(
                "NFS_CORE_PARAM {{ Protocols = 4; NFS_Port = {NFS}; Enable_NLM = false;\n\
                 Enable_RQUOTA = false; }}\n\
                 NFSV4 {{ Lease_Lifetime = {LEASE}; Grace_Period = {LEASE}; RecoveryBackend = fs;\n\
                 RecoveryRoot = {recovery:?}; Server_Scope = pair; Server_Owner = pair; }}\n\
                 EXPORT {{ Export_Id = 1; Path = {export:?}; Pseudo = {export:?};\n\
                 Access_Type = RW; Squash = no_root_squash; SecType = sys;\n\
                 FSAL {{ Name = VFS; }} }}\nLOG {{ Default_Log_Level = EVENT; }}\n"
            ),
        )?;
        let notify = self.directory.join("notify");
        let conf = self.directory.join("ganesha.conf");
        write(
            &notify,
            &format!(
                "#!/bin/sh\ncase \"$3\" in\nMASTER) ganesha.nfsd -f {conf:?} -L /run/ganesha.log \
                 -p /run/ganesha.pid ;;\n*) pkill -9 ganesha.nfsd ;;\nesac\n"
            ),
        )?;
        let check = self.directory.join("check");
        write(&check, "#!/bin/sh\n[ ! -e /run/ganesha.pid ] || pgrep ganesha.nfsd >/dev/null\n")?;
        for script in [&notify, &check] {
            let mode = fs::Permissions::from_mode(0o755);
            let _checked_when_it_runs = fs::set_permissions(script, mode);
        }
        write(
            &self.directory.join("keepalived.conf"),
            &format!(
                "global_defs {{\n script_user root\n vrrp_version 3\n vrrp_garp_master_repeat 3\n \
                 vrrp_garp_master_delay 1\n}}\n\
                 vrrp_script check {{\n script {check:?}\n interval 1\n fall 1\n rise 1\n}}\n\
                 vrrp_instance pair {{\n state BACKUP\n nopreempt\n interface {}\n \
                 virtual_router_id 51\n priority {priority}\n advert_int 0.2\n \
                 virtual_ipaddress {{\n  {}/24\n }}\n track_script {{\n  check\n }}\n \
                 notify {notify:?}\n}}\n",
                self.host.interface(),
                floating.v4
            ),
        )
    }

    fn start(&mut self) -> Result<(), Error> {
        if self.rpcbind.is_none() {
            let mut rpcbind = Command::new("rpcbind");
            rpcbind.args(["-f", "-w"]);
            self.rpcbind = Some(self.host.start("rpcbind", rpcbind)?);
        }
        let mut keepalived = Command::new("keepalived");
        keepalived.args(["-n", "-l", "-D", "-p", "/run/ka.pid", "-r", "/run/ka-vrrp.pid", "-f"]);
        keepalived.arg(self.directory.join("keepalived.conf"));
        self.keepalived = Some(self.host.start("keepalived", keepalived)?);
        Ok(())
    }

    /// Whether it is up and has an address.
    fn has(&self, address: IpAddr) -> bool {
        let listed = self.host.run(["ip", "-o", "addr"]);
        listed.is_ok_and(|list| list.stdout.contains(&format!(" {address}/")))
    }

    fn kill(&self, program: &str) -> Result<(), Error> {
        self.host.run(["pkill", "-9", "-x", program])?;
        Ok(())
    }

    /// Stops every process of it, and says which.
    fn freeze(&self) -> Result<Vec<u32>, Error> {
        let namespace = |process: u32| fs::read_link(format!("/proc/{process}/ns/pid")).ok();
        let Some(keepalived) = &self.keepalived else { return Ok(Vec::new()) };
        let own = namespace(keepalived.pid());
        let entries = fs::read_dir("/proc")
            .map_err(|why| Error::System { what: "list the processes".into(), why })?;
        let processes: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|process| own.is_some() && namespace(*process) == own)
            .collect();
        processes.iter().for_each(|process| signal(*process, Signal::SIGSTOP));
        Ok(processes)
    }
}

/// A process that has ended meanwhile needs no signal.
fn signal(process: u32, signal: Signal) {
    let process = nix::unistd::Pid::from_raw(process.cast_signed());
    let _ended = nix::sys::signal::kill(process, signal);
}

fn make(directory: &Path) -> Result<(), Error> {
    let what = format!("make {}", directory.display());
    fs::create_dir_all(directory).map_err(|why| Error::System { what, why })
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    let what = format!("write {}", path.display());
    fs::write(path, text).map_err(|why| Error::System { what, why })
}

fn nobody(what: &str) -> Error {
    Error::Answer { what: "who holds the address".into(), why: format!("nobody {what}") }
}
