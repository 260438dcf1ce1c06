//! Names: LOOKUP, CREATE, REMOVE, RENAME, LINK, READLINK, READDIR.

use std::collections::BTreeSet;

use standfast_nfs::v4::protocol::{
    CreateArgs, CreateType, Fattr, Operation, OperationResult, Outcome, ReadDirArgs, ReadDirOk,
    RenameArgs, Status, Value,
};

use crate::server::{DATA, World, fattr, get_attr, lookup, mask, name, to, with};

fn create(kind: CreateType, it: &[u8], attributes: Fattr) -> Operation {
    Operation::Create(CreateArgs { kind, name: it.to_vec().into(), attributes })
}

fn directory(it: &str) -> Operation {
    create(CreateType::Directory, it.as_bytes(), fattr([Value::Mode(0o750)]))
}

fn data(operation: Operation) -> Vec<Operation> {
    with(to("/data"), operation)
}

/// Operations with the saved object at one path and the current one at another.
fn between(saved: &str, current: &str, last: Operation) -> Vec<Operation> {
    [to(saved), vec![Operation::SaveHandle], to(current), vec![last]].concat()
}

fn rename(from: &str, to: &str) -> Operation {
    Operation::Rename(RenameArgs {
        from: from.as_bytes().to_vec().into(),
        to: to.as_bytes().to_vec().into(),
    })
}

#[tokio::test]
async fn names_that_cannot_be_are_told_apart() {
    let Some(world) = World::new("names_that_cannot_be_are_told_apart", &[DATA]) else { return };
    let long = "n".repeat(256);
    for (it, expected) in [
        ("", Status::Inval),
        (".", Status::BadName),
        ("..", Status::BadName),
        ("a/b", Status::BadChar),
        ("a\0b", Status::BadChar),
        (&long, Status::NameTooLong),
    ] {
        for operation in [lookup(it), directory(it), Operation::Remove(name(it))] {
            assert_eq!(world.status(&data(operation.clone())).await, expected, "{operation:?}");
        }
        for rename in [rename(it, "to"), rename("from", it)] {
            let rename = between("/data", "/data", rename);
            assert_eq!(world.status(&rename).await, expected, "{rename:?}");
        }
    }
    // What is no UTF-8 is a name like others.
    let latin = create(CreateType::Fifo, b"caf\xe9", Fattr::empty());
    assert_eq!(world.status(&data(latin)).await, Status::Ok);
}

#[tokio::test]
async fn a_look_into_what_is_no_directory_says_what_it_is() {
    let test = "a_look_into_what_is_no_directory_says_what_it_is";
    let Some(world) = World::new(test, &[DATA]) else { return };
    let top = world.path_of("/data");
    std::fs::write(top.join("file"), "").unwrap();
    std::os::unix::fs::symlink("file", top.join("link")).unwrap();
    assert_eq!(world.status(&with(to("/data/file"), lookup("x"))).await, Status::NotDir);
    assert_eq!(world.status(&with(to("/data/link"), lookup("x"))).await, Status::Symlink);
    let up = Operation::LookupParent;
    assert_eq!(world.status(&with(to("/data/file"), up.clone())).await, Status::NotDir);
    assert_eq!(world.status(&with(to("/data/link"), up)).await, Status::Symlink);
    assert_eq!(world.status(&with(to("/data/file"), directory("x"))).await, Status::NotDir);
    let read = with(to("/data/file"), Operation::ReadLink);
    assert_eq!(world.status(&read).await, Status::Inval);
    let target = world.run(&with(to("/data/link"), Operation::ReadLink)).await;
    let Some(OperationResult::ReadLink(Outcome::Ok(link))) = target.results.0.last() else {
        panic!("no target: {target:?}");
    };
    assert_eq!(&link.target[..], b"file");
}

#[tokio::test]
async fn what_is_created_is_the_current_object_with_its_attributes() {
    let test = "what_is_created_is_the_current_object_with_its_attributes";
    let Some(world) = World::new(test, &[DATA]) else { return };
    let all = world.run(&with(data(directory("new")), get_attr(&[1, 33]))).await;
    assert_eq!(all.status, Status::Ok);
    let Some(OperationResult::GetAttr(Outcome::Ok(got))) = all.results.0.last() else {
        panic!("{all:?}");
    };
    assert!(got.values().unwrap().contains(&Value::Mode(0o750)));
    let Some(OperationResult::Create(Outcome::Ok(made))) = all.results.0.get(2) else {
        panic!("{all:?}");
    };
    assert_eq!(made.attributes, mask(&[33]));
    assert!(made.directory.atomic && made.directory.before < made.directory.after);
    let change = world.attributes(to("/data"), &[3]).await;
    assert!(matches!(change[..], [Value::Change(now)] if now <= made.directory.after));
    assert_eq!(world.status(&data(directory("new"))).await, Status::Exist);
    for (at, (kind, expected)) in [
        (CreateType::Regular, Status::BadType),
        (CreateType::NamedAttribute, Status::BadType),
        (CreateType::Symlink(Default::default()), Status::Inval),
        (CreateType::Symlink(b"target".to_vec().into()), Status::Ok),
        (CreateType::Socket, Status::Ok),
    ]
    .into_iter()
    .enumerate()
    {
        let make = create(kind.clone(), format!("of-kind-{at}").as_bytes(), Fattr::empty());
        assert_eq!(world.status(&data(make)).await, expected, "{kind:?}");
    }
}

