//! The file and the thread that writes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use serde::de::DeserializeOwned;

use super::super::types::{Entry, LogId, SnapshotMeta, Vote};
use crate::model::State;

/// Log entries by index.
const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");

/// Everything else by name.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");

/// The format of the file that this version writes.
const FORMAT: &str = "1";

/// Memory for pages. The file is small.
const CACHE: usize = 2 << 20;

/// How long to wait before a full disk is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// Jobs that go into one flush.
const BATCH: usize = 256;

/// Names in the table `meta`.
pub(super) mod key {
    pub(super) const FORMAT: &str = "format";
    pub(super) const OWNER: &str = "owner";
    pub(in super::super) const VOTE: &str = "vote";
    pub(in super::super) const COMMITTED: &str = "committed";
    pub(in super::super) const PURGED: &str = "purged";
    pub(in super::super) const SNAPSHOT_META: &str = "snapshot_meta";
    pub(in super::super) const SNAPSHOT: &str = "snapshot";
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open.
    #[error("{0} is in use by another process: is a daemon running already?")]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It was written by a newer version.
    #[error(
        "{path} has format {found}, this version knows {FORMAT}; start the newer version again"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// It belongs to another node or cluster.
    #[error(
        "{path} belongs to {found}, this node is {expected}; give it the state directory that it \
         had, or remove the node and let it join again with an empty one"
    )]
    Owner {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// Whose it should be.
        expected: String,
    },
    /// Its contents make no sense.
    #[error(
        "{path} is damaged: {detail}; the other nodes have what it held: remove this node and let \
         it join again with an empty state directory"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// A snapshot as it is kept, and the state in it.
pub(super) struct Kept {
    pub(super) meta: SnapshotMeta,
    pub(super) bytes: Vec<u8>,
    pub(super) state: State,
}

/// What was in the file when it was opened.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) log: LogContents,
    pub(super) snapshot: Option<Kept>,
}

/// The part of it that the log needs.
#[derive(Default)]
pub(super) struct LogContents {
    pub(super) entries: Vec<Entry>,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    pub(super) purged: Option<LogId>,
}

/// A change of the file.
pub(super) enum Change {
    /// Adds entries, or replaces those at their index.
    Append(Vec<(u64, Vec<u8>)>),
    /// Removes the entries from this index on.
    RemoveFrom(u64),
    /// Removes the entries up to this index.
    RemoveUpTo(u64),
    /// Writes a named value.
    Put(&'static str, Vec<u8>),
}

type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

struct Job {
    changes: Vec<Change>,
    done: Option<Done>,
}

enum Order {
    Write(Job),
    /// Nothing is written any more. The other end is dropped when the file is closed.
    Close(Closing),
}

/// Whether the file can be written to.
#[derive(Clone, Debug, Default)]
pub struct DiskHealth(Arc<Mutex<Option<String>>>);

impl DiskHealth {
    /// What is wrong, if something is.
    pub fn problem(&self) -> Option<String> {
        self.0.lock().clone()
    }

    fn set(&self, problem: Option<String>) {
        let mut known = self.0.lock();
        if *known != problem {
            match &problem {
                Some(problem) => tracing::error!("{problem}"),
                None => tracing::info!("the log of the cluster can be written again"),
            }
            *known = problem;
        }
    }
}

/// A way to the thread that writes. It ends with the last of these.
#[derive(Clone)]
pub(super) struct Disk {
    orders: Sender<Order>,
    health: DiskHealth,
}

impl Disk {
    pub(super) fn open(path: &Path, owner: &str) -> Result<(Self, Contents), StoreError> {
        let database = open_database(path)?;
        claim(&database, path, owner)?;
        let contents = read_contents(&database, path)?;
        let health = DiskHealth::default();
        let (orders, queue) = channel();
        let writer =
            Writer { path: path.into(), database: Some(database), queue, health: health.clone() };
        std::thread::Builder::new()
            .name("cluster-log".into())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::Io { path: path.into(), source })?;
        Ok((Self { orders, health }, contents))
    }

    pub(super) fn health(&self) -> DiskHealth {
        self.health.clone()
    }

