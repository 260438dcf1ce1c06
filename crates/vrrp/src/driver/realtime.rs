//! Scheduling of the protocol's thread.

use std::io;

/// Gives this thread the `SCHED_RR` priority that the settings ask for.
pub(super) fn prepare_thread(priority: Option<u8>) {
    let Some(priority) = priority else { return };
    if let Err(error) = set_round_robin(priority) {
        tracing::warn!(priority, %error, "the thread runs without real-time priority");
    }
}

fn set_round_robin(priority: u8) -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: zero means this thread, and the parameters live through the call.
    let result = unsafe {
        libc::sched_setscheduler(0, libc::SCHED_RR | libc::SCHED_RESET_ON_FORK, &parameters)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
