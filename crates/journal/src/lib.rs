//! The append-only log of a service's protocol state: append, group commit, replay, compaction.
//!
//! The journal knows nothing of what it keeps: a record is a tag and bytes. It lies in a directory
//! of the service's own storage; `FORMAT.md` has the bytes.
//!
//! Opening and replaying 50,000 records of 200 bytes, from the log or from a snapshot, takes 15 to
//! 35 ms on two cores of a virtual machine, with the files in the page cache
//! (`cargo bench -p standfast-journal`). One thread that waits for each record gets one in the time
//! of the disk's flush; 64 get about 90,000 a second out of a disk that does 5,000 flushes.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use standfast_journal::{DirectoryStorage, Entry, Journal, Options, Scope};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = DirectoryStorage::open("/srv/volume/.journal".as_ref())?;
//! let opened = Journal::open(Arc::new(storage), 7, Options::default())?;
//! for record in opened.snapshot.into_iter().flatten() { /* restore the state */ }
//! for record in opened.records { /* and what happened since */ }
//! let ticket = opened.journal.append(Entry { tag: 1, payload: b"open", scope: Scope::Record })?;
//! ticket.wait()?;
//! // Now the reply may leave.
//! # Ok(()) }
//! ```

mod active;
mod error;
mod flush;
mod header;
mod inspect;
mod journal;
mod open;
mod options;
mod queue;
mod record;
mod replay;
mod reserve;
mod room;
mod segment;
mod shared;
mod snapshot;
mod snapshot_file;
mod storage;
mod ticket;
mod writer;

pub use error::{JournalError, OpenError, SnapshotError, StorageError};
pub use flush::{Flusher, LogFlusher, Scope};
pub use header::{FORMAT_VERSION, FileKind, Header, HeaderError, SegmentLink};
pub use inspect::{Inspection, Shown, Summary, inspect, verify};
pub use journal::{Entry, Journal};
pub use open::{Opened, Report, TornTail, latest_epoch};
pub use options::{CompactionPolicy, Options};
pub use record::{MAX_PAYLOAD_BYTES, NoRecord};
pub use replay::{Record, Records, StateRecord, StateRecords};
pub use room::Room;
pub use segment::{Segment, SegmentRecord, Tail, decode_segment};
pub use snapshot::{Snapshot, SnapshotWriter};
#[cfg(any(test, feature = "simulation"))]
pub use storage::simulation;
pub use storage::{
    Access, DirectoryStorage, FilesystemTraits, MAX_FILE_BYTES, Storage, StorageFile,
};
pub use ticket::Ticket;