    /// Has changes written; `done` is called when they are durable.
    pub(super) fn submit(&self, changes: Vec<Change>, done: Option<Done>) {
        let order = Order::Write(Job { changes, done });
        if let Err(std::sync::mpsc::SendError(Order::Write(Job { done: Some(done), .. }))) =
            self.orders.send(order)
        {
            done(Err(closed()));
        }
    }

    /// Closes the file. What waits for a full disk is given up; nobody was told that it is durable.
    pub(super) async fn close(&self) {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        if self.orders.send(Order::Close(sender)).is_ok() {
            let _dropped = receiver.await;
        }
    }

    /// Has changes written and waits until they are durable.
    pub(super) async fn write(&self, changes: Vec<Change>) -> io::Result<()> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        // Nobody waits any more: then nobody needs the answer.
        self.submit(changes, Some(Box::new(move |result| _ = sender.send(result))));
        receiver.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn closed() -> io::Error {
    io::Error::other("the log of the cluster is closed")
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let io = |source| StoreError::Io { path: path.into(), source };
    // The file is readable by its owner only, from its first moment: the state has keys in it.
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    drop(options.open(path).map_err(io)?);
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE);
    builder.create(path).map_err(|error| match error {
        redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.into()),
        redb::DatabaseError::Storage(redb::StorageError::Io(source)) => io(source),
        other => damaged(path, other),
    })
}

fn damaged(path: &Path, detail: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged { path: path.into(), detail: detail.to_string() }
}

/// Sees to it that the file is this node's, and of a format that is known.
fn claim(database: &Database, path: &Path, owner: &str) -> Result<(), StoreError> {
    let known = read_text(database, key::FORMAT).map_err(|error| unusable(path, error))?;
    if let Some(found) = known {
        if found != FORMAT {
            return Err(StoreError::Format { path: path.into(), found });
        }
        let found = read_text(database, key::OWNER).map_err(|error| unusable(path, error))?;
        let found = found.unwrap_or_default();
        if found != owner {
            let expected = owner.to_owned();
            return Err(StoreError::Owner { path: path.into(), found, expected });
        }
        return Ok(());
    }
    let changes = [
        Change::Put(key::FORMAT, FORMAT.into()),
        Change::Put(key::OWNER, owner.into()),
        Change::RemoveFrom(0),
    ];
    commit(database, changes.iter()).map_err(|error| unusable(path, error))
}

fn unusable(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::Io(source) => StoreError::Io { path: path.into(), source },
        other => damaged(path, other),
    }
}

fn read_value(database: &Database, name: &str) -> Result<Option<Vec<u8>>, redb::Error> {
    let transaction = database.begin_read()?;
    let table = match transaction.open_table(META) {
        Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
        table => table?,
    };
    Ok(table.get(name)?.map(|value| value.value().to_vec()))
}

