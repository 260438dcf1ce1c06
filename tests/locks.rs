//! Locks and delegations of NFSv4, as two Linux clients see them.

use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::{Guest, Lab, Requirement, wait_until};
use standfast_tests::guests::Version::{V40, V41, V42};
use standfast_tests::guests::{GUESTS, MOUNT, Version, for_versions, on_mount, two_mounted_from};
use standfast_tests::locker::{LOCK, Locker};
use standfast_tests::server::Server;
use standfast_tests::{Result, SOON};

const LOCKS: &[Requirement] =
    &[Requirement::Guests, Requirement::Program("mount.nfs"), Requirement::Program("python3")];

/// A client of minor version 1 and later asks again after 30 seconds by itself: what it gets
/// sooner, it was told of.
const BEFORE_IT_ASKS_AGAIN: Duration = Duration::from_secs(25);

pub(crate) fn stories() -> Vec<Trial> {
    let versions = &[V40, V41];
    [
        for_versions("two_clients_lock_one_file", LOCKS, versions, contend),
        for_versions("a_clients_crash_frees_its_locks", LOCKS, &[V40, V42], client_crash),
        for_versions("a_delegation_is_recalled", GUESTS, &[V40, V41], recall),
    ]
    .into_iter()
    .flatten()
    .collect()
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

/// A client that crashed is another one when it comes back: what it held is free then.
fn client_crash(lab: &Lab, version: Version) -> Result {
    let (server, first, second) = prepare(lab, version)?;
    Locker { guest: &first }.start("holder", "exclusive")?;
    Locker { guest: &first }.wait_for("holder", SOON)?;
    let second = Locker { guest: &second };
    assert!(!second.can_lock("shared")?);
    first.crash();
    first.reboot()?;
    first.mount_nfs(server.v4(), "/export", version.options(), MOUNT)?;
    // The client speaks up with its first open.
    on_mount(&first, "cat file")?;
    wait_until(SOON, "the lock to be free", || second.can_lock("exclusive").unwrap_or(false))?;
    Ok(())
}

/// Calls of some kinds that a guest has made since it mounted.
fn calls(guest: &Guest, operations: &str) -> Result<u64> {
    let count = format!(
        "awk '$1 ~ /^({operations}):$/ {{ calls += $2 }} END {{ print calls + 0 }}' /proc/self/mountstats"
    );
    Ok(guest.run(&count)?.ok()?.trim().parse()?)
}

/// Whether a guest reads a file without asking the server to open it.
fn has_delegation(guest: &Guest, name: &str) -> Result<bool> {
    // A client opens what it knows by its handle, which it counts apart.
    const OPENS: &str = "OPEN|OPEN_NOATTR";
    let before = calls(guest, OPENS)?;
    on_mount(guest, &format!("cat {name} >/dev/null; cat {name} >/dev/null"))?;
    Ok(calls(guest, OPENS)? == before)
}

fn recall(lab: &Lab, version: Version) -> Result {
    let (server, first, second) = prepare(lab, version)?;
    // The callback path of minor version 0 is tried when the client is known; a file opened
    // before that gets no delegation.
    wait_until(SOON, "a delegation", || has_delegation(&first, "file").unwrap_or(false))?;
    assert_eq!(calls(&first, "DELEGRETURN")?, 0);
    // A client counts its call when the reply is there, which may be later than its effect.
    let returned = |times| {
        let first = &first;
        move || calls(first, "DELEGRETURN").is_ok_and(|calls| calls == times)
    };
    on_mount(&second, "echo changed >>file")?;
    wait_until(SOON, "the delegation to be returned", returned(1))?;
    assert_eq!(on_mount(&first, "cat file")?, "content\nchanged\n");
    // A client of version 3 has the same right.
    on_mount(&second, "echo other >other")?;
    let other = || has_delegation(&first, "other").unwrap_or(false);
    wait_until(SOON, "another delegation", other)?;
    let old = "/mnt/old";
    second.mount_nfs(server.v4(), "/export", standfast_tests::guests::OPTIONS, old)?;
    second.run_within(SOON, &format!("echo more >>{old}/other"))?.ok()?;
    wait_until(SOON, "the other one to be returned", returned(2))?;
    assert_eq!(on_mount(&first, "cat other")?, "other\nmore\n");
    Ok(())
}
