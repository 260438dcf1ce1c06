//! Names: looking up, creating, removing, renaming, linking, listing.

use std::collections::HashSet;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::io::Errno;
use standfast_vfs::{
    Attributes, ChangeTime, CreateHow, CreateKind, DeviceNumber, Error, FileKind, FileSystem,
    SetAttributes, SetTime, Timestamp,
};

use crate::common::*;

#[test]
fn a_name_is_one_component() {
    if !is_root("a_name_is_one_component") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let create = |name: &[u8]| {
        let how = CreateHow::Guarded(mode(0o644));
        served.fs.create(may_wait(&caller), &top, name, &how).result
    };
    for bad in [&b""[..], b"a/b", b"/", b"a\0b"] {
        assert_eq!(create(bad).unwrap_err(), os(Errno::INVAL));
        assert_eq!(served.fs.lookup(may_wait(&caller), &top, bad).unwrap_err(), os(Errno::INVAL));
    }
    assert_eq!(create(&[b'x'; 256]).unwrap_err(), os(Errno::NAMETOOLONG));
    for name in [vec![b'x'; 255], vec![0xFF; 255], b"caf\xE9 \n\x01".to_vec()] {
        let made = create(&name).unwrap();
        let found = served.fs.lookup(may_wait(&caller), &top, &name).unwrap();
        assert_eq!(found.lasting(), made.lasting());
        assert!(served.list(&top, 10, false).iter().any(|entry| entry.name == name));
        served.fs.remove(may_wait(&caller), &top, &name).result.unwrap();
    }
    assert_eq!(create(b".").unwrap_err(), os(Errno::EXIST));
    assert_eq!(create(b"..").unwrap_err(), os(Errno::EXIST));
}

#[test]
fn dots_are_not_removed_or_renamed() {
    if !is_root("dots_are_not_removed_or_renamed") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    served.create(&caller, &top, "f", 0o644);
    let context = may_wait(&caller);
    let rmdir = |name: &[u8]| served.fs.remove_directory(context, &top, name).result.unwrap_err();
    assert_eq!(rmdir(b"."), os(Errno::INVAL));
    assert_eq!(rmdir(b".."), os(Errno::EXIST));
    assert_eq!(served.fs.remove(context, &top, b"..").result.unwrap_err(), os(Errno::ACCESS));
    for (from, to) in [(&b"."[..], &b"x"[..]), (b"..", b"x"), (b"f", b"."), (b"f", b"..")] {
        let renamed = served.fs.rename(context, (&top, from), (&top, to));
        assert_eq!(renamed.result.unwrap_err(), os(Errno::INVAL));
    }
}

#[test]
fn every_kind_of_object_can_be_made() {
    if !is_root("every_kind_of_object_can_be_made") {
        return;
    }
    let served = Served::new();
    let (top, context) = (served.root(), root());
    let context = may_wait(&context);
    let number = DeviceNumber { major: 240, minor: 70_000 };
    let kinds = [
        ("d", CreateKind::Directory, FileKind::Directory),
        ("l", CreateKind::Symlink(b"/etc/passwd".to_vec()), FileKind::Symlink),
        ("c", CreateKind::CharacterDevice(number), FileKind::CharacterDevice),
        ("b", CreateKind::BlockDevice(number), FileKind::BlockDevice),
        ("s", CreateKind::Socket, FileKind::Socket),
        ("p", CreateKind::Fifo, FileKind::Fifo),
    ];
    for (name, kind, expected) in kinds {
        let set = SetAttributes { uid: Some(ALICE), gid: Some(BOB), ..mode(0o640) };
        let made = served.fs.make(context, &top, name.as_bytes(), &kind, &set);
        let found = made.result.unwrap();
        assert_eq!(found.attributes.kind, expected);
        assert_eq!((found.attributes.uid, found.attributes.gid), (ALICE, BOB));
        let attributes = served.fs.attributes(context, &found.handle).unwrap();
        assert_eq!(attributes.lasting(), found.attributes.lasting());
        if expected == FileKind::Symlink {
            assert_eq!(served.fs.read_link(context, &found.handle).unwrap().0, b"/etc/passwd");
        } else {
            assert_eq!(found.attributes.mode, 0o640);
            let refused = served.fs.read_link(context, &found.handle).unwrap_err();
            assert_eq!(refused, os(Errno::INVAL));
        }
        let is_device = matches!(expected, FileKind::CharacterDevice | FileKind::BlockDevice);
        assert_eq!(found.attributes.device, if is_device { number } else { Default::default() });
        let again = served.fs.make(context, &top, name.as_bytes(), &kind, &set);
        assert_eq!(again.result.unwrap_err(), os(Errno::EXIST));
    }
    let meta = std::fs::symlink_metadata(served.path.join("b")).unwrap();
    assert!(meta.file_type().is_block_device());
    let alice = user(ALICE);
    let context = may_wait(&alice);
    let refused =
        served.fs.make(context, &top, b"n", &CreateKind::CharacterDevice(number), &mode(0o600));
    assert_eq!(refused.result.unwrap_err(), os(Errno::PERM));
    let huge = CreateKind::CharacterDevice(DeviceNumber { major: 1 << 20, minor: 0 });
    let refused = served.fs.make(context, &top, b"n", &huge, &mode(0o600));
    assert_eq!(refused.result.unwrap_err(), os(Errno::INVAL));
    let nul = CreateKind::Symlink(b"a\0b".to_vec());
    let refused = served.fs.make(context, &top, b"n", &nul, &mode(0o600));
    assert_eq!(refused.result.unwrap_err(), os(Errno::INVAL));
}

