//! Locks of NFSv4, as two Linux clients see them.

use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::{Guest, Lab, Requirement};
use standfast_tests::guests::Version::{V40, V41};
use standfast_tests::guests::{Version, for_versions, two_mounted_from};
use standfast_tests::locker::{LOCK, Locker};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

const LOCKS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("python3")];

/// A client of minor version 1 and later asks again after 30 seconds by itself: what it gets
/// sooner, it was told of.
const BEFORE_IT_ASKS_AGAIN: Duration = Duration::from_secs(25);

pub(crate) fn stories() -> Vec<Trial> {
    for_versions("two_clients_lock_one_file", LOCKS, &[V40, V41], contend)
}

/// A server and two guests, each with its mount and the program that locks.
fn prepare(lab: &Lab, version: Version) -> Result<(Server, Guest, Guest)> {
    let server = Server::start(lab, "rw,no_root_squash")?;
    std::fs::write(server.export().join("file"), b"content\n")?;
    let (first, second) = two_mounted_from(lab, server.v4(), version.options())?;
    for guest in [&first, &second] {
        guest.push("/tmp/lock.py", LOCK.as_bytes())?;
    }
    Ok((server, first, second))
}

fn contend(lab: &Lab, version: Version) -> Result {
    let (mut server, first, second) = prepare(lab, version)?;
    let (first, second) = (Locker { guest: &first }, Locker { guest: &second });
    let readers = [first.start("reader", "shared")?, second.start("reader", "shared")?];
    first.wait_for("reader", SOON)?;
    second.wait_for("reader", SOON)?;
    assert!(!first.can_lock("exclusive")? && !second.can_lock("exclusive")?);
    first.release("reader", &readers[0])?;
    second.release("reader", &readers[1])?;

    let holder = first.start("holder", "exclusive")?;
    first.wait_for("holder", SOON)?;
    assert!(!second.can_lock("exclusive")? && !second.can_lock("shared")?);
    let waiter = second.start("waiter", "exclusive")?;
    assert!(!second.has("waiter"));
    first.release("holder", &holder)?;
    // Minor version 0 has no callback for it; its clients ask again and again.
    second.wait_for("waiter", if version == V40 { SOON } else { BEFORE_IT_ASKS_AGAIN })?;
    // The lock outlives the server.
    server.kill()?;
    assert!(second.has("waiter"));
    server.restart()?;
    assert!(!first.can_lock("shared")?);
    second.release("waiter", &waiter)?;
    assert!(first.can_lock("exclusive")?);
    Ok(())
}
