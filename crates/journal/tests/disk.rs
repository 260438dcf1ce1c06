//! The journal in a directory of this machine.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong stops")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use standfast_journal::{
    DirectoryStorage, Entry, FilesystemTraits, Flusher, HeaderError, Journal, JournalError,
    LogFlusher, OpenError, Opened, Options, Scope, Shown, SnapshotError, StorageFile, inspect,
    verify,
};

fn open_with(directory: &Path, epoch: u64, options: Options) -> Result<Opened, OpenError> {
    let storage = DirectoryStorage::open(directory).unwrap();
    Journal::open(Arc::new(storage), epoch, options)
}

fn open(directory: &Path, epoch: u64) -> Result<Opened, OpenError> {
    open_with(directory, epoch, Options::default())
}

fn entry(payload: &[u8]) -> Entry<'_> {
    Entry { tag: 3, payload, scope: Scope::Record }
}

fn payloads(opened: Opened) -> Vec<Vec<u8>> {
    opened.records.map(|record| record.payload.to_vec()).collect()
}

fn only_file(directory: &Path) -> std::path::PathBuf {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.remove(0)
}

/// A flusher that a test holds, counts and fails.
#[derive(Default)]
struct Gate {
    is_held: Mutex<bool>,
    released: Condvar,
    arrived: Condvar,
    flushes: AtomicUsize,
    fails: AtomicBool,
    scopes: Mutex<Vec<Scope>>,
}

impl Gate {
    fn hold(&self) {
        *self.is_held.lock().unwrap() = true;
    }

    fn release(&self) {
        *self.is_held.lock().unwrap() = false;
        self.released.notify_all();
    }

    /// Blocks until this many flushes have begun.
    fn await_flushes(&self, count: usize) {
        let held = self.is_held.lock().unwrap();
        let is_early = |_: &mut bool| self.flushes.load(Ordering::SeqCst) < count;
        let limit = std::time::Duration::from_secs(60);
        let (_held, timeout) = self.arrived.wait_timeout_while(held, limit, is_early).unwrap();
        assert!(!timeout.timed_out(), "no flush comes");
    }
}

impl Flusher for Gate {
    fn flush(
        &self,
        file: &dyn StorageFile,
        scope: Scope,
        filesystem: FilesystemTraits,
    ) -> io::Result<()> {
        let held = self.is_held.lock().unwrap();
        self.flushes.fetch_add(1, Ordering::SeqCst);
        self.scopes.lock().unwrap().push(scope);
        self.arrived.notify_all();
        drop(self.released.wait_while(held, |held| *held).unwrap());
        if self.fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(5));
        }
        LogFlusher.flush(file, scope, filesystem)
    }
}

fn gated() -> (Arc<Gate>, Options) {
    let gate = Arc::new(Gate::default());
    (Arc::clone(&gate), Options { flusher: gate, ..Options::default() })
}

#[test]
fn what_was_appended_is_replayed_by_the_next_epoch_and_refused_to_an_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let opened = open(directory.path(), 5).unwrap();
    assert_eq!(opened.report.previous_epoch, None);
    for payload in [&b"one"[..], b"", b"three"] {
        opened.journal.append(entry(payload)).unwrap().wait().unwrap();
    }
    opened.journal.close().unwrap();

    for epoch in [4, 5] {
        let refused = open(directory.path(), epoch).map(drop).unwrap_err();
        assert!(matches!(refused, OpenError::Superseded { found: 5, .. }));
    }
    let opened = open(directory.path(), 6).unwrap();
    assert_eq!(opened.report.previous_epoch, Some(5));
    assert_eq!(opened.report.torn_tail, None);
    let found: Vec<_> = opened.records.collect();
    let heads: Vec<_> = found.iter().map(|r| (r.epoch, r.sequence, r.tag)).collect();
    assert_eq!(heads, [(5, 2, 3), (5, 3, 3), (5, 4, 3)]);
    assert_eq!(found[2].payload, &b"three"[..]);
}