#[test]
fn existing_names_and_the_ways_to_create() {
    if !is_root("existing_names_and_the_ways_to_create") {
        return;
    }
    let served = Served::new();
    let (alice, bob, superuser) = (user(ALICE), user(BOB), root());
    let top = served.root();
    let file = served.create(&alice, &top, "f", 0o640);
    served.write(&alice, &file, b"data").unwrap();
    let create = |caller, name: &str, how| {
        served.fs.create(may_wait(caller), &top, name.as_bytes(), &how).result
    };
    let refused = create(&alice, "f", CreateHow::Guarded(mode(0o600))).unwrap_err();
    assert_eq!(refused, os(Errno::EXIST));
    // Of the attributes only the size counts.
    let kept = create(&alice, "f", CreateHow::Unchecked(mode(0o777))).unwrap();
    assert_eq!((kept.handle, kept.attributes.mode, kept.attributes.size), (file, 0o640, 4));
    let truncate = CreateHow::Unchecked(SetAttributes { size: Some(0), ..mode(0o777) });
    let refused = create(&bob, "f", truncate.clone()).unwrap_err();
    assert_eq!(refused, os(Errno::ACCESS));
    let truncated = create(&alice, "f", truncate.clone()).unwrap();
    assert_eq!((truncated.handle, truncated.attributes.size), (file, 0));
    served.mkdir(&alice, &top, "d", 0o755);
    served.symlink(&alice, &top, "l", "f");
    for name in ["d", "l"] {
        assert_eq!(create(&alice, name, truncate.clone()).unwrap_err(), os(Errno::EXIST));
    }
    // Attributes that come with the creation.
    let times = SetTime::To(Timestamp { seconds: 1_000_000_000, nanoseconds: 5 });
    let set = SetAttributes {
        mode: Some(0o4755),
        uid: Some(ALICE),
        gid: Some(BOB),
        size: Some(1 << 33),
        accessed: times,
        modified: times,
    };
    let made = create(&superuser, "whole", CreateHow::Guarded(set.clone())).unwrap().attributes;
    assert_eq!((made.mode & 0o777, made.uid, made.gid, made.size), (0o755, ALICE, BOB, 1 << 33));
    assert_eq!(made.modified, Timestamp { seconds: 1_000_000_000, nanoseconds: 5 });
    // Others own what they make.
    let made = create(&bob, "mine", CreateHow::Guarded(SetAttributes { size: None, ..set }));
    assert_eq!(made.unwrap().attributes.uid, BOB);
}

#[test]
fn an_exclusive_creation_can_be_repeated() {
    if !is_root("an_exclusive_creation_can_be_repeated") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let how = CreateHow::Exclusive([0xFF, 1, 2, 3, 4, 5, 6, 0xFE]);
    let create = |fs: &standfast_vfs::PosixFileSystem, how: &CreateHow| {
        fs.create(may_wait(&alice), &top, b"f", how).result
    };
    let first = create(&served.fs, &how).unwrap();
    assert_eq!((first.attributes.uid, first.attributes.mode), (ALICE, 0));
    assert_eq!(create(&served.fs, &how).unwrap(), first);
    // A restart changes nothing.
    let restarted = Served::at(&served.path);
    assert_eq!(create(&restarted.fs, &how).unwrap().handle, first.handle);
    let other = CreateHow::Exclusive([1; 8]);
    assert_eq!(create(&served.fs, &other).unwrap_err(), os(Errno::EXIST));
    // The first change of the attributes ends it.
    let set = SetAttributes { modified: SetTime::Now, accessed: SetTime::Now, ..mode(0o600) };
    let changed = served.fs.set_attributes(may_wait(&alice), &first.handle, &set, None);
    changed.result.unwrap();
    assert_eq!(create(&served.fs, &how).unwrap_err(), os(Errno::EXIST));
}

