//! Files that stay for those who have them open.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::Errno;
use standfast_vfs::{Error, FileSystem, Handle, KeptFiles, OpenFiles};

use crate::common::*;

/// The files that clients have open.
#[derive(Default)]
struct Opened(Mutex<HashSet<Handle>>);

impl OpenFiles for Opened {
    fn is_open(&self, file: &Handle) -> bool {
        self.0.lock().contains(file)
    }
}

fn serve(served: &Served) -> Arc<Opened> {
    let opened = Arc::new(Opened::default());
    served.fs.keep_open_files(Arc::clone(&opened) as _);
    opened
}

fn open(served: &Served, opened: &Opened, file: &Handle) {
    opened.0.lock().insert(*file);
    served.fs.confirm_open(may_wait(&root()), file).unwrap();
}

fn close(served: &Served, opened: &Opened, file: &Handle) {
    opened.0.lock().remove(file);
    served.fs.release(file).unwrap();
}

/// How many files have a name in the server's own directory.
fn names_of_ours(served: &Served) -> usize {
    std::fs::read_dir(served.path.join(".standfast/open-files")).map_or(0, Iterator::count)
}

#[test]
fn an_open_file_stays_when_its_name_goes() {
    if !is_root("an_open_file_stays_when_its_name_goes") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let context = may_wait(&alice);
    let opened = serve(&served);
    let file = served.create(&alice, &top, "f", 0o600);
    let over = served.create(&alice, &top, "g", 0o600);
    let other = served.create(&alice, &top, "h", 0o600);
    for handle in [&file, &over] {
        served.write(&alice, handle, b"mine").unwrap();
        open(&served, &opened, handle);
    }
    served.fs.remove(context, &top, b"f").result.unwrap();
    served.fs.rename(context, (&top, b"h"), (&top, b"g")).result.unwrap();
    assert_eq!(served.lookup(&alice, &top, "f").unwrap_err(), os(Errno::NOENT));
    assert_eq!(served.lookup(&alice, &top, "g").unwrap().handle, other);
    let mut kept = served.fs.kept_files().unwrap();
    kept.sort_by_key(|handle| handle.bytes().to_vec());
    let mut expected = [file, over];
    expected.sort_by_key(|handle| handle.bytes().to_vec());
    assert_eq!(kept, expected);
    // Also after a restart, which knows from its state what is open.
    let restarted = Served::at(&served.path);
    restarted.fs.keep_open_files(Arc::clone(&opened) as _);
    served.fs.close_idle();
    for served in [&served, &restarted] {
        for handle in [&file, &over] {
            served.fs.release(handle).unwrap();
            assert_eq!(served.read(&alice, handle).unwrap(), b"mine");
            served.write(&alice, handle, b"MINE").unwrap();
            served.write(&alice, handle, b"mine").unwrap();
            assert_eq!(served.fs.attributes(context, handle).unwrap().links, 0);
            served.fs.confirm_open(context, handle).unwrap();
        }
    }
    for handle in [&file, &over] {
        close(&restarted, &opened, handle);
        close(&restarted, &opened, handle);
        served.fs.close_idle();
        await_gone(&restarted.fs, handle);
    }
    assert_eq!(names_of_ours(&served), 0);
}

#[test]
fn a_file_that_nobody_has_open_goes() {
    if !is_root("a_file_that_nobody_has_open_goes") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let opened = serve(&served);
    let file = served.create(&alice, &top, "f", 0o600);
    open(&served, &opened, &file);
    close(&served, &opened, &file);
    served.fs.remove(may_wait(&alice), &top, b"f").result.unwrap();
    await_gone(&served.fs, &file);
    // An open that comes too late is told so.
    opened.0.lock().insert(file);
    let late = served.fs.confirm_open(may_wait(&alice), &file);
    assert_eq!(late.unwrap_err(), Error::Stale);
    assert_eq!(names_of_ours(&served), 0);
}

#[test]
fn what_was_not_removed_is_not_kept() {
    if !is_root("what_was_not_removed_is_not_kept") {
        return;
    }
    let served = Served::new();
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let opened = serve(&served);
    let directory = served.mkdir(&alice, &top, "d", 0o755);
    let file = served.create(&alice, &directory, "f", 0o600);
    open(&served, &opened, &file);
    let refused = served.fs.remove(may_wait(&bob), &directory, b"f");
    assert_eq!(refused.result.unwrap_err(), os(Errno::ACCESS));
    assert!(served.fs.kept_files().unwrap().is_empty());
    assert_eq!(names_of_ours(&served), 0);
    assert_eq!(served.fs.attributes(may_wait(&alice), &file).unwrap().links, 1);
}

