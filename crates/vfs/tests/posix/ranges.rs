//! Holes, reserved space and copies.

use std::path::Path;

use rustix::io::Errno;
use standfast_vfs::{Advice, Content, FileSystem, Handle, Ranges, Stability};

use crate::common::*;
use crate::confinement::with_private_mounts;
use crate::images::*;

const BLOCK: u64 = 65_536;

fn served_file(served: &Served, name: &str, data: &[u8]) -> Handle {
    let alice = user(ALICE);
    let file = served.create(&alice, &served.root(), name, 0o644);
    served.fs.write(may_wait(&alice), &file, 0, data, Stability::FileSync).result.unwrap();
    file
}

fn content(served: &Served, file: &Handle, length: u64) -> Vec<u8> {
    let mut data = vec![0xFF; usize::try_from(length).unwrap()];
    let read = served.fs.read(may_wait(&user(ALICE)), file, 0, &mut data).unwrap();
    data.truncate(read.length);
    data
}

/// Holes are made, found and filled.
fn holes_on(place: &Path) {
    let served = Served::on(place);
    let (alice, bob) = (user(ALICE), user(BOB));
    let (fs, context) = (&served.fs, may_wait(&alice));
    let file = served_file(&served, "f", &[7; 4 * BLOCK as usize]);
    let seek = |offset, what| fs.seek(context, &file, offset, what);
    assert_eq!(seek(0, Content::Hole), Ok(Some(4 * BLOCK)));
    let refused = fs.deallocate(may_wait(&bob), &file, BLOCK, BLOCK);
    assert_eq!(refused.result.unwrap_err(), os(Errno::ACCESS));
    let punched = fs.deallocate(context, &file, BLOCK, BLOCK);
    punched.result.unwrap();
    assert!(punched.before.unwrap().change < punched.after.as_ref().unwrap().change);
    assert_eq!(punched.after.unwrap().size, 4 * BLOCK);
    assert_eq!(seek(0, Content::Hole), Ok(Some(BLOCK)));
    assert_eq!(seek(BLOCK, Content::Data), Ok(Some(2 * BLOCK)));
    assert_eq!(seek(3 * BLOCK + 5, Content::Data), Ok(Some(3 * BLOCK + 5)));
    let data = content(&served, &file, 4 * BLOCK);
    assert!(data[BLOCK as usize..2 * BLOCK as usize].iter().all(|&byte| byte == 0));
    assert_eq!(data.iter().filter(|&&byte| byte == 7).count(), 3 * BLOCK as usize);
    fs.deallocate(context, &file, 3 * BLOCK, u64::MAX).result.unwrap();
    assert_eq!(seek(3 * BLOCK, Content::Data), Ok(None));
    assert_eq!(fs.attributes(context, &file).unwrap().size, 4 * BLOCK);
    for beyond in [4 * BLOCK, u64::MAX] {
        assert_eq!(seek(beyond, Content::Data), Err(os(Errno::NXIO)));
        assert_eq!(seek(beyond, Content::Hole), Err(os(Errno::NXIO)));
    }
    for (offset, length) in [(u64::MAX, 1), (1, u64::MAX), (i64::MAX as u64, 1)] {
        let large = fs.allocate(context, &file, offset, length);
        assert_eq!(large.result.unwrap_err(), os(Errno::FBIG));
    }
    for advice in [Advice::WillNeed, Advice::DontNeed] {
        fs.advise(context, &file, 0, 0, advice).unwrap();
    }
    let directory = fs.seek(context, &served.root(), 0, Content::Data);
    assert_eq!(directory, Err(os(Errno::ISDIR)));
}

fn reserving_on(place: &Path) {
    let served = Served::on(place);
    let alice = user(ALICE);
    let context = may_wait(&alice);
    let file = served_file(&served, "f", b"data");
    let reserved = served.fs.allocate(context, &file, BLOCK, BLOCK);
    reserved.result.unwrap();
    let after = reserved.after.unwrap();
    assert_eq!(after.size, 2 * BLOCK);
    assert!(after.used >= BLOCK);
    let full = served.fs.allocate(context, &file, 0, 1 << 40).result.unwrap_err();
    assert!([os(Errno::NOSPC), os(Errno::FBIG)].contains(&full), "{full}");
}

