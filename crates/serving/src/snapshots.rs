//! Snapshots of the state, so that the log stays short: bounded in size and in the time that a
//! replay takes.

use std::sync::Weak;
use std::time::{Duration, Instant};

use bytes::Bytes;
use standfast_journal::SnapshotError;
use standfast_nfs::nlm::LockService;
use standfast_nfs::nlm::record::{self, LockChange};
use standfast_nfs::v4::keeper::{Keeper, RecordKind};
use standfast_nfs::v4::state::Change;

use standfast_rpc::reply_cache::ReplyCache;

use crate::log::JournalLog;
use crate::replies;

/// How often the length of the log is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// Changes of the state in one record of a snapshot.
const CHANGES_PER_RECORD: usize = 256;

/// Replies in one record of a snapshot.
const REPLIES_PER_RECORD: usize = 32;

/// Takes snapshots when they are due, until the service is gone.
pub(crate) async fn compact_regularly(
    keeper: Weak<Keeper>,
    locks: Weak<LockService>,
    cache: Weak<ReplyCache>,
    log: Weak<JournalLog>,
) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (keeper, locks, log) = (keeper.upgrade(), locks.upgrade(), log.upgrade());
        let (Some(keeper), Some(locks), Some(log)) = (keeper, locks, log) else { return };
        let Some(cache) = cache.upgrade() else { return };
        if !log.is_compaction_due() {
            continue;
        }
        let written =
            tokio::task::spawn_blocking(move || compact(&keeper, &locks, &cache, &log)).await;
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "the journal was not compacted; it is tried again");
        }
    }
}

/// Writes the state as it is, in place of the log so far. Blocks.
pub(crate) fn compact(
    keeper: &Keeper,
    locks: &LockService,
    cache: &ReplyCache,
    log: &JournalLog,
) -> Result<(), SnapshotError> {
    // Nobody appends while the state is looked at.
    let (snapshot, changes, lock_changes) = locks.freeze(|beside| {
        keeper.look(|state| {
            let snapshot = log.start_snapshot()?;
            let table = state.locks().snapshot();
            let mut locks: Vec<_> =
                table.filter_map(|change| LockChange::of_table(&change)).collect();
            locks.extend(beside);
            Ok::<_, SnapshotError>((snapshot, state.snapshot(), locks))
        })
    })?;
    // What was appended before the snapshot began is in the cache.
    let replies = cache.replies(Instant::now());
    snapshot.write(|writer| {
        for part in replies.chunks(REPLIES_PER_RECORD) {
            writer.push(RecordKind::Reply as u16, &replies::encode(part.to_vec()))?;
        }
        for part in records(changes) {
            writer.push(RecordKind::State as u16, &part)?;
        }
        for part in lock_changes.chunks(CHANGES_PER_RECORD) {
            let record = record::encode(Vec::new(), part.to_vec());
            writer.push(RecordKind::Locks as u16, &record)?;
        }
        Ok(())
    })
}

