//! Guests.

use std::fs;
use std::thread;
use std::time::Duration;

use libtest_mimic::Trial;
use standfast_lab::trial::{TestResult, trial};
use standfast_lab::{Direction, Error, Lab, MIB, Requirement, wait_until};

use crate::SOON;

const GUEST: &[Requirement] = &[Requirement::Guests];
const DISK: &[Requirement] = &[Requirement::Guests, Requirement::Program("mkfs.ext4")];
const PROGRAMS: &[Requirement] = &[
    Requirement::Guests,
    Requirement::Program("git"),
    Requirement::Program("sqlite3"),
    Requirement::Program("fio"),
    Requirement::Program("stress-ng"),
];

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a_guest_runs_commands", GUEST, guest_runs_commands),
        trial("a_guest_kills_what_takes_too_long", GUEST, guest_kills_what_takes_too_long),
        trial("a_guest_has_files_and_users_of_its_own", GUEST, guest_has_its_own_files_and_users),
        trial("a_guest_crashes_and_reboots_with_its_disk", DISK, guest_crashes_and_reboots),
        trial("a_guest_freezes_and_loses_its_link", GUEST, guest_freezes_and_loses_its_link),
        trial("two_guests_share_a_disk_and_a_directory", GUEST, two_guests_share),
        trial("a_guest_runs_real_programs", PROGRAMS, guest_runs_real_programs),
    ]
}

fn guest_runs_commands(lab: &Lab) -> TestResult {
    let guest = lab.guest("alpha").boot()?;
    let output = guest.run("echo 'a  b'\nuname -n; echo ü >&2\nexit 3")?;
    assert_eq!((output.status, output.success()), (3, false));
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("a  b\nalpha\n", "ü\n"));
    assert_eq!(guest.run("if")?.status, 2);
    assert_eq!(guest.run("kill -9 $$; true")?.ok()?, "");
    // One after another, and side by side.
    for number in 0..50 {
        assert_eq!(guest.run(&format!("echo {number}"))?.ok()?, format!("{number}\n"));
    }
    let running: Vec<_> = (0..5)
        .map(|n| guest.spawn(&format!("cat /proc/uptime; echo {n}")))
        .collect::<Result<_, _>>()?;
    for (number, process) in running.iter().enumerate() {
        assert!(process.wait(SOON)?.ok()?.ends_with(&format!("\n{number}\n")));
    }
    // A daemon that stays behind holds nothing up, and what it says is seen at once.
    let daemon = guest.spawn("(sleep 1000; echo late) & echo early")?;
    assert_eq!(daemon.wait(SOON)?.ok()?, "early\n");
    let host = lab.host("beta")?;
    for address in [guest.addresses().v4.to_string(), guest.addresses().v6.to_string()] {
        host.run(["ping", "-c1", "-W10", &address])?.ok()?;
    }
    Ok(())
}

fn guest_kills_what_takes_too_long(lab: &Lab) -> TestResult {
    let guest = lab.guest("g").boot()?;
    let limit = Duration::from_millis(200);
    let slow = guest.spawn("echo start; sleep 1000; echo end")?;
    wait_until(SOON, "its first word", || slow.stdout() == "start\n")?;
    let message = slow.wait(limit).expect_err("it sleeps").to_string();
    assert!(message.contains("not within 200ms; it had said: start"), "{message}");
    slow.kill()?;
    let slower = guest.run_within(limit, "sleep 1002");
    assert!(matches!(slower, Err(Error::TimedOut { .. })), "{slower:?}");
    let process = guest.spawn("sleep 1001")?;
    assert!(process.is_running());
    process.kill()?;
    assert_eq!(process.wait(SOON)?.status, 137);
    wait_until(SOON, "no sleep to be left", || {
        guest.run("pgrep -x sleep").is_ok_and(|output| output.status == 1)
    })?;
    Ok(())
}

fn guest_has_its_own_files_and_users(lab: &Lab) -> TestResult {
    let guest = lab.guest("g").boot()?;
    let tool = "/usr/local/lib/lab/own file";
    guest.push(tool, b"it's\0mine\n")?;
    assert_eq!(guest.run(&format!("tr '\\0' ' ' <'{tool}'"))?.ok()?, "it's mine\n");
    assert!(!std::path::Path::new(tool).exists());
    assert_eq!(guest.run("cat /etc/exports; ls /run/lab-nfs")?.stdout, "");
    let groups: Vec<u32> = (2000..2032).collect();
    let id = guest.run_as(1000, 100, &groups, "echo \"$(id -u):$(id -g):$(id -G)\"")?.ok()?;
    let list: Vec<String> = groups.iter().map(u32::to_string).collect();
    assert_eq!(id, format!("1000:100:100 {}\n", list.join(" ")));
    assert_eq!(guest.run_as(1000, 100, &[], "id -G; touch /no")?.stdout, "100\n");
    Ok(())
}

