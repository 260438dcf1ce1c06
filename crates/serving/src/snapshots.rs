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
    let mut was_short = false;
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let (keeper, locks, log) = (keeper.upgrade(), locks.upgrade(), log.upgrade());
        let (Some(keeper), Some(locks), Some(log)) = (keeper, locks, log) else { return };
        let Some(cache) = cache.upgrade() else { return };
        if !log.is_compaction_due() && !log.room().is_short() {
            if std::mem::take(&mut was_short) {
                tracing::info!("the room that is kept for the journal is whole again");
            }
            continue;
        }
        let written =
            tokio::task::spawn_blocking(move || keep_short(&keeper, &locks, &cache, &log)).await;
        let Ok(kept) = written else { continue };
        if let Some(problem) = kept.problem
            && !std::mem::replace(&mut was_short, true)
        {
            tracing::error!("{problem}");
        }
        if let Err(error) = kept.compacted {
            tracing::warn!(%error, "the journal was not compacted; it is tried again");
        }
    }
}

/// What came of keeping the log short.
struct Kept {
    compacted: Result<(), SnapshotError>,
    /// What is the matter with the room on the disk.
    problem: Option<String>,
}

/// Renews the reserve, as far as there is room, and compacts the log if that is due. Blocks.
fn keep_short(keeper: &Keeper, locks: &LockService, cache: &ReplyCache, log: &JournalLog) -> Kept {
    let renew = || match log.renew_reserve() {
        Err(error) if !error.is_no_space() => {
            tracing::debug!(%error, "no room is kept for the journal");
        }
        _ => {}
    };
    renew();
    let compacted = if log.is_compaction_due() {
        let compacted = compact(keeper, locks, cache, log);
        renew();
        compacted
    } else {
        Ok(())
    };
    Kept { compacted, problem: log.problem() }
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
