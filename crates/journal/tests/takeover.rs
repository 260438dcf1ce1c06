//! Several holders at once, each with an epoch of its own, in threads.
#![expect(clippy::panic, reason = "a test that goes wrong stops")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use standfast_journal::simulation::SimulatedStorage;
use standfast_journal::{
    Access, DirectoryStorage, Entry, FilesystemTraits, Journal, JournalError, OpenError, Opened,
    Options, Scope, SnapshotError, Storage, StorageFile,
};

fn options() -> Options {
    Options {
        segment_bytes: 1024,
        allocation_bytes: 512,
        reserve_bytes: 128 << 10,
        ..Options::default()
    }
}

/// Everything that happened: sequence and payload.
type History = Vec<(u64, Vec<u8>)>;

fn replay(
    opened: (Option<standfast_journal::StateRecords>, standfast_journal::Records),
) -> History {
    let state = opened.0.into_iter().flatten().filter_map(|record| {
        let (sequence, payload) = record.payload.split_first_chunk()?;
        Some((u64::from_le_bytes(*sequence), payload.to_vec()))
    });
    state.chain(opened.1.map(|record| (record.sequence, record.payload.to_vec()))).collect()
}

/// One holder: opens, appends, makes a snapshot now and then, until it is superseded. Gives what
/// it was told to be durable.
fn hold(storage: Arc<dyn Storage>, epoch: u64, rounds: u64) -> History {
    let Opened { journal, snapshot, records, .. } = match Journal::open(storage, epoch, options()) {
        Ok(opened) => opened,
        Err(OpenError::Superseded { .. } | OpenError::Contended) => return Vec::new(),
        Err(error) => panic!("epoch {epoch}: {error}"),
    };
    let mut history = replay((snapshot, records));
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        let payload = format!("epoch {epoch}, round {round}").into_bytes();
        let entry = Entry { tag: 0, payload: &payload, scope: Scope::Record };
        let result = journal.append(entry).and_then(|ticket| ticket.wait());
        match result {
            Ok(sequence) => {
                history.push((sequence, payload.clone()));
                acknowledged.push((sequence, payload));
            }
            Err(JournalError::Superseded { .. }) => break,
            Err(error) => panic!("epoch {epoch}: {error}"),
        }
        if round % 5 == 2 && journal.renew_reserve().is_err() {
            // Superseded, which the next record says.
            continue;
        }
        if round % 5 == 4 {
            let Ok(snapshot) = journal.start_snapshot() else { break };
            let written = snapshot.write(|writer| {
                history.iter().try_for_each(|(sequence, payload)| {
                    writer.push(0, &[&sequence.to_le_bytes()[..], payload].concat())
                })
            });
            match written {
                // A successor may have removed the file that was not complete yet.
                Ok(()) | Err(SnapshotError::Journal(_) | SnapshotError::Storage(_)) => {}
            }
        }
    }
    acknowledged
}

/// Something that another holder does before a call.
type Interruption = Arc<dyn Fn(u64) + Send + Sync>;

/// A storage that lets somebody else act before each call that its user makes, and counts them.
#[derive(Clone)]
struct Interrupted {
    inner: SimulatedStorage,
    calls: Arc<AtomicU64>,
    interruption: Interruption,
}

impl Interrupted {
    fn new(inner: &SimulatedStorage, interruption: impl Fn(u64) + Send + Sync + 'static) -> Self {
        Self { inner: inner.clone(), calls: Arc::default(), interruption: Arc::new(interruption) }
    }

    fn call(&self) {
        (self.interruption)(self.calls.fetch_add(1, Ordering::SeqCst));
    }

    fn file(&self, inner: Box<dyn StorageFile>) -> Box<dyn StorageFile> {
        Box::new(InterruptedFile { storage: self.clone(), inner })
    }
}

