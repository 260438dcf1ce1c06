//! Who is monitored: what is on record, in memory and on disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use super::protocol::Mon;
use super::record::{ClientHost, Record};
use super::store::{Loaded, Store, StoreError};

/// Where the kernel says which run of the machine this is.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Why a host is not monitored.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// As many hosts are monitored as may be.
    #[error("{0} hosts are monitored already, which is the limit")]
    Limit(usize),
    /// It could not be put on record.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that writes is gone.
    #[error("the record was not written: {0}")]
    Lost(#[from] tokio::task::JoinError),
}

#[derive(Debug)]
struct Entry {
    number: u64,
    record: Record,
    /// Put on record by this run, not only by an earlier one.
    current: bool,
}

#[derive(Debug, Default)]
struct Book {
    entries: HashMap<Bytes, Entry>,
    next_number: u64,
}

/// The hosts that are monitored, and our state number.
#[derive(Debug)]
pub struct StatusMonitor {
    store: Arc<Store>,
    state: AtomicI32,
    boot: Bytes,
    limit: usize,
    book: Mutex<Book>,
    /// Held while the disk and the book are made to agree.
    writing: tokio::sync::Mutex<()>,
}

/// What a start is for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// A restart: they lost their locks.
    New,
    /// They have what they had, and nobody is told.
    Continued,
}

impl StatusMonitor {
    /// Opens the records in `directory` and begins a run. That of a new one has the next odd state
    /// number, durably. With it, everybody who must be told of a new run.
    ///
    /// # Errors
    /// When the records cannot be read or the state number not be written.
    pub fn open(
        directory: &Path,
        limit: usize,
        run: Run,
    ) -> Result<(Arc<Self>, Vec<Record>), StoreError> {
        let (store, loaded) = Store::open(directory)?;
        let boot = std::fs::read(BOOT_ID).map(|id| Bytes::from(id.trim_ascii().to_vec()));
        Self::begin(store, loaded, (limit, run), boot.unwrap_or_default())
    }

    fn begin(
        store: Store,
        loaded: Loaded,
        (limit, run): (usize, Run),
        boot: Bytes,
    ) -> Result<(Arc<Self>, Vec<Record>), StoreError> {
        let (last_state, last_boot) = loaded.state.unwrap_or_default();
        let same_boot = !boot.is_empty() && last_boot == boot;
        let goes_on = run == Run::Continued && same_boot && last_state % 2 == 1;
        let state = if goes_on { last_state } else { next_state(last_state) };
        if !goes_on {
            store.set_state(state, &boot)?;
        }
        let mut book = Book::default();
        let mut to_tell = Vec::new();
        for (number, record) in loaded.hosts {
            // Only the machine's restart is one for the other programs on it.
            let is_client = matches!(record, Record::Client(_));
            if is_client || !same_boot {
                to_tell.push(record.clone());
            }
            book.next_number = book.next_number.max(number.saturating_add(1));
            let current = !is_client && same_boot;
            book.entries.insert(record.key(), Entry { number, record, current });
        }
        let monitor = Arc::new(Self {
            store: Arc::new(store),
            state: AtomicI32::new(state),
            boot,
            limit,
            book: Mutex::new(book),
            writing: tokio::sync::Mutex::default(),
        });
        Ok((monitor, to_tell))
    }

    /// Our state number: odd, and higher after each start.
    pub fn state(&self) -> i32 {
        self.state.load(Ordering::Relaxed)
    }

    /// Number of hosts on record.
    pub fn len(&self) -> usize {
        self.book.lock().entries.len()
    }

    /// Whether nobody is on record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this run put the host on record.
    pub fn is_monitored(&self, record: &Record) -> bool {
        self.book.lock().entries.get(&record.key()).is_some_and(|entry| entry.current)
    }

    /// Puts a host on record; once this returns, it will be told of our next start, whatever
    /// ends this run.
    ///
    /// # Errors
    /// When the host is not on record.
    pub async fn monitor(&self, record: Record) -> Result<(), MonitorError> {
        let key = record.key();
        let _writing = self.writing.lock().await;
        let number = {
            let mut book = self.book.lock();
            let full = book.entries.len() >= self.limit;
            match book.entries.get_mut(&key) {
                Some(entry) if entry.record == record => {
                    entry.current = true;
                    return Ok(());
                }
                Some(entry) => entry.number,
                None if full => return Err(MonitorError::Limit(self.limit)),
                None => {
                    let number = book.next_number;
                    book.next_number = number.saturating_add(1);
                    number
                }
            }
        };
        let (store, written) = (Arc::clone(&self.store), record.clone());
        tokio::task::spawn_blocking(move || store.put(number, &written)).await??;
        self.book.lock().entries.insert(key, Entry { number, record, current: true });
        Ok(())
    }

    /// Takes a host off the record, unless `keep` says at the last moment that it has to stay.
    pub async fn unmonitor(&self, record: &Record, keep: impl FnOnce(&Record) -> bool) {
        let key = record.key();
        let _writing = self.writing.lock().await;
        if keep(record) {
            return;
        }
        let Some(entry) = self.book.lock().entries.remove(&key) else { return };
        let store = Arc::clone(&self.store);
        let removed = tokio::task::spawn_blocking(move || store.remove(entry.number)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(%error, "the host will be told of our next start in vain");
        }
    }

    /// Takes a host off the record that was told of our start, unless it is monitored again.
    pub async fn told(&self, record: &Record) {
        self.unmonitor(record, |record| self.is_monitored(record)).await;
    }

