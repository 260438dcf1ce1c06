//! A service that goes from node to node, in one process, with clients that go on.
#![expect(clippy::unwrap_used, reason = "a test that goes wrong stops")]
#![expect(clippy::print_stderr, reason = "a test that cannot run says so")]

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use standfast_drill::client::{FileClient, NewName, Nfs41, Place, Refusal, here};
use standfast_drill::history::{Finding, Recorder};
use standfast_net::{Connection, TICKLE_AGAIN, Tickler};
use standfast_rpc::gate::{BootTime, ReplyGate};
use standfast_serving::{Epoch, Instance, Manner, Node, Opening, Taken};
use standfast_settings::{ExportSettings, Settings};
use tokio::time::timeout;

/// No wait of a test is longer.
const PATIENCE: Duration = Duration::from_secs(100);

const HOUR: Duration = Duration::from_secs(3600);

/// Storage that all nodes reach, and nodes.
struct World {
    directory: tempfile::TempDir,
    node: Arc<Node>,
    port: u16,
}

impl World {
    /// `None`: without the rights that it takes.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: serving needs root");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("pool/data")).unwrap();
        let node = Node::start(&Settings::default().limits).unwrap();
        Some(Self { directory, node, port: 0 })
    }

    fn pool(&self) -> PathBuf {
        self.directory.path().join("pool")
    }

    fn opening(&self, node: &str, service: &str, epoch: u64) -> Opening {
        let mut settings = Settings::default();
        settings.server.state_dir = self.directory.path().join(node);
        settings.server.port = self.port;
        settings.journal.directory = Some(self.pool().join(".standfast/services").join(service));
        let mut export = ExportSettings::new(self.pool().join("data"));
        export.export_path = "/data".into();
        export.clients.push("*:rw,no_root_squash".parse().unwrap());
        settings.exports.push(export);
        let opening = Opening::storage(&self.node, service, settings).expects_journal(epoch > 1);
        assert_eq!(opening.problems(), [""; 0]);
        opening.warm();
        opening
    }

    /// Serves on `ip`, from the journal of whoever did so before.
    fn serve(&mut self, taken: Taken, ip: IpAddr) -> Arc<Instance> {
        let instance = taken.listen(&[ip]).unwrap();
        // The port that was free the first time.
        self.port = instance.listening()[0].port();
        instance
    }

    /// Whether these clients are on record, for a successor: that is written in the background.
    fn has_on_record(&self, service: &str, clients: &[SocketAddr]) -> bool {
        let place = self.pool().join(".standfast/services").join(service);
        let files = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
        let tables = files.filter(|path| path.to_string_lossy().contains("/connections-"));
        let octets: Vec<u8> = tables.flat_map(|path| std::fs::read(path).unwrap()).collect();
        clients.iter().all(|client| {
            let ip = match client.ip() {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => v6,
            };
            let wanted = [&ip.octets()[..], &client.port().to_be_bytes()].concat();
            octets.windows(wanted.len()).any(|found| found == wanted)
        })
    }

    /// Files of the log of a service.
    fn log_files(&self, service: &str) -> usize {
        let journal = self.pool().join(".standfast/services").join(service).join("journal");
        let names = std::fs::read_dir(journal).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().ends_with(".log")).count()
    }

    /// Waits until this process has nothing open in the pool.
    async fn let_go(&self) {
        until(|| open_below(&self.pool()).is_empty()).await;
    }
}

fn take_over(opening: Opening, epoch: u64) -> Taken {
    let gate = Arc::new(ReplyGate::closed());
    gate.open_until(BootTime::now().after(HOUR));
    opening.take_over(Epoch::Lease(epoch), gate).unwrap()
}

async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("what was waited for");
}

/// What this process has open of a directory and all below it. By inode: an export is a mount of
/// its own, with paths of its own.
fn open_below(directory: &Path) -> Vec<(u64, u64)> {
    let mut known = HashSet::new();
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        let Ok(data) = std::fs::symlink_metadata(&path) else { continue };
        known.insert((data.dev(), data.ino()));
        if data.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let data = std::fs::metadata(entry.ok()?.path()).ok()?;
        Some((data.dev(), data.ino()))
    });
    open.filter(|inode| known.contains(inode)).collect()
}

async fn mount(instance: &Instance, name: &str, recorder: &Recorder) -> Nfs41 {
    let server = instance.listening()[0];
    let place = Place { name: name.into(), server, socket: here(), recorder: recorder.clone() };
    timeout(PATIENCE, Nfs41::mount(place, "/data", "shared")).await.unwrap().unwrap()
}

/// Addresses of the loopback network that no other process uses.
fn addresses() -> [IpAddr; 2] {
    let [.., high, low] = std::process::id().to_be_bytes();
    [[127, 71, high, low].into(), [127, 72, high, low].into()]
}

fn clients(instance: &Instance) -> Vec<SocketAddr> {
    instance.server().registry().report().iter().map(|report| report.peer.address).collect()
}

/// Sends what makes the clients of former holders notice.
fn tickle(instance: &Instance) {
    let tickler = Tickler::new().unwrap();
    for (server, client) in instance.connections_before() {
        tickler.tickle(&Connection { server: *server, client: *client }).unwrap();
    }
}

