//! What the procedures do.

use std::sync::atomic::Ordering;

use std::sync::Arc;

use standfast_nfs::locks::LockLimits;
use standfast_nfs::nlm::protocol::{
    FreeAllArgs, Holder, LockResult, Name, Netobj, PROGRAM, Procedure, ShareAccess, ShareArgs,
    ShareMode, ShareResult, ShareWish, Status, TestArgs, TestReply, UnlockArgs,
};
use standfast_rpc::client::CallError;
use standfast_rpc::message::ReplyStatus;
use standfast_rpc::xdr::{Opaque, from_bytes, to_bytes};

use crate::world::*;

async fn world() -> (World, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (World::start(settings(directory.path())).await, directory)
}

#[tokio::test]
async fn locks_conflict_and_name_their_holder() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    assert_eq!(world.test(&b, &WRITE).await, TestReply::Granted);
    assert_eq!(world.lock(&a, &Wish { offset: 5, length: 10, ..WRITE }).await, Status::Granted);
    assert_eq!(world.lock(&b, &READ).await, Status::Denied);
    let holder = Holder {
        exclusive: true,
        svid: 1,
        owner: Opaque::copy_from_slice(b"1@a"),
        offset: 5,
        length: 10,
    };
    assert_eq!(world.test(&b, &READ).await, TestReply::Denied(holder));
    assert_eq!(world.test(&a, &WRITE).await, TestReply::Granted);
    assert_eq!(world.unlock(&b, &WRITE).await, Status::Granted);
    assert_eq!(world.lock(&b, &READ).await, Status::Denied);
    assert_eq!(world.unlock(&a, &WRITE).await, Status::Granted);
    assert_eq!(world.lock(&b, &READ).await, Status::Granted);
    assert_eq!(world.lock(&a, &READ).await, Status::Granted);
    let report = world.service.report();
    assert_eq!(report.hosts.len(), 2);
    assert_eq!((report.hosts[0].name.as_ref(), report.hosts[0].usage.held), (&b"a"[..], 1));
    assert_eq!(report.monitored, 2);
}

#[tokio::test]
async fn processes_and_machines_are_told_apart() {
    let (world, _directory) = world().await;
    let a = Client::new("a", 2);
    assert_eq!(world.lock(&a, &WRITE).await, Status::Granted);
    for other in [
        Client { process: 2, ..a.clone() },
        Client { name: "b", ..a.clone() },
        Client { address: [127, 0, 0, 9].into(), ..a.clone() },
    ] {
        assert_eq!(world.lock(&other, &WRITE).await, Status::Denied, "{other:?}");
        assert_eq!(world.unlock(&other, &WRITE).await, Status::Granted);
    }
    assert_eq!(world.counts(), (1, 0));
}

#[tokio::test]
async fn a_retransmission_changes_nothing() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    for _ in 0..3 {
        assert_eq!(world.lock(&a, &WAIT).await, Status::Granted);
    }
    for _ in 0..3 {
        assert_eq!(world.lock(&b, &WAIT).await, Status::Blocked);
    }
    assert_eq!(world.counts(), (1, 1));
    assert_eq!(world.cancel(&b, &WAIT).await, Status::Granted);
    assert_eq!(world.cancel(&b, &WAIT).await, Status::Denied);
    for _ in 0..3 {
        assert_eq!(world.unlock(&a, &WRITE).await, Status::Granted);
    }
    assert_eq!(world.counts(), (0, 0));
    assert!(world.clients.granted().is_empty());
}

