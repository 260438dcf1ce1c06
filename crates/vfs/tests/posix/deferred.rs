//! Changes that are made stable together.

use std::os::fd::AsFd;

use rustix::fs::FallocateFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use standfast_vfs::{
    Caller, Context, CreateHow, CreateKind, Deferred, Error, FileSystem, Handle, Stability,
};

use crate::common::*;
use crate::confinement::with_private_mounts;
use crate::images::*;

fn deferring<'a>(caller: &'a Caller, deferred: &'a Deferred) -> Context<'a> {
    Context { deferred: Some(deferred), ..may_wait(caller) }
}

/// Writes a block to a file as stably as wanted, but later.
fn write(served: &Served, file: &Handle, byte: u8, stability: Stability) -> Deferred {
    let (caller, deferred) = (root(), Deferred::default());
    let context = deferring(&caller, &deferred);
    served.fs.write(context, file, 0, &[byte; 4096], stability).result.unwrap();
    deferred
}

/// A group of changes of all kinds, some of the same objects.
pub(crate) fn changes_of_many_requests(served: &Served) {
    let (fs, caller, top) = (&served.fs, root(), served.root());
    let group = served.mkdir(&caller, &top, "group", 0o755);
    let mut changes = Vec::new();
    for number in 0..4 {
        let deferred = Deferred::default();
        let context = deferring(&caller, &deferred);
        let name = |what: &str| format!("{what}{number}").into_bytes();
        let how = CreateHow::Guarded(mode(0o600));
        let file = fs.create(context, &group, &name("file"), &how).result.unwrap().handle;
        for stability in [Stability::DataSync, Stability::FileSync, Stability::Unstable] {
            fs.write(context, &file, 4096 * number, b"stable", stability).result.unwrap();
        }
        fs.commit(context, &file).result.unwrap();
        for (what, kind) in [
            ("directory", CreateKind::Directory),
            ("link", CreateKind::Symlink(b"target".to_vec())),
            ("fifo", CreateKind::Fifo),
        ] {
            fs.make(context, &group, &name(what), &kind, &mode(0o700)).result.unwrap();
        }
        fs.set_attributes(context, &file, &mode(0o640), None).result.unwrap();
        fs.rename(context, (&group, &name("file")), (&top, &name("file"))).result.unwrap();
        fs.link(context, &file, &group, &name("file")).result.unwrap();
        fs.remove(context, &top, &name("file")).result.unwrap();
        assert!(!deferred.is_empty());
        changes.push(deferred.take());
        assert!(deferred.is_empty());
    }
    let removed = served.create(&caller, &group, "removed", 0o600);
    let deferred = write(served, &removed, 1, Stability::FileSync);
    fs.remove(deferring(&caller, &deferred), &group, b"removed").result.unwrap();
    changes.extend([deferred, Deferred::default()]);
    assert_eq!(fs.make_stable(changes), vec![Ok(()); 6]);
    // What waited for its flush is not held open any more.
    await_gone(fs, &removed);
    assert_eq!(served.list(&group, 100, false).len(), 2 + 4 * 4);
    assert_eq!((fs.lost_writes(), fs.make_stable(Vec::new())), (0, Vec::new()));
}

/// A disk in memory of which one block, that of a file named `bad`, cannot be written for a while.
struct BadBlock {
    image: Image,
    place: tempfile::TempDir,
}

impl BadBlock {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let size = Some(c"size=20m");
        mount("tmpfs", place.path(), "tmpfs", MountFlags::empty(), size).unwrap();
        let image = Image::on(place.path(), EXT4_SMALL);
        // All of it has its place in memory.
        let file = std::fs::File::options().write(true).open(image.file()).unwrap();
        let length = EXT4_SMALL.bytes();
        rustix::fs::fallocate(file.as_fd(), FallocateFlags::empty(), 0, length).unwrap();
        image.mount();
        Self { image, place }
    }

    /// Takes the block with this content its place in memory, and all other memory.
    fn go_bad(&self, content: &[u8; 4096]) {
        let bytes = std::fs::read(self.image.file()).unwrap();
        let at = bytes.chunks(4096).position(|block| block == content).unwrap();
        let file = std::fs::File::options().write(true).open(self.image.file()).unwrap();
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(file.as_fd(), flags, at as u64 * 4096, 4096).unwrap();
        std::fs::write(self.filler(), &bytes).unwrap_err();
    }

    fn recover(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> std::path::PathBuf {
        self.place.path().join("filler")
    }
}