#[test]
fn one_flush_serves_all_who_come_while_another_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, options) = gated();
    let Opened { journal, .. } = open_with(directory.path(), 1, options).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    gate.hold();
    journal.append(entry(b"first")).unwrap().on_durable(|result| assert!(result.is_ok()));
    gate.await_flushes(1);
    std::thread::scope(|scope| {
        for number in 0..20u8 {
            let ticket = journal.append(entry(&[number])).unwrap();
            if number % 2 == 0 {
                let tell = tell.clone();
                ticket.on_durable(move |result| tell.send(result.unwrap()).unwrap());
            } else {
                scope.spawn(|| ticket.wait().unwrap());
            }
        }
        assert_eq!(journal.durable_sequence(), 1);
        gate.release();
    });
    journal.barrier().wait().unwrap();
    assert_eq!(journal.durable_sequence(), journal.appended_sequence());
    assert_eq!(gate.flushes.load(Ordering::SeqCst), 2);
    // The last call back may still be under way; with it goes the last sender.
    drop(tell);
    assert!(told.iter().eq((0..10).map(|even| 3 + 2 * even)));
}

#[test]
fn a_failed_flush_stops_the_journal_for_good() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, options) = gated();
    let Opened { journal, .. } = open_with(directory.path(), 1, options).unwrap();
    journal.append(entry(b"durable")).unwrap().wait().unwrap();
    let stopped = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&stopped);
    journal.watch(move |progress| {
        seen.fetch_add(usize::from(progress.is_err()), Ordering::SeqCst);
    });
    gate.hold();
    gate.fails.store(true, Ordering::SeqCst);
    let waiting = std::thread::scope(|scope| {
        let first = journal.append(entry(b"in the flush")).unwrap();
        let first = scope.spawn(|| first.wait());
        gate.await_flushes(2);
        let second = journal.append(entry(b"behind it")).unwrap();
        let second = scope.spawn(|| second.wait());
        gate.release();
        [first.join().unwrap(), second.join().unwrap()]
    });
    assert!(waiting.iter().all(|result| matches!(result, Err(JournalError::Storage(_)))));
    assert!(matches!(journal.append(entry(b"later")).map(drop), Err(JournalError::Storage(_))));
    assert!(journal.barrier().wait().is_err());
    assert_eq!(journal.durable_sequence(), 2);
    assert_eq!(stopped.load(Ordering::SeqCst), 1);
    assert!(journal.close().is_err());
}

#[test]
fn a_ticket_is_a_future() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), 1).unwrap();
    let tickets: Vec<_> =
        (0..50u8).map(|number| journal.append(entry(&[number])).unwrap()).collect();
    let joined = futures_util::future::join_all(tickets);
    let results = block_on(joined);
    let sequences: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    assert_eq!(sequences, (2..52).collect::<Vec<_>>());
    assert_eq!(journal.durable_sequence(), 51);
}

/// A waker that remembers that it was used.
#[derive(Default)]
struct Woken(Mutex<bool>, Condvar);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn a_barrier_and_the_record_before_it_are_both_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, options) = gated();
    gate.hold();
    let journal = open_with(directory.path(), 1, options).unwrap().journal;
    let ticket = journal.append(entry(b"record")).unwrap();
    let barrier = journal.barrier();
    assert_eq!(ticket.sequence(), barrier.sequence());
    let waiting = [ticket, barrier].map(|mut ticket| {
        let woken = Arc::<Woken>::default();
        let waker = Arc::clone(&woken).into();
        let mut context = std::task::Context::from_waker(&waker);
        assert!(std::pin::Pin::new(&mut ticket).poll(&mut context).is_pending());
        (ticket, woken)
    });
    gate.release();
    for (_ticket, woken) in &waiting {
        let limit = std::time::Duration::from_secs(60);
        let was = woken.0.lock().unwrap();
        let (was, _) = woken.1.wait_timeout_while(was, limit, |was| !*was).unwrap();
        assert!(*was, "nobody was told");
    }
}

