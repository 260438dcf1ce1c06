//! Nothing outside the served directory is reached.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change, unmount};
use rustix::thread::UnshareFlags;
use standfast_vfs::{Error, FileKind, FileSystem, OpenError, Options, PosixFileSystem};

use crate::common::*;

/// Runs `test` in a thread that has its mounts to itself.
pub(crate) fn with_private_mounts(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: only unshares this thread's mount namespace and working directory.
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }.unwrap();
            let all = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
            mount_change("/", all).unwrap();
            test();
        });
        if let Err(panic) = thread.join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn mount_tmpfs(at: &Path) {
    mount("tmpfs", at, "tmpfs", MountFlags::empty(), None).unwrap();
}

#[test]
fn the_parent_of_the_root_is_the_root() {
    if !is_root("the_parent_of_the_root_is_the_root") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let inner = served.mkdir(&caller, &top, "a", 0o755);
    let innermost = served.mkdir(&caller, &inner, "b", 0o755);
    let parent = |handle| served.lookup(&caller, handle, "..").unwrap().handle;
    assert_eq!(parent(&innermost), inner);
    assert_eq!(parent(&inner), top);
    assert_eq!(parent(&top), top);
    assert_eq!(served.lookup(&caller, &inner, ".").unwrap().handle, inner);
}

#[test]
fn a_directory_that_moved_out_is_gone() {
    if !is_root("a_directory_that_moved_out_is_gone") {
        return;
    }
    let served = Served::new();
    let caller = root();
    let moved = served.mkdir(&caller, &served.root(), "d", 0o755);
    let inner = served.mkdir(&caller, &moved, "e", 0o755);
    let outside = served.path.parent().unwrap().join("outside");
    std::fs::rename(served.path.join("d"), &outside).unwrap();
    // Also while it is held open here.
    assert_eq!(served.lookup(&caller, &moved, "..").unwrap_err(), Error::Stale);
    served.fs.close_idle();
    for handle in [&moved, &inner] {
        assert_eq!(served.lookup(&caller, handle, "..").unwrap_err(), Error::Stale);
        assert_eq!(served.fs.attributes(may_wait(&caller), handle).unwrap_err(), Error::Stale);
    }
    std::fs::rename(&outside, served.path.join("d")).unwrap();
    assert_eq!(served.lookup(&caller, &inner, "..").unwrap().handle, moved);
}

#[test]
fn a_directory_outside_has_no_handle_here() {
    if !is_root("a_directory_outside_has_no_handle_here") {
        return;
    }
    let served = Served::new();
    let caller = root();
    let above = Served::at(served.path.parent().unwrap());
    let outside = above.mkdir(&caller, &above.root(), "outside", 0o755);
    // Of files nobody knows the directory: that is why handles must be authenticated.
    for handle in [above.root(), outside] {
        let refused = served.fs.attributes(may_wait(&caller), &handle);
        assert_eq!(refused.unwrap_err(), Error::Stale);
    }
    let nonsense = standfast_vfs::Handle::new(0, 1, &[0xEE; 8]).unwrap();
    let refused = served.fs.attributes(may_wait(&caller), &nonsense).unwrap_err();
    assert!([Error::Stale, Error::BadHandle].contains(&refused), "{refused:?}");
    let empty = standfast_vfs::Handle::new(0, 1, &[]).unwrap();
    let refused = served.fs.attributes(may_wait(&caller), &empty).unwrap_err();
    assert_eq!(refused, Error::BadHandle);
    let elsewhere = standfast_vfs::Handle::new(7, 1, served.root().bytes()).unwrap();
    let refused = served.fs.attributes(may_wait(&caller), &elsewhere);
    assert_eq!(refused.unwrap_err(), Error::Stale);
}