impl Drop for BadBlock {
    fn drop(&mut self) {
        self.image.umount();
        unmount(self.place.path(), UnmountFlags::DETACH).unwrap();
    }
}

#[test]
fn a_failed_flush_fails_all_that_it_served() {
    if !is_root("a_failed_flush_fails_all_that_it_served") {
        return;
    }
    with_private_mounts(|| {
        let disk = BadBlock::new();
        let served = Served::at(&disk.image.point());
        let (fs, caller, top) = (&served.fs, root(), served.root());
        let [good, bad] = ["good", "bad"].map(|name| served.create(&caller, &top, name, 0o600));
        let before = [
            write(&served, &good, 1, Stability::FileSync),
            write(&served, &bad, 0xBD, Stability::FileSync),
        ];
        assert_eq!(fs.make_stable(before.into()), [Ok(()), Ok(())]);
        disk.go_bad(&[0xBD; 4096]);
        let created = Deferred::default();
        let how = CreateHow::Guarded(mode(0o600));
        fs.create(deferring(&caller, &created), &top, b"new", &how).result.unwrap();
        let changes = vec![
            write(&served, &good, 2, Stability::FileSync),
            write(&served, &bad, 3, Stability::DataSync),
            created,
            write(&served, &bad, 4, Stability::FileSync),
            Deferred::default(),
        ];
        // This one's data is what the flush of the others fails to write.
        let late = write(&served, &bad, 5, Stability::FileSync);
        let stable: Vec<_> = fs.make_stable(changes).iter().map(Result::is_ok).collect();
        assert_eq!(stable, [true, false, true, false, true]);
        assert_eq!(fs.lost_writes(), 1);
        // The storage tells the error once only; it is not forgotten.
        assert_eq!(fs.make_stable(vec![late]), [Err(os(rustix::io::Errno::IO))]);
        disk.recover();
        let again = write(&served, &bad, 6, Stability::DataSync);
        assert_eq!(fs.make_stable(vec![again]), [Ok(())]);
        assert_eq!(fs.lost_writes(), 1);
    });
}

#[test]
fn a_deferred_write_that_nobody_flushes_is_not_forgotten() {
    if !is_root("a_deferred_write_that_nobody_flushes_is_not_forgotten") {
        return;
    }
    with_private_mounts(|| {
        let disk = BadBlock::new();
        let served = Served::at(&disk.image.point());
        let bad = served.create(&root(), &served.root(), "bad", 0o600);
        let before = write(&served, &bad, 0xBD, Stability::FileSync);
        assert_eq!(served.fs.make_stable(vec![before]), [Ok(())]);
        disk.go_bad(&[0xBD; 4096]);
        let dropped = write(&served, &bad, 1, Stability::FileSync);
        // The kernel writes back by itself, and fails.
        let file = std::fs::File::open(disk.image.point().join("bad")).unwrap();
        file.sync_all().unwrap_err();
        drop(dropped);
        served.fs.close_idle();
        assert_eq!(served.fs.lost_writes(), 1);
    });
}

fn storage_that_is_gone(kind: Kind) {
    if !is_root(kind.name) {
        return;
    }
    with_private_mounts(|| {
        let image = Image::new(kind);
        image.mount();
        let served = Served::at(&image.point());
        let (fs, caller, top) = (&served.fs, root(), served.root());
        let file = served.create(&caller, &top, "f", 0o600);
        let changed = Deferred::default();
        let set = mode(0o640);
        fs.set_attributes(deferring(&caller, &changed), &file, &set, None).result.unwrap();
        let written = write(&served, &file, 1, Stability::FileSync);
        image.cut_power();
        let gone: Result<(), Error> = Err(os(rustix::io::Errno::IO));
        assert_eq!(
            fs.make_stable(vec![changed, Deferred::default(), written]),
            [gone.clone(), Ok(()), gone]
        );
        assert!(fs.lost_writes() > 0);
        drop(served);
        image.umount();
    });
}

#[test]
fn storage_that_is_gone_on_ext4() {
    storage_that_is_gone(EXT4);
}

#[test]
fn storage_that_is_gone_on_xfs() {
    storage_that_is_gone(XFS);
}
