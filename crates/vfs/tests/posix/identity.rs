//! Whose rights operations have.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::XattrFlags;
use rustix::io::Errno;
use standfast_vfs::{
    AccessMask, Caller, CreateHow, CreateKind, FileSystem, IdentityScope, SetAttributes,
};

use crate::common::*;

/// The filesystem identity and groups of this thread, as `/proc` shows them.
fn identity() -> Vec<String> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let wanted = ["Uid:", "Gid:", "Groups:", "CapEff:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    lines.map(str::to_owned).collect()
}

fn all() -> AccessMask {
    AccessMask(0x3F)
}

/// A POSIX ACL (`acl(5)`) with these entries of tag, permissions and id, in the kernel's format.
fn set_acl(path: &Path, kind: &str, entries: &[(u16, u16, u32)]) {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(permissions.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    rustix::fs::setxattr(path.as_c_str(), kind, &value, XattrFlags::empty()).unwrap();
}

const NO_ID: u32 = u32::MAX;

#[test]
fn groups_beyond_sixteen_count() {
    if !is_root("groups_beyond_sixteen_count") {
        return;
    }
    let served = Served::new();
    let owner = Caller { uid: 0, gid: 70_040, groups: std::sync::Arc::from([]) };
    let file = served.create(&owner, &served.root(), "f", 0o640);
    let created = served.fs.attributes(may_wait(&owner), &file).unwrap();
    assert_eq!((created.uid, created.gid), (0, 70_040), "the superuser's own group is kept");
    served.write(&owner, &file, b"secret").unwrap();
    let member = with_groups(ALICE, 70_001..=70_040);
    let other = with_groups(ALICE, 70_001..=70_039);
    for _ in 0..2 {
        assert_eq!(served.read(&member, &file).unwrap(), b"secret");
        assert_eq!(served.write(&member, &file, b"x").unwrap_err(), os(Errno::ACCESS));
        assert_eq!(served.read(&other, &file).unwrap_err(), os(Errno::ACCESS));
    }
    let granted = |caller| served.fs.access(may_wait(caller), &file, all()).unwrap().0;
    assert_eq!(granted(&member), AccessMask(AccessMask::READ));
    assert_eq!(granted(&other), AccessMask(0));
    let write = AccessMask::READ | AccessMask::MODIFY | AccessMask::EXTEND;
    assert_eq!(granted(&root()), AccessMask(write));
}

#[test]
fn the_owner_and_who_may_execute() {
    if !is_root("the_owner_and_who_may_execute") {
        return;
    }
    let served = Served::new();
    let (alice, bob) = (user(ALICE), user(BOB));
    let file = served.create(&alice, &served.root(), "f", 0o000);
    served.write(&alice, &file, b"mine").unwrap();
    assert_eq!(served.read(&alice, &file).unwrap(), b"mine");
    let set = SetAttributes { size: Some(2), ..SetAttributes::default() };
    served.fs.set_attributes(may_wait(&alice), &file, &set, None).result.unwrap();
    let refused = served.fs.set_attributes(may_wait(&bob), &file, &set, None);
    assert_eq!(refused.result.unwrap_err(), os(Errno::ACCESS));
    assert_eq!(served.read(&bob, &file).unwrap_err(), os(Errno::ACCESS));
    let execute = mode(0o711);
    served.fs.set_attributes(may_wait(&alice), &file, &execute, None).result.unwrap();
    assert_eq!(served.read(&bob, &file).unwrap(), b"mi");
    let (granted, _) = served.fs.access(may_wait(&bob), &file, all()).unwrap();
    assert_eq!(granted, AccessMask(AccessMask::EXECUTE));
}

#[test]
fn acls_are_the_kernels() {
    if !is_root("acls_are_the_kernels") {
        return;
    }
    let served = Served::new();
    let file = served.create(&root(), &served.root(), "f", 0o600);
    served.write(&root(), &file, b"acl").unwrap();
    // user::rw-, user:ALICE:r--, group::---, mask::r--, other::---
    let acl = [(1, 6, NO_ID), (2, 4, ALICE), (4, 0, NO_ID), (16, 4, NO_ID), (32, 0, NO_ID)];
    set_acl(&served.path.join("f"), "system.posix_acl_access", &acl);
    assert_eq!(served.read(&user(ALICE), &file).unwrap(), b"acl");
    assert_eq!(served.read(&user(BOB), &file).unwrap_err(), os(Errno::ACCESS));
    assert_eq!(served.write(&user(ALICE), &file, b"x").unwrap_err(), os(Errno::ACCESS));
}

#[test]
fn setgid_directories_and_default_acls_pass_on() {
    if !is_root("setgid_directories_and_default_acls_pass_on") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let shared = served.mkdir(&root(), &top, "shared", 0o777);
    let set = SetAttributes { gid: Some(70_001), ..mode(0o2777) };
    served.fs.set_attributes(may_wait(&root()), &shared, &set, None).result.unwrap();
    // user::rwx, user:BOB:rwx, group::r-x, mask::rwx, other::---
    let acl = [(1, 7, NO_ID), (2, 7, BOB), (4, 5, NO_ID), (16, 7, NO_ID), (32, 0, NO_ID)];
    set_acl(&served.path.join("shared"), "system.posix_acl_default", &acl);
    let ways = [
        CreateHow::Guarded(mode(0o666)),
        CreateHow::Unchecked(mode(0o666)),
        CreateHow::Exclusive([7; 8]),
    ];
    for (number, how) in ways.iter().enumerate() {
        let name = format!("f{number}");
        let made = served.fs.create(may_wait(&alice), &shared, name.as_bytes(), how);
        let found = made.result.unwrap();
        assert_eq!((found.attributes.uid, found.attributes.gid), (ALICE, 70_001), "{how:?}");
        if matches!(how, CreateHow::Exclusive(_)) {
            served
                .fs
                .set_attributes(may_wait(&alice), &found.handle, &mode(0o660), None)
                .result
                .unwrap();
        } else {
            assert_eq!(found.attributes.mode, 0o660, "the default ACL takes the others' rights");
        }
        served.write(&user(BOB), &found.handle, b"through the default ACL").unwrap();
        let refused = served.read(&user(70_777), &found.handle).unwrap_err();
        assert_eq!(refused, os(Errno::ACCESS));
    }
    let inner = served.mkdir(&alice, &shared, "inner", 0o755);
    let attributes = served.fs.attributes(may_wait(&alice), &inner).unwrap();
    assert_eq!((attributes.gid, attributes.mode & 0o2000), (70_001, 0o2000));
}

#[test]
fn sticky_directories_protect_names() {
    if !is_root("sticky_directories_protect_names") {
        return;
    }
    let served = Served::new();
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let sticky = served.mkdir(&root(), &top, "tmp", 0o777);
    let set = mode(0o1777);
    served.fs.set_attributes(may_wait(&root()), &sticky, &set, None).result.unwrap();
    served.create(&alice, &sticky, "f", 0o666);
    let context = may_wait(&bob);
    let refused = served.fs.remove(context, &sticky, b"f");
    assert_eq!(refused.result.unwrap_err(), os(Errno::PERM));
    let refused = served.fs.rename(context, (&sticky, b"f"), (&sticky, b"g"));
    assert_eq!(refused.result.unwrap_err(), os(Errno::PERM));
    served.fs.remove(may_wait(&alice), &sticky, b"f").result.unwrap();
}

#[test]
fn directories_ask_for_their_rights() {
    if !is_root("directories_ask_for_their_rights") {
        return;
    }
    let served = Served::new();
    let (alice, bob, top) = (user(ALICE), user(BOB), served.root());
    let directory = served.mkdir(&alice, &top, "d", 0o744);
    served.create(&alice, &directory, "f", 0o644);
    let lookup = |name| served.lookup(&bob, &directory, name);
    for name in ["f", ".", ".."] {
        assert_eq!(lookup(name).unwrap_err(), os(Errno::ACCESS), "{name}");
    }
    // To list a directory takes the right to read it, and no other.
    let mut count = 0;
    let mut sink = |_| {
        count += 1;
        true
    };
    served.fs.read_directory(may_wait(&bob), &directory, 0, true, &mut sink).unwrap();
    assert_eq!(count, 3);
    let search = mode(0o711);
    served.fs.set_attributes(may_wait(&alice), &directory, &search, None).result.unwrap();
    assert!(lookup("f").is_ok());
    let mut sink = |_| true;
    let refused = served.fs.read_directory(may_wait(&bob), &directory, 0, true, &mut sink);
    assert_eq!(refused.unwrap_err(), os(Errno::ACCESS));
    let made =
        served.fs.make(may_wait(&bob), &directory, b"x", &CreateKind::Directory, &mode(0o755));
    assert_eq!(made.result.unwrap_err(), os(Errno::ACCESS));
    let granted = |caller| served.fs.access(may_wait(caller), &directory, all()).unwrap().0.0;
    assert_eq!(granted(&bob), AccessMask::LOOKUP);
    assert_eq!(granted(&alice), 0x1F);
}

#[test]
fn only_the_owner_changes_attributes() {
    if !is_root("only_the_owner_changes_attributes") {
        return;
    }
    let served = Served::new();
    let (alice, bob) = (user(ALICE), user(BOB));
    let file = served.create(&alice, &served.root(), "f", 0o666);
    let set = |caller: &Caller, set: &SetAttributes| {
        served.fs.set_attributes(may_wait(caller), &file, set, None).result
    };
    let give = SetAttributes { uid: Some(BOB), ..SetAttributes::default() };
    assert_eq!(set(&alice, &give).unwrap_err(), os(Errno::PERM));
    // Nothing of a refused change happens.
    let both = SetAttributes { size: Some(100), ..mode(0o777) };
    assert_eq!(set(&bob, &both).unwrap_err(), os(Errno::PERM));
    assert_eq!(served.fs.attributes(may_wait(&bob), &file).unwrap().size, 0);
    set(&bob, &SetAttributes { size: Some(100), ..SetAttributes::default() }).unwrap();
    let group = SetAttributes { gid: Some(70_001), ..SetAttributes::default() };
    assert_eq!(set(&alice, &group).unwrap_err(), os(Errno::PERM));
    set(&with_groups(ALICE, [70_001]), &group).unwrap();
    let nobody = SetAttributes { uid: Some(u32::MAX), ..SetAttributes::default() };
    assert_eq!(set(&root(), &nobody).unwrap_err(), os(Errno::INVAL));
    set(&root(), &give).unwrap();
    assert_eq!(served.fs.attributes(may_wait(&bob), &file).unwrap().uid, BOB);
}

#[test]
fn a_write_by_another_clears_setuid() {
    if !is_root("a_write_by_another_clears_setuid") {
        return;
    }
    let served = Served::new();
    let alice = user(ALICE);
    let file = served.create(&alice, &served.root(), "f", 0o777);
    let suid = mode(0o6777);
    let now = || served.fs.attributes(may_wait(&alice), &file).unwrap().mode;
    served.fs.set_attributes(may_wait(&alice), &file, &suid, None).result.unwrap();
    assert_eq!(now(), 0o6777);
    served.write(&user(BOB), &file, b"x").unwrap();
    assert_eq!(now(), 0o777);
    served.fs.set_attributes(may_wait(&alice), &file, &suid, None).result.unwrap();
    served.write(&root(), &file, b"x").unwrap();
    assert_eq!(now(), 0o6777, "the superuser keeps it, as on a local filesystem");
}

#[test]
fn an_unknown_user_is_refused() {
    if !is_root("an_unknown_user_is_refused") {
        return;
    }
    let served = Served::new();
    let file = served.create(&root(), &served.root(), "f", 0o600);
    for caller in [user(u32::MAX), with_groups(ALICE, [u32::MAX])] {
        assert_eq!(served.read(&caller, &file).unwrap_err(), os(Errno::PERM));
    }
}

#[test]
fn a_thread_gets_its_own_identity_back() {
    if !is_root("a_thread_gets_its_own_identity_back") {
        return;
    }
    let served = Served::new();
    let own = identity();
    let member = with_groups(ALICE, [70_001, 70_002]);
    let file = served.create(&member, &served.root(), "f", 0o600);
    assert_eq!(identity(), own, "after an operation");
    {
        let _scope = IdentityScope::enter();
        served.fs.access(may_wait(&member), &file, all()).unwrap();
        let uid = format!("\t{ALICE}");
        assert!(identity()[0].ends_with(&uid), "within a scope the identity stays");
        // What is not open yet is opened with the process's rights, and then read as the caller.
        served.fs.close_idle();
        assert!(served.read(&member, &file).is_ok());
        assert_eq!(served.read(&user(BOB), &file).unwrap_err(), os(Errno::ACCESS));
        {
            let _inner = IdentityScope::enter();
            served.read(&member, &file).unwrap();
        }
    }
    assert_eq!(identity(), own, "after a scope");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut sink = |_| panic!("the receiver of a listing fails");
        let caller = with_groups(ALICE, [70_003]);
        served.fs.read_directory(may_wait(&caller), &served.root(), 0, true, &mut sink)
    }));
    assert!(panicked.is_err());
    assert_eq!(identity(), own, "after a panic");
    // A thread that is started within a scope starts with the caller's identity.
    let scope = IdentityScope::enter();
    served.read(&member, &file).unwrap();
    std::thread::scope(|threads| {
        let inherited = threads.spawn(|| {
            served.fs.attributes(may_wait(&root()), &file).unwrap();
            identity()
        });
        assert_eq!(inherited.join().unwrap(), own, "a new thread");
    });
    drop(scope);
}
