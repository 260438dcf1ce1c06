//! The permit of the operation that a thread runs.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use rustix::io::Errno;

use crate::{Error, Permit, Result, Verdict, Wait};

/// Between two looks of an operation that waits for its permit.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

type Held = Option<(Arc<dyn Permit>, Wait)>;

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(None) };
}

/// Operations on this thread ask for this permit until it is dropped.
pub(super) struct PermitScope {
    before: Held,
}

impl PermitScope {
    pub(super) fn enter(permit: Option<&Arc<dyn Permit>>, wait: Wait) -> Self {
        let held = permit.map(|permit| (Arc::clone(permit), wait));
        Self { before: HELD.replace(held) }
    }
}

impl Drop for PermitScope {
    fn drop(&mut self) {
        HELD.set(self.before.take());
    }
}

/// To be asked right before a system call that changes something.
///
/// # Errors
/// `EIO` if the permit has ended, which nobody is told; [`Error::WouldBlock`] if it is not there and
/// the operation may not wait.
pub(super) fn ask() -> Result<()> {
    HELD.with_borrow(|held| {
        let Some((permit, wait)) = held else { return Ok(()) };
        loop {
            match (permit.ask(), wait) {
                (Verdict::Granted, _) => return Ok(()),
                (Verdict::Ended, _) => return Err(Error::Os(Errno::IO)),
                (Verdict::Later, Wait::Never) => return Err(Error::WouldBlock),
                (Verdict::Later, Wait::Allowed) => sleep(LOOK_AGAIN),
            }
        }
    })
}
