//! The server is killed with SIGKILL at random moments, under load, and started again: to its
//! clients nothing happened but that a TCP connection broke.
//!
//! Told for minor versions with sessions: version 0 has no intents, so a change of names that was cut
//! off before its reply was written down may run again.
//!
//! A failing run prints its seed; `STANDFAST_SEED` runs it again.

use std::env;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use standfast_lab::{Daemon, Lab, Requirement};
use standfast_tests::guests::Version::V42;
use standfast_tests::guests::{Version, for_versions, two_mounted_from};
use standfast_tests::server::{PORT, Server};
use standfast_tests::work::{Work, finish, prepare};
use standfast_tests::{Result, SOON};

const NEEDS: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("mount.nfs"),
    Requirement::Program("python3"),
    Requirement::Program("tcpdump"),
    Requirement::Program("tshark"),
];

/// How often the server is killed, and how long it runs in between, at most.
const KILLS: u32 = 5;
const LONGEST_RUN: u64 = 2500;

/// How long what runs may take to come to its end.
const LIMIT: Duration = Duration::from_secs(900);

pub(crate) fn stories() -> Vec<Trial> {
    for_versions("nobody_notices_a_kill_under_load", NEEDS, &[V42], under_load)
}

/// Random numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn new() -> Result<Self> {
        let seed = match env::var("STANDFAST_SEED") {
            Ok(seed) => seed.parse()?,
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as u64 | 1,
        };
        #[expect(clippy::print_stderr, reason = "a run that fails can be told again")]
        {
            eprintln!("to run this again: STANDFAST_SEED={seed}");
        }
        Ok(Self(seed))
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// All that goes over the wire.
struct Trace {
    file: String,
    tcpdump: Daemon,
}

impl Trace {
    fn start(lab: &Lab, server: &Server) -> Result<Self> {
        let file = lab.dir().join("trace.pcap").display().to_string();
        let mut command = Command::new("tcpdump");
        command.args(["-i", server.host.interface(), "-U", "-B", "65536", "-w", &file]);
        command.args(["port", &PORT.to_string()]);
        let tcpdump = server.host.start("tcpdump", command)?;
        standfast_lab::wait_until(SOON, "the trace to begin", || {
            std::fs::metadata(&file).is_ok_and(|file| file.len() > 0)
        })?;
        Ok(Self { file, tcpdump })
    }

    /// What matches a filter of Wireshark.
    fn find(&self, server: &Server, filter: &str) -> Result<String> {
        let found = server.host.run_within(LIMIT, ["tshark", "-r", &self.file, "-Y", filter])?;
        Ok(found.ok()?)
    }

    /// No client was told that anything was lost, and none reclaimed anything.
    fn shows_no_restart(self, server: &Server) -> Result {
        // Not killed: the last frame is to be whole.
        self.tcpdump.terminate(SOON)?;
        assert!(!self.find(server, "nfs.opcode == 18")?.is_empty(), "the trace is empty");
        // EXPIRED, GRACE, STALE_CLIENTID, STALE_STATEID, BAD_STATEID, NO_GRACE, BADSESSION,
        // SEQ_MISORDERED, DEADSESSION
        let told = [10011, 10013, 10022, 10023, 10025, 10033, 10052, 10063, 10078]
            .map(|status| format!("nfs.nfsstat4 == {status}"))
            .join(" || ");
        // Clients say such things to callbacks: the server looks for the sequences of their slots.
        let told = self.find(
            server,
            // Linux sends FREE_STATEID (45) of a lock beside the CLOSE of its file, over another
            // slot: whichever comes second finds the lock's state gone, also without a restart.
            &format!("tcp.srcport == {PORT} && !(nfs.opcode == 45) && ({told})"),
        )?;
        assert!(told.is_empty(), "clients were told of a restart:\n{told}");
        let reclaimed = self.find(server, "nfs.open.claim_type == 1 || nlm.reclaim == 1")?;
        assert!(reclaimed.is_empty(), "clients reclaimed:\n{reclaimed}");
        Ok(())
    }
}

/// Kills the server and starts it again, a few times, at random moments.
fn kill_and_restart(server: &mut Server, random: &mut Random) -> Result {
    for _ in 0..KILLS {
        thread::sleep(Duration::from_millis(200 + random.below(LONGEST_RUN)));
        server.kill()?;
        server.restart()?;
    }
    Ok(())
}

fn under_load(lab: &Lab, version: Version) -> Result {
    let mut random = Random::new()?;
    let mut server = Server::start(lab, "rw,no_root_squash")?;
    prepare(&server.export())?;
    let trace = Trace::start(lab, &server)?;
    let (first, second) = two_mounted_from(lab, server.v4(), version.options())?;
    let works = [Work::start(&first, "first")?, Work::start(&second, "second")?];
    kill_and_restart(&mut server, &mut random)?;
    finish(&works, &server.export())?;
    trace.shows_no_restart(&server)
}