fn records(changes: Vec<Change>) -> impl Iterator<Item = Bytes> {
    let mut changes = changes.into_iter().peekable();
    std::iter::from_fn(move || {
        changes.peek()?;
        Some(Change::encode_all(changes.by_ref().take(CHANGES_PER_RECORD).collect()))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use standfast_journal::{DirectoryStorage, Journal, Options};
    use standfast_nfs::handles::{HandleCodec, HandleKey};
    use standfast_nfs::holder::ServiceHolder;
    use standfast_nfs::locks::{Access, FileKey, LockLimits, Mode, Range, Request, Share};
    use standfast_nfs::nlm::{Base, FileFuture, Files, Host, LockOwner, LockSettings};
    use standfast_nfs::nsm::caller::NetworkCaller;
    use standfast_nfs::v4::keeper::{Covers, Log as _};
    use standfast_nfs::v4::state::Settings;
    use standfast_rpc::reply_cache::{Admission, CacheLimits, RequestKey};
    use standfast_rpc::{Call, Transport};
    use standfast_vfs::Handle;

    use super::*;
    use crate::replay::{Restored, parts};

    struct NoFiles;

    impl Files for NoFiles {
        fn file<'a>(
            &'a self,
            _handle: &'a [u8],
            _call: &'a Call,
            _wanted: Option<Mode>,
        ) -> FileFuture<'a> {
            Box::pin(async { Err(standfast_nfs::nlm::protocol::Status::StaleHandle) })
        }
    }

    fn cache() -> Arc<ReplyCache> {
        let age = Duration::from_secs(900);
        Arc::new(ReplyCache::new(CacheLimits { entries: 1000, bytes: 1 << 20, age }))
    }

    fn key(xid: u32) -> RequestKey {
        RequestKey::new([192, 0, 2, 1].into(), xid, b"a request")
    }

    /// What a journal in `directory` gives back in this epoch.
    fn open(directory: &std::path::Path, epoch: u64) -> (Journal, Restored) {
        let storage = Arc::new(DirectoryStorage::open(directory).unwrap());
        let opened = Journal::open(storage, epoch, Options::default()).unwrap();
        let (journal, snapshot, records) = parts(opened);
        let mut restored = Restored::new(1, Settings::default(), LockLimits::default());
        restored.replay(snapshot, records, Instant::now()).unwrap();
        (journal, restored)
    }

    fn serve(
        state: &std::path::Path,
        journal: Journal,
        restored: Restored,
    ) -> (Arc<Keeper>, Arc<LockService>, Arc<JournalLog>) {
        let log = JournalLog::new(journal);
        let keeper = Keeper::new(restored.state, Arc::clone(&log) as _);
        let handles = HandleCodec::new(&HandleKey::new([7; 16]));
        let base = Base { keeper: Arc::clone(&keeper), restored: Some(restored.locks), handles };
        let caller = Arc::new(NetworkCaller::new(Duration::from_secs(1), false));
        let settings = LockSettings::new(state.join("nsm"));
        let locks = LockService::start(settings, Arc::new(NoFiles), caller, base).unwrap();
        (keeper, locks, log)
    }

    fn table(keeper: &Keeper) -> Vec<String> {
        let shown = |change| format!("{change:?}");
        let mut table: Vec<_> = keeper.look(|state| state.locks().snapshot().map(shown).collect());
        table.sort();
        table
    }

    #[tokio::test]
    async fn a_snapshot_and_what_follows_it_give_everything_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        let (journal, restored) = open(&path, 1);
        let (keeper, locks, log) = serve(directory.path(), journal, restored);
        let host = Arc::new(Host {
            name: Bytes::from_static(b"client"),
            address: [192, 0, 2, 1].into(),
            local: [192, 0, 2, 2].into(),
            transport: Transport::Tcp,
            wide: true,
        });
        let owner = |svid| {
            let name = Bytes::from_static(b"owner");
            ServiceHolder::from(LockOwner { host: Arc::clone(&host), svid, name })
        };
        let lock = |number: u8, svid: i32, wait: bool| {
            let handle = Handle::new(0, 1, &[number % 7]).unwrap();
            let (file, first) = (FileKey { export: 1, handle }, u64::from(number));
            let (range, mode) = (Range::new(first, 10).unwrap(), Mode::Exclusive);
            let request = Request { file, owner: owner(svid), range, mode };
            let ((), pending) = keeper.with_locks(|table| {
                let (_, mut changes) = table.lock(&request, wait).unwrap();
                let read = Access { read: true, write: false };
                let share = Share { access: read, deny: Access::default() };
                changes.extend(table.share(file, &owner(svid), share).unwrap().unwrap_or_default());
                ((), changes.iter().filter_map(LockChange::of_table).collect())
            });
            drop(pending);
        };
        let replies = cache();
        let reply = |xid| {
            let Admission::New(pending) = replies.admit(key(xid), Instant::now()) else { return };
            let text = Bytes::from(format!("reply {xid}"));
            pending.finish(Some(text.clone()));
            let record = crate::replies::encode([(key(xid), text, Duration::ZERO)]);
            drop(log.append(RecordKind::Reply, &record, Covers::Record));
        };
        for number in 0..100 {
            lock(number, i32::from(number % 3), number % 2 == 0);
            reply(u32::from(number));
            if number % 40 == 39 {
                compact(&keeper, &locks, &replies, &log).unwrap();
            }
        }
        log.barrier().await.unwrap();
        let held = table(&keeper);
        assert!(held.len() > 50);
        let files = std::fs::read_dir(&path).unwrap().count();
        assert!(files <= 3, "{files} files after compaction");
        // As after a kill: nothing is closed.
        std::mem::forget((keeper, locks, log));
        let (journal, restored) = open(&path, 2);
        let later = cache();
        crate::replies::restore(&later, restored.replies.clone(), Instant::now());
        assert_eq!(later.usage().0, 100);
        assert!(
            matches!(later.admit(key(7), Instant::now()), Admission::Done(reply) if reply == "reply 7")
        );
        let (keeper, ..) = serve(directory.path(), journal, restored);
        assert_eq!(table(&keeper), held);
    }
}