/// Runs a future on this thread.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park_timeout(std::time::Duration::from_secs(20));
    }
}

#[test]
fn many_threads_append_and_nothing_is_lost_or_doubled() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { segment_bytes: 8192, allocation_bytes: 4096, ..Options::default() };
    let Opened { journal, .. } = open_with(directory.path(), 1, options).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0..30u8 {
                    journal.append(entry(&[thread, number])).unwrap().wait().unwrap();
                }
            });
        }
    });
    drop(journal);
    let mut found = payloads(open(directory.path(), 2).unwrap());
    assert_eq!(found.len(), 240);
    // Stable: the numbers of one thread stay in their order.
    found.sort_by_key(|payload| payload[0]);
    let all = (0..8u8).flat_map(|thread| (0..30u8).map(move |number| vec![thread, number]));
    assert_eq!(found, all.collect::<Vec<_>>());
}

#[test]
fn a_snapshot_takes_the_place_of_the_log_while_records_are_appended() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), 1).unwrap();
    for _ in 0..100 {
        journal.append(entry(&[1; 1000])).unwrap().wait().unwrap();
    }
    let before = journal.log_bytes();
    let snapshot = journal.start_snapshot().unwrap();
    assert!(matches!(journal.start_snapshot().map(drop), Err(JournalError::SnapshotRunning)));
    journal.append(entry(b"after")).unwrap().wait().unwrap();
    snapshot.write(|writer| writer.push(9, b"the state")).unwrap();
    assert!(journal.log_bytes() < before / 10);
    drop(journal);

    let opened = open(directory.path(), 2).unwrap();
    let state: Vec<_> = opened.snapshot.unwrap().collect();
    assert_eq!((state.len(), state[0].tag, &state[0].payload[..]), (1, 9, &b"the state"[..]));
    assert_eq!(opened.records.map(|record| record.payload).collect::<Vec<_>>(), [&b"after"[..]]);
}

#[test]
fn a_snapshot_that_the_caller_breaks_off_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), 1).unwrap();
    journal.append(entry(b"kept")).unwrap().wait().unwrap();
    let broken: Result<(), SnapshotError> =
        journal.start_snapshot().unwrap().write(|_| Err(JournalError::TooLong { bytes: 0 }.into()));
    assert!(broken.is_err());
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    drop(journal.start_snapshot().unwrap());
    drop(journal);
    assert_eq!(payloads(open(directory.path(), 2).unwrap()), [b"kept"]);
}

#[test]
fn a_full_queue_refuses_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { queue_bytes: 1000, ..Options::default() };
    let Opened { journal, .. } = open_with(directory.path(), 1, options).unwrap();
    let mut count = 0;
    let full = loop {
        match journal.append(entry(&[0; 100])) {
            Ok(ticket) => drop(ticket),
            Err(error) => break error,
        }
        count += 1;
        assert!(count < 100, "the limit is not kept");
    };
    assert!(matches!(full, JournalError::QueueFull { limit: 1000 }));
    journal.barrier().wait().unwrap();
    journal.append(entry(&[0; 100])).unwrap().wait().unwrap();
    let long = vec![0; standfast_journal::MAX_PAYLOAD_BYTES + 1];
    assert!(matches!(journal.append(entry(&long)).map(drop), Err(JournalError::TooLong { .. })));
}

#[test]
fn the_widest_scope_of_a_batch_is_asked_of_the_flusher() {
    let directory = tempfile::tempdir().unwrap();
    let (gate, options) = gated();
    let Opened { journal, .. } = open_with(directory.path(), 1, options).unwrap();
    journal.append(entry(b"a")).unwrap().wait().unwrap();
    drop(journal.append(Entry { scope: Scope::Namespace, ..entry(b"b") }).unwrap());
    journal.append(entry(b"c")).unwrap().wait().unwrap();
    assert_eq!(*gate.scopes.lock().unwrap(), [Scope::Record, Scope::Namespace]);
}

