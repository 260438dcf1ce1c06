//! The tree that joins the exports.

use standfast_nfs::v4::protocol::{
    Entry, FsId, NameArgs, Operation, OperationResult, Outcome, ReadDirArgs, Status, Value,
};

use crate::server::{Offer, ROOT, Who, World, get_attr, lookup, mask, name, to, with};

const FSID: u32 = 8;
const FILE_ID: u32 = 20;
const CHANGE: u32 = 3;
const MOUNTED_ON: u32 = 55;

const OTHER: Who =
    Who { uid: 0, address: std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 9, 9, 9)) };

const fn offer(path: &'static str) -> Offer {
    Offer { path, client: "*", read_only: false }
}

const ALL: [Offer; 3] = [
    offer("/srv/one"),
    Offer { path: "/srv/two", client: "10.0.0.0/24", read_only: true },
    offer("/three"),
];

/// The names in a directory, each with its file id there.
async fn list(world: &World, who: Who, path: &str) -> Vec<(String, u64)> {
    let read = Operation::ReadDir(ReadDirArgs {
        cookie: 0,
        verifier: [0; 8],
        directory_bytes: 4096,
        max_bytes: 4096,
        attributes: mask(&[1, FSID, FILE_ID, MOUNTED_ON]),
    });
    let all = world.run_as(who, &with(to(path), read)).await;
    let Some(OperationResult::ReadDir(Outcome::Ok(listing))) = all.results.0.last() else {
        panic!("no listing: {all:?}");
    };
    assert!(listing.end);
    let entry = |entry: &Entry| {
        let values = entry.attributes.values().unwrap();
        let Some(Value::MountedOnFileId(id)) = values.last() else { panic!("{values:?}") };
        (String::from_utf8(entry.name.to_vec()).unwrap(), *id)
    };
    let mut entries: Vec<_> = listing.entries.0.iter().map(entry).collect();
    entries.sort();
    entries
}

async fn names(world: &World, who: Who, path: &str) -> Vec<String> {
    list(world, who, path).await.into_iter().map(|(name, _)| name).collect()
}

