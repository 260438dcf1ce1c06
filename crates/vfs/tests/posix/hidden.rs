//! The server's own directory, which clients neither see nor reach.

use rustix::io::Errno;
use standfast_vfs::{
    CreateHow, CreateKind, Error, FileSystem, OpenError, Options, PosixFileSystem, SetAttributes,
};

use crate::common::*;

const NAME: &[u8] = b".standfast";

/// A served directory with something in the server's own.
fn served() -> Served {
    let served = Served::new();
    let own = served.fs.hidden_directory().unwrap();
    rustix::fs::mkdirat(&own, c"journal", rustix::fs::Mode::RWXU).unwrap();
    std::fs::write(served.path.join(".standfast/journal/1"), "record").unwrap();
    served
}

#[test]
fn it_is_the_processs_alone() {
    if !is_root("it_is_the_processs_alone") {
        return;
    }
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let served = Served::new();
    let path = served.path.join(".standfast");
    std::fs::create_dir(&path).unwrap();
    chmod(&path, 0o777);
    std::os::unix::fs::chown(&path, Some(ALICE), Some(ALICE)).unwrap();
    served.fs.hidden_directory().unwrap();
    let now = std::fs::metadata(&path).unwrap();
    assert_eq!((now.uid(), now.permissions().mode() & 0o777), (0, 0o700));
    std::fs::remove_dir(&path).unwrap();
    std::os::unix::fs::symlink("/", &path).unwrap();
    assert!(served.fs.hidden_directory().is_err());
}

#[test]
fn no_listing_shows_it() {
    if !is_root("no_listing_shows_it") {
        return;
    }
    let served = served();
    let top = served.root();
    served.create(&root(), &top, "f", 0o600);
    for with_found in [false, true] {
        let mut names: Vec<_> =
            served.list(&top, 1, with_found).into_iter().map(|entry| entry.name).collect();
        names.sort();
        assert_eq!(names, [&b"."[..], b"..", b"f"]);
    }
}

#[test]
fn nothing_is_found_made_or_removed_by_its_name() {
    if !is_root("nothing_is_found_made_or_removed_by_its_name") {
        return;
    }
    let served = served();
    let (caller, top) = (root(), served.root());
    let (fs, context) = (&served.fs, may_wait(&caller));
    let file = served.create(&caller, &top, "f", 0o600);
    let below = served.mkdir(&caller, &top, "d", 0o700);
    let (absent, refused) = (Some(os(Errno::NOENT)), Some(os(Errno::ACCESS)));
    for directory in [&top, &below] {
        assert_eq!(fs.lookup(context, directory, NAME).err(), absent);
        assert_eq!(fs.lookup(never(&caller), directory, NAME).err(), absent);
        assert_eq!(fs.remove(context, directory, NAME).result.err(), absent);
        assert_eq!(fs.remove_directory(context, directory, NAME).result.err(), absent);
        let away = fs.rename(context, (directory, NAME), (&top, b"mine"));
        assert_eq!(away.result.err(), absent);
        let over = fs.rename(context, (&top, b"f"), (directory, NAME));
        assert_eq!(over.result.err(), refused);
        assert_eq!(fs.link(context, &file, directory, NAME).result.err(), refused);
        let made =
            fs.make(context, directory, NAME, &CreateKind::Directory, &SetAttributes::default());
        assert_eq!(made.result.err(), refused);
        for how in [
            CreateHow::Unchecked(SetAttributes::default()),
            CreateHow::Guarded(SetAttributes::default()),
            CreateHow::Exclusive([1; 8]),
        ] {
            assert_eq!(fs.create(context, directory, NAME, &how).result.err(), refused);
        }
    }
    assert_eq!(std::fs::read(served.path.join(".standfast/journal/1")).unwrap(), b"record");
}

#[test]
fn a_handle_of_a_directory_in_it_opens_nothing() {
    if !is_root("a_handle_of_a_directory_in_it_opens_nothing") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let moved = served.mkdir(&caller, &top, "d", 0o777);
    let inner = served.mkdir(&caller, &moved, "e", 0o777);
    let renamed = served.mkdir(&caller, &top, "g", 0o777);
    std::fs::rename(served.path.join("g"), served.path.join(".standfast")).unwrap();
    served.fs.hidden_directory().unwrap();
    std::fs::rename(served.path.join("d"), served.path.join(".standfast/d")).unwrap();
    for restarted in [false, true] {
        served.fs.close_idle();
        let again = restarted.then(|| Served::at(&served.path));
        let fs = again.as_ref().map_or(&served.fs, |served| &served.fs);
        for handle in [&moved, &inner, &renamed] {
            assert_eq!(fs.attributes(may_wait(&caller), handle).err(), Some(Error::Stale));
            assert_eq!(fs.lookup(may_wait(&caller), handle, b"..").err(), Some(Error::Stale));
        }
    }
}

#[test]
fn it_is_not_served_itself() {
    if !is_root("it_is_not_served_itself") {
        return;
    }
    let served = served();
    for inside in [".standfast", ".standfast/journal"] {
        let opened = PosixFileSystem::open(&served.path.join(inside), &Options::default());
        assert!(matches!(opened.err(), Some(OpenError::Hidden { .. })));
    }
}