#[test]
fn removed_and_replaced_objects_are_stale() {
    if !is_root("removed_and_replaced_objects_are_stale") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let context = may_wait(&caller);
    let gone = |handle| {
        await_gone(&served.fs, &handle);
        assert_eq!(served.read(&caller, &handle).unwrap_err(), Error::Stale);
        assert_eq!(served.write(&caller, &handle, b"x").unwrap_err(), Error::Stale);
    };
    let removed = served.create(&caller, &top, "a", 0o644);
    served.write(&caller, &removed, b"x").unwrap();
    served.fs.remove(context, &top, b"a").result.unwrap();
    gone(removed);
    let replaced = served.create(&caller, &top, "b", 0o644);
    let replacing = served.create(&caller, &top, "c", 0o644);
    served.fs.rename(context, (&top, b"c"), (&top, b"b")).result.unwrap();
    gone(replaced);
    assert_eq!(served.lookup(&caller, &top, "b").unwrap().handle, replacing);
    // Somebody else removes a file that is held open here.
    let behind = served.create(&caller, &top, "d", 0o644);
    served.write(&caller, &behind, b"x").unwrap();
    std::fs::remove_file(served.path.join("d")).unwrap();
    gone(behind);
    let directory = served.mkdir(&caller, &top, "e", 0o755);
    std::fs::remove_dir(served.path.join("e")).unwrap();
    assert_eq!(served.lookup(&caller, &directory, "x").unwrap_err(), Error::Stale);
    let how = CreateHow::Guarded(mode(0o644));
    let refused = served.fs.create(context, &directory, b"x", &how);
    assert_eq!(refused.result.unwrap_err(), Error::Stale);
    // The other name of a file keeps it.
    let linked = served.create(&caller, &top, "f", 0o644);
    let attributes = served.fs.link(context, &linked, &top, b"g").result.unwrap();
    assert_eq!(attributes.links, 2);
    served.fs.remove(context, &top, b"f").result.unwrap();
    assert_eq!(served.fs.attributes(context, &linked).unwrap().links, 1);
}

#[test]
fn the_kernel_refuses_what_is_wrong() {
    if !is_root("the_kernel_refuses_what_is_wrong") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let context = may_wait(&caller);
    let directory = served.mkdir(&caller, &top, "d", 0o755);
    let file = served.create(&caller, &directory, "f", 0o644);
    let removed = |name: &[u8]| served.fs.remove(context, &top, name).result.unwrap_err();
    assert_eq!(removed(b"d"), os(Errno::ISDIR));
    assert_eq!(removed(b"nothing"), os(Errno::NOENT));
    let rmdir =
        |parent, name: &[u8]| served.fs.remove_directory(context, parent, name).result.unwrap_err();
    assert_eq!(rmdir(&top, b"d"), os(Errno::NOTEMPTY));
    assert_eq!(rmdir(&directory, b"f"), os(Errno::NOTDIR));
    assert_eq!(served.lookup(&caller, &file, "x").unwrap_err(), os(Errno::NOTDIR));
    let linked = served.fs.link(context, &directory, &top, b"x");
    assert_eq!(linked.result.unwrap_err(), os(Errno::ISDIR));
    let into_itself = served.fs.rename(context, (&top, b"d"), (&directory, b"x"));
    assert_eq!(into_itself.result.unwrap_err(), os(Errno::INVAL));
    let mut sink = |_| true;
    let listed = served.fs.read_directory(context, &file, 0, false, &mut sink);
    assert_eq!(listed.unwrap_err(), os(Errno::NOTDIR));
    let beyond = served.fs.read_directory(context, &top, u64::MAX, false, &mut sink);
    assert_eq!(beyond.unwrap_err(), os(Errno::INVAL));
}

#[test]
fn changes_tell_the_attributes_before_and_after() {
    if !is_root("changes_tell_the_attributes_before_and_after") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let context = may_wait(&caller);
    let now = |handle| served.fs.attributes(context, handle).unwrap();
    let before = now(&top);
    let how = CreateHow::Guarded(mode(0o644));
    let created = served.fs.create(context, &top, b"f", &how);
    assert_eq!(created.before.lasting(), Some(ChangeTime::from(&before).lasting()));
    assert_eq!(created.after.lasting(), Some(now(&top).lasting()));
    // A failure tells them too.
    let failed = served.fs.create(context, &top, b"f", &how);
    assert_eq!(failed.result.unwrap_err(), os(Errno::EXIST));
    let after = created.after.as_ref().map(ChangeTime::from);
    assert_eq!(failed.before.lasting(), after.lasting());
    assert_eq!(failed.after.lasting(), created.after.lasting());
    let other = served.mkdir(&caller, &top, "d", 0o755);
    let (top_before, other_before) = (now(&top), now(&other));
    let renamed = served.fs.rename(context, (&top, b"f"), (&other, b"g"));
    renamed.result.unwrap();
    let expected = |before: &Attributes, handle| (Some(before.into()), Some(now(handle))).lasting();
    assert_eq!(renamed.from.lasting(), expected(&top_before, &top));
    assert_eq!(renamed.to.lasting(), expected(&other_before, &other));
    let within = served.fs.rename(context, (&other, b"g"), (&other, b"h"));
    within.result.unwrap();
    assert_eq!(within.from.1.lasting(), within.to.1.lasting());
}

