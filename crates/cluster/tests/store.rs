//! The store of the consensus: what its peer's own suite asks of it, restarts, a full disk.

use std::path::Path;
use std::time::Duration;

use openraft::entry::FromAppData;
use openraft::storage::{RaftLogStorage, RaftLogStorageExt};
use openraft::testing::{StoreBuilder, Suite};
use openraft::{CommittedLeaderId, Entry, EntryPayload, LogId, Membership, StorageError};
use rustix::thread::UnshareFlags;
use standfast_cluster::consensus::TypeConfig;
use standfast_cluster::consensus::store::{LogStore, StateMachine, open};
use standfast_cluster::heartbeat::Moment;
use standfast_cluster::lease::Term;
use standfast_cluster::model::{Command, NodeId, Stamped, Token, TokenHash, TokenId};
use tempfile::TempDir;

struct Builder;

impl StoreBuilder<TypeConfig, LogStore, StateMachine, TempDir> for Builder {
    async fn build(&self) -> Result<(TempDir, LogStore, StateMachine), StorageError<u64>> {
        let directory = TempDir::new().expect("a directory");
        let store = open(&directory.path().join("cluster.redb"), "test").expect("a store");
        Ok((directory, store.log, store.machine))
    }
}

#[test]
fn it_is_what_the_consensus_expects() {
    Suite::test_all(Builder).expect("the suite passes");
}

/// Runs a test in a mount namespace of its own, with a small filesystem at the given directory.
/// Only root can have one; `None` for others.
fn on_small_disk<T: Send + 'static>(
    directory: &Path,
    test: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let directory = directory.to_owned();
    let thread = std::thread::spawn(move || {
        use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
        // SAFETY: this thread shares no open files or memory that a mount namespace would concern.
        let own = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) };
        own.ok()?;
        let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
        mount_change("/", private).ok()?;
        mount("tmpfs", &directory, "tmpfs", MountFlags::empty(), Some(c"size=24m")).ok()?;
        Some(test())
    });
    thread.join().expect("the test passes")
}

/// An entry that takes some space.
fn big_entry(index: u64) -> Entry<TypeConfig> {
    let token = Token { hash: TokenHash("x".repeat(20_000)), ends_ms: 0, uses_left: None };
    let command = Command::CreateToken { id: TokenId(String::new()), token };
    let mut entry = Entry::from_app_data(Stamped { at_ms: 0, command });
    entry.log_id = LogId::new(CommittedLeaderId::new(1, 1), index);
    entry
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_full_disk_is_told_and_waited_for_and_loses_nothing() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().to_owned();
    let ran = on_small_disk(directory.path(), move || {
        let file = path.join("cluster.redb");
        let mut store = open(&file, "test").expect("a store");
        let runtime = runtime();
        let vote = |term| openraft::Vote::new(term, 1);
        runtime.block_on(store.log.save_vote(&vote(1))).expect("there is space");
        let ballast = path.join("ballast");
        let fill = |file: &Path| {
            use std::io::Write;
            let mut ballast = std::fs::File::create(file).expect("a file");
            while ballast.write_all(&[1; 4096]).is_ok() {}
        };
        fill(&ballast);
        // Enough writes that the space inside of the file does not last.
        let mut log = store.log.clone();
        let writing = std::thread::spawn(move || {
            let runtime = self::runtime();
            for term in 2..20_000 {
                let entry = big_entry(term);
                runtime.block_on(log.blocking_append([entry])).expect("it ends well");
                if term > 150 {
                    return term;
                }
            }
            0
        });
        let told = (0..6000).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            store.health.problem().is_some_and(|problem| problem.contains("No space left"))
        });
        assert!(told, "nobody was told that the disk is full");
        assert!(!writing.is_finished(), "something was answered that is not durable");
        std::fs::remove_file(&ballast).expect("space again");
        let last = writing.join().expect("it ends");
        assert_eq!(store.health.problem(), None);
        runtime.block_on(store.log.close());
        let mut again = open(&file, "test").expect("the same store");
        let log = runtime.block_on(again.log.get_log_state()).expect("its log");
        assert_eq!(log.last_log_id.map(|id| id.index), Some(last));
        assert_eq!(runtime.block_on(again.log.read_vote()).expect("its vote"), Some(vote(1)));
    });
    if ran.is_none() {
        println!("ignored: only root can make a small disk");
    }
}

#[test]
fn a_vote_ends_the_support_of_earlier_leaders_before_it_is_answered() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("cluster.redb");
    let runtime = runtime();
    let term = |term, node| Term::of_vote(term, NodeId(node));
    let mut store = open(&file, "test").expect("a store");
    let support = store.log.support();
    assert_eq!(support.lock().term(), Term::default());
    let vote = openraft::Vote::new_committed(3, 2);
    runtime.block_on(store.log.save_vote(&vote)).expect("there is space");
    assert_eq!(support.lock().term(), term(3, 2));
    assert!(support.lock().endorse(term(3, 2), Moment::now()));
    // Of one term too, the higher number counts.
    runtime.block_on(store.log.save_vote(&openraft::Vote::new(3, 5))).expect("there is space");
    assert!(!support.lock().endorse(term(3, 2), Moment::now()));
    runtime.block_on(store.log.close());
    drop(store);
    // What was voted counts in the next run as well.
    let again = open(&file, "test").expect("a store");
    let support = again.log.support();
    assert_eq!(support.lock().term(), term(3, 5));
    assert!(!support.lock().endorse(term(3, 2), Moment::now()));
}

#[test]
fn other_members_count_as_an_earlier_leader() {
    let directory = TempDir::new().expect("a directory");
    let file = directory.path().join("cluster.redb");
    let runtime = runtime();
    let mut store = open(&file, "test").expect("a store");
    let support = store.log.support();
    // Whatever is noted from here on is not older than this.
    let begun = Moment::now() + Duration::from_nanos(1);
    let noted = || {
        let now = Moment::now();
        support.lock().older_age(now) <= now.since(begun)
    };
    runtime.block_on(store.log.blocking_append([big_entry(1)])).expect("there is space");
    assert!(!noted(), "no member is another");
    let members = Membership::new(vec![[1, 2].into()], None);
    let mut entry = big_entry(2);
    entry.payload = EntryPayload::Membership(members);
    runtime.block_on(store.log.blocking_append([entry])).expect("there is space");
    assert!(noted());
}
