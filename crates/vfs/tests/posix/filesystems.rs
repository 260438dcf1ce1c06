//! The same on each kind of filesystem.

use std::path::Path;

use standfast_vfs::{CreateHow, Error, FileSystem, SetAttributes, Stability};

use crate::common::*;
use crate::confinement::with_private_mounts;
use crate::deferred::changes_of_many_requests;
use crate::images::*;

/// Whatever a client does every day.
fn a_day_on(place: &Path) {
    let served = Served::on(place);
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let context = may_wait(&alice);
    let directory = served.mkdir(&alice, &top, "d", 0o755);
    let file = served.create(&alice, &directory, "f", 0o640);
    for stability in [Stability::Unstable, Stability::DataSync, Stability::FileSync] {
        served.fs.write(context, &file, 4096, &[5; 8192], stability).result.unwrap();
    }
    served.fs.commit(context, &file).result.unwrap();
    let set = SetAttributes { size: Some(10_000), ..mode(0o644) };
    served.fs.set_attributes(context, &file, &set, None).result.unwrap();
    let link = served.symlink(&alice, &directory, "l", "target");
    served.fs.set_attributes(context, &link, &mode(0o600), None).result.unwrap();
    let how = CreateHow::Exclusive([9; 8]);
    let exclusive = served.fs.create(context, &directory, b"x", &how).result.unwrap();
    let again = served.fs.create(context, &directory, b"x", &how).result.unwrap();
    assert_eq!(again.lasting(), exclusive.lasting());
    served.fs.link(context, &file, &top, b"g").result.unwrap();
    served.fs.rename(context, (&directory, b"f"), (&top, b"h")).result.unwrap();
    // A restart keeps the handles.
    let restarted = Served::at(&served.path);
    let data = restarted.read(&bob, &file).unwrap();
    assert_eq!((data.len(), data[4095], data[4096]), (10_000, 0, 5));
    assert_eq!(restarted.fs.read_link(context, &link).unwrap().0, b"target");
    let names: Vec<_> =
        restarted.list(&directory, 1, true).into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), 4, "{names:?}");
    // What others hold open exists on.
    drop(restarted);
    for name in [&b"g"[..], b"h"] {
        served.fs.remove(context, &top, name).result.unwrap();
    }
    await_gone(&served.fs, &file);
    served.fs.remove(context, &directory, b"x").result.unwrap();
    served.fs.remove(context, &directory, b"l").result.unwrap();
    await_gone(&served.fs, &link);
    served.fs.remove_directory(context, &top, b"d").result.unwrap();
    await_gone(&served.fs, &directory);
    assert_eq!(served.fs.lost_writes(), 0);
    changes_that_grow(&served);
    without_waiting(&served);
    changes_of_many_requests(&served);
}

/// Each change gives an object and its directory a greater `change`, also within a tick of the
/// clock; and what nobody changes keeps it.
fn changes_that_grow(served: &Served) {
    let (alice, top) = (user(ALICE), served.root());
    let context = may_wait(&alice);
    let directory = served.mkdir(&alice, &top, "grows", 0o755);
    let file = served.create(&alice, &directory, "f", 0o600);
    let change = |handle| served.fs.attributes(context, handle).unwrap().change;
    let (mut last_file, mut last_directory) = (change(&file), change(&directory));
    for round in 0..100_u32 {
        let written = served.fs.write(context, &file, 0, &[7], Stability::Unstable);
        let (before, after) = (written.before.unwrap().change, written.after.unwrap().change);
        assert!(last_file <= before && before < after, "{last_file} {before} {after}");
        let set = served.fs.set_attributes(context, &file, &mode(0o600 + round % 2), None);
        assert!(after < set.after.unwrap().change);
        last_file = change(&file);
        let linked = served.fs.link(context, &file, &directory, b"g");
        let (before, after) = (linked.before.unwrap().change, linked.after.unwrap().change);
        assert!(last_directory <= before && before < after);
        let removed = served.fs.remove(context, &directory, b"g");
        assert!(after < removed.after.unwrap().change);
        assert!(last_file < change(&file));
        (last_file, last_directory) = (change(&file), change(&directory));
    }
    // Once the clock has moved on, it stays.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while change(&file) != change(&file) || change(&directory) != change(&directory) {
        assert!(std::time::Instant::now() < deadline, "it grows by itself");
    }
    let restarted = Served::at(&served.path);
    let found = restarted.lookup(&alice, &directory, "f").unwrap();
    assert_eq!(found.attributes.change, change(&file));
}

/// What is answered without waiting is right.
fn without_waiting(served: &Served) {
    let alice = user(ALICE);
    let file = served.create(&alice, &served.root(), "n", 0o600);
    served.write(&alice, &file, b"in memory").unwrap();
    let mut buffer = [0; 64];
    for _ in 0..2 {
        match served.fs.read(never(&alice), &file, 0, &mut buffer) {
            Ok(read) => assert_eq!(&buffer[..read.length], b"in memory"),
            Err(error) => assert_eq!(error, Error::WouldBlock),
        }
        let written = served.fs.write(never(&alice), &file, 0, b"IN", Stability::Unstable);
        match written.result {
            Ok(stability) => assert_eq!(stability, Stability::Unstable),
            Err(error) => assert_eq!(error, Error::WouldBlock),
        }
        served.fs.write(may_wait(&alice), &file, 0, b"in", Stability::Unstable).result.unwrap();
    }
    assert_eq!(served.read(&alice, &file).unwrap(), b"in memory");
    assert_eq!(served.fs.attributes(never(&alice), &file).unwrap().size, 9);
}

/// Spends a day on a new filesystem.
fn a_day_on_new(kind: Kind) {
    if !is_root(kind.name) {
        return;
    }
    with_private_mounts(|| {
        let image = Image::new(kind);
        image.mount();
        a_day_on(&image.point());
        image.umount();
    });
}

#[test]
fn on_the_filesystem_of_temporary_files() {
    if is_root("on_the_filesystem_of_temporary_files") {
        a_day_on(&std::env::temp_dir());
    }
}

#[test]
fn on_tmpfs() {
    if is_root("on_tmpfs") {
        a_day_on(Path::new("/dev/shm"));
    }
}

#[test]
fn on_ext4() {
    a_day_on_new(EXT4);
}

#[test]
fn on_ext4_without_journal() {
    a_day_on_new(EXT4_WITHOUT_JOURNAL);
}

#[test]
fn on_xfs() {
    a_day_on_new(XFS);
}

#[test]
fn on_btrfs() {
    a_day_on_new(BTRFS);
}
