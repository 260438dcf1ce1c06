//! Restarts: of a client, and of the server.

use std::sync::Arc;
use std::time::Duration;

use standfast_nfs::nlm::protocol::Status;
use standfast_nfs::nsm::protocol::{
    Mon, MonId, MyId, Outcome, PROGRAM, Procedure, StatArgs, StatResult, StateChange,
};
use standfast_rpc::xdr::{Opaque, from_bytes};

use crate::world::*;

async fn notify(world: &World, from: &Client, name: &str, state: i32) {
    let mon_name = Opaque::copy_from_slice(name.as_bytes());
    let change = StateChange { mon_name, state };
    world.call::<_, ()>(from, PROGRAM, 1, Procedure::Notify as u32, &change).await.unwrap();
}

#[tokio::test]
async fn a_clients_restart_frees_its_locks() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let (a, b) = (Client::new("a.example.org", 2), Client::new("b", 3));
    assert_eq!(world.lock(&a, &WRITE).await, Status::Granted);
    assert_eq!(world.lock(&b, &WAIT).await, Status::Blocked);
    notify(&world, &b, "a.example.org", 3).await;
    assert_eq!(world.counts(), (1, 1), "it comes from another machine");
    notify(&world, &a, "c", 3).await;
    assert_eq!(world.counts(), (1, 1), "it is of another machine");
    notify(&world, &a, "A", 3).await;
    assert_eq!(world.counts(), (1, 0));
    until("b is told", || world.clients.granted().len() == 1).await;
    assert_eq!(world.clients.granted()[0].to.address, b.address);
}

#[tokio::test]
async fn the_same_restart_told_again_frees_nothing_more() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let old = Client::new("a", 2);
    let new = Client { state: 3, process: 2, ..old.clone() };
    let part = |offset| Wish { offset, length: 1, ..WRITE };
    assert_eq!(world.lock(&old, &part(0)).await, Status::Granted);
    notify(&world, &old, "a", 3).await;
    assert_eq!(world.counts(), (0, 0));
    assert_eq!(world.lock(&new, &part(0)).await, Status::Granted);
    notify(&world, &old, "a.example.org", 3).await;
    assert_eq!(world.counts(), (1, 0));
}

#[tokio::test]
async fn a_restart_told_late_frees_only_what_is_old() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let old = Client::new("a", 2);
    let new = Client { state: 3, process: 2, ..old.clone() };
    let part = |offset| Wish { offset, length: 1, ..WRITE };
    assert_eq!(world.lock(&old, &part(0)).await, Status::Granted);
    assert_eq!(world.lock(&new, &part(5)).await, Status::Granted);
    notify(&world, &new, "a", 3).await;
    assert_eq!(world.counts(), (1, 0));
    assert_eq!(world.unlock(&new, &part(5)).await, Status::Granted);
    assert_eq!(world.counts(), (0, 0));
}

#[tokio::test]
async fn our_restart_is_told_and_locks_are_reclaimed() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let world = World::start(settings(directory.path())).await;
    assert_eq!(world.lock(&a, &WRITE).await, Status::Granted);
    drop(world);

    let mut soon = settings(directory.path());
    soon.grace.settle = Duration::from_millis(1);
    let clients = Arc::new(FakeClients::default());
    clients.script.lock().extend([Say::Nothing; 2]);
    let world = World::start_with(settings(directory.path()), Arc::clone(&clients)).await;
    assert!(world.service.report().grace_left.is_some());
    assert_eq!(world.lock(&b, &READ).await, Status::DeniedGracePeriod);
    assert_eq!(world.lock(&a, &RECLAIM).await, Status::Granted);
    assert_eq!(world.unlock(&a, &Wish { offset: 9, ..WRITE }).await, Status::Granted);
    let told = || clients.called(PROGRAM, Procedure::Notify as u32);
    until("a is told by both names", || told().len() == 4).await;
    let names = told().into_iter().map(|call| {
        let change: StateChange = from_bytes(&call.arguments).unwrap();
        assert_eq!((call.to.address, change.state), (a.address, 3));
        String::from_utf8(change.mon_name.to_vec()).unwrap()
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names, ["127.0.0.1", "127.0.0.1", "127.0.0.1", "server"]);
    drop(world);

    // Once more; now everybody is through at once.
    let world = World::start(soon).await;
    until("the grace period is over", || world.service.report().grace_left.is_none()).await;
    assert_eq!(world.lock(&a, &RECLAIM).await, Status::DeniedGracePeriod);
    assert_eq!(world.lock(&b, &READ).await, Status::Granted);
}

