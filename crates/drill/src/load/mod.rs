//! Several clients that write, create, rename, remove and lock without end, and write down what
//! they saw.

mod block;
mod workers;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::check::Remains;
use crate::client::{FileClient, NewSocket, Nfs3, Nfs41, Place, Refusal};
use crate::history::{Action, History, Recorder};
use block::BLOCK;
use workers::{Locker, Namer, Writer};

/// What clients that speak NFSv3 do with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamesOverNfs3 {
    /// Nothing.
    None,
    /// They make names with a verifier, which is all that NFSv3 lets a client repeat by itself.
    Repeatable,
    /// They make, rename and remove names, as the others do: the server must know what it did.
    All,
}

/// What a load is made of.
#[derive(Clone)]
pub struct LoadSettings {
    /// The address of the service.
    pub server: SocketAddr,
    /// Where the clients live.
    pub socket: NewSocket,
    /// What they mount.
    pub export: String,
    /// The directory in it that they work in; made if it is not there.
    pub directory: String,
    /// Clients that speak NFSv3.
    pub nfs3: usize,
    /// What these do with names, too.
    pub names_over_nfs3: NamesOverNfs3,
    /// Clients that speak NFSv4.1.
    pub nfs41: usize,
    /// The least time from one operation of a worker to its next.
    pub pace: Duration,
    /// Decides what is done in which order.
    pub seed: u64,
}

/// A load that runs.
#[derive(Debug)]
pub struct Load {
    recorder: Recorder,
    stop: watch::Sender<bool>,
    workers: JoinSet<()>,
    helpers: JoinSet<()>,
}

impl Load {
    /// Mounts all clients and starts their workers.
    ///
    /// # Errors
    /// What the server refused a client.
    pub async fn start(settings: &LoadSettings) -> Result<Self, Refusal> {
        let recorder = Recorder::default();
        let (stop, _) = watch::channel(false);
        let mut load = Self { recorder, stop, workers: JoinSet::new(), helpers: JoinSet::new() };
        for number in 0..settings.nfs3 {
            let place = settings.place(&load.recorder, &format!("nfs3-{number}"));
            let name = place.name.clone();
            let client = Nfs3::mount(place, &settings.export, &settings.directory).await?;
            load.drive(settings, &name, number as u64, Arc::new(client), false).await?;
        }
        for number in 0..settings.nfs41 {
            let place = settings.place(&load.recorder, &format!("nfs41-{number}"));
            let name = place.name.clone();
            let client =
                Arc::new(Nfs41::mount(place, &settings.export, &settings.directory).await?);
            let renewing = Arc::clone(&client);
            load.helpers.spawn(async move { renewing.renew().await });
            load.drive(settings, &name, 1000 + number as u64, client, true).await?;
        }
        Ok(load)
    }

    /// Starts the workers of a client.
    async fn drive<C: FileClient>(
        &mut self,
        settings: &LoadSettings,
        name: &str,
        number: u64,
        client: Arc<C>,
        has_sessions: bool,
    ) -> Result<(), Refusal> {
        let seed = settings.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(number);
        let desk = |job: &str, salt: u64| workers::Desk {
            client: Arc::clone(&client),
            name: name.to_owned(),
            worker: self.recorder.worker(&format!("{name} {job}")),
            recorder: self.recorder.clone(),
            pace: settings.pace,
            stop: self.stop.subscribe(),
            random: workers::Random(seed ^ salt << 32),
        };
        let writer = Writer::open(desk("writer", 1)).await?;
        let names = if has_sessions { NamesOverNfs3::All } else { settings.names_over_nfs3 };
        let repeatable = names == NamesOverNfs3::Repeatable;
        let namer =
            (names != NamesOverNfs3::None).then(|| Namer::new(desk("namer", 2), repeatable));
        let locker = if has_sessions { Some(Locker::open(desk("locker", 3)).await?) } else { None };
        self.workers.spawn(writer.run());
        if let Some(namer) = namer {
            self.workers.spawn(namer.run());
        }
        if let Some(locker) = locker {
            self.workers.spawn(locker.run());
        }
        Ok(())
    }

    /// What is seen, while it goes on.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Waits until every worker has had an answer after `since` (of the recorder's clock); says
    /// whether that came within `limit`.
    pub async fn answered_since(&self, since: Duration, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if self.recorder.last_answers().iter().all(|at| *at > since) {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Stops: what is under way may finish for as long as `patience`. What is unanswered then
    /// stays so in the history.
    pub async fn stop(mut self, patience: Duration) -> History {
        self.stop.send_replace(true);
        let finished = async { while self.workers.join_next().await.is_some() {} };
        let _given_up = timeout(patience, finished).await;
        self.workers.abort_all();
        self.helpers.abort_all();
        self.recorder.history()
    }
}

impl LoadSettings {
    fn place(&self, recorder: &Recorder, name: &str) -> Place {
        Place {
            name: name.into(),
            server: self.server,
            socket: Arc::clone(&self.socket),
            recorder: recorder.clone(),
        }
    }

    /// Reads back all that a history speaks of, as a client of its own that cached nothing.
    ///
    /// # Errors
    /// What the server refused, or that it did not answer within `limit`.
    pub async fn read_back(&self, history: &History, limit: Duration) -> Result<Remains, Refusal> {
        let place = self.place(&Recorder::default(), "reader");
        let read = async {
            let reader = Nfs41::mount(place, &self.export, &self.directory).await?;
            read_all(&reader, history).await
        };
        let late = |_| Refusal::Other(format!("what was written cannot be read in {limit:?}"));
        timeout(limit, read).await.map_err(late)?
    }
}

async fn read_all<C: FileClient>(reader: &C, history: &History) -> Result<Remains, Refusal> {
    let mut remains = Remains { names: reader.list().await?, ..Remains::default() };
    for name in files(history) {
        if !remains.names.contains(&name) {
            continue;
        }
        let file = reader.open(&name).await?;
        let mut blocks = Vec::new();
        for block in 0..workers::BLOCKS {
            let data = reader.read(&file, block * BLOCK as u64, BLOCK as u32).await?;
            blocks.push(block::read(&name, block, &data));
        }
        remains.files.insert(name, blocks);
    }
    Ok(remains)
}

/// The files with data.
fn files(history: &History) -> BTreeSet<String> {
    let file = |action: &Action| match action {
        Action::Write { file, .. } | Action::Increment { file } => Some(file.clone()),
        _ => None,
    };
    history.operations.iter().filter_map(|operation| file(&operation.action)).collect()
}
