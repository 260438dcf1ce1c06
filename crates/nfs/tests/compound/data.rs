//! READ, WRITE and COMMIT with special stateids.

use standfast_nfs::v4::protocol::{
    CommitArgs, Operation, OperationResult, Outcome, ReadArgs, StableHow, StateId, Status,
    WriteArgs,
};

use crate::server::{DATA, Offer, World, to, with};

fn read(stateid: StateId, offset: u64, count: u32) -> Operation {
    Operation::Read(ReadArgs { stateid, offset, count })
}

fn write(stateid: StateId, offset: u64, data: &[u8], stable: StableHow) -> Operation {
    Operation::Write(WriteArgs { stateid, offset, stable, data: data.to_vec().into() })
}

#[tokio::test]
async fn what_is_written_is_read() {
    let Some(world) = World::new("what_is_written_is_read", &[DATA]) else { return };
    let path = world.path_of("/data").join("file");
    std::fs::write(&path, "0123456789").unwrap();
    let file = |operation| with(to("/data/file"), operation);
    let payload = vec![7; 5000];
    let change = write(StateId::ANONYMOUS, 4, &payload, StableHow::Unstable);
    let written = world.run(&file(change)).await;
    let Some(OperationResult::Write(Outcome::Ok(ok))) = written.results.0.last() else {
        panic!("{written:?}");
    };
    assert_eq!(ok.count, 5000);
    let committed = world.run(&file(Operation::Commit(CommitArgs { offset: 0, count: 0 }))).await;
    let Some(OperationResult::Commit(Outcome::Ok(verifier))) = committed.results.0.last() else {
        panic!("{committed:?}");
    };
    assert_eq!(*verifier, ok.verifier);
    for (stateid, offset, count, expected, end) in [
        (StateId::ANONYMOUS, 0, 5, &b"0123\x07"[..], false),
        (StateId::BYPASS, 4, 100_000, &payload[..], true),
        (StateId::ANONYMOUS, 5004, 10, &b""[..], true),
        (StateId::ANONYMOUS, 0, 0, &b""[..], false),
    ] {
        // Two of them: what the second says does not depend on the payload of the first.
        let operation = read(stateid, offset, count);
        let all = world.run(&with(file(operation.clone()), operation)).await;
        for result in &all.results.0[3..] {
            let OperationResult::Read(Outcome::Ok(ok)) = result else { panic!("{all:?}") };
            assert_eq!((&ok.data[..], ok.end), (expected, end));
        }
    }
}

#[tokio::test]
async fn only_files_have_data_and_only_known_stateids_give_it() {
    let test = "only_files_have_data_and_only_known_stateids_give_it";
    let fixed = Offer { path: "/fixed", client: "*", read_only: true };
    let Some(world) = World::new(test, &[DATA, fixed]) else { return };
    let top = world.path_of("/data");
    std::fs::write(top.join("file"), "data").unwrap();
    std::os::unix::fs::symlink("file", top.join("link")).unwrap();
    std::fs::write(world.path_of("/fixed").join("file"), "data").unwrap();
    let anonymous = StateId::ANONYMOUS;
    let change = |stateid| write(stateid, 0, b"x", StableHow::FileSync);
    for (path, operation, expected) in [
        ("/data", read(anonymous, 0, 1), Status::IsDir),
        ("/data", change(anonymous), Status::IsDir),
        ("/", read(anonymous, 0, 1), Status::IsDir),
        ("/data/link", read(anonymous, 0, 1), Status::Inval),
        ("/data/file", read(StateId { seqid: 3, other: [9; 12] }, 0, 1), Status::StaleStateId),
        ("/fixed/file", change(anonymous), Status::RoFs),
        ("/fixed/file", read(anonymous, 0, 1), Status::Ok),
        ("/data/file", Operation::Commit(CommitArgs { offset: u64::MAX, count: 2 }), Status::Inval),
    ] {
        let status = world.status(&with(to(path), operation.clone())).await;
        assert_eq!(status, expected, "{path} {operation:?}");
    }
}
