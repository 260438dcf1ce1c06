//! The checks of the fuzz targets, on inputs that need no fuzzer.

use bytes::Bytes;
use standfast_nfs::mount::protocol as mount;
use standfast_nfs::nlm::protocol as nlm;
use standfast_nfs::nsm::protocol as nsm;
use standfast_nfs::v3::protocol as nfs3;
use standfast_nfs::v4::protocol as nfs4;
use standfast_rpc::xdr::{Chain, Encode, List, Opaque, to_bytes};

#[path = "../../../fuzz/checks/callbacks.rs"]
mod callbacks_check;
#[path = "../../../fuzz/checks/handle.rs"]
mod handle;
#[path = "../../../fuzz/checks/mount.rs"]
mod mount_check;
#[path = "../../../fuzz/checks/nfs3.rs"]
mod nfs3_check;
#[path = "../../../fuzz/checks/nfs4.rs"]
mod nfs4_check;
#[path = "../../../fuzz/checks/nlm.rs"]
mod nlm_check;
#[path = "../../../fuzz/checks/nsm.rs"]
mod nsm_check;
#[path = "../../../fuzz/checks/smoke.rs"]
mod smoke;
#[path = "../../../fuzz/checks/wire.rs"]
mod wire;

/// A good input.
fn seed(value: &impl Encode) -> Vec<u8> {
    to_bytes(value).to_vec()
}

fn opaque<const MAX: usize>(text: &str) -> Opaque<MAX> {
    Opaque::copy_from_slice(text.as_bytes())
}

fn attributes() -> nfs3::Attributes {
    let time = nfs3::Time { seconds: 1, nanoseconds: 2 };
    nfs3::Attributes {
        kind: nfs3::FileType::Reg,
        mode: 0o644,
        links: 1,
        uid: 1000,
        gid: 100,
        size: 5,
        used: 4096,
        device: nfs3::SpecData { major: 0, minor: 0 },
        fsid: 7,
        file_id: 8,
        atime: time.clone(),
        mtime: time.clone(),
        ctime: time,
    }
}

fn wcc() -> nfs3::WccData {
    nfs3::WccData { before: None, after: Some(attributes()) }
}

#[test]
fn messages_of_nfs3() {
    let file: nfs3::FileHandle = opaque("handle");
    let place = nfs3::DirOpArgs { directory: file.clone(), name: opaque("name") };
    let set = nfs3::SetAttributes {
        mode: Some(0o600),
        uid: None,
        gid: Some(0),
        size: Some(1 << 40),
        atime: nfs3::SetTime::ServerTime,
        mtime: nfs3::SetTime::Keep,
    };
    let entry = nfs3::EntryPlus {
        file_id: 3,
        name: opaque("entry"),
        cookie: 9,
        attributes: Some(attributes()),
        handle: Some(file.clone()),
    };
    let listing = nfs3::ReadDirPlusOk {
        attributes: None,
        verifier: [1; 8],
        entries: Chain(vec![entry.clone(), entry]),
        end: true,
    };
    let write = nfs3::WriteArgs {
        file: file.clone(),
        offset: 4,
        count: 5,
        stable: nfs3::StableHow::DataSync,
        data: opaque("hello"),
    };
    let read = nfs3::ReadOk {
        attributes: Some(attributes()),
        count: 5,
        end_of_file: true,
        data: opaque("hello"),
    };
    let moved = nfs3::RenameWcc { from: wcc(), to: wcc() };
    let seeds = [
        seed(&file),
        seed(&nfs3::CreateArgs { place: place.clone(), how: nfs3::CreateHow::Exclusive([2; 8]) }),
        seed(&nfs3::SymLinkArgs {
            place: place.clone(),
            attributes: set.clone(),
            target: opaque("../target"),
        }),
        seed(&nfs3::MkNodArgs { place, what: nfs3::MkNodData::Fifo(set) }),
        seed(&write),
        seed(&nfs3::Outcome::<_, ()>::Ok(attributes())),
        seed(&nfs3::Outcome::<_, ()>::Ok(read)),
        seed(&nfs3::Outcome::<_, ()>::Ok(listing)),
        seed(&nfs3::Outcome::<(), _>::Fail(nfs3::Status::Exist, moved)),
    ];
    smoke::smoke(&seeds, nfs3_check::check);
}

#[test]
fn messages_of_nfs4() {
    use nfs4::{Operation, StateId, Value};
    let values = [Value::Size(5), Value::Mode(0o600), Value::Owner(opaque("1000"))];
    let attributes = nfs4::Fattr::new(values);
    let name = || nfs4::NameArgs { name: opaque("name") };
    let wanted = nfs4::GetAttrArgs { attributes: attributes.mask };
    let sequence = nfs4::SequenceArgs {
        session: [3; 16],
        sequence: 1,
        slot: 0,
        highest_slot: 0,
        cache_this: true,
    };
    let open = nfs4::OpenArgs {
        seqid: 1,
        access: 3,
        deny: 0,
        owner: nfs4::StateOwner { client: 7, name: opaque("owner") },
        how: nfs4::OpenHow::Create(nfs4::CreateHow::Unchecked(attributes.clone())),
        claim: nfs4::OpenClaim::Null(opaque("name")),
    };
    let stateid = StateId { seqid: 1, other: [5; 12] };
    let read = nfs4::ReadArgs { stateid, offset: 1, count: 2 };
    let link = nfs4::CreateType::Symlink(opaque("target"));
    let with_session = [
        Operation::Sequence(sequence),
        Operation::PutHandle(opaque("handle")),
        Operation::Open(open),
        Operation::GetAttr(wanted),
        Operation::ReadPlus(read.clone()),
        Operation::TestStateId(nfs4::TestStateIdArgs { ids: List(vec![stateid; 3]) }),
    ];
    let without = [
        Operation::PutRootHandle,
        Operation::Lookup(name()),
        Operation::Create(nfs4::CreateArgs {
            kind: link,
            name: opaque("link"),
            attributes: attributes.clone(),
        }),
        Operation::SetAttr(nfs4::SetAttrArgs { stateid, attributes: attributes.clone() }),
        Operation::Read(read),
        Operation::Renew(9),
    ];
    let results = vec![
        nfs4::OperationResult::PutRootHandle(nfs4::Status::Ok),
        nfs4::OperationResult::GetAttr(nfs4::Outcome::Ok(attributes.clone())),
        nfs4::OperationResult::Lookup(nfs4::Status::NoEnt),
    ];
    let status = nfs4::Status::NoEnt;
    let seeds = [
        seed(&nfs4::CompoundArgs::new(opaque("tag"), 2, &with_session)),
        seed(&nfs4::CompoundArgs::new(opaque(""), 0, &without)),
        seed(&nfs4::CompoundResults { status, tag: opaque("tag"), results: List(results) }),
        seed(&attributes),
    ];
    smoke::smoke(&seeds, nfs4_check::check);
}