async fn write(client: &Nfs41, file: &<Nfs41 as FileClient>::File, text: &'static str) {
    let written = client.write(file, 0, Bytes::from_static(text.as_bytes()));
    timeout(PATIENCE, written).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_goes_to_and_fro_and_its_clients_go_on() {
    let Some(mut world) = World::new() else { return };
    let [ip, other_ip] = addresses();
    let recorder = Recorder::default();
    let taken = take_over(world.opening("a", "vm", 1), 1);
    let mut holder = world.serve(taken, ip);
    assert_eq!(holder.connections_before(), []);
    // Another service of the same node, on the same port.
    let taken = take_over(world.opening("a", "other", 1), 1);
    let other = world.serve(taken, other_ip);
    let third = mount(&other, "third", &recorder).await;

    let (one, two) =
        (mount(&holder, "one", &recorder).await, mount(&holder, "two", &recorder).await);
    let mut file = one.open("file").await.unwrap();
    one.lock(&mut file).await.unwrap();
    let mut same = two.open("file").await.unwrap();
    for (index, node) in ["b", "a", "a", "b"].into_iter().enumerate() {
        let epoch = index as u64 + 2;
        // Warm before the move.
        let opening = world.opening(node, "vm", epoch);
        let before = clients(&holder);
        until(|| world.has_on_record("vm", &before)).await;
        assert!(holder.drain(PATIENCE).await);
        // Nobody answers this before the move, and the kernel has taken it.
        let pending = write(&one, &file, "while it moves");
        let moved = async {
            holder.stop(Manner::Silent).await;
            holder = world.serve(take_over(opening, epoch), ip);
            let known: Vec<_> = holder.connections_before().iter().map(|ends| ends.1).collect();
            assert!(before.iter().all(|client| known.contains(client)), "{before:?} {known:?}");
            // One may get lost, also here: the kernel answers so many in a time.
            loop {
                tickle(&holder);
                tokio::time::sleep(TICKLE_AGAIN[0]).await;
            }
        };
        tokio::select! {
            () = pending => {}
            () = moved => {}
        }
        write(&one, &file, "after it").await;
        assert_eq!(two.lock(&mut same).await, Err(Refusal::Denied));
        third.create(&format!("name {epoch}"), NewName::Guarded).await.unwrap();
        let read = timeout(PATIENCE, two.read(&same, 0, 100)).await.unwrap().unwrap();
        assert_eq!(read, "after it moves");
    }
    one.unlock(&mut file).await.unwrap();
    two.lock(&mut same).await.unwrap();
    // An address of loopback is there also while nobody listens.
    let mut findings = recorder.history().findings;
    findings.retain(|found| found.what != Finding::Refused);
    assert_eq!(findings, []);
    // However often it moves, there is little to read.
    until(|| world.log_files("vm") < 3).await;
    other.stop(Manner::Silent).await;
    holder.stop(Manner::Silent).await;
    drop((holder, other));
    world.let_go().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_that_is_given_up_goes_on_where_it_was() {
    let Some(mut world) = World::new() else { return };
    let [_, ip] = addresses();
    let recorder = Recorder::default();
    let taken = take_over(world.opening("a", "vm", 1), 1);
    let holder = world.serve(taken, ip);
    let client = mount(&holder, "client", &recorder).await;
    assert!(holder.drain(PATIENCE).await);
    let calls = holder.server().counters().calls.load(Ordering::SeqCst);
    let created = client.create("name", NewName::Guarded);
    let resumed = async {
        assert_eq!(holder.server().counters().calls.load(Ordering::SeqCst), calls);
        holder.resume();
    };
    let (created, ()) = tokio::join!(created, resumed);
    created.unwrap();
    assert_eq!(recorder.history().findings, []);
    holder.stop(Manner::Drained).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_superseded_is_silent_and_lets_go() {
    let Some(mut world) = World::new() else { return };
    let [ip, other_ip] = addresses();
    let recorder = Recorder::default();
    let taken = take_over(world.opening("a", "vm", 1), 1);
    let old = world.serve(taken, ip);
    let client = mount(&old, "client", &recorder).await;
    let mut failed = old.failed();

    let taken = take_over(world.opening("b", "vm", 2), 2);
    let new = world.serve(taken, other_ip);
    let sent = old.server().counters().bytes_sent.load(Ordering::SeqCst);
    let unanswered = tokio::spawn(async move {
        let _refused = client.create("name", NewName::Guarded).await;
    });
    timeout(PATIENCE, failed.wait_for(Option::is_some)).await.unwrap().unwrap();
    // A renewal of the lease that comes now opens nothing.
    old.gate().open_until(BootTime::now().after(HOUR));
    assert!(old.gate().is_shut() && !old.gate().may_send());
    old.stop(Manner::Silent).await;
    assert_eq!(old.server().counters().bytes_sent.load(Ordering::SeqCst), sent);
    unanswered.abort();
    new.stop(Manner::Silent).await;
    drop((old, new, failed));
    world.let_go().await;
}