fn guest_crashes_and_reboots(lab: &Lab) -> TestResult {
    let guest = lab.guest("g").disk(64 * MIB).boot()?;
    guest
        .run("mkfs.ext4 -q /dev/ubda && mkdir /d && mount /dev/ubda /d && echo kept >/d/f && sync")?
        .ok()?;
    guest.run("echo state >/var/lib/nfs/mine; sync; echo gone >/etc/mine")?.ok()?;
    let running = guest.spawn("sleep 1000")?;
    guest.crash();
    assert!(matches!(running.wait(SOON), Err(Error::Off(_))));
    assert!(!running.is_running());
    assert!(matches!(guest.run("true"), Err(Error::Off(_))));
    guest.reboot()?;
    let read =
        guest.run("mkdir /d && mount /dev/ubda /d && cat /d/f /var/lib/nfs/mine; ls /etc/mine")?;
    assert_eq!(read.stdout, "kept\nstate\n");
    // A kernel that ends by itself is noticed, too.
    let _ = guest.spawn("echo c >/proc/sysrq-trigger")?;
    wait_until(SOON, "the guest to end", || matches!(guest.run("true"), Err(Error::Off(_))))?;
    assert!(guest.console().contains("sysrq triggered crash"), "{}", guest.console());
    Ok(())
}

fn guest_freezes_and_loses_its_link(lab: &Lab) -> TestResult {
    let (guest, host) = (lab.guest("g").boot()?, lab.host("h")?);
    let address = guest.addresses().v4.to_string();
    let answers = |limit: &str| -> Result<bool, Error> {
        Ok(host.run(["ping", "-c1", "-W", limit, &address])?.success())
    };
    assert!(answers("10")?);
    guest.freeze()?;
    assert!(!answers("1")?);
    guest.thaw()?;
    assert!(answers("10")?);
    guest.cut_link(Direction::Both)?;
    assert!(!answers("1")?);
    assert_eq!(guest.run("echo here")?.ok()?, "here\n");
    guest.mend_link()?;
    assert!(answers("10")?);
    Ok(())
}

fn two_guests_share(lab: &Lab) -> TestResult {
    let disk = lab.make_disk("shared", 16 * MIB)?;
    let boot = |name| lab.guest(name).memory(256 * MIB).shared_disk(&disk).boot();
    let (a, b) = thread::scope(|scope| {
        let a = scope.spawn(|| boot("a"));
        (a.join(), boot("b"))
    });
    let (a, b) = (a.map_err(|_| "a guest's thread panicked")??, b?);
    a.run("echo written | dd of=/dev/ubda bs=512 conv=sync oflag=direct")?.ok()?;
    let read = b.run("dd if=/dev/ubda bs=512 count=1 iflag=direct | head -c 7")?.ok()?;
    assert_eq!(read, "written");

    let dir = lab.shared_dir();
    fs::write(dir.join("from-host"), "host")?;
    a.run(&format!("cp {0}/from-host {0}/from-a", dir.display()))?.ok()?;
    assert_eq!(b.run(&format!("cat {}/from-a", dir.display()))?.ok()?, "host");
    assert_eq!(fs::read_to_string(dir.join("from-a"))?, "host");
    Ok(())
}

fn guest_runs_real_programs(lab: &Lab) -> TestResult {
    let guest = lab.guest("g").memory(512 * MIB).boot()?;
    for command in [
        "sqlite3 /tmp/db 'create table t(x); insert into t values (1),(2); select sum(x) from t'",
        "git init -q /tmp/r && cd /tmp/r && echo x >f && git add f && \
         git -c user.name=n -c user.email=e commit -qm m && git gc -q && git fsck",
        "fio --name=v --directory=/tmp --size=8m --rw=randwrite --bs=4k --verify=crc32c \
         --ioengine=psync --thread --numjobs=2",
        // Without the level, it takes a buffer as large as the largest cache of the processor.
        "cd /tmp && stress-ng --cache-level 1 --temp-path /tmp --link 1 --rename 1 --symlink 1 --timeout 2s",
    ] {
        guest.run(command)?.ok()?;
    }
    Ok(())
}
