//! Nothing is changed without the permit of whoever holds the storage.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;
use standfast_vfs::{Error, FileSystem, Permit, Stability, Verdict};

use crate::common::*;

/// A permit that the test decides on.
#[derive(Default)]
struct Decided(AtomicU8);

const GRANTED: u8 = 0;
const LATER: u8 = 1;
const ENDED: u8 = 2;

impl Permit for Decided {
    fn ask(&self) -> Verdict {
        match self.0.load(Ordering::SeqCst) {
            GRANTED => Verdict::Granted,
            LATER => Verdict::Later,
            _ => Verdict::Ended,
        }
    }
}

#[test]
fn what_was_begun_changes_nothing_once_the_permit_has_ended() {
    if !is_root("what_was_begun_changes_nothing_once_the_permit_has_ended") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let context = may_wait(&alice);
    let permit = Arc::new(Decided::default());
    served.fs.set_permit(Arc::clone(&permit) as _);
    let file = served.create(&alice, &top, "f", 0o600);
    served.write(&alice, &file, b"before").unwrap();
    permit.0.store(ENDED, Ordering::SeqCst);
    let ended = Err(Error::Os(Errno::IO));
    for stability in [Stability::Unstable, Stability::FileSync] {
        let written = served.fs.write(context, &file, 0, b"after!", stability);
        assert_eq!(written.result.map(drop), ended);
    }
    assert_eq!(served.fs.remove(context, &top, b"f").result, ended);
    assert_eq!(served.fs.rename(context, (&top, b"f"), (&top, b"g")).result, ended);
    assert_eq!(served.fs.link(context, &file, &top, b"g").result.map(drop), ended);
    assert_eq!(std::fs::read(served.path.join("f")).unwrap(), b"before");
    assert!(!served.path.join("g").exists());
    permit.0.store(GRANTED, Ordering::SeqCst);
    served.fs.remove(context, &top, b"f").result.unwrap();
}

#[test]
fn a_change_waits_for_its_permit_where_it_may_wait() {
    if !is_root("a_change_waits_for_its_permit_where_it_may_wait") {
        return;
    }
    let served = Served::new();
    let (alice, top) = (user(ALICE), served.root());
    let permit = Arc::new(Decided::default());
    served.fs.set_permit(Arc::clone(&permit) as _);
    let file = served.create(&alice, &top, "f", 0o600);
    served.write(&alice, &file, b"before").unwrap();
    permit.0.store(LATER, Ordering::SeqCst);
    let at_once = served.fs.write(never(&alice), &file, 0, b"after!", Stability::Unstable);
    assert_eq!(at_once.result.map(drop), Err(Error::WouldBlock));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| served.write(&alice, &file, b"after!"));
        assert_eq!(std::fs::read(served.path.join("f")).unwrap(), b"before");
        permit.0.store(GRANTED, Ordering::SeqCst);
        writer.join().unwrap().unwrap();
    });
    assert_eq!(std::fs::read(served.path.join("f")).unwrap(), b"after!");
}
