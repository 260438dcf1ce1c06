//! What is left of changes after a power cut.

use standfast_vfs::{
    Context, CreateHow, Deferred, Error, FileSystem, Found, Handle, SetAttributes, Stability,
};

use crate::common::*;
use crate::confinement::with_private_mounts;
use crate::images::*;

/// When changes are made stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushed {
    /// Each one when it is done.
    Each,
    /// All when all are done.
    Together,
    /// They are not.
    Never,
}

/// Changes a new filesystem in every way and has it lose all that is not on the disk, then looks
/// at it.
fn after_a_power_cut<T: Send>(
    kind: Kind,
    flushed: Flushed,
    look: impl FnOnce(&Served, &[Handle]) -> T + Send,
) -> T {
    let mut seen = None;
    with_private_mounts(|| {
        let image = Image::new(kind);
        image.mount();
        let handles = change_in_every_way(&Served::at(&image.point()), flushed);
        image.cut_power();
        image.umount();
        image.mount();
        seen = Some(look(&Served::at(&image.point()), &handles));
        image.umount();
    });
    seen.unwrap()
}

/// Each change is in directories of its own, so that none is made stable by the next one's chance.
fn change_in_every_way(served: &Served, flushed: Flushed) -> Vec<Handle> {
    let (fs, caller, top) = (&served.fs, root(), served.root());
    let directory = |name: &str| served.mkdir(&caller, &top, name, 0o755);
    let prepared: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(directory).into();
    let [a, b, c, d, e, f] = prepared[..] else { panic!("six directories") };
    let removed = served.create(&caller, &b, "removed", 0o644);
    let renamed = served.create(&caller, &c, "renamed", 0o644);
    let changed = served.create(&caller, &e, "changed", 0o644);
    let [data, committed] = ["data", "committed"].map(|name| {
        let file = served.create(&caller, &e, name, 0o644);
        fs.write(may_wait(&caller), &file, 0, b"before", Stability::FileSync).result.unwrap();
        file
    });
    let link = served.symlink(&caller, &f, "link", "target");
    let changes: Vec<_> = (0..10).map(|_| Deferred::default()).collect();
    let context = |change: usize| {
        let deferred = (flushed != Flushed::Each).then(|| &changes[change]);
        Context { deferred, ..may_wait(&caller) }
    };
    // The last changes are each in another directory: none of them may be lost.
    let how = CreateHow::Guarded(mode(0o640));
    let created = fs.create(context(0), &a, b"created", &how).result.unwrap().handle;
    let write = |change, file, stability| {
        let written = fs.write(context(change), file, 0, b"stable", stability);
        assert_eq!(written.result.unwrap(), stability);
    };
    write(1, &created, Stability::FileSync);
    fs.link(context(2), &created, &d, b"linked").result.unwrap();
    fs.rename(context(3), (&c, b"renamed"), (&d, b"renamed")).result.unwrap();
    fs.set_attributes(context(4), &changed, &mode(0o600), None).result.unwrap();
    let owner = SetAttributes { uid: Some(ALICE), ..SetAttributes::default() };
    fs.set_attributes(context(5), &link, &owner, None).result.unwrap();
    write(6, &data, Stability::DataSync);
    served.write(&caller, &committed, b"stable").unwrap();
    fs.commit(context(7), &committed).result.unwrap();
    let how = CreateHow::Exclusive([3; 8]);
    let exclusive = fs.create(context(8), &f, b"exclusive", &how).result.unwrap().handle;
    fs.remove(context(9), &b, b"removed").result.unwrap();
    await_gone(fs, &removed);
    assert!(changes.iter().all(|change| change.is_empty() == (flushed == Flushed::Each)));
    if flushed == Flushed::Together {
        assert_eq!(fs.make_stable(changes), vec![Ok(()); 10]);
    }
    vec![created, renamed, changed, link, exclusive]
}

fn find(served: &Served, directory: &str, name: &str) -> Result<Found, Error> {
    let caller = root();
    let directory = served.lookup(&caller, &served.root(), directory)?.handle;
    served.lookup(&caller, &directory, name)
}

fn content(served: &Served, directory: &str, name: &str) -> Vec<u8> {
    served.read(&root(), &find(served, directory, name).unwrap().handle).unwrap()
}

fn find_every_change(served: &Served, handles: &[Handle]) {
    let (caller, top) = (root(), served.root());
    let find = |directory, name| find(served, directory, name);
    let names = [("a", "created"), ("d", "renamed"), ("e", "changed"), ("f", "link")];
    for ((directory, name), handle) in names.into_iter().zip(handles) {
        assert_eq!(find(directory, name).unwrap().handle, *handle, "{name}");
    }
    for (directory, name) in [("a", "created"), ("e", "data"), ("e", "committed")] {
        assert_eq!(content(served, directory, name), b"stable", "{name}");
    }
    assert_eq!(find("d", "linked").unwrap().handle, handles[0]);
    assert!(find("c", "renamed").is_err() && find("b", "removed").is_err());
    assert_eq!(find("e", "changed").unwrap().attributes.mode, 0o600);
    assert_eq!(find("f", "link").unwrap().attributes.uid, ALICE);
    let directory = served.lookup(&caller, &top, "f").unwrap().handle;
    let how = CreateHow::Exclusive([3; 8]);
    let again = served.fs.create(may_wait(&caller), &directory, b"exclusive", &how);
    assert_eq!(again.result.unwrap().handle, handles[4]);
}

/// Whether each single change is lost.
fn is_as_before(served: &Served, _: &[Handle]) -> bool {
    let find = |directory, name| find(served, directory, name);
    let new = [("a", "created"), ("d", "linked"), ("d", "renamed"), ("f", "exclusive")];
    let old = [("c", "renamed"), ("b", "removed")];
    new.iter().all(|(directory, name)| find(directory, name).is_err())
        && old.iter().all(|(directory, name)| find(directory, name).is_ok())
        && ["data", "committed"].iter().all(|name| content(served, "e", name) == b"before")
        && find("e", "changed").unwrap().attributes.mode == 0o644
        && find("f", "link").unwrap().attributes.uid == 0
}

fn a_power_cut_on_new(kind: Kind) {
    if !is_root(kind.name) {
        return;
    }
    after_a_power_cut(kind, Flushed::Each, find_every_change);
    after_a_power_cut(kind, Flushed::Together, find_every_change);
    // Nothing flushes what was deferred behind our back. Somebody else on the machine may by
    // chance (`sync(2)`), but not always.
    let is_lost = || after_a_power_cut(kind, Flushed::Never, is_as_before);
    assert!((0..20).any(|_| is_lost()), "deferred changes are always stable already");
}

#[test]
fn a_power_cut_on_ext4() {
    a_power_cut_on_new(EXT4);
}

#[test]
fn a_power_cut_on_ext4_with_fast_commit() {
    a_power_cut_on_new(EXT4_FAST_COMMIT);
}

#[test]
fn a_power_cut_on_xfs() {
    a_power_cut_on_new(XFS);
}
