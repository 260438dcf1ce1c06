//! Attributes: GETATTR, SETATTR, VERIFY, NVERIFY, ACCESS.

use standfast_nfs::v4::protocol::{
    AccessArgs, AccessOk, Attribute, Bitmap, Fattr, FileType, Operation, OperationResult, Outcome,
    SetAttrArgs, SetTime, StateId, Status, Time, Value,
};

use crate::server::{DATA, Offer, ROOT, Who, World, fattr, get_attr, mask, to, with, write_file};

fn world(test: &str) -> Option<World> {
    let world = World::new(test, &[DATA])?;
    write_file(&world.path_of("/data").join("file"), "hello");
    Some(world)
}

fn set(attributes: Fattr) -> Vec<Operation> {
    let args = SetAttrArgs { stateid: StateId::ANONYMOUS, attributes };
    with(to("/data/file"), Operation::SetAttr(args))
}

fn owner(name: &str) -> Value {
    Value::Owner(name.as_bytes().to_vec().into())
}

#[tokio::test]
async fn all_that_is_supported_can_be_read() {
    let Some(world) = world("all_that_is_supported_can_be_read") else { return };
    for path in ["/data/file", "/data", "/"] {
        let supported = world.attributes(to(path), &[0]).await;
        let [Value::SupportedAttributes(supported)] = &supported[..] else {
            panic!("{supported:?}");
        };
        let write_only = [48, 54].into_iter().collect::<Bitmap>();
        let readable: Vec<u32> = supported.difference(&write_only).iter().collect();
        let values = world.attributes(to(path), &readable).await;
        let got: Bitmap = values.iter().map(|value| value.attribute() as u32).collect();
        // These depend on the filesystem.
        let may_lack = [
            Attribute::Acl,
            Attribute::CreateTime,
            Attribute::QuotaAvailableHard,
            Attribute::QuotaAvailableSoft,
            Attribute::QuotaUsed,
        ];
        let may_lack: Bitmap = may_lack.into_iter().map(|it| it as u32).collect();
        let lacking = supported.difference(&write_only).difference(&got);
        assert!(lacking.difference(&may_lack).is_empty(), "{path}: {lacking:?}");
    }
    let usual = world.attributes(to("/data/file"), &[1, 4, 33]).await;
    let expected = [Value::Type(FileType::Reg), Value::Size(5), Value::Mode(0o644)];
    assert_eq!(usual, expected);
    assert_eq!(world.status(&with(to("/data"), get_attr(&[48]))).await, Status::Inval);
    // What is not known is left out.
    assert_eq!(world.attributes(to("/data"), &[200]).await, []);
}

#[tokio::test]
async fn what_can_be_set_is_set() {
    let Some(world) = world("what_can_be_set_is_set") else { return };
    let time = Time { seconds: -5, nanoseconds: 999_999_999 };
    let wanted = fattr([
        Value::Size(3),
        Value::Mode(0o4711),
        owner("1234"),
        Value::OwnerGroup(b"5678".to_vec().into()),
        Value::ModifyTimeSet(SetTime::ClientTime(time.clone())),
    ]);
    let all = world.run(&set(wanted.clone())).await;
    let Some(OperationResult::SetAttr(result)) = all.results.0.last() else { panic!("{all:?}") };
    assert_eq!((result.status, result.attributes), (Status::Ok, wanted.mask));
    let got = world.attributes(to("/data/file"), &[4, 33, 36, 37, 53]).await;
    let owner_group = Value::OwnerGroup(b"5678".to_vec().into());
    let expected =
        [Value::Size(3), Value::Mode(0o4711), owner("1234"), owner_group, Value::ModifyTime(time)];
    assert_eq!(got, expected);
}