async fn fsid(world: &World, path: &str) -> FsId {
    match &world.attributes(to(path), &[FSID]).await[..] {
        [Value::FsId(fsid)] => fsid.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn it_shows_each_client_what_it_may_use() {
    let Some(world) = World::new("it_shows_each_client_what_it_may_use", &ALL) else { return };
    assert_eq!(names(&world, ROOT, "/").await, ["srv", "three"]);
    assert_eq!(names(&world, ROOT, "/srv").await, ["one", "two"]);
    assert_eq!(names(&world, OTHER, "/srv").await, ["one"]);
    assert_eq!(world.run_as(OTHER, &to("/srv/two")).await.status, Status::NoEnt);
    let two = vec![Operation::PutHandle(world.handle(to("/srv/two")).await), get_attr(&[1])];
    assert_eq!(world.run_as(OTHER, &two).await.status, Status::Stale);
    assert_eq!(world.run_as(ROOT, &two).await.status, Status::Ok);
    assert_eq!(world.status(&to("/elsewhere")).await, Status::NoEnt);
}

#[tokio::test]
async fn each_export_is_a_filesystem_of_its_own() {
    let Some(world) = World::new("each_export_is_a_filesystem_of_its_own", &ALL) else { return };
    let root = fsid(&world, "/").await;
    assert_eq!(fsid(&world, "/srv").await, root);
    let exports = [
        fsid(&world, "/srv/one").await,
        fsid(&world, "/srv/two").await,
        fsid(&world, "/three").await,
    ];
    for (at, export) in exports.iter().enumerate() {
        assert_ne!(*export, root);
        assert!(exports[at + 1..].iter().all(|other| other != export));
    }
    // What a listing says an entry is mounted on, the entry says, too.
    for (name, id) in list(&world, ROOT, "/srv").await {
        let path = format!("/srv/{name}");
        let attributes = world.attributes(to(&path), &[FILE_ID, MOUNTED_ON]).await;
        assert_eq!(attributes[1], Value::MountedOnFileId(id));
        assert_ne!(attributes[0], Value::FileId(id));
    }
}

#[tokio::test]
async fn ways_lead_up_as_they_lead_down() {
    let Some(world) = World::new("ways_lead_up_as_they_lead_down", &ALL) else { return };
    let up = Operation::LookupParent;
    let from_export = with(to("/srv/one"), up.clone());
    assert_eq!(world.handle(from_export.clone()).await, world.handle(to("/srv")).await);
    assert_eq!(world.handle(with(from_export, up.clone())).await, world.handle(to("/")).await);
    assert_eq!(world.status(&with(to("/"), up)).await, Status::NoEnt);
}

#[tokio::test]
async fn nothing_can_be_changed_in_it() {
    let Some(world) = World::new("nothing_can_be_changed_in_it", &ALL) else { return };
    let remove = |it: &str| Operation::Remove(name(it));
    assert_eq!(world.status(&with(to("/srv"), remove("one"))).await, Status::RoFs);
    assert_eq!(world.status(&with(to("/srv/two"), remove("none"))).await, Status::RoFs);
    assert_eq!(world.status(&with(to("/"), remove("srv"))).await, Status::RoFs);
}

#[tokio::test]
async fn its_handles_stay_and_its_change_attribute_grows_when_exports_change() {
    let test = "its_handles_stay_and_its_change_attribute_grows_when_exports_change";
    let Some(world) = World::new(test, &ALL) else { return };
    let (root, srv) = (world.handle(to("/")).await, world.handle(to("/srv")).await);
    let change = world.attributes(to("/"), &[CHANGE]).await;
    world.offer(&ALL[..1]);
    assert_eq!(world.handle(to("/")).await, root);
    assert_eq!(world.handle(to("/srv")).await, srv);
    assert_eq!(world.status(&[Operation::PutHandle(srv)]).await, Status::Ok);
    let (Value::Change(before), Value::Change(after)) =
        (&change[0], &world.attributes(to("/"), &[CHANGE]).await[0])
    else {
        panic!("no change attribute");
    };
    assert!(after > before);
}

#[tokio::test]
async fn an_export_can_be_the_root_and_hold_others() {
    let nested = [offer("/"), offer("/inner"), offer("/a/b/deep")];
    let Some(world) = World::new("an_export_can_be_the_root_and_hold_others", &nested) else {
        return;
    };
    let top = world.path_of("/");
    std::fs::create_dir_all(top.join("inner/covered")).unwrap();
    std::fs::create_dir_all(top.join("a/own")).unwrap();
    std::fs::create_dir(world.path_of("/inner").join("below")).unwrap();
    let root = fsid(&world, "/").await;
    assert_ne!(fsid(&world, "/inner").await, root);
    assert_eq!(world.status(&to("/inner/below")).await, Status::Ok);
    assert_eq!(world.status(&to("/inner/covered")).await, Status::NoEnt);
    // The directory is real, what lies below it is not.
    assert_eq!(fsid(&world, "/a").await, root);
    assert_eq!(world.status(&to("/a/own")).await, Status::Ok);
    assert_ne!(fsid(&world, "/a/b/deep").await, root);
    let up = Operation::LookupParent;
    assert_eq!(world.handle(with(to("/inner"), up.clone())).await, world.handle(to("/")).await);
    let from_deep = with(with(to("/a/b/deep"), up.clone()), up);
    assert_eq!(world.handle(from_deep).await, world.handle(to("/a")).await);
    // What an export covers is not removed.
    let remove = Operation::Remove(NameArgs { name: b"inner".to_vec().into() });
    assert_eq!(world.status(&with(to("/"), remove)).await, Status::Access);
    let entries = list(&world, ROOT, "/").await;
    let inner = entries.iter().find(|(name, _)| name == "inner").unwrap();
    let mounted_on = world.attributes(to("/inner"), &[MOUNTED_ON]).await;
    assert_eq!(mounted_on, [Value::MountedOnFileId(inner.1)]);
    assert_eq!(world.status(&with(to("/inner"), lookup("below"))).await, Status::Ok);
}
