//! What is held open, and for how long.

use std::time::{Duration, Instant};

use standfast_vfs::{CreateHow, FileSystem, Options, PosixFileSystem, Stability};

use crate::common::*;

#[test]
fn open_files_are_bounded() {
    if !is_root("open_files_are_bounded") {
        return;
    }
    let served = Served::new();
    let options = Options { cached_files: 40, ..Options::default() };
    let fs = PosixFileSystem::open(&served.path, &options).unwrap();
    let alice = user(ALICE);
    let context = may_wait(&alice);
    let mut handles = Vec::new();
    for number in 0..300 {
        let how = CreateHow::Guarded(mode(0o600));
        let name = format!("f{number}");
        let made = fs.create(context, &fs.root(), name.as_bytes(), &how).result.unwrap();
        let data = name.as_bytes();
        fs.write(context, &made.handle, 0, data, Stability::Unstable).result.unwrap();
        handles.push((made.handle, name));
        // One more for the object in work, and one for its directory.
        assert!(fs.open_descriptors() <= 42, "{}", fs.open_descriptors());
    }
    for (handle, name) in &handles {
        let mut buffer = [0; 16];
        let read = fs.read(context, handle, 0, &mut buffer).unwrap();
        assert_eq!(&buffer[..read.length], name.as_bytes());
        assert!(fs.open_descriptors() <= 42, "{}", fs.open_descriptors());
    }
}

#[test]
fn idle_files_are_let_go() {
    if !is_root("idle_files_are_let_go") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let clean = served.create(&alice, &served.root(), "clean", 0o600);
    let dirty = served.create(&alice, &served.root(), "dirty", 0o600);
    served.write(&alice, &dirty, b"not flushed").unwrap();
    let start = Instant::now();
    let sweep = |seconds| served.fs.sweep(start + Duration::from_secs(seconds));
    let is_held = |handle| served.fs.attributes(never(&alice), handle).is_ok();
    sweep(0);
    sweep(9);
    assert!(is_held(&clean) && is_held(&dirty));
    // Both were just used.
    sweep(18);
    sweep(27);
    assert_eq!(served.fs.open_descriptors(), 3 - 1, "the directory went, as nobody used it");
    sweep(28);
    assert!(!is_held(&clean));
    assert!(is_held(&dirty));
    sweep(30);
    sweep(91);
    assert_eq!(served.fs.open_descriptors(), 0);
    assert_eq!(served.read(&alice, &dirty).unwrap(), b"not flushed");
    assert_eq!(served.fs.lost_writes(), 0);
}

#[test]
fn a_removed_file_gives_its_space_back() {
    if !is_root("a_removed_file_gives_its_space_back") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let context = may_wait(&alice);
    let open_on = |name: &str| {
        let path = served.path.join(name);
        let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
        let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
        targets
            .filter(|target| {
                target.to_string_lossy().starts_with(&*path.to_string_lossy())
                    || target.to_string_lossy().starts_with(&format!("/{name} "))
            })
            .count()
    };
    for name in ["removed-by-name", "replaced-by-name"] {
        let file = served.create(&alice, &top, name, 0o600);
        served.write(&alice, &file, &[1; 4096]).unwrap();
    }
    served.create(&alice, &top, "other", 0o600);
    served.fs.remove(context, &top, b"removed-by-name").result.unwrap();
    served.fs.rename(context, (&top, b"other"), (&top, b"replaced-by-name")).result.unwrap();
    assert_eq!(open_on("removed-by-name (deleted)"), 0);
    assert_eq!(open_on("replaced-by-name (deleted)"), 0);
}

#[test]
fn many_threads_of_many_users() {
    if !is_root("many_threads_of_many_users") {
        return;
    }
    let served = Served::new();
    let options = Options { cached_files: 64, ..Options::default() };
    let fs = PosixFileSystem::open(&served.path, &options).unwrap();
    let top = fs.root();
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let fs = &fs;
            scope.spawn(move || {
                let caller = with_groups(ALICE + thread, [80_000 + thread]);
                let context = may_wait(&caller);
                for round in 0..60 {
                    // All fight for a few names, and each has some of its own.
                    let (shared, own) = (format!("s{}", round % 3), format!("o{thread}-{round}"));
                    let how = CreateHow::Unchecked(mode(0o666));
                    let _ = fs.create(context, &top, shared.as_bytes(), &how);
                    let made = fs.create(context, &top, own.as_bytes(), &how).result.unwrap();
                    assert_eq!(made.attributes.uid, caller.uid);
                    let data = own.as_bytes();
                    let stability = Stability::Unstable;
                    fs.write(context, &made.handle, 0, data, stability).result.unwrap();
                    let _ = fs.rename(context, (&top, own.as_bytes()), (&top, shared.as_bytes()));
                    let mut buffer = [0; 32];
                    if let Ok(read) = fs.read(context, &made.handle, 0, &mut buffer) {
                        assert_eq!(&buffer[..read.length], data);
                    }
                    let _ = fs.remove(context, &top, shared.as_bytes());
                }
            });
        }
    });
    assert!(fs.open_descriptors() <= 64 + 16, "{}", fs.open_descriptors());
    fs.close_idle();
    assert_eq!(fs.open_descriptors(), 0);
}
