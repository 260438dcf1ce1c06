//! Locks towards the processes of this machine.

use std::fs::File;
use std::os::fd::AsRawFd;

use rustix::io::Errno;
use standfast_vfs::{LocalLocks, LockMode};

use crate::common::*;

/// Tries a lock as another process would.
fn try_lock(file: &File, kind: libc::c_int, start: i64, length: i64) -> bool {
    let lock = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: length,
        l_pid: 0,
    };
    // SAFETY: the structure is the one that this command reads, and lives across the call.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) == 0 }
}

#[test]
fn clients_and_local_processes_respect_each_other() {
    if !is_root("clients_and_local_processes_respect_each_other") {
        return;
    }
    let served = Served::new();
    let file = served.create(&root(), &served.root(), "f", 0o600);
    let local = File::options().read(true).write(true).open(served.path.join("f")).unwrap();
    let fs = &served.fs;
    let open_before = fs.open_descriptors();
    fs.hold_range(&file, 10, 10, Some(LockMode::Shared)).unwrap();
    assert!(try_lock(&local, libc::F_RDLCK, 10, 10));
    // The local one is in the way now.
    let refused = fs.hold_range(&file, 0, 0, Some(LockMode::Exclusive));
    assert_eq!(refused.unwrap_err(), os(Errno::AGAIN));
    assert!(!try_lock(&local, libc::F_WRLCK, 10, 1));
    assert!(try_lock(&local, libc::F_UNLCK, 0, 0));
    fs.hold_range(&file, 0, 0, Some(LockMode::Exclusive)).unwrap();
    assert!(!try_lock(&local, libc::F_RDLCK, 1 << 40, 1));
    fs.hold_range(&file, 100, 50, None).unwrap();
    assert!(try_lock(&local, libc::F_WRLCK, 100, 50));
    assert!(!try_lock(&local, libc::F_WRLCK, 99, 1) && !try_lock(&local, libc::F_WRLCK, 150, 1));
    for (offset, length) in [(u64::MAX, 0), (u64::MAX, 1), (i64::MAX as u64, 7)] {
        fs.hold_range(&file, offset, length, Some(LockMode::Shared)).unwrap();
    }
    // Nothing is held open for what is not locked.
    fs.hold_range(&file, 0, 0, None).unwrap();
    fs.hold_range(&file, 0, 0, None).unwrap();
    assert!(try_lock(&local, libc::F_WRLCK, 0, 0));
    fs.close_idle();
    assert!(fs.open_descriptors() <= open_before);
    let directory = fs.hold_range(&served.root(), 0, 0, Some(LockMode::Shared));
    assert_eq!(directory.unwrap_err(), os(Errno::ISDIR));
}

#[test]
fn many_lock_and_unlock_one_file() {
    if !is_root("many_lock_and_unlock_one_file") {
        return;
    }
    let served = Served::new();
    let file = served.create(&root(), &served.root(), "f", 0o600);
    std::thread::scope(|scope| {
        for part in 0..4_u64 {
            let (served, file) = (&served, &file);
            scope.spawn(move || {
                for _ in 0..200 {
                    let held = Some(LockMode::Exclusive);
                    served.fs.hold_range(file, part * 10, 10, held).unwrap();
                    served.fs.hold_range(file, part * 10, 10, None).unwrap();
                }
            });
        }
    });
    let local = File::options().read(true).write(true).open(served.path.join("f")).unwrap();
    assert!(try_lock(&local, libc::F_WRLCK, 0, 0));
    served.fs.close_idle();
    assert_eq!(served.fs.open_descriptors(), 0);
}
