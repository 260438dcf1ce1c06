mod model;
mod model_v40;
mod reference;
mod scenes;

use std::time::{Duration, Instant};

use bytes::Bytes;
use standfast_vfs::Handle;

use super::*;

pub(super) const LEASE: Duration = Duration::from_secs(90);

pub(super) fn settings() -> Settings {
    Settings { slots_per_session: 4, ..Settings::default() }
}

pub(super) fn empty() -> State {
    State::new(7, settings(), LockLimits::default())
}

pub(super) fn file(number: u8) -> FileKey {
    FileKey { export: 1, handle: Handle::new(0, 1, &[number]).unwrap() }
}

/// A state made of what a journal holds.
pub(super) fn replay<'a>(records: impl IntoIterator<Item = &'a Bytes>, now: Instant) -> State {
    let mut state = empty();
    for record in records {
        for change in Change::decode_all(record).unwrap() {
            state.apply(&change, now);
        }
    }
    state
}

/// A journal and its snapshot rebuild the same state.
pub(super) fn assert_rebuilt(state: &State, records: &[Bytes], now: Instant) {
    let snapshot = state.snapshot();
    assert_eq!(replay(records, now).snapshot(), snapshot);
    let record = Change::encode_all(snapshot.clone());
    assert_eq!(replay([&record], now).snapshot(), snapshot);
}
