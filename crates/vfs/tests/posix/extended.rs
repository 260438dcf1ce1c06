//! Access control lists and extended attributes.

use std::path::Path;

use rustix::io::Errno;
use standfast_vfs::{
    AccessMask, AclEntry, AclKind, AclTag, Error, ExtendedAttributes, FileSystem, PosixAcl, SetHow,
};

use crate::common::*;

fn acl(entries: &[(AclTag, u8)]) -> PosixAcl {
    let entry = |&(tag, permissions)| AclEntry { tag, permissions };
    PosixAcl { entries: entries.iter().map(entry).collect() }
}

#[test]
fn lists_are_set_read_and_taken_away() {
    if !is_root("lists_are_set_read_and_taken_away") {
        return;
    }
    let served = Served::new();
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let (fs, context) = (&served.fs, may_wait(&alice));
    let directory = served.mkdir(&alice, &top, "d", 0o750);
    for kind in [AclKind::Access, AclKind::Default] {
        assert_eq!(fs.acl(context, &directory, kind), Ok(None));
    }
    let list = acl(&[
        (AclTag::Owner, 7),
        (AclTag::User(BOB), 7),
        (AclTag::OwningGroup, 5),
        (AclTag::Group(70_001), 1),
        (AclTag::Mask, 7),
        (AclTag::Other, 0),
    ]);
    for kind in [AclKind::Access, AclKind::Default] {
        let others = fs.set_acl(may_wait(&bob), &directory, kind, Some(&list));
        assert_eq!(others.result.unwrap_err(), os(Errno::PERM));
        let set = fs.set_acl(context, &directory, kind, Some(&list));
        set.result.unwrap();
        assert!(set.before.unwrap().change < set.after.unwrap().change);
        assert_eq!(fs.acl(may_wait(&bob), &directory, kind), Ok(Some(list.clone())));
    }
    // The kernel acts on them.
    let file = served.create(&bob, &directory, "f", 0o600);
    let inherited = fs.acl(context, &file, AclKind::Access).unwrap().unwrap();
    assert!(inherited.entries.contains(&AclEntry { tag: AclTag::User(BOB), permissions: 7 }));
    assert_eq!(fs.acl(context, &file, AclKind::Default), Ok(None));
    let on_file = fs.set_acl(may_wait(&bob), &file, AclKind::Default, Some(&list));
    assert_eq!(on_file.result.unwrap_err(), os(Errno::ACCESS));
    let lacking = acl(&[(AclTag::Owner, 7)]);
    let refused = fs.set_acl(context, &directory, AclKind::Access, Some(&lacking));
    assert_eq!(refused.result.unwrap_err(), os(Errno::INVAL));
    for _ in 0..2 {
        for kind in [AclKind::Access, AclKind::Default] {
            fs.set_acl(context, &directory, kind, None).result.unwrap();
            assert_eq!(fs.acl(context, &directory, kind), Ok(None));
        }
    }
    assert!(served.lookup(&bob, &directory, "f").is_err());
}

#[test]
fn attributes_are_the_callers_affair() {
    if !is_root("attributes_are_the_callers_affair") {
        return;
    }
    let served = Served::new();
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let (fs, context) = (&served.fs, may_wait(&alice));
    let file = served.create(&alice, &top, "f", 0o644);
    let set = |caller, value: &[u8], how| {
        fs.set_extended_attribute(may_wait(caller), &file, b"a", value, how).result
    };
    assert_eq!(set(&bob, b"1", SetHow::Either).unwrap_err(), os(Errno::ACCESS));
    assert_eq!(set(&alice, b"1", SetHow::Replace).unwrap_err(), os(Errno::NODATA));
    set(&alice, b"1", SetHow::Create).unwrap();
    assert_eq!(set(&alice, b"1", SetHow::Create).unwrap_err(), os(Errno::EXIST));
    set(&alice, b"", SetHow::Replace).unwrap();
    assert_eq!(fs.extended_attribute(may_wait(&bob), &file, b"a").unwrap(), b"");
    set(&alice, &[7; 1000], SetHow::Either).unwrap();
    assert_eq!(fs.extended_attribute(may_wait(&bob), &file, b"a").unwrap(), [7; 1000]);
    assert_eq!(fs.extended_attribute(context, &file, b"b").unwrap_err(), os(Errno::NODATA));
    assert_eq!(fs.extended_attributes(may_wait(&bob), &file).unwrap(), [b"a"]);
    fs.set_attributes(context, &file, &mode(0o600), None).result.unwrap();
    let refused = fs.extended_attribute(may_wait(&bob), &file, b"a");
    assert_eq!(refused.unwrap_err(), os(Errno::ACCESS));
    assert_eq!(fs.extended_attributes(may_wait(&bob), &file).unwrap_err(), os(Errno::ACCESS));
    let removed = fs.remove_extended_attribute(may_wait(&bob), &file, b"a");
    assert_eq!(removed.result.unwrap_err(), os(Errno::ACCESS));
    let removed = fs.remove_extended_attribute(context, &file, b"a");
    removed.result.unwrap();
    assert!(removed.before.unwrap().change < removed.after.unwrap().change);
    let again = fs.remove_extended_attribute(context, &file, b"a");
    assert_eq!(again.result.unwrap_err(), os(Errno::NODATA));
    for (name, error) in [(&b""[..], Errno::INVAL), (b"a\0", Errno::INVAL)] {
        assert_eq!(fs.extended_attribute(context, &file, name).unwrap_err(), os(error));
    }
    let long = [b'x'; 251];
    let refused = fs.extended_attribute(context, &file, &long);
    assert_eq!(refused.unwrap_err(), os(Errno::NAMETOOLONG));
    let wanted = AccessMask(
        AccessMask::READ_EXTENDED | AccessMask::WRITE_EXTENDED | AccessMask::LIST_EXTENDED,
    );
    assert_eq!(fs.access(context, &file, wanted).unwrap().0, wanted);
    assert_eq!(fs.access(may_wait(&bob), &file, wanted).unwrap().0, AccessMask(0));
    let not_now = fs.extended_attributes(never(&alice), &file);
    assert_eq!(not_now.unwrap_err(), Error::WouldBlock);
}

#[test]
fn other_attributes_are_not_seen() {
    if !is_root("other_attributes_are_not_seen") {
        return;
    }
    let served = Served::new();
    let (caller, top) = (root(), served.root());
    let file = served.create(&caller, &top, "f", 0o644);
    let path: &Path = &served.path.join("f");
    let flags = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(path, "trusted.mine", b"x", flags).unwrap();
    rustix::fs::setxattr(path, "user.yours", b"y", flags).unwrap();
    let context = may_wait(&caller);
    assert_eq!(served.fs.extended_attributes(context, &file).unwrap(), [b"yours"]);
    let got = served.fs.extended_attribute(context, &file, b"trusted.mine");
    assert_eq!(got.unwrap_err(), os(Errno::NODATA));
}