#[test]
fn a_second_name_counts_and_the_one_of_ours_does_not() {
    if !is_root("a_second_name_counts_and_the_one_of_ours_does_not") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let context = may_wait(&alice);
    let opened = serve(&served);
    let file = served.create(&alice, &top, "f", 0o600);
    served.fs.link(context, &file, &top, b"g").result.unwrap();
    open(&served, &opened, &file);
    served.fs.remove(context, &top, b"f").result.unwrap();
    assert_eq!(served.lookup(&alice, &top, "g").unwrap().attributes.links, 1);
    let listed = served.list(&top, 10, true);
    let entry = listed.into_iter().find(|entry| entry.name == b"g").unwrap();
    assert_eq!(entry.found.unwrap().attributes.links, 1);
    served.fs.remove(context, &top, b"g").result.unwrap();
    assert_eq!(served.fs.attributes(context, &file).unwrap().links, 0);
    close(&served, &opened, &file);
    await_gone(&served.fs, &file);
}

#[test]
fn what_a_crash_left_is_found_and_goes() {
    if !is_root("what_a_crash_left_is_found_and_goes") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let opened = serve(&served);
    let (removed, named) = (
        served.create(&alice, &top, "removed", 0o600),
        served.create(&alice, &top, "named", 0o600),
    );
    for handle in [&removed, &named] {
        open(&served, &opened, handle);
    }
    served.fs.remove(may_wait(&alice), &top, b"removed").result.unwrap();
    served.fs.remove(may_wait(&alice), &top, b"named").result.unwrap();
    // As if the server had died before the name went, and the close of both was in its state.
    let ours = served.path.join(".standfast/open-files");
    let kept: Vec<_> =
        std::fs::read_dir(&ours).unwrap().map(|entry| entry.unwrap().path()).collect();
    let is_named = |path: &std::path::Path| {
        use std::os::unix::fs::MetadataExt;
        let file_id = served.fs.attributes(may_wait(&alice), &named).unwrap().file_id;
        std::fs::metadata(path).unwrap().ino() == file_id
    };
    let of_named = kept.iter().find(|path| is_named(path)).unwrap();
    std::fs::hard_link(of_named, served.path.join("named")).unwrap();
    std::fs::write(ours.join("not a handle"), "").unwrap();
    drop(opened);
    let restarted = Served::at(&served.path);
    serve(&restarted);
    assert_eq!(restarted.lookup(&alice, &top, "named").unwrap().attributes.links, 1);
    for handle in restarted.fs.kept_files().unwrap() {
        restarted.fs.release(&handle).unwrap();
    }
    served.fs.close_idle();
    await_gone(&restarted.fs, &removed);
    assert_eq!(restarted.lookup(&alice, &top, "named").unwrap().attributes.links, 1);
    assert_eq!(names_of_ours(&served), 1);
}

#[test]
fn a_file_is_kept_while_others_open_and_remove_it_at_the_same_time() {
    if !is_root("a_file_is_kept_while_others_open_and_remove_it_at_the_same_time") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let opened = serve(&served);
    for round in 0..200 {
        let name = format!("f{round}");
        let file = served.create(&alice, &top, &name, 0o600);
        let was_opened = std::thread::scope(|scope| {
            let opening = scope.spawn(|| {
                opened.0.lock().insert(file);
                let confirmed = served.fs.confirm_open(may_wait(&alice), &file);
                if confirmed.is_err() {
                    opened.0.lock().remove(&file);
                }
                confirmed.is_ok()
            });
            served.fs.remove(may_wait(&alice), &top, name.as_bytes()).result.unwrap();
            opening.join().unwrap()
        });
        served.fs.close_idle();
        if was_opened {
            assert_eq!(served.fs.attributes(may_wait(&alice), &file).unwrap().links, 0);
            close(&served, &opened, &file);
        }
        served.fs.release(&file).unwrap();
        await_gone(&served.fs, &file);
    }
    assert_eq!(names_of_ours(&served), 0);
}
