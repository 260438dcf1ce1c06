//! Telling clients of locks that they waited for.

use standfast_nfs::nlm::protocol::{Procedure, Status, TestArgs};
use standfast_rpc::Transport;
use standfast_rpc::xdr::from_bytes;

use crate::world::*;

/// `a` holds the file, `b` and then `c` wait for it.
async fn queue() -> (World, tempfile::TempDir, [Client; 3]) {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let clients = [Client::new("a", 2), Client::new("b", 3), Client::new("c", 4)];
    assert_eq!(world.lock(&clients[0], &WRITE).await, Status::Granted);
    assert_eq!(world.lock(&clients[1], &WAIT).await, Status::Blocked);
    assert_eq!(world.lock(&clients[2], &WAIT).await, Status::Blocked);
    (world, directory, clients)
}

#[tokio::test]
async fn the_next_in_line_is_told_until_it_answers() {
    let (world, _directory, [a, b, c]) = queue().await;
    world.clients.script.lock().extend([
        Say::Nothing,
        Say::Status(Status::DeniedGracePeriod),
        Say::Status(Status::Granted),
    ]);
    world.unlock(&a, &WRITE).await;
    until("three calls", || world.clients.granted().len() == 3).await;
    for call in world.clients.granted() {
        assert_eq!((call.to.address, call.to.local), (b.address, Some([127, 0, 0, 1].into())));
        assert_eq!((call.to.transport, call.procedure.1), (Transport::Tcp, 4));
        let args: TestArgs<u64> = from_bytes(&call.arguments).unwrap();
        assert!(args.exclusive);
        assert_eq!(args.lock, b.lock(&WAIT));
    }
    assert_eq!(world.counts(), (1, 1));
    world.unlock(&b, &WRITE).await;
    until("c is told", || world.clients.granted().last().unwrap().to.address == c.address).await;
}

#[tokio::test]
async fn a_lock_that_is_not_wanted_goes_to_the_next() {
    let (world, _directory, [a, _, c]) = queue().await;
    world.clients.script.lock().push_back(Say::Status(Status::Denied));
    world.unlock(&a, &WRITE).await;
    until("c is told", || world.clients.granted().len() == 2).await;
    assert_eq!(world.clients.granted()[1].to.address, c.address);
    assert_eq!(world.counts(), (1, 0));
}

#[tokio::test]
async fn a_denial_after_silence_may_come_from_the_holder() {
    // The first call may have been heard: then the client has the lock and waits no more.
    for script in
        [vec![Say::Nothing, Say::Status(Status::Denied)], vec![Say::Again(Status::Denied)]]
    {
        let (world, _directory, [a, b, _]) = queue().await;
        let calls = script.len();
        world.clients.script.lock().extend(script);
        world.unlock(&a, &WRITE).await;
        until("b is told", || world.clients.granted().len() == calls).await;
        assert_eq!(world.lock(&a, &WRITE).await, Status::Denied);
        assert_eq!(world.unlock(&b, &WRITE).await, Status::Granted);
        until("c is told", || world.clients.granted().len() > calls).await;
    }
}

#[tokio::test]
async fn a_client_that_asks_again_knows_and_needs_no_call() {
    let (world, _directory, [a, b, _]) = queue().await;
    world.clients.script.lock().extend([Say::Nothing; 100]);
    world.unlock(&a, &WRITE).await;
    until("b is called", || !world.clients.granted().is_empty()).await;
    assert_eq!(world.lock(&b, &WAIT).await, Status::Granted);
    world.clients.script.lock().clear();
    world.clients.script.lock().extend([Say::Status(Status::Denied); 100]);
    assert_eq!(world.lock(&a, &WRITE).await, Status::Denied, "b holds it");
    assert_eq!(world.counts(), (1, 1));
}

#[tokio::test]
async fn a_client_that_never_answers_keeps_its_lock() {
    let (world, _directory, [a, b, _]) = queue().await;
    world.clients.script.lock().extend([Say::Nothing; 1000]);
    world.unlock(&a, &WRITE).await;
    until("calls", || world.clients.granted().len() > 5).await;
    assert_eq!(world.lock(&a, &WRITE).await, Status::Denied);
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.cancel(&b, &WAIT).await, Status::Granted, "it waits no more: taken back");
    until("c has it", || world.counts() == (1, 0)).await;
}

#[tokio::test]
async fn a_refused_upgrade_leaves_what_was_held() {
    let directory = tempfile::tempdir().unwrap();
    let world = World::start(settings(directory.path())).await;
    let (a, b, c) = (Client::new("a", 2), Client::new("b", 3), Client::new("c", 4));
    let part = |offset, length| Wish { offset, length, ..READ };
    assert_eq!(world.lock(&a, &part(0, 10)).await, Status::Granted);
    assert_eq!(world.lock(&b, &part(0, 10)).await, Status::Granted);
    let upgrade = Wish { offset: 0, length: 20, ..WAIT };
    assert_eq!(world.lock(&b, &upgrade).await, Status::Blocked);
    world.clients.script.lock().push_back(Say::Status(Status::Denied));
    world.unlock(&a, &part(0, 10)).await;
    until("b is told and refuses", || !world.clients.granted().is_empty()).await;
    let behind = Wish { offset: 10, length: 10, ..WAIT };
    let granted = || world.clients.granted().len();
    if world.lock(&c, &behind).await == Status::Blocked {
        until("what b gave back", || granted() == 2).await;
    }
    assert_eq!(world.lock(&c, &Wish { exclusive: true, ..part(0, 10) }).await, Status::Denied);
    assert_eq!(world.lock(&c, &part(0, 10)).await, Status::Granted);
}

#[tokio::test]
async fn blocking_messages_are_told_too() {
    let (world, _directory, [a, b, _]) = queue().await;
    world.cancel(&b, &WAIT).await;
    let part = Wish { offset: 3, length: 1, ..WAIT };
    let args = standfast_nfs::nlm::protocol::LockArgs {
        cookie: cookie(),
        block: true,
        exclusive: true,
        lock: b.lock(&part),
        reclaim: false,
        state: 1,
    };
    world.nlm::<_, ()>(&b, Procedure::LockMsg, &args).await;
    until("blocked", || world.counts() == (1, 2)).await;
    world.unlock(&a, &WRITE).await;
    until("c is told", || !world.clients.granted().is_empty()).await;
}
