//! Threads that carry connections, each its own ones.
//!
//! A connection stays on its thread: a call that memory can answer is read, run and answered
//! there without waking anybody. (A runtime whose threads share their work wakes a second thread
//! for nearly every call of a connection that has one call at a time.)

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads for name and group look-ups of the calls of one thread.
const BLOCKING_THREADS: usize = 8;

/// The threads.
#[derive(Debug, Default)]
pub struct Reactors {
    threads: Vec<Reactor>,
    next: AtomicUsize,
}

#[derive(Debug)]
struct Reactor {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reactors {
    /// Starts `count` threads. With none, connections run where they are accepted.
    pub fn start(count: usize) -> io::Result<Self> {
        let threads = (0..count).map(|_| Reactor::start()).collect::<io::Result<_>>()?;
        Ok(Self { threads, next: AtomicUsize::new(0) })
    }

    /// The thread for the next connection, in turn.
    pub(super) fn next(&self) -> Option<&Handle> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        Some(&self.threads.get(turn.checked_rem(self.threads.len())?)?.handle)
    }
}

impl Reactor {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name("standfast-names")
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("standfast-net".into()).spawn(move || {
            // Told to stop, or nobody is left who could tell.
            let _either = runtime.block_on(stopped);
            // A look-up that hangs must not keep the process.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The last owner may be a task of this very thread.
        if let Some(thread) = self.thread.take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _panicked = thread.join();
        }
    }
}