#[tokio::test]
async fn without_former_clients_there_is_no_grace_period() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    assert_eq!(world.service.report().grace_left, None);
    drop(world);
    let world = World::start(settings(directory.path())).await;
    assert_eq!(world.lock(&Client::new("a", 2), &WRITE).await, Status::Granted);
    assert!(world.clients.calls.lock().is_empty());
}

#[tokio::test]
async fn a_client_that_restarted_too_has_nothing_to_reclaim() {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let world = World::start(settings(directory.path())).await;
    assert_eq!(world.lock(&a, &WRITE).await, Status::Granted);
    drop(world);
    let clients = Arc::new(FakeClients::default());
    clients.script.lock().extend([Say::Nothing; 1000]);
    let world = World::start_with(settings(directory.path()), clients).await;
    assert_eq!(world.lock(&b, &WRITE).await, Status::DeniedGracePeriod);
    notify(&world, &a, "a", 3).await;
    assert_eq!(world.lock(&b, &WRITE).await, Status::Granted);
}

#[tokio::test]
async fn only_this_machine_may_ask_for_monitoring() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let caller = Client::new("a", 2);
    let my_id = MyId { my_name: Opaque::default(), program: 100_021, version: 4, procedure: 16 };
    let id = MonId { mon_name: Opaque::copy_from_slice(b"127.0.0.1"), my_id };
    let mon = Mon { id, private: [0; 16] };
    // From a port that any user could have.
    let refused: StatResult =
        world.call(&caller, PROGRAM, 1, Procedure::Mon as u32, &mon).await.unwrap();
    assert_eq!(refused.outcome, Outcome::Fail);
    let stat = StatArgs { mon_name: Opaque::copy_from_slice(b"127.0.0.1") };
    let refused: StatResult =
        world.call(&caller, PROGRAM, 1, Procedure::Stat as u32, &stat).await.unwrap();
    assert_eq!(refused, StatResult { outcome: Outcome::Fail, state: -1 });
    assert_eq!(world.lock(&caller, &WRITE).await, Status::Granted);
    world.call::<_, ()>(&caller, PROGRAM, 1, Procedure::SimuCrash as u32, &()).await.unwrap();
    assert_eq!(world.counts(), (1, 0));
}

#[tokio::test]
async fn a_journal_keeps_locks_and_who_waits_over_our_restart() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let [a, b, c] = [Client::new("a", 2), Client::new("b", 3), Client::new("c", 4)];
    let part = |offset| Wish { offset, length: 10, ..WRITE };
    assert_eq!(world.lock(&a, &part(0)).await, Status::Granted);
    assert_eq!(world.lock(&a, &part(20)).await, Status::Granted);
    assert_eq!(world.unlock(&a, &Wish { offset: 5, length: 1, ..WRITE }).await, Status::Granted);
    assert_eq!(world.lock(&b, &Wish { block: true, ..part(0) }).await, Status::Blocked);
    assert_eq!(world.lock(&c, &WAIT).await, Status::Blocked);
    assert_eq!(world.counts(), (3, 2));
    let world = World::start_again(settings(directory.path()), world).await;
    // Nobody is told of it, nobody has to reclaim anything.
    let report = world.service.report();
    assert_eq!((report.grace_left, world.counts()), (None, (3, 2)));
    assert_eq!(world.lock(&b, &RECLAIM).await, Status::DeniedGracePeriod);
    assert_eq!(world.lock(&b, &part(20)).await, Status::Denied);
    assert_eq!(world.lock(&b, &Wish { offset: 5, length: 1, ..WRITE }).await, Status::Granted);
    world.unlock(&b, &Wish { offset: 5, length: 1, ..WRITE }).await;
    assert_eq!(world.unlock(&a, &part(0)).await, Status::Granted);
    until("b is told", || world.clients.granted().len() == 1).await;
    assert_eq!(world.clients.granted()[0].to.address, b.address);
    // A restart of a client that was told before ours is not one that comes after it.
    notify(&world, &b, "b", 3).await;
    assert_eq!(world.lock(&Client { state: 3, ..b.clone() }, &part(0)).await, Status::Granted);
    let world = World::start_again(settings(directory.path()), world).await;
    notify(&world, &b, "b", 3).await;
    assert_eq!(world.counts(), (2, 1));
    assert_eq!(world.clients.called(PROGRAM, Procedure::Notify as u32).len(), 0);
}
