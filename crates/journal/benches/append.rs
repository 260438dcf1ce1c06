//! How long a durable record takes, alone and in company.
//!
//! `JOURNAL_BENCH_DIR` names the directory to measure in, so that filesystems can be compared.

use std::path::PathBuf;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use standfast_journal::{DirectoryStorage, Entry, Journal, Options, Scope};

const PAYLOAD: [u8; 200] = [0x5a; 200];

/// Records per thread or task in one sample.
const ROUNDS: usize = 50;

fn main() {
    divan::main();
}

fn journal(allocation_bytes: u64) -> (tempfile::TempDir, Journal) {
    let above =
        std::env::var_os("JOURNAL_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(above).expect("a directory");
    let storage = Arc::new(DirectoryStorage::open(directory.path()).expect("the directory"));
    let options = Options { allocation_bytes, ..Options::default() };
    let opened = Journal::open(storage, 1, options).expect("a new journal");
    (directory, opened.journal)
}

fn entry(scope: Scope) -> Entry<'static> {
    Entry { tag: 1, payload: &PAYLOAD, scope }
}

/// Threads that each wait for their record before the next.
#[divan::bench(args = [1, 4, 16, 64], sample_count = 20, sample_size = 1)]
fn threads(bencher: Bencher, depth: usize) {
    let (_directory, journal) = journal(Options::default().allocation_bytes);
    bencher.counter(ItemsCount::new(depth * ROUNDS)).bench_local(|| {
        std::thread::scope(|scope| {
            for _ in 0..depth {
                scope.spawn(|| {
                    for _ in 0..ROUNDS {
                        let ticket = journal.append(entry(Scope::Record)).expect("open");
                        ticket.wait().expect("durable");
                    }
                });
            }
        });
    });
}

/// Tasks of one thread that each await their record before the next.
#[divan::bench(args = [1, 4, 16, 64], sample_count = 20, sample_size = 1)]
fn tasks(bencher: Bencher, depth: usize) {
    let (_directory, journal) = journal(Options::default().allocation_bytes);
    let journal = &journal;
    bencher.counter(ItemsCount::new(depth * ROUNDS)).bench_local(|| {
        let tasks: FuturesUnordered<_> = (0..depth)
            .map(|_| async move {
                for _ in 0..ROUNDS {
                    let ticket = journal.append(entry(Scope::Record)).expect("open");
                    ticket.await.expect("durable");
                }
            })
            .collect();
        block_on(tasks.count());
    });
}

/// One thread without room written ahead: each flush writes metadata.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn without_allocation(bencher: Bencher) {
    let (_directory, journal) = journal(0);
    bencher.counter(ItemsCount::new(ROUNDS)).bench_local(|| {
        for _ in 0..ROUNDS {
            journal.append(entry(Scope::Record)).expect("open").wait().expect("durable");
        }
    });
}

/// One thread whose records cover the filesystem's names, a file created before each.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn with_namespace(bencher: Bencher) {
    let (directory, journal) = journal(Options::default().allocation_bytes);
    let mut count = 0;
    bencher.counter(ItemsCount::new(ROUNDS)).bench_local(|| {
        for _ in 0..ROUNDS {
            count += 1;
            std::fs::File::create(directory.path().join(format!("{count}"))).expect("a file");
            journal.append(entry(Scope::Namespace)).expect("open").wait().expect("durable");
        }
    });
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
        std::thread::park();
    }
}
