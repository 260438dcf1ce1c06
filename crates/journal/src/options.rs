//! How a journal is kept.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::flush::{Flusher, LogFlusher};

/// How a journal is kept. All sizes are bytes.
#[derive(Clone)]
pub struct Options {
    /// A segment that would grow beyond this is followed by a new one.
    pub segment_bytes: u64,
    /// Zeros are written ahead of the records in steps of this size, so that a flush finds the
    /// room allocated and the file's size settled, and has no metadata to write. 0: none are.
    ///
    /// Median of `fdatasync(2)` after 4 KiB at the end of a growing file, into room from
    /// `fallocate(2)` (whose extents must be marked as written), and into zeros, on a virtual
    /// disk with Linux 6.18: ext4 587, 579, 156 µs; XFS 381, 394, 139 µs. On btrfs neither helps
    /// (972, 1297, 1361 µs), since it writes to a new place each time; there it is left out.
    pub allocation_bytes: u64,
    /// Room that is kept for the day when the disk is full: files of this size in all, larger where
    /// snapshots are, which the log and its snapshots go on in. 0: none is kept.
    pub reserve_bytes: u64,
    /// Whether nobody else can have files of the journal open, because of a lock that ends with the
    /// process that has it. Then the reserve takes in the files of earlier holders, too, when they
    /// are needed no more; otherwise such a holder might still write into them.
    pub is_sole: bool,
    /// How long to wait before what found no room is tried again.
    pub room_retry: Duration,
    /// The most that waits for a flush before appending is refused.
    pub queue_bytes: usize,
    /// The most that one flush makes durable.
    pub batch_bytes: usize,
    /// When to compact.
    pub compaction: CompactionPolicy,
    /// What makes a batch durable.
    pub flusher: Arc<dyn Flusher>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            allocation_bytes: 1 << 20,
            reserve_bytes: 16 << 20,
            is_sole: false,
            room_retry: Duration::from_millis(100),
            queue_bytes: 64 << 20,
            batch_bytes: 1 << 20,
            compaction: CompactionPolicy::default(),
            flusher: Arc::new(LogFlusher),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("segment_bytes", &self.segment_bytes)
            .field("allocation_bytes", &self.allocation_bytes)
            .field("reserve_bytes", &self.reserve_bytes)
            .field("queue_bytes", &self.queue_bytes)
            .field("batch_bytes", &self.batch_bytes)
            .field("compaction", &self.compaction)
            .finish_non_exhaustive()
    }
}

/// When the log is long enough that a snapshot should take its place.
///
/// With snapshots of `s` bytes the directory then holds at most about
/// `2 s + max(minimum_bytes, factor * s)` bytes, and what is replayed is `s` less than that. Each
/// byte of the log costs at most `1 / factor` bytes of snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionPolicy {
    /// A log shorter than this is left alone.
    pub minimum_bytes: u64,
    /// How many times longer than the last snapshot the log may grow.
    pub factor: u32,
}

impl Default for CompactionPolicy {
    fn default() -> Self {
        Self { minimum_bytes: 16 << 20, factor: 4 }
    }
}

impl CompactionPolicy {
    /// Whether a log of `log` bytes behind a snapshot of `snapshot` bytes should be compacted.
    pub fn is_due(&self, log: u64, snapshot: u64) -> bool {
        log > self.minimum_bytes.max(snapshot.saturating_mul(self.factor.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_may_grow_with_its_snapshot() {
        let policy = CompactionPolicy { minimum_bytes: 100, factor: 4 };
        assert!(!policy.is_due(100, 0));
        assert!(policy.is_due(101, 25));
        assert!(!policy.is_due(101, 26));
        assert!(policy.is_due(105, 26));
        assert!(!policy.is_due(u64::MAX, u64::MAX));
    }
}