#[tokio::test]
async fn what_cannot_be_set_says_why_and_sets_nothing() {
    let Some(world) = world("what_cannot_be_set_says_why_and_sets_nothing") else { return };
    let late = Time { seconds: 0, nanoseconds: 1_000_000_000 };
    let malformed = Fattr { mask: mask(&[4]), values: vec![0; 5].into() };
    for (wanted, expected) in [
        (fattr([Value::LinkSupport(true)]), Status::Inval),
        (fattr([Value::Mode(0o600), owner("nobody@nowhere")]), Status::BadOwner),
        (fattr([Value::ModifyTimeSet(SetTime::ClientTime(late))]), Status::Inval),
        (
            fattr([Value::ModeUmask(standfast_nfs::v4::protocol::ModeUmask { mode: 0, umask: 0 })]),
            Status::AttrNotSupp,
        ),
        (Fattr { mask: mask(&[4, 200]), values: Default::default() }, Status::AttrNotSupp),
        (malformed, Status::BadXdr),
    ] {
        let all = world.run(&set(wanted.clone())).await;
        let Some(OperationResult::SetAttr(result)) = all.results.0.last() else {
            panic!("{all:?}")
        };
        assert_eq!((result.status, result.attributes), (expected, Bitmap::EMPTY), "{wanted:?}");
    }
    let size = SetAttrArgs { stateid: StateId::ANONYMOUS, attributes: fattr([Value::Size(0)]) };
    let directory = with(to("/data"), Operation::SetAttr(size));
    assert_eq!(world.status(&directory).await, Status::IsDir);
    assert_eq!(
        world.attributes(to("/data/file"), &[4, 33]).await,
        [Value::Size(5), Value::Mode(0o644)]
    );
}

#[tokio::test]
async fn attributes_are_compared() {
    let Some(world) = world("attributes_are_compared") else { return };
    let (same, other) = (fattr([Value::Size(5)]), fattr([Value::Size(6)]));
    let file = |operation| with(to("/data/file"), operation);
    for (operation, expected) in [
        (Operation::Verify(same.clone()), Status::Ok),
        (Operation::Verify(other.clone()), Status::NotSame),
        (Operation::NVerify(same), Status::Same),
        (Operation::NVerify(other), Status::Ok),
        (Operation::Verify(fattr([Value::ReadAttributeError(Status::Ok)])), Status::Inval),
        (
            Operation::Verify(Fattr { mask: mask(&[200]), values: Default::default() }),
            Status::AttrNotSupp,
        ),
    ] {
        assert_eq!(world.status(&file(operation.clone())).await, expected, "{operation:?}");
    }
}

#[tokio::test]
async fn access_tells_the_rights_of_the_caller() {
    let offers = [DATA, Offer { path: "/fixed", client: "*", read_only: true }];
    let Some(world) = World::new("access_tells_the_rights_of_the_caller", &offers) else { return };
    for export in ["/data", "/fixed"] {
        write_file(&world.path_of(export).join("file"), "");
    }
    let user = Who { uid: 1000, ..ROOT };
    let ask = |path: &str| with(to(path), Operation::Access(AccessArgs { access: 0x3f }));
    let rights = async |who, path: &str| {
        let all = world.run_as(who, &ask(path)).await;
        match all.results.0.last() {
            Some(OperationResult::Access(Outcome::Ok(AccessOk { supported, access }))) => {
                (*supported, *access)
            }
            _ => panic!("{all:?}"),
        }
    };
    // READ 1, LOOKUP 2, MODIFY 4, EXTEND 8, DELETE 16, EXECUTE 32.
    assert_eq!(rights(ROOT, "/data").await, (0x1f, 0x1f));
    assert_eq!(rights(user, "/data").await, (0x1f, 0x03));
    assert_eq!(rights(ROOT, "/data/file").await, (0x2d, 0x0d));
    assert_eq!(rights(user, "/data/file").await, (0x2d, 0x01));
    assert_eq!(rights(ROOT, "/fixed").await, (0x1f, 0x03));
    assert_eq!(rights(ROOT, "/").await.1, 0x03);
}