fn read_text(database: &Database, name: &str) -> Result<Option<String>, redb::Error> {
    let value = read_value(database, name)?;
    Ok(value.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_contents(database: &Database, path: &Path) -> Result<Contents, StoreError> {
    let snapshot = match read_json::<SnapshotMeta>(database, path, key::SNAPSHOT_META)? {
        Some(meta) => {
            let data =
                read_value(database, key::SNAPSHOT).map_err(|error| unusable(path, error))?;
            let bytes = data.ok_or_else(|| damaged(path, "the snapshot is missing"))?;
            let state = serde_json::from_slice(&bytes)
                .map_err(|error| damaged(path, format!("the snapshot: {error}")))?;
            Some(Kept { meta, bytes, state })
        }
        None => None,
    };
    let log = LogContents {
        entries: read_log(database, path)?,
        vote: read_json(database, path, key::VOTE)?,
        committed: read_json(database, path, key::COMMITTED)?,
        purged: read_json(database, path, key::PURGED)?,
    };
    Ok(Contents { log, snapshot })
}

fn read_json<T: DeserializeOwned>(
    database: &Database,
    path: &Path,
    name: &str,
) -> Result<Option<T>, StoreError> {
    let value = read_value(database, name).map_err(|error| unusable(path, error))?;
    let parse = |bytes: Vec<u8>| {
        serde_json::from_slice(&bytes).map_err(|error| damaged(path, format!("{name}: {error}")))
    };
    value.map(parse).transpose()
}

fn read_log(database: &Database, path: &Path) -> Result<Vec<Entry>, StoreError> {
    let read = || -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
        let transaction = database.begin_read()?;
        let table = transaction.open_table(LOG)?;
        let mut entries = Vec::new();
        for entry in table.iter()? {
            let (index, bytes) = entry?;
            entries.push((index.value(), bytes.value().to_vec()));
        }
        Ok(entries)
    };
    let raw = read().map_err(|error| unusable(path, error))?;
    let mut entries: Vec<Entry> = Vec::with_capacity(raw.len());
    for (index, bytes) in raw {
        let entry: Entry = serde_json::from_slice(&bytes)
            .map_err(|error| damaged(path, format!("entry {index}: {error}")))?;
        let expected = entries.last().map_or(index, |last| last.log_id.index + 1);
        if entry.log_id.index != index || index != expected {
            return Err(damaged(path, format!("entry {index} is not where it should be")));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn commit<'a>(
    database: &Database,
    changes: impl Iterator<Item = &'a Change>,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut log = transaction.open_table(LOG)?;
        let mut meta = transaction.open_table(META)?;
        for change in changes {
            match change {
                Change::Append(entries) => {
                    for (index, bytes) in entries {
                        log.insert(index, bytes.as_slice())?;
                    }
                }
                Change::RemoveFrom(index) => log.retain_in::<u64, _>(*index.., |_, _| false)?,
                Change::RemoveUpTo(index) => log.retain_in::<u64, _>(..=*index, |_, _| false)?,
                Change::Put(name, bytes) => _ = meta.insert(name, bytes.as_slice())?,
            }
        }
    }
    Ok(transaction.commit()?)
}

struct Writer {
    path: PathBuf,
    database: Option<Database>,
    queue: Receiver<Order>,
    health: DiskHealth,
}

impl Writer {
    fn run(mut self) {
        let mut waiting = Vec::new();
        while let Ok(order) = self.queue.recv() {
            let mut closing = take(order, &mut waiting);
            while closing.is_none() && waiting.len() < BATCH {
                let Ok(order) = self.queue.try_recv() else { break };
                closing = take(order, &mut waiting);
            }
            let result = self.write_until_decided(&mut waiting, &mut closing);
            for job in waiting.drain(..) {
                if let Some(done) = job.done {
                    done(result.as_ref().copied().map_err(same));
                }
            }
            if let Some(closing) = closing {
                drop(self.database.take());
                drop(closing);
                return;
            }
        }
    }

    /// Writes what waits. A full disk is tried again until there is space, or until the file is to
    /// be closed.
    fn write_until_decided(
        &mut self,
        waiting: &mut Vec<Job>,
        closing: &mut Option<Closing>,
    ) -> io::Result<()> {
        loop {
            let error = match self.write(waiting) {
                Ok(()) => {
                    self.health.set(None);
                    return Ok(());
                }
                Err(error) => error,
            };
            let path = self.path.display();
            if !is_full(&error) || closing.is_some() {
                self.health.set(Some(format!("cannot write {path}: {error}")));
                return Err(error);
            }
            self.health.set(Some(format!(
                "cannot write {path}: {error}; this node takes part again when there is space"
            )));
            match self.queue.recv_timeout(RETRY) {
                Ok(order) => *closing = take(order, waiting),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(closed()),
            }
        }
    }

    fn write(&mut self, waiting: &[Job]) -> io::Result<()> {
        let database = match self.database.take() {
            Some(database) => database,
            // After an error the file must be opened again.
            None => open_database(&self.path).map_err(|error| match error {
                StoreError::Io { source, .. } => source,
                other => io::Error::other(other.to_string()),
            })?,
        };
        let changes = waiting.iter().flat_map(|job| &job.changes);
        match commit(&database, changes) {
            Ok(()) => {
                self.database = Some(database);
                Ok(())
            }
            Err(redb::Error::Io(error)) => Err(error),
            Err(other) => Err(io::Error::other(other.to_string())),
        }
    }
}

type Closing = tokio::sync::oneshot::Sender<()>;

fn take(order: Order, waiting: &mut Vec<Job>) -> Option<Closing> {
    match order {
        Order::Write(job) => {
            waiting.push(job);
            None
        }
        Order::Close(closing) => Some(closing),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