    /// What programs of this machine want to hear of.
    pub fn registrations(&self) -> Vec<Mon> {
        let book = self.book.lock();
        let registration = |entry: &Entry| match &entry.record {
            Record::Registration(mon) if entry.current => Some(mon.clone()),
            _ => None,
        };
        book.entries.values().filter_map(registration).collect()
    }

    /// Begins a new run as after a crash; gives everybody who must be told.
    ///
    /// # Errors
    /// When the new state number is not durable.
    pub async fn crash(&self) -> Result<Vec<Record>, MonitorError> {
        let _writing = self.writing.lock().await;
        let state = next_state(self.state());
        let (store, boot) = (Arc::clone(&self.store), self.boot.clone());
        tokio::task::spawn_blocking(move || store.set_state(state, &boot)).await??;
        self.state.store(state, Ordering::Relaxed);
        let mut book = self.book.lock();
        book.entries.values_mut().for_each(|entry| entry.current = false);
        Ok(book.entries.values().map(|entry| entry.record.clone()).collect())
    }
}

/// Whether a record is that of a client, and of which.
pub fn client_of(record: &Record) -> Option<ClientHost> {
    match record {
        Record::Client(client) => ClientHost::from_record(client),
        Record::Registration(_) => None,
    }
}

/// The next odd number; after the highest comes one.
fn next_state(last: i32) -> i32 {
    match last.checked_add(1 + (last & 1)) {
        Some(next) if next > 0 => next,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::{MonId, MyId};
    use super::*;

    fn client(name: &'static str) -> Record {
        let address = [10, 0, 0, 1].into();
        Record::client(&ClientHost { name: Bytes::from(name), address, local: address })
    }

    fn registration(private: u8) -> Record {
        let my_id =
            MyId { my_name: Vec::from("me").into(), program: 100_021, version: 4, procedure: 16 };
        let id = MonId { mon_name: Vec::from("server").into(), my_id };
        Record::Registration(Mon { id, private: [private; 16] })
    }

    fn start(path: &Path, boot: &'static str) -> (Arc<StatusMonitor>, Vec<Record>) {
        let (store, loaded) = Store::open(path).unwrap();
        StatusMonitor::begin(store, loaded, (3, Run::New), Bytes::from(boot)).unwrap()
    }

    #[test]
    fn who_goes_on_keeps_the_number() {
        let directory = tempfile::tempdir().unwrap();
        let go_on = |boot: &'static str| {
            let (store, loaded) = Store::open(directory.path()).unwrap();
            let begun = StatusMonitor::begin(store, loaded, (3, Run::Continued), boot.into());
            begun.unwrap().0.state()
        };
        assert_eq!([go_on("boot"), go_on("boot")], [1, 1]);
        // The other programs of the machine have to learn of its restart.
        assert_eq!([go_on("other boot"), go_on("other boot")], [3, 3]);
        assert_eq!(start(directory.path(), "other boot").0.state(), 5);
    }

    #[test]
    fn state_numbers_are_odd_and_grow() {
        for (last, next) in [(0, 1), (1, 3), (2, 3), (3, 5), (i32::MAX, 1), (-5, 1)] {
            assert_eq!(next_state(last), next);
        }
    }

    #[tokio::test]
    async fn clients_are_told_of_each_start_until_they_know() {
        let directory = tempfile::tempdir().unwrap();
        let (monitor, to_tell) = start(directory.path(), "boot");
        assert_eq!((monitor.state(), to_tell), (1, Vec::new()));
        monitor.monitor(client("one")).await.unwrap();
        monitor.monitor(client("two")).await.unwrap();
        monitor.unmonitor(&client("two"), |_| true).await;
        assert!(monitor.is_monitored(&client("two")));

        let (monitor, to_tell) = start(directory.path(), "boot");
        assert_eq!((monitor.state(), to_tell), (3, vec![client("one"), client("two")]));
        assert!(!monitor.is_monitored(&client("one")));
        monitor.monitor(client("two")).await.unwrap();
        monitor.told(&client("one")).await;
        monitor.told(&client("two")).await;
        assert_eq!(monitor.len(), 1);

        let (_, to_tell) = start(directory.path(), "boot");
        assert_eq!(to_tell, [client("two")]);
    }

    #[tokio::test]
    async fn registrations_outlive_us_but_not_the_machine() {
        let directory = tempfile::tempdir().unwrap();
        let (monitor, _) = start(directory.path(), "boot");
        monitor.monitor(registration(1)).await.unwrap();
        monitor.monitor(registration(2)).await.unwrap();
        assert_eq!(monitor.len(), 1);

        let (monitor, to_tell) = start(directory.path(), "boot");
        assert_eq!(to_tell, []);
        assert_eq!(monitor.registrations()[0].private, [2; 16]);

        let (monitor, to_tell) = start(directory.path(), "other boot");
        assert_eq!(to_tell, [registration(2)]);
        assert_eq!(monitor.registrations(), []);
    }

    #[tokio::test]
    async fn there_is_a_limit() {
        let directory = tempfile::tempdir().unwrap();
        let (monitor, _) = start(directory.path(), "boot");
        for name in ["one", "two", "three"] {
            monitor.monitor(client(name)).await.unwrap();
        }
        let refused = monitor.monitor(client("four")).await;
        assert!(matches!(refused, Err(MonitorError::Limit(3))));
        monitor.monitor(client("three")).await.unwrap();
    }

    #[tokio::test]
    async fn a_crash_is_a_start() {
        let directory = tempfile::tempdir().unwrap();
        let (monitor, _) = start(directory.path(), "boot");
        monitor.monitor(client("one")).await.unwrap();
        assert_eq!(monitor.crash().await.unwrap(), [client("one")]);
        assert_eq!(monitor.state(), 3);
        assert!(!monitor.is_monitored(&client("one")));
    }
}