#[test]
fn symbolic_links_are_not_followed() {
    if !is_root("symbolic_links_are_not_followed") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let link = served.symlink(&caller, &top, "l", "/etc");
    let found = served.lookup(&caller, &top, "l").unwrap();
    assert_eq!((found.handle, found.attributes.kind), (link, FileKind::Symlink));
    assert_eq!(served.lookup(&caller, &link, "passwd").unwrap_err(), os(rustix::io::Errno::NOTDIR));
    // One is swapped in and out while a name is created in its place and looked up.
    let secret = served.path.parent().unwrap().join("secret");
    std::fs::write(&secret, b"secret").unwrap();
    let (swapped, plain) = (served.path.join("swapped"), served.path.join("plain"));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                std::os::unix::fs::symlink(&secret, &plain).unwrap();
                let _ = std::fs::rename(&plain, &swapped);
                let _ = std::fs::remove_file(&swapped);
            }
        });
        for _ in 0..300 {
            let set = standfast_vfs::SetAttributes { size: Some(0), ..mode(0o600) };
            let how = standfast_vfs::CreateHow::Unchecked(set);
            let made = served.fs.create(may_wait(&caller), &top, b"swapped", &how);
            if let Ok(made) = made.result {
                assert_eq!(made.attributes.kind, FileKind::Regular);
                let _ = served.write(&caller, &made.handle, b"overwritten");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
}

#[test]
fn what_is_mounted_below_is_hidden() {
    if !is_root("what_is_mounted_below_is_hidden") {
        return;
    }
    with_private_mounts(|| {
        let served = Served::new();
        let (caller, top) = (root(), served.root());
        let covered = served.mkdir(&caller, &top, "m", 0o755);
        served.create(&caller, &covered, "below", 0o644);
        let point = served.path.join("m");
        mount_tmpfs(&point);
        std::fs::write(point.join("above"), b"").unwrap();
        let restarted = Served::at(&served.path);
        for served in [&served, &restarted] {
            let found = served.lookup(&caller, &top, "m").unwrap();
            assert_eq!((found.handle, found.attributes.filesystem), (covered, 0));
            assert!(served.lookup(&caller, &covered, "below").is_ok());
            assert!(served.lookup(&caller, &covered, "above").is_err());
            let listed = served.list(&top, 10, true);
            let entry = listed.into_iter().find(|entry| entry.name == b"m").unwrap();
            assert_eq!(entry.found.lasting(), Some(found.lasting()));
        }
        unmount(&point, rustix::mount::UnmountFlags::empty()).unwrap();
    });
}

#[test]
fn what_is_mounted_below_can_be_served() {
    if !is_root("what_is_mounted_below_can_be_served") {
        return;
    }
    with_private_mounts(|| {
        let plain = Served::new();
        let caller = root();
        let context = may_wait(&caller);
        let (point, other) = (plain.path.join("a b"), plain.path.join("bound"));
        std::fs::create_dir(&point).unwrap();
        std::fs::create_dir(&other).unwrap();
        std::fs::create_dir(plain.path.join("source")).unwrap();
        mount_tmpfs(&point);
        rustix::mount::mount_bind(plain.path.join("source"), &other).unwrap();
        std::fs::create_dir(point.join("dir")).unwrap();
        std::fs::write(point.join("dir/file"), b"crossed").unwrap();
        let open = || {
            let options = Options { cross_mounts: true, ..Options::default() };
            PosixFileSystem::open(&plain.path, &options).unwrap()
        };
        let fs = open();
        let top = fs.root();
        let mounted = fs.lookup(context, &top, b"a b").unwrap();
        let bound = fs.lookup(context, &top, b"bound").unwrap();
        let ids = [0, mounted.attributes.filesystem, bound.attributes.filesystem];
        assert_eq!(std::collections::HashSet::from(ids).len(), 3, "{ids:?}");
        assert_eq!(mounted.handle.filesystem(), mounted.attributes.filesystem);
        let parent = |handle| fs.lookup(context, handle, b"..").unwrap().handle;
        let directory = fs.lookup(context, &mounted.handle, b"dir").unwrap().handle;
        assert_eq!(parent(&directory), mounted.handle);
        assert_eq!(parent(&mounted.handle), top);
        assert_eq!(parent(&bound.handle), top);
        assert_eq!(parent(&top), top);
        let file = fs.lookup(context, &directory, b"file").unwrap();
        let mut entries = Vec::new();
        let mut sink = |entry| {
            entries.push(entry);
            true
        };
        fs.read_directory(context, &top, 0, true, &mut sink).unwrap();
        let entry = entries.into_iter().find(|entry| entry.name == b"a b").unwrap();
        assert_eq!(entry.found.as_ref(), Some(&mounted));
        // Names do not move from one filesystem to another.
        let renamed = fs.rename(context, (&directory, b"file"), (&top, b"file"));
        assert_eq!(renamed.result.unwrap_err(), os(rustix::io::Errno::XDEV));
        // A mount point cannot be removed, and a handle is known after a restart.
        assert!(fs.remove_directory(context, &top, b"a b").result.is_err());
        let restarted = open();
        let mut buffer = [0; 16];
        let read = restarted.read(context, &file.handle, 0, &mut buffer).unwrap();
        assert_eq!(&buffer[..read.length], b"crossed");
        // What is in use is not unmounted under our feet.
        let busy = unmount(&point, rustix::mount::UnmountFlags::empty()).unwrap_err();
        assert_eq!(busy, rustix::io::Errno::BUSY);
    });
}

#[test]
fn an_exported_filesystem_is_busy() {
    if !is_root("an_exported_filesystem_is_busy") {
        return;
    }
    with_private_mounts(|| {
        let directory = tempfile::tempdir().unwrap();
        mount_tmpfs(directory.path());
        let served = Served::at(directory.path());
        let umount = || unmount(directory.path(), rustix::mount::UnmountFlags::empty());
        assert_eq!(umount().unwrap_err(), rustix::io::Errno::BUSY);
        drop(served);
        umount().unwrap();
    });
}

#[test]
fn what_cannot_be_served_is_told() {
    if !is_root("what_cannot_be_served_is_told") {
        return;
    }
    let open = |path: &str| PosixFileSystem::open(Path::new(path), &Options::default()).err();
    assert!(matches!(open("/nonexistent"), Some(OpenError::Open { .. })));
    assert!(matches!(open("/etc/passwd"), Some(OpenError::NotADirectory { .. })));
    let proc = open("/proc").unwrap();
    assert!(matches!(proc, OpenError::NoHandles { .. }), "{proc}");
    assert!(proc.to_string().contains("cannot make file handles"));
}
