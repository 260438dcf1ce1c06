//! What one worker of a client does, over and over.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::block::{self, BLOCK};
use crate::check::Content;
use crate::client::{FileClient, NewName, Refusal};
use crate::history::{Action, Answer, Recorder};

/// Blocks of a file.
pub(super) const BLOCKS: u64 = 16;
/// The file whose number all lockers increment.
const COUNTER: &str = "counter";
/// A block is read back after this many writes.
const READ_EVERY: u64 = 8;
/// A name that all want is tried after this many names of one's own.
const RACE_EVERY: u64 = 4;

/// SplitMix64: what is done follows from the seed.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }
}

/// What every worker has.
pub(super) struct Desk<C> {
    pub(super) client: Arc<C>,
    pub(super) name: String,
    pub(super) worker: usize,
    pub(super) recorder: Recorder,
    pub(super) pace: Duration,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) random: Random,
}

impl<C: FileClient> Desk<C> {
    /// Waits for the time of the next operation; `false` when it is time to stop.
    async fn next(&mut self, begun: Instant) -> bool {
        let stopped = timeout_at(begun + self.pace, self.stop.wait_for(|stop| *stop)).await;
        stopped.is_err()
    }

    /// Does something and writes it down; says whether it was done.
    async fn record(
        &self,
        action: Action,
        work: impl Future<Output = Result<Answer, Refusal>>,
    ) -> bool {
        let begun = self.recorder.begin(self.worker, action);
        let answer = work.await.unwrap_or_else(Answer::from);
        let done = matches!(answer, Answer::Done | Answer::Value(_));
        self.recorder.end(begun, answer);
        done
    }
}

fn done(result: Result<(), Refusal>) -> Result<Answer, Refusal> {
    result.map(|()| Answer::Done)
}

/// Writes blocks of a file of its own, and reads some back.
pub(super) struct Writer<C: FileClient> {
    desk: Desk<C>,
    name: String,
    file: C::File,
}

impl<C: FileClient> Writer<C> {
    pub(super) async fn open(desk: Desk<C>) -> Result<Self, Refusal> {
        let name = format!("data-{}", desk.name);
        let file = desk.client.open(&name).await?;
        Ok(Self { desk, name, file })
    }

    pub(super) async fn run(mut self) {
        for value in 1.. {
            let begun = Instant::now();
            let block = self.desk.random.below(BLOCKS);
            let (desk, file) = (&self.desk, self.name.clone());
            let data = block::make(&file, block, value);
            let write = desk.client.write(&self.file, block * BLOCK as u64, data);
            desk.record(Action::Write { file, block, value }, async { done(write.await) }).await;
            if value % READ_EVERY == 0 {
                let block = self.desk.random.below(BLOCKS);
                self.read(block).await;
            }
            if !self.desk.next(begun).await {
                return;
            }
        }
    }

    async fn read(&self, block: u64) {
        let (desk, file) = (&self.desk, self.name.clone());
        let read = async {
            let data = desk.client.read(&self.file, block * BLOCK as u64, BLOCK as u32).await?;
            Ok(match block::read(&self.name, block, &data) {
                Content::Value(value) => Answer::Value(value),
                Content::Hole => Answer::Hole,
                Content::Torn => Answer::Torn,
            })
        };
        desk.record(Action::Read { file, block }, read).await;
    }
}

/// Makes names, renames them, removes some, and now and then wants one that others want too.
pub(super) struct Namer<C> {
    desk: Desk<C>,
    /// Only what can be repeated by the client: names made with a verifier.
    repeatable: bool,
}

impl<C: FileClient> Namer<C> {
    pub(super) fn new(desk: Desk<C>, repeatable: bool) -> Self {
        Self { desk, repeatable }
    }

    pub(super) async fn run(mut self) {
        for number in 0.. {
            let begun = Instant::now();
            let name = if number % RACE_EVERY == 0 {
                format!("wanted-{}", number / RACE_EVERY)
            } else {
                format!("name-{}-{number}", self.desk.name)
            };
            let made = self.create(&name, number).await;
            if !self.desk.next(begun).await {
                return;
            }
            let moves = made && !self.repeatable && number % RACE_EVERY != 0;
            if moves && !self.move_on(name, number).await {
                return;
            }
        }
    }

    async fn create(&mut self, name: &str, number: u64) -> bool {
        let how = match self.desk.random.below(2) {
            0 if !self.repeatable => NewName::Guarded,
            _ => NewName::Exclusive((number << 32 | self.desk.random.below(1 << 32)).to_be_bytes()),
        };
        let create = self.desk.client.create(name, how);
        let action = Action::Create { name: name.into() };
        self.desk.record(action, async { done(create.await) }).await
    }

    /// Renames the name, removes it sometimes; `false` when it is time to stop.
    async fn move_on(&mut self, from: String, number: u64) -> bool {
        let begun = Instant::now();
        let to = format!("moved-{}-{number}", self.desk.name);
        let rename = self.desk.client.rename(&from, &to);
        let action = Action::Rename { from: from.clone(), to: to.clone() };
        let moved = self.desk.record(action, async { done(rename.await) }).await;
        if !self.desk.next(begun).await {
            return false;
        }
        if !moved || self.desk.random.below(2) == 0 {
            return true;
        }
        let begun = Instant::now();
        let remove = self.desk.client.remove(&to);
        let action = Action::Remove { name: to.clone() };
        self.desk.record(action, async { done(remove.await) }).await;
        self.desk.next(begun).await
    }
}

/// Takes the lock of the counter, increments it, and gives the lock back.
pub(super) struct Locker<C: FileClient> {
    desk: Desk<C>,
    file: C::File,
}

impl<C: FileClient> Locker<C> {
    pub(super) async fn open(desk: Desk<C>) -> Result<Self, Refusal> {
        let file = desk.client.open(COUNTER).await?;
        Ok(Self { desk, file })
    }

    pub(super) async fn run(mut self) {
        loop {
            let begun = Instant::now();
            let (desk, file) = (&self.desk, COUNTER.to_owned());
            let lock = desk.client.lock(&mut self.file);
            if desk.record(Action::Lock { file }, async { done(lock.await) }).await {
                let file = COUNTER.to_owned();
                desk.record(Action::Increment { file: file.clone() }, self.increment()).await;
                let unlock = desk.client.unlock(&mut self.file);
                desk.record(Action::Unlock { file }, async { done(unlock.await) }).await;
            }
            if !self.desk.next(begun).await {
                return;
            }
        }
    }

    async fn increment(&self) -> Result<Answer, Refusal> {
        let client = &self.desk.client;
        let data = client.read(&self.file, 0, BLOCK as u32).await?;
        let value = match block::read(COUNTER, 0, &data) {
            Content::Value(value) => value,
            Content::Hole => 0,
            Content::Torn => return Ok(Answer::Torn),
        };
        client.write(&self.file, 0, block::make(COUNTER, 0, value + 1)).await?;
        Ok(Answer::Value(value + 1))
    }
}