#[test]
fn messages_of_mount() {
    let path: mount::Path = opaque("/srv/data");
    let mounted = mount::Mounted { host: opaque("client"), path: path.clone() };
    let groups = Chain(vec![opaque("10.0.0.0/8"), opaque("@group")]);
    let flavors = List(vec![1, 390_003]);
    let seeds = [
        seed(&path),
        seed(&Chain(vec![mounted.clone(), mounted])),
        seed(&Chain(vec![mount::ExportNode { path, groups }])),
        seed(&mount::MountResult::V3(mount::MountOk { handle: opaque("handle"), flavors })),
        seed(&mount::MountResult::Fail(mount::Status::Access)),
    ];
    smoke::smoke(&seeds, mount_check::check);
}

#[test]
fn messages_of_nlm() {
    let lock = |offset: u64| nlm::Lock {
        caller_name: opaque("client"),
        handle: opaque("handle"),
        owner: opaque("7@client"),
        svid: 7,
        offset,
        length: 0,
    };
    let holder =
        nlm::Holder { exclusive: true, svid: 8, owner: opaque("8"), offset: 0_u64, length: 9 };
    let share = nlm::ShareWish {
        caller_name: opaque("client"),
        handle: opaque("handle"),
        owner: opaque("owner"),
        mode: nlm::ShareMode::DenyWrite,
        access: nlm::ShareAccess::ReadWrite,
    };
    let seeds = [
        seed(&nlm::LockArgs {
            cookie: opaque("c"),
            block: true,
            exclusive: false,
            lock: lock(1 << 40),
            reclaim: false,
            state: 5,
        }),
        seed(&nlm::UnlockArgs { cookie: opaque("c"), lock: lock(0) }),
        seed(&nlm::TestResult { cookie: opaque("c"), reply: nlm::TestReply::Denied(holder) }),
        seed(&nlm::LockResult { cookie: opaque("c"), status: nlm::Status::Blocked }),
        seed(&nlm::ShareArgs { cookie: opaque("c"), share, reclaim: true }),
        seed(&nlm::FreeAllArgs { name: opaque("client"), state: 5 }),
    ];
    smoke::smoke(&seeds, nlm_check::check);
}

#[test]
fn messages_of_nsm() {
    let my_id = nsm::MyId { my_name: opaque("me"), program: 100_021, version: 4, procedure: 16 };
    let id = nsm::MonId { mon_name: opaque("them"), my_id };
    let seeds = [
        seed(&nsm::Mon { id, private: *b"0123456789abcdef" }),
        seed(&nsm::StatResult { outcome: nsm::Outcome::Fail, state: -1 }),
        seed(&nsm::StateChange { mon_name: opaque("them"), state: 7 }),
    ];
    smoke::smoke(&seeds, nsm_check::check);
}

#[test]
fn handles() {
    let seeds = [vec![1; 17], [vec![0; 17], vec![7; 32]].concat(), vec![2; 17 + 33]];
    smoke::smoke(&seeds, handle::check);
}

/// A list that is said to be long costs no memory before its elements come.
#[test]
fn a_length_alone_is_not_believed() {
    for length in [17, u32::MAX] {
        let message = Bytes::from([[0; 4], [0; 4], length.to_be_bytes()].concat());
        let mut decoder = standfast_rpc::xdr::Decoder::new(&message);
        assert!(mount::MountResult::decode_v3(&mut decoder).is_err());
    }
}

#[test]
fn answers_to_callbacks() {
    use nfs4::{CallbackResult, CallbackResults, CallbackSequenceOk, Outcome, Status};
    let sequenced = CallbackSequenceOk {
        session: [0; 16],
        sequence: 1,
        slot: 0,
        highest_slot: 1,
        target_highest_slot: 1,
    };
    let answer = |results: Vec<CallbackResult>| {
        let results = List(results);
        seed(&CallbackResults { status: Status::Ok, tag: nfs4::Tag::default(), results })
    };
    let ok = || CallbackResult::Sequence(Outcome::Ok(sequenced.clone()));
    let seeds = [
        answer(vec![ok()]),
        answer(vec![ok(), CallbackResult::Recall(Status::Ok)]),
        answer(vec![ok(), CallbackResult::Recall(Status::Delay)]),
        answer(vec![CallbackResult::Sequence(Outcome::Fail(Status::SeqMisordered))]),
        answer(vec![CallbackResult::Illegal(Status::OpIllegal)]),
    ];
    smoke::smoke(&seeds, callbacks_check::check);
}
