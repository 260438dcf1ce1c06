//! Reading, writing, committing.

use rustix::io::Errno;
use standfast_vfs::{ChangeTime, CreateKind, Error, FileSystem, Stability};

use crate::common::*;

#[test]
fn what_is_written_is_read() {
    if !is_root("what_is_written_is_read") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let context = may_wait(&alice);
    let file = served.create(&alice, &served.root(), "f", 0o600);
    let far = (1 << 42) + 3;
    for stability in [Stability::Unstable, Stability::DataSync, Stability::FileSync] {
        let before = served.fs.attributes(context, &file).unwrap();
        let written = served.fs.write(context, &file, far, b"far away", stability);
        assert!(written.result.unwrap() >= stability);
        assert_eq!(written.before.lasting(), Some(ChangeTime::from(&before).lasting()));
        assert_eq!(written.after.unwrap().size, far + 8);
    }
    let committed = served.fs.commit(context, &file);
    committed.result.unwrap();
    let after = committed.after.as_ref().map(ChangeTime::from);
    assert_eq!(committed.before.lasting(), after.lasting());
    let mut buffer = [1; 16];
    let read = served.fs.read(context, &file, far - 4, &mut buffer).unwrap();
    assert_eq!((read.length, read.end_of_file), (12, true));
    assert_eq!(&buffer[..12], b"\0\0\0\0far away");
    let read = served.fs.read(context, &file, far, &mut buffer[..4]).unwrap();
    assert_eq!((read.length, read.end_of_file), (4, false));
    for beyond in [far + 8, far + 100, i64::MAX as u64, u64::MAX] {
        let read = served.fs.read(context, &file, beyond, &mut buffer).unwrap();
        assert_eq!((read.length, read.end_of_file), (0, true));
    }
    let hole = served.fs.read(context, &file, 1 << 20, &mut buffer).unwrap();
    assert_eq!((hole.length, buffer), (16, [0; 16]));
}

#[test]
fn offsets_beyond_the_largest_are_refused() {
    if !is_root("offsets_beyond_the_largest_are_refused") {
        return;
    }
    let served = Served::new();
    let caller = root();
    let file = served.create(&caller, &served.root(), "f", 0o600);
    let write = |offset| {
        let data = b"x";
        served.fs.write(may_wait(&caller), &file, offset, data, Stability::Unstable)
    };
    for offset in [i64::MAX as u64, 1 << 63, u64::MAX, i64::MAX as u64 - 1] {
        let refused = write(offset);
        assert_eq!(refused.result.unwrap_err(), os(Errno::FBIG), "{offset:x}");
        assert_eq!(refused.after.unwrap().size, 0);
    }
}

#[test]
fn only_files_have_data() {
    if !is_root("only_files_have_data") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let directory = served.mkdir(&caller, &top, "d", 0o755);
    let link = served.symlink(&caller, &top, "l", "f");
    let fifo = CreateKind::Fifo;
    let fifo = served.fs.make(may_wait(&caller), &top, b"p", &fifo, &mode(0o666));
    let fifo = fifo.result.unwrap().handle;
    for (handle, errno) in [(directory, Errno::ISDIR), (link, Errno::INVAL), (fifo, Errno::INVAL)] {
        assert_eq!(served.read(&caller, &handle).unwrap_err(), os(errno));
        assert_eq!(served.write(&caller, &handle, b"x").unwrap_err(), os(errno));
        let commit = served.fs.commit(may_wait(&caller), &handle);
        assert_eq!(commit.result.unwrap_err(), os(errno));
    }
}

#[test]
fn writes_at_once_tell_the_truth() {
    if !is_root("writes_at_once_tell_the_truth") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let file = served.create(&alice, &served.root(), "f", 0o600);
    let outcomes: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8u64)
            .map(|thread| {
                let (served, alice, file) = (&served, &alice, &file);
                scope.spawn(move || {
                    let write = |number: u64| {
                        let offset = (number * 8 + thread) * 512;
                        let context = may_wait(alice);
                        let data = [thread as u8; 512];
                        served.fs.write(context, file, offset, &data, Stability::Unstable)
                    };
                    (0..200).map(write).collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    // Each state that is told as the one before a write was the one after at most one other.
    let mut befores: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| {
            let before = outcome.before?;
            let grew = outcome.after.as_ref()?.size > before.size;
            grew.then_some((before.changed, before.size))
        })
        .collect();
    befores.sort_unstable();
    let count = befores.len();
    befores.dedup();
    assert_eq!(befores.len(), count, "two writes claim to have grown the same file");
    assert!(outcomes.iter().all(|outcome| outcome.result.is_ok()));
}

#[test]
fn waiting_for_data_is_optional() {
    if !is_root("waiting_for_data_is_optional") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let file = served.create(&alice, &served.root(), "f", 0o600);
    served.write(&alice, &file, &[7; 10_000]).unwrap();
    let mut buffer = [0; 4096];
    let read = served.fs.read(never(&alice), &file, 4096, &mut buffer).unwrap();
    assert_eq!((read.length, read.end_of_file, buffer), (4096, false, [7; 4096]));
    let read = served.fs.read(never(&alice), &file, 8192, &mut buffer).unwrap();
    assert_eq!((read.length, read.end_of_file), (1808, true));
    // What is not in memory is not waited for, and there after somebody did.
    served.fs.commit(may_wait(&alice), &file).result.unwrap();
    let opened = std::fs::File::open(served.path.join("f")).unwrap();
    rustix::fs::fadvise(&opened, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let cold = served.fs.read(never(&alice), &file, 0, &mut buffer).map(|read| read.length);
    assert!([Ok(4096), Err(Error::WouldBlock)].contains(&cold), "{cold:?}");
    served.fs.read(may_wait(&alice), &file, 0, &mut buffer).unwrap();
    let warm = served.fs.read(never(&alice), &file, 0, &mut buffer).unwrap();
    assert_eq!((warm.length, buffer), (4096, [7; 4096]));
    let stable = served.fs.write(never(&alice), &file, 0, b"x", Stability::FileSync);
    assert_eq!(stable.result.unwrap_err(), Error::WouldBlock);
    let unstable = served.fs.write(never(&alice), &file, 0, b"x", Stability::Unstable).result;
    assert!(unstable == Ok(Stability::Unstable) || unstable == Err(Error::WouldBlock));
}
