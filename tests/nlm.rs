//! Locks over NFSv3, as two Linux clients see them.

use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Guest, Lab, Requirement};
use standfast_tests::guests::two_mounted_from;
use standfast_tests::locker::{LOCK, Locker};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

/// How guests mount: the server's locks hold.
const OPTIONS: &str = "vers=3,proto=tcp,retry=1";

/// The same over IPv6.
const OPTIONS_V6: &str = "vers=3,proto=tcp6,retry=1";

/// A client that waits for a lock asks again after 30 seconds: what is granted sooner was granted
/// by a call.
const BEFORE_IT_ASKS_AGAIN: Duration = Duration::from_secs(25);

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
