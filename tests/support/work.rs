//! Work of real clients that may be done exactly once: a second time would fail, or be counted.

use std::path::Path;
use std::time::Duration;

use standfast_lab::{Guest, GuestProcess};

use crate::Result;
use crate::guests::MOUNT;

/// How long the work may take to come to its end.
const LIMIT: Duration = Duration::from_secs(900);

/// Works on the mount, once at least, until `/tmp/stop` is there: `work.py NAME`. Everything that it
/// does may be done exactly once: a second time would fail, or be counted. It prints how often it
/// went round.
const WORK: &str = r"
import fcntl, os, sys
me, rounds = sys.argv[1], 0
def put(path, text, flags):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(file, text.encode()); os.fsync(file); os.close(file)
while rounds == 0 or not os.path.exists('/tmp/stop'):
    # One holder at a time, of both guests.
    with open('counter', 'r+') as counter:
        fcntl.lockf(counter, fcntl.LOCK_EX)
        put('holder', me, os.O_EXCL)
        value = int(counter.read() or 0)
        counter.seek(0); counter.write(str(value + 1)); counter.flush()
        assert open('holder').read() == me
        os.unlink('holder')
        fcntl.lockf(counter, fcntl.LOCK_UN)
    # Names, each made once and taken away once.
    base = '%s-%d' % (me, rounds)
    os.mkdir(base)
    put(base + '/file', base, os.O_EXCL)
    os.link(base + '/file', base + '/link')
    os.symlink(base, base + '/soft')
    os.rename(base, base + '-renamed')
    assert open(base + '-renamed/link').read() == base
    for name in ('file', 'link', 'soft'):
        os.unlink(base + '-renamed/' + name)
    os.rmdir(base + '-renamed')
    put(me + '.log', '%d\n' % rounds, os.O_APPEND)
    rounds += 1
print(rounds)
";

/// The work of one guest.
pub struct Work<'a> {
    guest: &'a Guest,
    name: &'a str,
    process: GuestProcess,
}

impl<'a> Work<'a> {
    /// Begins, in the directory that [`prepare`] has prepared and the guest has mounted.
    ///
    /// # Errors
    /// If the guest cannot be reached.
    pub fn start(guest: &'a Guest, name: &'a str) -> Result<Self> {
        guest.push("/tmp/work.py", WORK.as_bytes())?;
        let process = guest.spawn(&format!("cd {MOUNT}; python3 /tmp/work.py {name}"))?;
        Ok(Self { guest, name, process })
    }
}

/// Makes what all work together on.
///
/// # Errors
/// What the filesystem says.
pub fn prepare(directory: &Path) -> Result {
    Ok(std::fs::write(directory.join("counter"), b"")?)
}

/// Lets the work come to its end, and looks whether all of it was done, and each part once.
///
/// # Errors
/// What a guest failed with.
///
/// # Panics
/// If something is missing, or was done twice.
pub fn finish(works: &[Work<'_>], directory: &Path) -> Result {
    for work in works {
        work.guest.run(": >/tmp/stop")?.ok()?;
    }
    let mut total = 0;
    for Work { name, process, .. } in works {
        let rounds: u64 = process.wait(LIMIT)?.ok()?.trim().parse()?;
        let log = std::fs::read_to_string(directory.join(format!("{name}.log")))?;
        let expected: String = (0..rounds).map(|round| format!("{round}\n")).collect();
        assert_eq!(log, expected, "the log of {name}");
        total += rounds;
    }
    assert!(total > 0);
    let counter = std::fs::read_to_string(directory.join("counter"))?;
    assert_eq!(counter, total.to_string(), "rounds that were counted under the lock");
    let mut left: Vec<_> = std::fs::read_dir(directory)?
        .map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()))
        .collect::<std::io::Result<_>>()?;
    left.retain(|name| !name.starts_with('.'));
    left.sort();
    let logs = works.iter().map(|work| format!("{}.log", work.name));
    let mut expected: Vec<String> = std::iter::once("counter".to_owned()).chain(logs).collect();
    expected.sort();
    assert_eq!(left, expected);
    Ok(())
}
