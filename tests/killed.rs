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
use standfast_lab::{Daemon, Guest, GuestProcess, Lab, Requirement};
use standfast_tests::guests::Version::V42;
use standfast_tests::guests::{MOUNT, Version, for_versions, two_mounted_from};
use standfast_tests::server::{PORT, Server};
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

/// Works on the mount, once at least, until `/tmp/stop` is there: `work.py NAME`. Everything that it does may be
/// done exactly once: a second time would fail, or be counted. It prints how often it went round.
const WORK: &str = r"
import fcntl, os, sys
me, rounds = sys.argv[1], 0
def put(path, text, flags):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(file, text.encode()); os.fsync(file); os.close(file)
while rounds == 0 or not os.path.exists('/tmp/stop'):
    # One holder at a time, of both guests.
    with open('counter', 'r+') as counter:
        fcntl.lockf(counter, fcntl.LOCK_EX)
        put('holder', me, os.O_EXCL)
        value = int(counter.read() or 0)
        counter.seek(0); counter.write(str(value + 1)); counter.flush()
        assert open('holder').read() == me
        os.unlink('holder')
        fcntl.lockf(counter, fcntl.LOCK_UN)
    # Names, each made once and taken away once.
    base = '%s-%d' % (me, rounds)
    os.mkdir(base)
    put(base + '/file', base, os.O_EXCL)
    os.link(base + '/file', base + '/link')
    os.symlink(base, base + '/soft')
    os.rename(base, base + '-renamed')
    assert open(base + '-renamed/link').read() == base
    for name in ('file', 'link', 'soft'):
        os.unlink(base + '-renamed/' + name)
    os.rmdir(base + '-renamed')
    put(me + '.log', '%d\n' % rounds, os.O_APPEND)
    rounds += 1
print(rounds)
";

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
        let told = self.find(server, &format!("tcp.srcport == {PORT} && ({told})"))?;
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
    std::fs::write(server.export().join("counter"), b"")?;
    let trace = Trace::start(lab, &server)?;
    let (first, second) = two_mounted_from(lab, server.v4(), version.options())?;
    let work = |guest: &Guest, name: &str| -> Result<GuestProcess> {
        guest.push("/tmp/work.py", WORK.as_bytes())?;
        Ok(guest.spawn(&format!("cd {MOUNT}; python3 /tmp/work.py {name}"))?)
    };
    let works = [work(&first, "first")?, work(&second, "second")?];
    kill_and_restart(&mut server, &mut random)?;
    let mut total = 0;
    for guest in [&first, &second] {
        guest.run(": >/tmp/stop")?.ok()?;
    }
    for (work, name) in works.iter().zip(["first", "second"]) {
        let rounds: u64 = work.wait(LIMIT)?.ok()?.trim().parse()?;
        let log = std::fs::read_to_string(server.export().join(format!("{name}.log")))?;
        let expected: String = (0..rounds).map(|round| format!("{round}\n")).collect();
        assert_eq!(log, expected, "the log of {name}");
        total += rounds;
    }
    assert!(total > 0);
    let counter = std::fs::read_to_string(server.export().join("counter"))?;
    assert_eq!(counter, total.to_string(), "rounds that were counted under the lock");
    let mut left: Vec<_> = std::fs::read_dir(server.export())?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<std::io::Result<_>>()?;
    left.retain(|name| !name.to_string_lossy().starts_with('.'));
    left.sort();
    assert_eq!(left, ["counter", "first.log", "second.log"]);
    trace.shows_no_restart(&server)
}
