//! The journal on a storage that loses power at every call, fails, and is taken over.
//!
//! All is deterministic: a failing run is repeated by its seed, which each message has.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test that goes wrong stops")]

use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use standfast_journal::simulation::SimulatedStorage;
use standfast_journal::{
    CompactionPolicy, Entry, Journal, OpenError, Opened, Options, Scope, SnapshotError, Ticket,
    verify,
};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (value ^ (value >> 31)) % limit
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = if self.below(8) == 0 { 1500 } else { 120 };
        let length = self.below(length);
        // Zeros are the bytes that are mistaken most easily.
        let fill = (self.below(3) * 100) as u8;
        (0..length).map(|_| if fill == 0 { 0 } else { self.below(256) as u8 }).collect()
    }
}

fn options() -> Options {
    Options {
        segment_bytes: 1024,
        allocation_bytes: 1024,
        reserve_bytes: 256 << 10,
        room_retry: Duration::from_micros(50),
        queue_bytes: 1 << 20,
        batch_bytes: 2048,
        compaction: CompactionPolicy { minimum_bytes: 8192, factor: 2 },
        ..Options::default()
    }
}

/// One record of the history: sequence, tag, payload.
type Past = (u64, u16, Vec<u8>);

/// A service whose state is everything that ever happened.
struct Service {
    seed: u64,
    storage: SimulatedStorage,
    random: Random,
    epoch: u64,
    /// What the current holder knows, durable or not.
    history: Vec<Past>,
    /// How much of it was reported durable.
    acknowledged: usize,
    tickets: Vec<Ticket>,
}

/// The holder's life is over.
struct Stopped;

impl Service {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            storage: SimulatedStorage::new(seed),
            random: Random(!seed),
            epoch: 0,
            history: Vec::new(),
            acknowledged: 0,
            tickets: Vec::new(),
        }
    }

    /// Opens with the next epoch and checks what is replayed against what had been.
    fn open(&mut self) -> Result<Journal, OpenError> {
        self.open_with(options())
    }

    fn open_with(&mut self, options: Options) -> Result<Journal, OpenError> {
        self.epoch += 1;
        let Opened { journal, snapshot, records, report } =
            Journal::open(Arc::new(self.storage.clone()), self.epoch, options)?;
        let mut found: Vec<Past> = Vec::new();
        for record in snapshot.into_iter().flatten() {
            let (sequence, payload) = record.payload.split_first_chunk().unwrap();
            found.push((u64::from_le_bytes(*sequence), record.tag, payload.to_vec()));
        }
        assert!(found.iter().all(|past| past.0 <= report.covered_sequence), "{self}");
        let mut epoch = 0;
        for record in records {
            assert!(record.epoch >= epoch && record.epoch < self.epoch, "{self}");
            epoch = record.epoch;
            found.push((record.sequence, record.tag, record.payload.to_vec()));
        }
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0), "{self}: order");
        assert!(
            found.len() >= self.acknowledged,
            "{self}: {} records acknowledged, {} found",
            self.acknowledged,
            found.len()
        );
        assert!(self.history.starts_with(&found), "{self}: other records than were appended");
        self.history = found;
        // Whoever was told of them now counts on them.
        self.acknowledged = self.history.len();
        self.tickets.clear();
        Ok(journal)
    }

    /// Opens until it works, in spite of the power.
    fn recover(&mut self) -> Journal {
        for _ in 0..4 {
            if self.random.below(2) == 0 {
                self.storage.cut_power_at(self.storage.calls() + 1 + self.random.below(12));
            }
            match self.open() {
                Ok(journal) if self.storage.calls().is_multiple_of(2) => {
                    // The cut may still come; it then is one of the next life.
                    return journal;
                }
                Ok(journal) => drop(journal),
                Err(OpenError::Storage(_)) => {}
                Err(error) => panic!("{self}: {error}"),
            }
            self.storage.restart();
        }
        self.open().unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// Opens, again as long as there is no room.
    fn open_in_time(&mut self) -> Journal {
        for _ in 0..40 {
            match self.open() {
                Ok(journal) => return journal,
                Err(OpenError::Storage(error)) if error.is_no_space() => {}
                Err(error) => panic!("{self}: {error}"),
            }
        }
        panic!("{self}: cannot be opened")
    }

    fn append(&mut self, journal: &Journal) -> Result<(), Stopped> {
        let (tag, payload) = (self.random.below(9) as u16, self.random.bytes());
        let scope = if self.random.below(4) == 0 { Scope::Namespace } else { Scope::Record };
        let entry = Entry { tag, payload: &payload, scope };
        let ticket = journal.append(entry).map_err(|_| Stopped)?;
        self.history.push((ticket.sequence(), tag, payload));
        self.tickets.push(ticket);
        Ok(())
    }

    /// Waits for one of the records that nobody has waited for yet.
    fn wait(&mut self) -> Result<(), Stopped> {
        if self.tickets.is_empty() {
            return Ok(());
        }
        let index = self.random.below(self.tickets.len() as u64) as usize;
        let ticket = self.tickets.drain(..=index).next_back().unwrap();
        let sequence = ticket.wait().map_err(|_| Stopped)?;
        let durable = self.history.iter().filter(|past| past.0 <= sequence).count();
        self.acknowledged = self.acknowledged.max(durable);
        Ok(())
    }

    fn snapshot(&mut self, journal: &Journal) -> Result<(), Stopped> {
        let snapshot = journal.start_snapshot().map_err(|_| Stopped)?;
        let state = self.history.clone();
        for _ in 0..self.random.below(5) {
            self.append(journal)?;
            self.wait()?;
        }
        let written: Result<(), SnapshotError> = snapshot.write(|writer| {
            state.iter().try_for_each(|(sequence, tag, payload)| {
                writer.push(*tag, &[&sequence.to_le_bytes()[..], payload].concat())
            })
        });
        // A snapshot that failed is no end: the log goes on, if it can.
        drop(written);
        Ok(())
    }

    /// Runs one holder for some steps.
    fn live(&mut self, journal: &Journal, steps: u64) -> Result<(), Stopped> {
        for _ in 0..steps {
            match self.random.below(11) {
                0..5 => self.append(journal)?,
                5..9 => self.wait()?,
                9 => self.snapshot(journal)?,
                // Without room there is none; whatever else it is, the next record is told.
                _ => drop(journal.renew_reserve()),
            }
        }
        Ok(())
    }

    /// Reading without opening finds no fault.
    fn verify(&self) {
        let summary = verify(&self.storage).unwrap_or_else(|error| panic!("{self}: {error}"));
        let last = self.history.last().map_or(0, |past| past.0);
        assert!(summary.last_sequence >= last.min(1), "{self}");
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "seed {}, epoch {}, call {}", self.seed, self.epoch, self.storage.calls())
    }
}

