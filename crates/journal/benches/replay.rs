//! How long a start takes: the journal of 1,000 clients, with 10,000 opens and locks that were
//! made and changed in 50,000 records of 200 bytes.

use std::path::Path;
use std::sync::Arc;

use divan::Bencher;
use standfast_journal::{DirectoryStorage, Entry, Journal, Options, Scope};

const RECORDS: usize = 50_000;
const PAYLOAD_BYTES: usize = 200;

fn main() {
    divan::main();
}

fn options() -> Options {
    Options::default()
}

fn fill(directory: &Path, as_snapshot: bool) {
    let storage = Arc::new(DirectoryStorage::open(directory).expect("the directory"));
    let opened = Journal::open(storage, 1, options()).expect("a new journal");
    let payload = [0x5a; PAYLOAD_BYTES];
    if as_snapshot {
        let snapshot = opened.journal.start_snapshot().expect("no other is running");
        snapshot
            .write(|writer| (0..RECORDS).try_for_each(|_| writer.push(1, &payload)))
            .expect("the snapshot");
    } else {
        for _ in 0..RECORDS {
            let entry = Entry { tag: 1, payload: &payload, scope: Scope::Record };
            drop(opened.journal.append(entry).expect("an open journal"));
        }
    }
    opened.journal.close().expect("the disk");
}

/// Opens the journal and goes through all records; the files are in the page cache.
#[divan::bench(args = [false, true], sample_count = 30, sample_size = 1)]
fn open_and_replay(bencher: Bencher, from_snapshot: bool) {
    let directory = tempfile::tempdir().expect("a directory");
    fill(directory.path(), from_snapshot);
    let mut epoch = 1;
    bencher.bench_local(|| {
        epoch += 1;
        let storage = Arc::new(DirectoryStorage::open(directory.path()).expect("the directory"));
        let opened = Journal::open(storage, epoch, options()).expect("the journal");
        let state = opened.snapshot.into_iter().flatten().map(|record| record.payload);
        let log = opened.records.map(|record| record.payload);
        let bytes: usize = state.chain(log).map(|payload| payload.len()).sum();
        assert_eq!(bytes, RECORDS * PAYLOAD_BYTES);
    });
}