#[tokio::test]
async fn names_move_and_go() {
    let Some(world) = World::new("names_move_and_go", &[DATA]) else { return };
    let top = world.path_of("/data");
    for it in ["from", "to", "full", "full/inside"] {
        std::fs::create_dir(top.join(it)).unwrap();
    }
    std::fs::write(top.join("from/file"), "").unwrap();
    std::fs::write(top.join("other"), "").unwrap();
    let moves = between("/data/from", "/data/to", rename("file", "moved"));
    assert_eq!(world.status(&moves).await, Status::Ok);
    assert_eq!(world.status(&moves).await, Status::NoEnt);
    let onto = |from: &str, to: &str| between("/data", "/data", rename(from, to));
    assert_eq!(world.status(&onto("other", "full")).await, Status::Exist);
    assert_eq!(world.status(&onto("full", "other")).await, Status::Exist);
    assert_eq!(world.status(&onto("to", "full")).await, Status::NotEmpty);
    let beside = between("/data/other", "/data", rename("x", "y"));
    assert_eq!(world.status(&beside).await, Status::NotDir);
    let link = |saved: &str, it: &str| between(saved, "/data", Operation::Link(name(it)));
    assert_eq!(world.status(&link("/data/other", "linked")).await, Status::Ok);
    assert_eq!(world.status(&link("/data/other", "linked")).await, Status::Exist);
    assert_eq!(world.status(&link("/data/full", "linked2")).await, Status::IsDir);
    let remove = |it: &str| data(Operation::Remove(name(it)));
    assert_eq!(world.status(&remove("full")).await, Status::NotEmpty);
    for it in ["linked", "from", "other"] {
        assert_eq!(world.status(&remove(it)).await, Status::Ok);
        assert_eq!(world.status(&remove(it)).await, Status::NoEnt);
    }
}

/// A part of a listing.
async fn read_dir(world: &World, args: ReadDirArgs) -> Result<ReadDirOk, Status> {
    let all = world.run(&data(Operation::ReadDir(args))).await;
    match all.results.0.last() {
        Some(OperationResult::ReadDir(Outcome::Ok(listing))) => Ok(listing.clone()),
        _ => Err(all.status),
    }
}

fn listing(cookie: u64, max_bytes: u32, attributes: &[u32]) -> ReadDirArgs {
    let attributes = mask(attributes);
    ReadDirArgs { cookie, verifier: [0; 8], directory_bytes: 1 << 20, max_bytes, attributes }
}

#[tokio::test]
async fn a_directory_is_read_in_parts_of_any_size() {
    let Some(world) = World::new("a_directory_is_read_in_parts_of_any_size", &[DATA]) else {
        return;
    };
    let expected: BTreeSet<String> = (0..50).map(|number| format!("entry-{number}")).collect();
    for it in &expected {
        std::fs::write(world.path_of("/data").join(it), it).unwrap();
    }
    for (max_bytes, attributes) in
        [(200, &[][..]), (300, &[1, 4, 20, 33, 36]), (4096, &[11, 55]), (1 << 16, &[19, 20, 42])]
    {
        let (mut seen, mut cookie) = (BTreeSet::new(), 0);
        loop {
            let part = read_dir(&world, listing(cookie, max_bytes, attributes)).await.unwrap();
            for entry in &part.entries.0 {
                assert!(seen.insert(String::from_utf8(entry.name.to_vec()).unwrap()));
                assert_eq!(entry.attributes.mask, mask(attributes));
                assert!(entry.attributes.values().is_ok());
                cookie = entry.cookie;
            }
            if part.end {
                break;
            }
            assert!(!part.entries.0.is_empty());
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_listing_that_cannot_be_says_why() {
    let Some(world) = World::new("a_listing_that_cannot_be_says_why", &[DATA]) else { return };
    std::fs::write(world.path_of("/data").join("name"), "").unwrap();
    let fails = |args| async { read_dir(&world, args).await.unwrap_err() };
    assert_eq!(fails(listing(0, 8, &[])).await, Status::TooSmall);
    assert_eq!(fails(listing(0, 30, &[])).await, Status::TooSmall);
    assert_eq!(fails(listing(1, 4096, &[])).await, Status::BadCookie);
    assert_eq!(fails(listing(2, 4096, &[])).await, Status::BadCookie);
    assert_eq!(fails(listing(0, 4096, &[48])).await, Status::Inval);
    let args = ReadDirArgs { verifier: [1; 8], ..listing(7, 4096, &[]) };
    assert_eq!(fails(args).await, Status::NotSame);
    let read = Operation::ReadDir(listing(0, 4096, &[]));
    assert_eq!(world.status(&with(to("/data/name"), read)).await, Status::NotDir);
}