/// The same life once without a cut, to count its calls, and then with one at every call.
#[test]
fn a_power_cut_at_every_call_loses_nothing_that_was_acknowledged() {
    for seed in 0..6 {
        let mut whole = Service::new(seed);
        let journal = whole.open().unwrap();
        assert!(whole.live(&journal, 40).is_ok());
        drop(journal);
        let calls = whole.storage.calls();
        for call in 1..=calls + 1 {
            let mut service = Service::new(seed);
            service.storage.cut_power_at(call);
            if let Ok(journal) = service.open() {
                let _ = service.live(&journal, 40);
            }
            service.storage.restart();
            let journal = service.recover();
            let _ = service.live(&journal, 10);
            drop(journal);
            service.storage.restart();
            drop(service.recover());
            service.storage.restart();
            service.verify();
        }
    }
}

/// Wherever there is no room, once or for a while, the holder waits and goes on.
#[test]
fn no_room_at_any_call_is_waited_out() {
    for seed in 0..3 {
        let mut whole = Service::new(seed);
        let journal = whole.open().unwrap();
        assert!(whole.live(&journal, 40).is_ok());
        drop(journal);
        let calls = whole.storage.calls();
        for call in 1..=calls + 1 {
            for (count, error) in [(1, Errno::NOSPC), (2, Errno::DQUOT), (9, Errno::NOSPC)] {
                let mut service = Service::new(seed);
                service.storage.fail_between(call..call + count, error);
                let journal = service.open_in_time();
                assert!(service.live(&journal, 40).is_ok(), "{service}: given up");
                for ticket in std::mem::take(&mut service.tickets) {
                    ticket.wait().unwrap_or_else(|error| panic!("{service}: {error}"));
                }
                service.acknowledged = service.history.len();
                assert!(!journal.room().is_waiting());
                drop(journal);
                service.storage.restart();
                drop(service.recover());
                service.verify();
            }
        }
    }
}

