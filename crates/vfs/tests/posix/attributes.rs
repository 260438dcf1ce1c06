//! Setting attributes; space and limits.

use rustix::io::Errno;
use standfast_vfs::{ChangeTime, Error, FileSystem, SetAttributes, SetTime, Timestamp};

use crate::common::*;

#[test]
fn a_guard_protects_from_other_changes() {
    if !is_root("a_guard_protects_from_other_changes") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let context = may_wait(&alice);
    let file = served.create(&alice, &served.root(), "f", 0o600);
    let known = served.fs.attributes(context, &file).unwrap();
    let old = Timestamp { seconds: 1, nanoseconds: 0 };
    let refused = served.fs.set_attributes(context, &file, &mode(0o640), Some(old));
    assert_eq!(refused.result.unwrap_err(), Error::NotSync);
    assert_eq!(refused.after.as_ref(), Some(&known));
    let changed = served.fs.set_attributes(context, &file, &mode(0o640), Some(known.changed));
    changed.result.unwrap();
    assert_eq!(changed.before.lasting(), Some(ChangeTime::from(&known).lasting()));
    assert_eq!(changed.after.unwrap().mode, 0o640);
}

#[test]
fn times_are_set_as_asked() {
    if !is_root("times_are_set_as_asked") {
        return;
    }
    let served = Served::new();
    let (alice, bob) = (user(ALICE), user(BOB));
    let file = served.create(&alice, &served.root(), "f", 0o622);
    let early = Timestamp { seconds: -5, nanoseconds: 999_999_999 };
    let set = SetAttributes { modified: SetTime::To(early), ..SetAttributes::default() };
    let before = served.fs.attributes(may_wait(&alice), &file).unwrap();
    let changed = served.fs.set_attributes(may_wait(&alice), &file, &set, None);
    let after = changed.after.unwrap();
    assert_eq!((after.modified, after.accessed), (early, before.accessed));
    let refused = served.fs.set_attributes(may_wait(&bob), &file, &set, None);
    assert_eq!(refused.result.unwrap_err(), os(Errno::PERM));
    // Who may write the file may set the server's time.
    let now = SetAttributes { modified: SetTime::Now, accessed: SetTime::Now, ..set.clone() };
    served.fs.set_attributes(may_wait(&bob), &file, &now, None).result.unwrap();
    for nanoseconds in [1_000_000_000, (1 << 30) - 1, (1 << 30) - 2] {
        let wrong = SetTime::To(Timestamp { seconds: 0, nanoseconds });
        let set = SetAttributes { modified: wrong, ..SetAttributes::default() };
        let refused = served.fs.set_attributes(may_wait(&alice), &file, &set, None);
        assert_eq!(refused.result.unwrap_err(), os(Errno::INVAL));
    }
    let link = served.symlink(&alice, &served.root(), "l", "f");
    let changed = served.fs.set_attributes(may_wait(&alice), &link, &set, None);
    assert_eq!(changed.after.unwrap().modified, early, "of the link, not of what it points to");
    served.fs.set_attributes(may_wait(&alice), &link, &mode(0o600), None).result.unwrap();
}

#[test]
fn sizes_are_set_on_files_only() {
    if !is_root("sizes_are_set_on_files_only") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let size = |size| SetAttributes { size: Some(size), ..SetAttributes::default() };
    let set = |handle, bytes| {
        served.fs.set_attributes(may_wait(&alice), handle, &size(bytes), None).result
    };
    let file = served.create(&alice, &top, "f", 0o600);
    set(&file, 1 << 40).unwrap();
    let attributes = served.fs.attributes(may_wait(&alice), &file).unwrap();
    assert_eq!((attributes.size, attributes.used), (1 << 40, 0));
    assert_eq!(set(&file, 1 << 63).unwrap_err(), os(Errno::FBIG));
    assert_eq!(set(&file, (1 << 63) - 1).unwrap_err(), os(Errno::FBIG));
    let directory = served.mkdir(&alice, &top, "d", 0o755);
    assert_eq!(set(&directory, 0).unwrap_err(), os(Errno::ISDIR));
    let link = served.symlink(&alice, &top, "l", "f");
    assert_eq!(set(&link, 0).unwrap_err(), os(Errno::INVAL));
}

#[test]
fn space_and_limits_are_told() {
    if !is_root("space_and_limits_are_told") {
        return;
    }
    let served = Served::new();
    let caller = root();
    let space = served.fs.space(may_wait(&caller), &served.root()).unwrap();
    assert!(space.total_bytes >= space.free_bytes && space.free_bytes >= space.available_bytes);
    assert!(space.total_bytes > 0);
    let limits = served.fs.limits(may_wait(&caller), &served.root()).unwrap();
    assert_eq!(limits.name, 255);
    assert!(limits.links >= 32_000 && limits.file_size > 1 << 40);
}
