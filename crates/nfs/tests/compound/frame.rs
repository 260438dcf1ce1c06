//! What holds for COMPOUND whatever is in it.

use bytes::Bytes;
use standfast_nfs::v4::protocol::{CompoundArgs, Operation, OperationResult, Status, Tag};
use standfast_rpc::Reply;

use crate::server::{DATA, ROOT, World, get_attr, lookup, results, status_of, to, with};

#[tokio::test]
async fn it_ends_at_the_first_failure() {
    let Some(world) = World::new("it_ends_at_the_first_failure", &[DATA]) else { return };
    let operations = [to("/data"), vec![lookup("nothing"), Operation::GetHandle]].concat();
    let all = world.run(&operations).await;
    assert_eq!(all.status, Status::NoEnt);
    assert_eq!(all.results.0.len(), 3);
    assert_eq!(all.results.0[2], OperationResult::Lookup(Status::NoEnt));
    assert_eq!(world.run(&[]).await.status, Status::Ok);
}

#[tokio::test]
async fn without_a_file_handle_nothing_can_be_done() {
    let Some(world) = World::new("without_a_file_handle_nothing_can_be_done", &[DATA]) else {
        return;
    };
    for operation in [
        Operation::GetHandle,
        Operation::SaveHandle,
        Operation::ReadLink,
        Operation::LookupParent,
        lookup("name"),
        lookup(""),
        get_attr(&[1]),
    ] {
        assert_eq!(
            world.status(std::slice::from_ref(&operation)).await,
            Status::NoFileHandle,
            "{operation:?}"
        );
    }
    assert_eq!(world.status(&[Operation::RestoreHandle]).await, Status::RestoreFh);
    let garbage = Operation::PutHandle(b"garbage".to_vec().into());
    assert_eq!(world.status(&[garbage]).await, Status::BadHandle);
}

#[tokio::test]
async fn minor_versions_have_their_own_rules() {
    let Some(world) = World::new("minor_versions_have_their_own_rules", &[DATA]) else { return };
    let root = [Operation::PutRootHandle];
    let unknown = world.run_minor(ROOT, 3, &root).await;
    assert_eq!(unknown.status, Status::MinorVersMismatch);
    assert!(unknown.results.0.is_empty());
    assert_eq!(world.run_minor(ROOT, 1, &root).await.status, Status::OpNotInSession);
    let destroy = [Operation::DestroySession([1; 16])];
    assert_eq!(world.run_minor(ROOT, 1, &destroy).await.status, Status::BadSession);
    let two = [Operation::DestroySession([1; 16]), Operation::PutRootHandle];
    assert_eq!(world.run_minor(ROOT, 1, &two).await.status, Status::NotOnlyOp);
    let illegal = CompoundArgs::new(Tag::default(), 0, &destroy);
    assert_eq!(status_of(world.call(ROOT, &illegal).await), Status::OpIllegal);
    let many = vec![Operation::PutRootHandle; 1000];
    assert_eq!(world.run(&many).await.status, Status::Resource);
}

#[tokio::test]
async fn what_cannot_be_decoded_is_told_in_its_place() {
    let Some(world) = World::new("what_cannot_be_decoded_is_told_in_its_place", &[DATA]) else {
        return;
    };
    let compound = |operations: &[u32], count: u32| CompoundArgs {
        tag: Tag::default(),
        minor: 0,
        count,
        operations: operations.iter().flat_map(|word| word.to_be_bytes()).collect::<Bytes>(),
    };
    for (operations, count, expected) in [
        (&[24, 999][..], 2, Status::OpIllegal),
        (&[24, 53], 2, Status::OpIllegal),
        (&[24, 15, 77, 0], 2, Status::BadXdr),
        (&[24], 2, Status::BadXdr),
    ] {
        let status = status_of(world.call(ROOT, &compound(operations, count)).await);
        assert_eq!(status, expected, "{operations:?}");
    }
    let short = CompoundArgs { count: u32::MAX, ..compound(&[24], 1) };
    assert_eq!(results(world.call(ROOT, &short).await).status, Status::Resource);
    assert!(matches!(world.call(ROOT, &compound(&[24], 1)).await, Reply::Success(_)));
}

#[tokio::test]
async fn the_saved_handle_comes_back() {
    let Some(world) = World::new("the_saved_handle_comes_back", &[DATA]) else { return };
    let data = world.handle(to("/data")).await;
    let there_and_back = [
        to("/data"),
        vec![Operation::SaveHandle, Operation::PutRootHandle, Operation::RestoreHandle],
    ];
    assert_eq!(world.handle(there_and_back.concat()).await, data);
    let again = vec![Operation::PutHandle(data.clone())];
    assert_eq!(world.handle(again).await, data);
    assert_eq!(world.handle(vec![Operation::PutPublicHandle]).await, world.handle(to("/")).await);
    let gone = std::fs::create_dir(world.path_of("/data").join("gone"));
    gone.unwrap();
    let handle = world.handle(to("/data/gone")).await;
    std::fs::remove_dir(world.path_of("/data").join("gone")).unwrap();
    assert_eq!(world.status(&[Operation::PutHandle(handle.clone())]).await, Status::Stale);
    let look = with(vec![Operation::PutHandle(handle)], get_attr(&[1]));
    assert_eq!(world.status(&look).await, Status::Stale);
}