#[tokio::test]
async fn errors_are_those_of_the_version() {
    let (world, _directory) = world().await;
    let a = Client::new("a", 2);
    for (wish, status) in [
        (Wish { file: "stale", ..WRITE }, Status::StaleHandle),
        (Wish { file: "read-only", ..WRITE }, Status::ReadOnly),
        (Wish { offset: u64::MAX, length: 2, ..WRITE }, Status::TooBig),
        (Wish { file: "read-only", ..READ }, Status::Granted),
        (RECLAIM, Status::DeniedGracePeriod),
    ] {
        assert_eq!(world.lock(&a, &wish).await, status, "{wish:?}");
    }
    assert_eq!(world.test(&a, &Wish { file: "stale", ..READ }).await, TestReply::StaleHandle);
    let lock = standfast_nfs::nlm::protocol::Lock {
        caller_name: Name::copy_from_slice(b"a"),
        handle: Netobj::copy_from_slice(b"stale"),
        owner: Netobj::default(),
        svid: 1,
        offset: 0_u32,
        length: 0,
    };
    let args = UnlockArgs { cookie: cookie(), lock };
    let procedure = Procedure::Unlock as u32;
    let result: LockResult = world.call(&a, PROGRAM, 3, procedure, &args).await.unwrap();
    assert_eq!(result.status, Status::DeniedNoLocks);
}

#[tokio::test]
async fn narrow_and_wide_versions_share_the_table() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let far = Wish { offset: 1 << 40, length: 5, ..WRITE };
    assert_eq!(world.lock(&a, &far).await, Status::Granted);
    let lock = standfast_nfs::nlm::protocol::Lock {
        caller_name: Name::copy_from_slice(b"b"),
        handle: Netobj::copy_from_slice(b"file"),
        owner: Netobj::default(),
        svid: 1,
        offset: 0_u32,
        length: 0,
    };
    let args = TestArgs { cookie: cookie(), exclusive: true, lock };
    let result: standfast_nfs::nlm::protocol::TestResult<u32> =
        world.call(&b, PROGRAM, 1, Procedure::Test as u32, &args).await.unwrap();
    let TestReply::Denied(holder) = result.reply else { panic!("{result:?}") };
    assert_eq!((holder.offset, holder.length), (u32::MAX, 5));
}

#[tokio::test]
async fn procedures_that_a_version_lacks() {
    let (world, _directory) = world().await;
    let a = Client::new("a", 2);
    for (version, procedure) in [(1, 20), (2, 23), (3, 16), (4, 19), (4, 24), (1, 999)] {
        let refused = world.call::<_, ()>(&a, PROGRAM, version, procedure, &()).await;
        let Err(CallError::Refused(ReplyStatus::ProcedureUnavailable)) = refused else {
            panic!("{version} {procedure}: {refused:?}");
        };
    }
    for version in 1..=4 {
        world.call::<_, ()>(&a, PROGRAM, version, 0, &()).await.unwrap();
    }
    let garbage = world.call::<_, ()>(&a, PROGRAM, 4, 2, &7_u32).await;
    assert!(matches!(garbage, Err(CallError::Refused(ReplyStatus::GarbageArguments))));
}

#[tokio::test]
async fn messages_are_answered_by_a_call() {
    let (world, _directory) = world().await;
    let a = Client::new("a", 2);
    let args = UnlockArgs { cookie: cookie(), lock: a.lock(&WRITE) };
    world.nlm::<_, ()>(&a, Procedure::UnlockMsg, &args).await;
    let test = TestArgs { cookie: cookie(), exclusive: true, lock: a.lock(&WRITE) };
    world.nlm::<_, ()>(&a, Procedure::GrantedMsg, &test).await;
    until("two answers", || world.clients.calls.lock().len() == 2).await;
    let answer = world.clients.called(PROGRAM, Procedure::UnlockRes as u32).remove(0);
    assert_eq!((answer.to.address, answer.procedure.1), (a.address, 4));
    let result = LockResult { cookie: cookie(), status: Status::Granted };
    assert_eq!(answer.arguments, to_bytes(&result));
    // We wait for no lock of theirs.
    let answer = world.clients.called(PROGRAM, Procedure::GrantedRes as u32).remove(0);
    let result: LockResult = from_bytes(&answer.arguments).unwrap();
    assert_eq!(result.status, Status::Denied);
    // An answer to a message that we never sent.
    world.nlm::<_, ()>(&a, Procedure::GrantedRes, &result).await;
}

