//! Locks over NFSv3, as two Linux clients see them.

use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Guest, GuestProcess, Lab, Requirement, wait_until};
use standfast_tests::guests::{MOUNT, two_mounted_from};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

/// How guests mount: the server's locks hold.
const OPTIONS: &str = "vers=3,proto=tcp,retry=1";

/// The same over IPv6.
const OPTIONS_V6: &str = "vers=3,proto=tcp6,retry=1";

/// A client that waits for a lock asks again after 30 seconds: what is granted sooner was granted
/// by a call.
const BEFORE_IT_ASKS_AGAIN: Duration = Duration::from_secs(25);

/// The exit status of [`LOCK`] if somebody else has the lock.
const BUSY: i32 = 3;

/// Locks a file: `lock.py NAME FILE MODE [wait]`. Once it has the lock, `/tmp/NAME.held` is there,
/// and it keeps the lock until `/tmp/NAME.release` is. Without `wait`, exits with [`BUSY`] if
/// somebody else has it.
const LOCK: &str = r"
import fcntl, os, sys, time
name, path, mode = sys.argv[1:4]
file = open(path, 'r+b')
how = fcntl.LOCK_SH if mode == 'shared' else fcntl.LOCK_EX
try:
    fcntl.lockf(file, how if 'wait' in sys.argv else how | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(3)
open('/tmp/%s.held' % name, 'w').close()
for _ in range(60000):
    if os.path.exists('/tmp/%s.release' % name):
        break
    time.sleep(0.01)
";

const NEEDS: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("mount.nfs"),
    Requirement::Program("rpc.statd"),
    Requirement::Program("rpcbind"),
    Requirement::Program("python3"),
];

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("a_lock_goes_to_who_waits_for_it", NEEDS, |lab| contend(lab, Family::V4)),
        trial("a_lock_goes_to_who_waits_for_it_over_ipv6", NEEDS, |lab| contend(lab, Family::V6)),
        trial("a_clients_crash_frees_its_locks", NEEDS, |lab| client_crash(lab, Family::V4)),
        trial("a_clients_crash_frees_its_locks_over_ipv6", NEEDS, |lab| {
            client_crash(lab, Family::V6)
        }),
        trial("a_restart_of_the_server_leaves_locks_with_their_holders", NEEDS, |lab| {
            server_restart(lab, Family::V4)
        }),
        trial("a_restart_of_the_server_leaves_locks_with_their_holders_over_ipv6", NEEDS, |lab| {
            server_restart(lab, Family::V6)
        }),
    ]
}

/// How the guests reach the server.
#[derive(Clone, Copy)]
enum Family {
    V4,
    V6,
}

/// A guest that locks.
struct Locker<'a> {
    guest: &'a Guest,
}

impl Locker<'_> {
    /// Starts to lock the file; waits for it until the file `NAME.held` is there.
    fn start(&self, name: &str, mode: &str) -> Result<GuestProcess> {
        Ok(self.guest.spawn(&format!("python3 /tmp/lock.py {name} {MOUNT}/file {mode} wait"))?)
    }

    fn has(&self, name: &str) -> bool {
        self.guest.run(&format!("test -e /tmp/{name}.held")).is_ok_and(|output| output.success())
    }

    fn wait_for(&self, name: &str, limit: Duration) -> Result {
        Ok(wait_until(limit, &format!("{name} to get its lock"), || self.has(name))?)
    }

    fn release(&self, name: &str, process: &GuestProcess) -> Result {
        self.guest.run(&format!(": >/tmp/{name}.release"))?.ok()?;
        process.wait(SOON)?.ok()?;
        Ok(())
    }

    /// Whether the file can be locked right now.
    fn can_lock(&self, mode: &str) -> Result<bool> {
        let try_it = format!(": >/tmp/try.release; python3 /tmp/lock.py try {MOUNT}/file {mode}");
        let output = self.guest.run_within(SOON, &try_it)?;
        match output.status {
            BUSY => Ok(false),
            _ => Ok(output.ok().map(|_| true)?),
        }
    }
}

/// A server and two guests, each with its mount and the program that locks.
fn prepare(lab: &Lab, family: Family) -> Result<(Server, Guest, Guest)> {
    let server = Server::start(lab, "rw,no_root_squash")?;
    std::fs::write(server.export().join("file"), b"content")?;
    let (address, options) = match family {
        Family::V4 => (server.v4(), OPTIONS),
        Family::V6 => (server.v6(), OPTIONS_V6),
    };
    let (first, second) = two_mounted_from(lab, address, options)?;
    for guest in [&first, &second] {
        guest.push("/tmp/lock.py", LOCK.as_bytes())?;
    }
    Ok((server, first, second))
}

fn contend(lab: &Lab, family: Family) -> Result {
    let (_server, first, second) = prepare(lab, family)?;
    let (first, second) = (Locker { guest: &first }, Locker { guest: &second });
    let holder = first.start("holder", "exclusive")?;
    first.wait_for("holder", SOON)?;
    assert!(!second.can_lock("exclusive")?);
    assert!(!second.can_lock("shared")?);
    let waiter = second.start("waiter", "exclusive")?;
    assert!(!second.can_lock("shared")?);
    assert!(!second.has("waiter"));
    first.release("holder", &holder)?;
    second.wait_for("waiter", BEFORE_IT_ASKS_AGAIN)?;
    assert!(!first.can_lock("shared")?);
    second.release("waiter", &waiter)?;
    assert!(first.can_lock("exclusive")?);
    Ok(())
}

fn client_crash(lab: &Lab, family: Family) -> Result {
    let (_server, first, second) = prepare(lab, family)?;
    Locker { guest: &first }.start("holder", "exclusive")?;
    Locker { guest: &first }.wait_for("holder", SOON)?;
    let second = Locker { guest: &second };
    let waiter = second.start("waiter", "exclusive")?;
    assert!(!second.can_lock("shared")?);
    first.crash();
    assert!(!second.can_lock("shared")?);
    first.reboot()?;
    // It tells the peers that it remembers.
    first.start_lock_services()?;
    second.wait_for("waiter", SOON)?;
    second.release("waiter", &waiter)
}

fn server_restart(lab: &Lab, family: Family) -> Result {
    let (mut server, first, second) = prepare(lab, family)?;
    let (first, second) = (Locker { guest: &first }, Locker { guest: &second });
    let holder = first.start("holder", "exclusive")?;
    first.wait_for("holder", SOON)?;
    assert!(!second.can_lock("shared")?);
    let waiter = second.start("waiter", "exclusive")?;
    server.kill()?;
    server.restart()?;
    // Asks until the grace period is over: then the lock was reclaimed, or is lost.
    assert!(!second.can_lock("shared")?);
    assert!(!second.has("waiter"));
    first.release("holder", &holder)?;
    second.wait_for("waiter", SOON)?;
    assert!(!first.can_lock("shared")?);
    second.release("waiter", &waiter)
}