#[test]
fn a_listing_survives_changes() {
    if !is_root("a_listing_survives_changes") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let directory = served.mkdir(&caller, &top, "d", 0o755);
    let names: HashSet<String> = (0..3000).map(|number| format!("file-{number:05}")).collect();
    let place = served.path.join("d");
    names.iter().for_each(|name| drop(std::fs::File::create(place.join(name)).unwrap()));
    let all = served.list(&directory, usize::MAX, false);
    assert_eq!(all.len(), 3002);
    assert_eq!(served.list(&directory, 7, false), all);
    assert!(all.iter().all(|entry| entry.cookie != 0));
    // Every second name goes while the listing is under way, also across a restart.
    let restarted = Served::at(&served.path);
    let mut seen: Vec<Vec<u8>> = Vec::new();
    let mut cookie = 0;
    for round in 0.. {
        assert!(round < 1000, "the listing does not end");
        let fs = if round % 2 == 0 { &served.fs } else { &restarted.fs };
        let mut batch = Vec::new();
        let mut sink = |entry: standfast_vfs::DirectoryEntry| {
            let room = batch.len() < 50;
            if room {
                batch.push(entry);
            }
            room
        };
        let context = may_wait(&caller);
        let listing = fs.read_directory(context, &directory, cookie, false, &mut sink).unwrap();
        for (place_in_batch, entry) in batch.iter().enumerate() {
            cookie = entry.cookie;
            seen.push(entry.name.clone());
            if place_in_batch % 2 == 0 && !entry.name.starts_with(b".") {
                let name = String::from_utf8(entry.name.clone()).unwrap();
                std::fs::remove_file(place.join(name)).unwrap();
            }
        }
        if listing.end {
            break;
        }
    }
    let unique: HashSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "a name was listed twice");
    assert!(names.iter().all(|name| unique.contains(&name.as_bytes().to_vec())));
}

#[test]
fn a_listing_can_carry_handles_and_attributes() {
    if !is_root("a_listing_can_carry_handles_and_attributes") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let directory = served.mkdir(&caller, &top, "d", 0o755);
    for name in ["a", "b", "c"] {
        served.create(&caller, &directory, name, 0o600);
    }
    served.symlink(&caller, &directory, "l", "/");
    let entries = served.list(&directory, 2, true);
    assert_eq!(entries.len(), 6);
    for entry in entries {
        let context = may_wait(&caller);
        let found = served.fs.lookup(context, &directory, &entry.name).unwrap();
        assert_eq!(entry.file_id, found.attributes.file_id);
        assert_eq!(entry.found, Some(found));
    }
    // What is above the export stays hidden.
    let up = served.list(&top, 10, true).into_iter().find(|entry| entry.name == b"..").unwrap();
    assert_eq!(up.file_id, std::fs::metadata(&served.path).unwrap().ino());
    assert_eq!(up.found.unwrap().handle, top);
}

#[test]
fn waiting_is_optional_where_memory_answers() {
    if !is_root("waiting_is_optional_where_memory_answers") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let file = served.create(&alice, &top, "f", 0o600);
    let context = never(&alice);
    assert_eq!(served.lookup(&alice, &top, "f").unwrap().handle, file);
    assert_eq!(served.fs.lookup(context, &top, b"f").unwrap().handle, file);
    let missing = served.fs.lookup(context, &top, b"missing").unwrap_err();
    assert!([Error::WouldBlock, os(Errno::NOENT)].contains(&missing));
    assert!(served.fs.attributes(context, &file).is_ok());
    // Nothing is held open any more, so nothing is known.
    served.fs.close_idle();
    assert_eq!(served.fs.attributes(context, &file).unwrap_err(), Error::WouldBlock);
    let how = CreateHow::Guarded(mode(0o644));
    let created = served.fs.create(context, &top, b"g", &how);
    assert_eq!(created.result.unwrap_err(), Error::WouldBlock);
    let renamed = served.fs.rename(context, (&top, b"f"), (&top, b"g"));
    assert_eq!(renamed.result.unwrap_err(), Error::WouldBlock);
}
