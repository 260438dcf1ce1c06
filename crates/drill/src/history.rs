//! What clients asked for, when, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde::Serialize;

/// What a worker asked for. Names and files are within the directory of the drill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A name that must be new, made exclusively.
    Create {
        /// The name.
        name: String,
    },
    /// Another name for what `from` named.
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// A name taken away.
    Remove {
        /// The name.
        name: String,
    },
    /// A block of a file that only this worker writes, stable when it is answered.
    Write {
        /// The file.
        file: String,
        /// Which block.
        block: u64,
        /// What the block holds then; grows with each write of the file.
        value: u64,
    },
    /// A block of a file that only this worker writes.
    Read {
        /// The file.
        file: String,
        /// Which block.
        block: u64,
    },
    /// A number in a file of all workers, read and written back one higher under its lock.
    Increment {
        /// The file.
        file: String,
    },
    /// The exclusive lock of a file.
    Lock {
        /// The file.
        file: String,
    },
    /// The lock given back.
    Unlock {
        /// The file.
        file: String,
    },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was done.
    Done,
    /// The value of a block, or of a number after it was incremented.
    Value(u64),
    /// The block was never written.
    Hole,
    /// The block holds bytes that no worker ever wrote together.
    Torn,
    /// The name exists already.
    Exists,
    /// There is no such name.
    NoEntry,
    /// Another holds the lock.
    Denied,
    /// Any other refusal.
    Refused(String),
}

/// One operation of one worker. A worker has one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Operation {
    /// Who asked.
    pub worker: usize,
    /// What.
    pub action: Action,
    /// When, since the start of the history.
    pub invoked: Duration,
    /// When the answer came, and the answer; `None` if it never came.
    pub answered: Option<(Duration, Answer)>,
}

/// What a client should never see, or only in a fault that the protocol cannot hide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// A connection was refused (a reset in answer to a SYN): a kernel client then waits three
    /// seconds.
    Refused,
    /// A connection could not be made for another reason.
    Unreachable(String),
    /// A call was not answered for so long that the client gave its connection up.
    Silent,
    /// The reply of RPC itself was no success.
    Rpc(String),
    /// A reply that cannot be read.
    Garbled(String),
    /// The server lost the client's session, client id, open or lock, or thinks so.
    LostState(String),
    /// The server is in its grace period: the client waits.
    Grace,
    /// The server asked to come again later.
    Delayed,
    /// A status that tells an application of an error.
    Error(String),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("a connection was refused"),
            Self::Unreachable(why) => write!(f, "no connection could be made: {why}"),
            Self::Silent => f.write_str("a call was not answered for a minute"),
            Self::Rpc(what) => write!(f, "a call was not run: {what}"),
            Self::Garbled(what) => write!(f, "a reply cannot be read: {what}"),
            Self::LostState(what) => write!(f, "the server lost the client's state: {what}"),
            Self::Grace => f.write_str("a client had to wait for a grace period"),
            Self::Delayed => f.write_str("the server asked a client to come again later"),
            Self::Error(what) => write!(f, "an application got an error: {what}"),
        }
    }
}

/// A finding, with when and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// When, since the start of the history.
    pub at: Duration,
    /// The client's name.
    pub client: String,
    /// What.
    pub what: Finding,
}

/// All that was seen.
#[derive(Clone, Debug, Default, Serialize)]
pub struct History {
    /// The names of the workers, by number.
    pub workers: Vec<String>,
    /// In the order in which they were asked for.
    pub operations: Vec<Operation>,
    /// In the order in which they were made.
    pub findings: Vec<Found>,
    /// When clients made a new connection: how often a fault reached them.
    pub connections: Vec<Duration>,
}

/// Writes a history; cloned freely.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    history: Mutex<History>,
}

/// Names an operation that was begun.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Begun(usize);

impl Default for Recorder {
    fn default() -> Self {
        Self(Arc::new(Shared { start: Instant::now(), history: Mutex::default() }))
    }
}

impl Recorder {
    /// How long the history has run.
    pub fn now(&self) -> Duration {
        self.0.start.elapsed()
    }

    /// A new worker, and its number.
    pub fn worker(&self, name: &str) -> usize {
        let mut history = self.0.history.lock();
        history.workers.push(name.into());
        history.workers.len() - 1
    }

    /// A worker asks for something.
    pub fn begin(&self, worker: usize, action: Action) -> Begun {
        let mut history = self.0.history.lock();
        let invoked = self.now();
        history.operations.push(Operation { worker, action, invoked, answered: None });
        Begun(history.operations.len() - 1)
    }

    /// It was answered.
    pub fn end(&self, begun: Begun, answer: Answer) {
        let now = self.now();
        if let Some(operation) = self.0.history.lock().operations.get_mut(begun.0) {
            operation.answered = Some((now, answer));
        }
    }

    /// A client saw what it should not.
    pub fn find(&self, client: &str, what: Finding) {
        let at = self.now();
        self.0.history.lock().findings.push(Found { at, client: client.into(), what });
    }

    /// A client has a new connection.
    pub fn connected(&self) {
        let at = self.now();
        self.0.history.lock().connections.push(at);
    }

    /// How many operations were answered so far, and when the last was.
    pub fn answered(&self) -> (usize, Duration) {
        let history = self.0.history.lock();
        let times = history.operations.iter().filter_map(|done| Some(done.answered.as_ref()?.0));
        times.fold((0, Duration::ZERO), |(count, last), at| (count + 1, last.max(at)))
    }

    /// For each worker, when its last answer came.
    pub fn last_answers(&self) -> Vec<Duration> {
        let history = self.0.history.lock();
        let mut last = vec![Duration::ZERO; history.workers.len()];
        for operation in &history.operations {
            if let (Some((at, _)), Some(of)) = (&operation.answered, last.get_mut(operation.worker))
            {
                *of = (*of).max(*at);
            }
        }
        last
    }

    /// The history so far.
    pub fn history(&self) -> History {
        self.0.history.lock().clone()
    }
}