/// Copies, whatever way the filesystem does it.
fn copying_on(place: &Path) {
    let served = Served::on(place);
    let (alice, bob) = (user(ALICE), user(BOB));
    let context = may_wait(&alice);
    let source: Vec<u8> = (0..3 * BLOCK + 5).map(|at| at as u8 ^ (at >> 9) as u8).collect();
    let from = served_file(&served, "from", &source);
    let to = served_file(&served, "to", b"");
    let refused = served.fs.copy_range(may_wait(&bob), (&from, 0), (&to, 0), BLOCK);
    assert_eq!(refused.result.unwrap_err(), os(Errno::ACCESS));
    let mut copied = 0;
    loop {
        let length = source.len() as u64 - copied + 100;
        let slice = served.fs.copy_range(context, (&from, copied), (&to, copied + 3), length);
        match slice.result.unwrap() {
            0 => break,
            more => copied += more,
        }
    }
    assert_eq!(copied, source.len() as u64);
    assert_eq!(content(&served, &to, 4 * BLOCK)[3..], source);
    served.fs.commit(context, &to).result.unwrap();
    for range in [(u64::MAX, 0), (0, u64::MAX)] {
        let large = served.fs.copy_range(context, (&from, range.0), (&to, range.1), 1);
        assert_eq!(large.result.unwrap_err(), os(Errno::FBIG));
    }
}

fn cloning_on(place: &Path) {
    let served = Served::on(place);
    let (alice, bob) = (user(ALICE), user(BOB));
    let (fs, context) = (&served.fs, may_wait(&alice));
    let source = [3; 4 * BLOCK as usize];
    let from = served_file(&served, "from", &source);
    let to = served_file(&served, "to", b"before");
    let refused = fs.clone_range(may_wait(&bob), (&from, 0), (&to, 0), 0);
    assert_eq!(refused.result.unwrap_err(), os(Errno::ACCESS));
    let uneven = fs.clone_range(context, (&from, 1), (&to, 0), BLOCK);
    assert_eq!(uneven.result.unwrap_err(), os(Errno::INVAL));
    fs.clone_range(context, (&from, BLOCK), (&to, 0), BLOCK).result.unwrap();
    assert_eq!(content(&served, &to, BLOCK), source[..BLOCK as usize]);
    let cloned = fs.clone_range(context, (&from, 0), (&to, 0), 0);
    cloned.result.unwrap();
    assert_eq!(cloned.after.unwrap().size, 4 * BLOCK);
    served.write(&alice, &from, b"changed").unwrap();
    assert_eq!(content(&served, &to, 8 * BLOCK), source);
}

/// On a new filesystem of this kind.
fn on_new(kind: Kind, test: impl FnOnce(&Path) + Send) {
    if !is_root(kind.name) {
        return;
    }
    with_private_mounts(|| {
        let image = Image::new(kind);
        image.mount();
        test(&image.point());
        image.umount();
    });
}

#[test]
fn ranges_on_tmpfs() {
    if is_root("ranges_on_tmpfs") {
        let place = Path::new("/dev/shm");
        holes_on(place);
        copying_on(place);
        let served = Served::on(place);
        let (from, to) = (served_file(&served, "f", b"f"), served_file(&served, "t", b""));
        let alice = user(ALICE);
        let cloned = served.fs.clone_range(may_wait(&alice), (&from, 0), (&to, 0), 0);
        assert_eq!(cloned.result.unwrap_err(), os(Errno::OPNOTSUPP));
    }
}

#[test]
fn ranges_on_ext4() {
    on_new(EXT4, |place| {
        holes_on(place);
        reserving_on(place);
        copying_on(place);
    });
}

#[test]
fn ranges_on_xfs() {
    on_new(XFS, |place| {
        holes_on(place);
        reserving_on(place);
        copying_on(place);
        cloning_on(place);
    });
}

#[test]
fn ranges_on_btrfs() {
    on_new(BTRFS, |place| {
        holes_on(place);
        reserving_on(place);
        copying_on(place);
        cloning_on(place);
    });
}