impl Storage for Interrupted {
    fn list(&self) -> io::Result<Vec<String>> {
        self.call();
        self.inner.list()
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn StorageFile>> {
        self.call();
        Ok(self.file(self.inner.open(name, access)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn StorageFile>> {
        self.call();
        Ok(self.file(self.inner.create(name)?))
    }

    fn publish(&self, from: &str, to: &str) -> io::Result<()> {
        self.call();
        self.inner.publish(from, to)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call();
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call();
        self.inner.remove(name)
    }

    fn sync(&self) -> io::Result<()> {
        self.call();
        self.inner.sync()
    }

    fn traits(&self) -> FilesystemTraits {
        self.inner.traits()
    }
}

struct InterruptedFile {
    storage: Interrupted,
    inner: Box<dyn StorageFile>,
}

impl StorageFile for InterruptedFile {
    fn read(&self) -> io::Result<Vec<u8>> {
        self.storage.call();
        self.inner.read()
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.storage.call();
        self.inner.write(offset, bytes)
    }

    fn length(&self) -> io::Result<u64> {
        self.storage.call();
        self.inner.length()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.storage.call();
        self.inner.truncate(length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.sync_all()
    }

    fn sync_filesystem(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.sync_filesystem()
    }

    fn touch(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.touch()
    }

    fn seal(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.seal()
    }

    fn unseal(&self) -> io::Result<()> {
        self.storage.call();
        self.inner.unseal()
    }

    fn is_sealed(&self) -> io::Result<bool> {
        self.storage.call();
        self.inner.is_sealed()
    }
}

/// Appends a record that fills a segment of its own; notes it if it is durable.
fn append_segment(journal: &Journal, acknowledged: &Mutex<History>) {
    let payload = vec![7; 900];
    let entry = Entry { tag: 0, payload: &payload, scope: Scope::Record };
    if let Ok(sequence) = journal.append(entry).and_then(|ticket| ticket.wait()) {
        acknowledged.lock().expect("no panic").push((sequence, payload));
    }
}

fn assert_replayed(seen: &History, acknowledged: &Mutex<History>, at: u64) {
    for told in acknowledged.lock().expect("no panic").iter() {
        assert!(seen.contains(told), "call {at}: {} was durable and is not replayed", told.0);
    }
}

/// More calls than an opening makes.
const MANY_CALLS: u64 = 400;

#[test]
fn a_holder_that_appends_before_any_call_of_its_successor_loses_nothing() {
    for count in [1, 3] {
        for at in 0..MANY_CALLS {
            let storage = SimulatedStorage::new(at);
            let old = Journal::open(Arc::new(storage.clone()), 1, options()).expect("new");
            let acknowledged = Arc::new(Mutex::new(History::new()));
            append_segment(&old.journal, &acknowledged);
            let noted = Arc::clone(&acknowledged);
            let interrupted = Interrupted::new(&storage, move |call| {
                if (at..at + count).contains(&call) {
                    append_segment(&old.journal, &noted);
                }
            });
            let opened = Journal::open(Arc::new(interrupted.clone()), 2, options());
            let opened = match opened {
                Ok(opened) => opened,
                Err(OpenError::Contended) => continue,
                Err(error) => panic!("call {at}: {error}"),
            };
            let calls = interrupted.calls.load(Ordering::SeqCst);
            let seen = replay((opened.snapshot, opened.records));
            assert_replayed(&seen, &acknowledged, at);
            drop(opened.journal);
            if calls < at {
                break;
            }
        }
    }
}

#[test]
fn a_holder_that_opens_before_any_call_of_a_later_one_loses_nothing() {
    for at in 0..MANY_CALLS {
        let storage = SimulatedStorage::new(at);
        let first = Journal::open(Arc::new(storage.clone()), 1, options()).expect("new");
        let acknowledged = Arc::new(Mutex::new(History::new()));
        append_segment(&first.journal, &acknowledged);
        let (inner, noted) = (storage.clone(), Arc::clone(&acknowledged));
        let second = Mutex::new(None);
        let interrupted = Interrupted::new(&storage, move |call| {
            let mut second = second.lock().expect("no panic");
            if call == at {
                *second = Journal::open(Arc::new(inner.clone()), 2, options()).ok();
            }
            if let Some(second) = second.as_ref().filter(|_| call < at + 3) {
                append_segment(&second.journal, &noted);
            }
        });
        let opened = Journal::open(Arc::new(interrupted.clone()), 3, options());
        let opened = match opened {
            Ok(opened) => opened,
            Err(OpenError::Contended) => continue,
            Err(error) => panic!("call {at}: {error}"),
        };
        let calls = interrupted.calls.load(Ordering::SeqCst);
        let seen = replay((opened.snapshot, opened.records));
        append_segment(&opened.journal, &acknowledged);
        drop(opened.journal);
        // And so it is for whoever comes next.
        let last = Journal::open(Arc::new(storage), 4, options()).expect("no damage");
        let seen_last = replay((last.snapshot, last.records));
        assert!(seen_last.starts_with(&seen), "call {at}: the log has changed");
        assert_replayed(&seen_last, &acknowledged, at);
        if calls < at {
            break;
        }
    }
}

fn contend(storage: &Arc<dyn Storage>, threads: u64, epochs: u64, rounds: u64) {
    let next = AtomicU64::new(1);
    let acknowledged = Mutex::new(History::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let epoch = next.fetch_add(1, Ordering::Relaxed);
                    if epoch > epochs {
                        break;
                    }
                    let told = hold(Arc::clone(storage), epoch, rounds);
                    acknowledged.lock().expect("no panic").extend(told);
                }
            });
        }
    });
    // Contention alone may have let nobody write: one that is by itself must be able to.
    let alone = hold(Arc::clone(storage), epochs + 1, rounds);
    assert_eq!(alone.len() as u64, rounds, "each record of one that is alone is durable");
    let opened = Journal::open(Arc::clone(storage), epochs + 2, options()).expect("no damage");
    let history = replay((opened.snapshot, opened.records));
    assert!(history.windows(2).all(|pair| pair[0].0 < pair[1].0), "each record once, in order");
    let mut acknowledged = acknowledged.into_inner().expect("no panic");
    acknowledged.extend(alone);
    acknowledged.sort();
    for told in &acknowledged {
        assert!(history.contains(told), "{} was durable and is gone", told.0);
    }
}

#[test]
fn whatever_one_of_many_holders_was_told_to_be_durable_is() {
    for seed in 0..20 {
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new(seed));
        contend(&storage, 4, 60, 12);
    }
}

#[test]
fn the_same_on_a_disk() {
    let directory = tempfile::tempdir().expect("a directory");
    let storage = DirectoryStorage::open(directory.path()).expect("the directory");
    let storage: Arc<dyn Storage> = Arc::new(storage);
    contend(&storage, 3, 12, 8);
}