#[tokio::test]
async fn a_lock_on_a_file_that_is_gone_can_be_released() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let gone = |wish| Wish { file: "gone", ..wish };
    assert_eq!(world.lock(&a, &gone(WRITE)).await, Status::Granted);
    assert_eq!(world.lock(&b, &gone(WAIT)).await, Status::Blocked);
    world.files.gone.store(true, Ordering::Relaxed);
    assert_eq!(world.lock(&b, &gone(WAIT)).await, Status::StaleHandle);
    assert_eq!(world.cancel(&b, &gone(WAIT)).await, Status::Granted);
    assert_eq!(world.unlock(&a, &gone(WRITE)).await, Status::Granted);
    assert_eq!(world.counts(), (0, 0));
}

fn share_args(client: &Client, mode: ShareMode, access: ShareAccess) -> ShareArgs {
    let text = |text: &str| Opaque::copy_from_slice(text.as_bytes());
    let share = ShareWish {
        caller_name: Opaque::copy_from_slice(client.name.as_bytes()),
        handle: text("file"),
        owner: text("owner"),
        mode,
        access,
    };
    ShareArgs { cookie: cookie(), share, reclaim: false }
}

#[tokio::test]
async fn share_reservations() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let deny_write = |client| share_args(client, ShareMode::DenyWrite, ShareAccess::Read);
    let write = share_args(&b, ShareMode::DenyNone, ShareAccess::Write);
    for (client, procedure, args, status) in [
        (&a, Procedure::Share, deny_write(&a), Status::Granted),
        (&b, Procedure::Share, write.clone(), Status::Denied),
        (&b, Procedure::Share, deny_write(&b), Status::Granted),
        (&b, Procedure::Unshare, deny_write(&b), Status::Granted),
        (&a, Procedure::Unshare, deny_write(&a), Status::Granted),
        (&b, Procedure::Share, write, Status::Granted),
    ] {
        let result: ShareResult = world.nlm(client, procedure, &args).await;
        assert_eq!(result, ShareResult { cookie: cookie(), status, sequence: 0 });
    }
    assert_eq!(world.service.report().total.shares, 1);
}

#[tokio::test]
async fn free_all_frees_all_of_one_machine() {
    let (world, _directory) = world().await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let part = |offset| Wish { offset, length: 1, ..WRITE };
    assert_eq!(world.lock_as(Procedure::NmLock, &a, &part(0)).await, Status::Granted);
    // Such a lock is not on record.
    assert_eq!(world.service.report().monitored, 0);
    assert_eq!(world.lock(&b, &part(1)).await, Status::Granted);
    let free =
        |name: &str| FreeAllArgs { name: Opaque::copy_from_slice(name.as_bytes()), state: 0 };
    world.nlm::<_, ()>(&b, Procedure::FreeAll, &free("a")).await;
    assert_eq!(world.counts(), (2, 0), "another machine cannot do that");
    world.nlm::<_, ()>(&a, Procedure::FreeAll, &free("a")).await;
    assert_eq!(world.counts(), (1, 0));
}

#[tokio::test]
async fn limits_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = settings(directory.path());
    settings.hosts = 1;
    let limits = LockLimits { per_client: 1, ..LockLimits::default() };
    let world = World::start_within(settings, limits, Arc::default()).await;
    let (a, b) = (Client::new("a", 2), Client::new("b", 3));
    let part = |offset| Wish { offset, length: 1, ..WRITE };
    assert_eq!(world.lock(&a, &part(0)).await, Status::Granted);
    assert_eq!(world.lock(&a, &part(5)).await, Status::DeniedNoLocks);
    assert_eq!(world.lock(&b, &part(5)).await, Status::DeniedNoLocks);
    assert_eq!(world.counts(), (1, 0));
}
