//! Storage that is full, and storage that hangs.

use std::fs::File;
use std::path::PathBuf;

use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab, MIB, Requirement, wait_until};
use standfast_tests::guests::{MOUNT, OPTIONS, on_mount};
use standfast_tests::server::{Server, export};
use standfast_tests::{Result, SOON};

const DISKS: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("mount.nfs"),
    Requirement::Program("mkfs.ext4"),
    Requirement::Program("mkfs.xfs"),
    Requirement::Program("fsfreeze"),
    Requirement::File("/dev/loop-control"),
];

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("a_full_disk_is_reported_and_loses_nothing_ext4", DISKS, |lab| full(lab, "ext4", 64)),
        trial("a_full_disk_is_reported_and_loses_nothing_xfs", DISKS, |lab| full(lab, "xfs", 320)),
        trial("an_export_that_hangs_stalls_no_other", DISKS, frozen),
    ]
}

/// Mounts a new filesystem of some MiB on a host, and gives the directory.
fn disk(lab: &Lab, host: &Host, kind: &str, size: u64) -> Result<PathBuf> {
    let (image, directory) = (lab.dir().join("image"), lab.dir().join("disk"));
    File::create_new(&image)?.set_len(size * MIB)?;
    std::fs::create_dir(&directory)?;
    let (image, at) = (image.display().to_string(), directory.display().to_string());
    host.run([&*format!("mkfs.{kind}"), "-q", &image])?.ok()?;
    host.run(["mount", "-t", kind, "-o", "loop", &image, &at])?.ok()?;
    host.run(["chmod", "777", &at])?.ok()?;
    Ok(directory)
}

fn full(lab: &Lab, kind: &str, size: u64) -> Result {
    let mut server = Server::prepare(lab, "")?;
    let directory = disk(lab, &server.host, kind, size)?;
    server.write_settings(&export(&directory, "/export", &["*:rw,no_root_squash"]))?;
    server.restart()?;
    let guest = lab.guest("client").boot()?;
    guest.mount_nfs(server.v4(), "/export", OPTIONS, MOUNT)?;
    on_mount(&guest, "head -c 8M /dev/urandom >/tmp/kept; cp /tmp/kept kept; sync")?;
    // The writer learns of it, in the end at fsync or close.
    let filled =
        guest.run_within(SOON, &format!("cd {MOUNT}; dd if=/dev/zero of=big bs=1M conv=fsync"))?;
    assert!(filled.stderr.contains("No space left on device"), "{filled}");
    let small =
        guest.run(&format!("cd {MOUNT}; dd if=/dev/zero of=small bs=64k count=16 conv=fsync"))?;
    assert!(small.stderr.contains("No space left on device"), "{small}");
    on_mount(
        &guest,
        "echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/kept kept
         [ $(df --output=avail -k . | tail -n 1) -lt 16384 ]
         rm big small; sync",
    )?;
    // Space comes back, some filesystems give it back a moment later.
    wait_until(SOON, "room for another file", || {
        guest
            .run(&format!("cd {MOUNT}; cp /tmp/kept again && sync again"))
            .is_ok_and(|o| o.success())
    })?;
    on_mount(&guest, "echo 3 >/proc/sys/vm/drop_caches; cmp /tmp/kept kept; cmp /tmp/kept again")?;
    assert!(server.daemon()?.log().contains("No space left"), "the log does not say it");
    Ok(())
}

/// A filesystem that is frozen; thawed when this goes, or its disk would never be let go.
struct Frozen<'a> {
    host: &'a Host,
    directory: String,
}

impl<'a> Frozen<'a> {
    fn new(host: &'a Host, directory: String) -> Result<Self> {
        let frozen = Self { host, directory };
        host.run(["fsfreeze", "-f", &frozen.directory])?.ok()?;
        Ok(frozen)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let _thawed = self.host.run(["fsfreeze", "-u", &self.directory]);
    }
}

fn frozen(lab: &Lab) -> Result {
    /// More than the threads of one export.
    const WAITING: usize = 24;
    let mut server = Server::prepare(lab, "")?;
    let slow = disk(lab, &server.host, "ext4", 64)?;
    let fast = lab.dir().join("fast");
    std::fs::create_dir(&fast)?;
    let allow = &["*:rw,no_root_squash"];
    // The first has the journal, which everybody waits for whose reply must not be given twice.
    server.write_settings(&(export(&fast, "/fast", allow) + &export(&slow, "/slow", allow)))?;
    server.restart()?;
    let guest = lab.guest("client").boot()?;
    guest.mount_nfs(server.v4(), "/slow", OPTIONS, "/mnt/slow")?;
    guest.mount_nfs(server.v4(), "/fast", OPTIONS, "/mnt/fast")?;

    // A client changes one directory in one process at a time.
    guest.run(&format!("cd /mnt/slow; mkdir $(seq 1 {WAITING})"))?.ok()?;
    let frozen = Frozen::new(&server.host, slow.display().to_string())?;
    let waiting = guest.spawn(&format!(
        "for n in $(seq 1 {WAITING}); do
             (echo $n >/mnt/slow/$n/file && echo $n >>/tmp/finished) & pids=\"$pids $!\"
         done; for pid in $pids; do wait $pid || exit 1; done"
    ))?;
    let running = || -> u64 {
        let Ok(status) = server.status() else { return 0 };
        let clients = status["clients"].as_array().cloned().unwrap_or_default();
        clients.iter().filter_map(|client| client["running"].as_u64()).sum()
    };
    wait_until(SOON, "the requests to wait for the disk", || running() >= WAITING as u64)?;
    // The other export works as ever, over the same connection.
    guest
        .run_within(
            SOON,
            "set -e; cd /mnt/fast
             for n in $(seq 1 100); do echo $n >$n; done; echo 3 >/proc/sys/vm/drop_caches
             [ $(cat * | wc -l) = 100 ]; ls -l >/dev/null; rm *",
        )?
        .ok()?;
    assert!(waiting.is_running() && !guest.run("cat /tmp/finished")?.success());
    drop(frozen);
    waiting.wait(SOON)?.ok()?;
    assert_eq!(guest.run("cat /mnt/slow/[0-9]*/file | wc -l")?.ok()?.trim(), WAITING.to_string());
    Ok(())
}