#[test]
fn a_journal_is_looked_at_while_it_is_held() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), 1).unwrap();
    journal.append(entry(b"\x01\xff")).unwrap().wait().unwrap();
    let storage = DirectoryStorage::open(directory.path()).unwrap();
    let summary = verify(&storage).unwrap();
    assert_eq!((summary.epoch, summary.last_sequence), (Some(1), 2));
    assert!(!summary.has_torn_tail);

    let lines = |format: &dyn Fn(u16, &[u8]) -> Option<String>| -> Vec<String> {
        inspect(&storage).unwrap().map(|shown| shown.unwrap().line(format)).collect()
    };
    let plain = lines(&|_, _| None);
    assert_eq!(plain.len(), 3);
    assert!(plain[0].starts_with("0000000000000001-0000000000000001.log: segment"));
    assert!(plain[1].ends_with("epoch 1 starts"));
    assert!(plain[2].ends_with("type 3: 01ff"));
    assert!(lines(&|tag, _| Some(format!("words for {tag}")))[2].ends_with("words for 3"));
    // Looking has changed nothing.
    journal.append(entry(b"more")).unwrap().wait().unwrap();
}

#[test]
fn damage_in_the_middle_is_reported_and_a_torn_tail_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let Opened { journal, .. } = open(directory.path(), 1).unwrap();
    for payload in [b"one", b"two"] {
        journal.append(entry(payload)).unwrap().wait().unwrap();
    }
    drop(journal);
    let file = only_file(directory.path());
    let whole = std::fs::read(&file).unwrap();
    let find = |text: &[u8]| whole.windows(3).position(|bytes| bytes == text).unwrap();

    let mut damaged = whole.clone();
    damaged[find(b"one")] ^= 1;
    std::fs::write(&file, &damaged).unwrap();
    let storage = DirectoryStorage::open(directory.path()).unwrap();
    assert!(verify(&storage).unwrap_err().is_loss());
    let shown: Vec<_> = inspect(&storage).unwrap().map(Result::unwrap).collect();
    assert!(matches!(shown.last(), Some(Shown::Damaged { .. })));
    let error = open(directory.path(), 2).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }) && error.is_loss());
    assert_eq!(std::fs::read(&file).unwrap(), damaged, "damage is left as it is");

    // The same in the last record, without the mark behind it: it was never known to be durable.
    let mut torn = whole.clone();
    torn.truncate(find(b"two") + 1);
    std::fs::write(&file, &torn).unwrap();
    let opened = open(directory.path(), 2).unwrap();
    assert!(opened.report.torn_tail.is_some());
    assert_eq!(payloads(opened), [b"one"]);
}

#[test]
fn a_newer_format_is_named() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(directory.path(), 1).unwrap());
    let file = only_file(directory.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] = 9;
    let checksum = crc32fast::hash(&bytes[..76]).to_le_bytes();
    bytes[76..80].copy_from_slice(&checksum);
    std::fs::write(&file, &bytes).unwrap();
    let error = open(directory.path(), 2).map(drop).unwrap_err();
    let OpenError::Header { cause, .. } = &error else { unreachable!("{error}") };
    assert_eq!(*cause, HeaderError::Version { found: 9 });
    assert!(!error.is_loss());
}

#[test]
fn files_of_another_journal_are_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for directory in [&one, &other] {
        open(directory.path(), 1).unwrap().journal.close().unwrap();
    }
    drop(open(other.path(), 3).unwrap());
    let name = "0000000000000003-0000000000000002.log";
    std::fs::copy(other.path().join(name), one.path().join(name)).unwrap();
    let error = open(one.path(), 4).map(drop).unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
}