/// With a reserve, a disk that stays full stops neither records, nor snapshots, nor starts.
#[test]
fn a_full_disk_stops_nothing() {
    for seed in 0..40 {
        let mut service = Service::new(9000 + seed);
        let options = Options { is_sole: true, reserve_bytes: 1 << 20, ..options() };
        let mut journal = service.open_with(options.clone()).unwrap();
        journal.renew_reserve().unwrap();
        assert!(!journal.room().is_short());
        let steps = service.random.below(60);
        assert!(service.live(&journal, steps).is_ok());
        service.storage.set_full(true);
        for round in 0..8 {
            for _ in 0..service.random.below(6) {
                assert!(service.live(&journal, 10).is_ok(), "{service}: round {round}");
                if journal.is_compaction_due() {
                    assert!(service.snapshot(&journal).is_ok(), "{service}: round {round}");
                }
                assert!(!journal.room().is_waiting(), "{service}: round {round}");
            }
            if service.random.below(2) == 0 {
                service.storage.restart();
            }
            drop(journal);
            service.storage.set_full(true);
            let opened = service.open_with(options.clone());
            journal = opened.unwrap_or_else(|error| panic!("{service}: {error}"));
            assert!(journal.room().reserve_bytes > 0, "{service}: round {round}");
            if journal.is_compaction_due() {
                assert!(service.snapshot(&journal).is_ok(), "{service}: round {round}");
            }
        }
        service.storage.set_full(false);
        journal.renew_reserve().unwrap();
        assert!(!journal.room().is_short(), "{service}");
    }
}

/// Without any reserve, records wait until there is room, and the end does not wait for ever.
#[test]
fn without_a_reserve_records_wait_for_room() {
    let storage = SimulatedStorage::new(1);
    let options = Options { reserve_bytes: 0, ..options() };
    let open = |epoch| Journal::open(Arc::new(storage.clone()), epoch, options.clone());
    let journal = open(1).unwrap().journal;
    let entry = Entry { tag: 1, payload: &[7; 4000], scope: Scope::Record };
    journal.append(entry).unwrap().wait().unwrap();
    storage.set_full(true);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| journal.append(entry).unwrap().wait());
        while !journal.room().is_waiting() {
            std::thread::yield_now();
        }
        assert_eq!((journal.durable_sequence(), waiting.is_finished()), (2, false));
        storage.set_full(false);
        assert_eq!(waiting.join().unwrap().unwrap(), 3);
    });
    assert!(!journal.room().is_waiting());
    storage.set_full(true);
    let ticket = journal.append(entry).unwrap();
    assert!(journal.close().is_err());
    assert!(ticket.wait().unwrap_err().is_no_space());
    assert!(open(2).is_err_and(|error| !error.is_loss()));
    storage.set_full(false);
    assert_eq!(open(2).unwrap().records.count(), 2);
}

/// Random lives that end in each of the ways there are.
#[test]
fn holders_come_and_go() {
    for seed in 0..250 {
        let mut service = Service::new(1000 + seed);
        // Holders that do not know yet that they are over.
        let mut lingering = Vec::new();
        for _ in 0..8 {
            let journal = service.recover();
            match service.random.below(4) {
                0 => {
                    let at = service.storage.calls() + 1 + service.random.below(60);
                    service.storage.cut_power_at(at);
                }
                1 => {
                    let at = service.storage.calls() + 1 + service.random.below(60);
                    let error = if service.random.below(2) == 0 { Errno::IO } else { Errno::NOSPC };
                    service.storage.fail_at(at, error);
                }
                _ => {}
            }
            let _ = service.live(&journal, 30);
            match service.random.below(3) {
                // A clean end, unless it has failed.
                0 => {
                    if journal.close().is_ok() {
                        service.acknowledged = service.history.len();
                    }
                }
                // The process is gone, the machine goes on.
                1 => lingering.push(journal),
                _ => {
                    service.storage.restart();
                    drop(journal);
                }
            }
            if service.random.below(3) == 0 {
                service.storage.restart();
            }
        }
    }
}

/// A holder that was superseded is told so, whatever it does, and nothing of it is replayed.
#[test]
fn a_superseded_holder_gets_nothing_durable() {
    for seed in 0..200 {
        let mut service = Service::new(5000 + seed);
        let old = service.open().unwrap();
        assert!(service.live(&old, 20).is_ok());
        while !service.tickets.is_empty() {
            assert!(service.wait().is_ok());
        }
        let new = service.open().unwrap();
        let entry = Entry { tag: 1, payload: b"too late", scope: Scope::Record };
        for _ in 0..service.random.below(40) {
            if let Ok(ticket) = old.append(entry)
                && service.random.below(3) == 0
            {
                assert!(ticket.wait().is_err(), "{service}");
            }
        }
        if let Ok(snapshot) = old.start_snapshot() {
            let written = snapshot.write(|_| Ok::<(), SnapshotError>(()));
            assert!(written.is_err(), "{service}");
        }
        assert!(old.close().is_err(), "{service}");
        assert!(service.live(&new, 20).is_ok(), "{service}");
        service.storage.restart();
        drop(service.recover());
    }
}
