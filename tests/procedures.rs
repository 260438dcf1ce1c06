//! Every procedure of NFSv3, with good and with bad arguments.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use bytes::Bytes;
use libtest_mimic::Trial;
use standfast_lab::trial::trial;
use standfast_lab::{Host, Lab};
use standfast_nfs::v3::protocol::{
    AccessArgs, CommitArgs, CreateArgs, CreateHow, DeviceData, FileHandle, FileType, LinkArgs,
    MkDirArgs, MkNodArgs, MkNodData, Outcome, Procedure, ReadArgs, ReadDirArgs, ReadDirPlusArgs,
    RenameArgs, SetAttrArgs, SetAttributes, SetTime, SpecData, StableHow, Status, SymLinkArgs,
    Time, WriteArgs,
};
use standfast_rpc::xdr::Opaque;
use standfast_tests::Result;
use standfast_tests::nfs3::{Answer, KEEP, Nfs3, numbers, place, with_mode};
use standfast_tests::server::{Server, export};
use standfast_tests::wire::{Wire, message, results, user};

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("procedures_on_attributes", &[], |lab| attributes(&mut Scene::new(lab)?)),
        trial("procedures_on_data", &[], |lab| data(&mut Scene::new(lab)?)),
        trial("procedures_that_make_names", &[], |lab| making(&mut Scene::new(lab)?)),
        trial("procedures_that_take_names_away", &[], |lab| taking(&mut Scene::new(lab)?)),
        trial("procedures_that_rename_and_link", &[], |lab| renaming(&mut Scene::new(lab)?)),
        trial("procedures_that_list", &[], |lab| listing(&mut Scene::new(lab)?)),
        trial("procedures_on_the_filesystem", &[], |lab| filesystem(&mut Scene::new(lab)?)),
        trial("a_retransmission_is_answered_and_not_run", &[], retransmissions),
        trial("what_is_no_procedure_is_refused", &[], |lab| refusals(&mut Scene::new(lab)?)),
    ]
}

/// A server with two exports, a client, and a few objects.
struct Scene {
    client: Nfs3,
    root: FileHandle,
    /// The root of the other export.
    other: FileHandle,
    file: FileHandle,
    directory: FileHandle,
    link: FileHandle,
    /// A file that is gone.
    gone: FileHandle,
    /// A handle that the server never gave.
    forged: FileHandle,
    /// The machines, which must stay.
    _machines: (Server, Host),
    exported: PathBuf,
}

impl Scene {
    fn new(lab: &Lab) -> Result<Self> {
        let (exported, second) = (lab.dir().join("export"), lab.dir().join("second"));
        std::fs::create_dir(&exported)?;
        std::fs::create_dir(&second)?;
        let allow = &["*:rw,no_root_squash,insecure"];
        let settings = export(&exported, "/export", allow) + &export(&second, "/second", allow);
        let server = Server::start_with(lab, &settings)?;
        let host = lab.host("client")?;
        let (mut client, root) = Nfs3::mount(&host, server.v4(), "/export")?;
        let other = client.mnt("/second")?.map_err(|status| format!("{status:?}"))?;
        let file = client.make_file(&root, "file")?;
        client.write_at(&file, 0, b"0123456789", StableHow::FileSync)?.ok()?;
        let directory = client.make_dir(&root, "directory")?;
        client.make_file(&directory, "inside")?;
        let args = SymLinkArgs {
            place: place(&root, "link"),
            attributes: KEEP,
            target: Opaque::copy_from_slice(b"../any/where"),
        };
        let link = client.symlink(&args)?.ok()?.object.ok_or("SYMLINK gave no handle")?;
        let gone = client.make_file(&root, "gone")?;
        client.remove(&place(&root, "gone"))?.ok()?;
        let forged = FileHandle::from(Bytes::from_static(&[7; 32]));
        Ok(Self {
            client,
            root,
            other,
            file,
            directory,
            link,
            gone,
            forged,
            _machines: (server, host),
            exported,
        })
    }

    fn set(&mut self, object: &FileHandle, attributes: SetAttributes) -> Result<Status> {
        let args = SetAttrArgs { object: object.clone(), attributes, guard: None };
        Ok(self.client.set_attr(&args)?.status())
    }
}

/// A name that no filesystem takes.
fn long() -> String {
    "n".repeat(256)
}

fn attributes(scene: &mut Scene) -> Result {
    let (file, directory, link) = (scene.file.clone(), scene.directory.clone(), scene.link.clone());
    let found = scene.client.get_attr(&file)?.ok()?;
    let real = std::fs::metadata(scene.exported.join("file"))?;
    assert_eq!((found.kind, found.mode, found.links), (FileType::Reg, 0o644, 1));
    assert_eq!((found.size, found.file_id), (10, real.ino()));
    assert_eq!(found.mtime.seconds, real.mtime() as u32);
    assert_eq!(found.mtime.nanoseconds, real.mtime_nsec() as u32);
    assert_eq!(scene.client.get_attr(&directory)?.ok()?.kind, FileType::Dir);
    assert_eq!(scene.client.get_attr(&link)?.ok()?.kind, FileType::Lnk);
    assert_eq!(scene.client.get_attr(&scene.gone)?.status(), Status::Stale);
    assert_eq!(scene.client.get_attr(&scene.forged)?.status(), Status::BadHandle);
    let empty = FileHandle::default();
    assert_eq!(scene.client.get_attr(&empty)?.status(), Status::BadHandle);

    let time = Time { seconds: 1_000_000_000, nanoseconds: 5_000 };
    let all = SetAttributes {
        mode: Some(0o4751),
        uid: Some(12),
        gid: Some(34),
        size: Some(5),
        atime: SetTime::ClientTime(time.clone()),
        mtime: SetTime::ClientTime(time.clone()),
    };
    assert_eq!(scene.set(&file, all)?, Status::Ok);
    let set = scene.client.get_attr(&file)?.ok()?;
    assert_eq!((set.mode, set.uid, set.gid, set.size), (0o4751, 12, 34, 5));
    assert_eq!((set.atime, set.mtime), (time.clone(), time));
    assert_eq!(scene.set(&directory, SetAttributes { size: Some(0), ..KEEP })?, Status::IsDir);
    assert_eq!(scene.set(&link, SetAttributes { size: Some(0), ..KEEP })?, Status::Inval);
    let huge = SetAttributes { size: Some(u64::MAX), ..KEEP };
    assert!(matches!(scene.set(&file, huge)?, Status::FBig | Status::Inval));
    let gone = scene.gone.clone();
    assert_eq!(scene.set(&gone, with_mode(0o600))?, Status::Stale);
    guards(scene)?;
    access(scene)
}

/// SETATTR with a guard.
fn guards(scene: &mut Scene) -> Result {
    let ctime = scene.client.get_attr(&scene.file)?.ok()?.ctime;
    let wrong = Time { seconds: ctime.seconds ^ 1, ..ctime.clone() };
    for (guard, expected) in [(wrong, Status::NotSync), (ctime, Status::Ok)] {
        let object = scene.file.clone();
        let args = SetAttrArgs { object, attributes: with_mode(0o600), guard: Some(guard) };
        assert_eq!(scene.client.set_attr(&args)?.status(), expected);
    }
    Ok(())
}

fn access(scene: &mut Scene) -> Result {
    const READ: u32 = 1;
    const MODIFY: u32 = 4;
    const EXTEND: u32 = 8;
    const EXECUTE: u32 = 32;
    let asked = AccessArgs { object: scene.file.clone(), access: READ | MODIFY | EXTEND | EXECUTE };
    assert_eq!(scene.set(&scene.file.clone(), with_mode(0o644))?, Status::Ok);
    assert_eq!(scene.client.access(&asked)?.ok()?.access, READ | MODIFY | EXTEND);
    scene.client.wire.become_user(4000, 4000, &[]);
    assert_eq!(scene.client.access(&asked)?.ok()?.access, READ);
    assert_eq!(scene.set(&scene.file.clone(), with_mode(0o666))?, Status::Perm);
    scene.client.wire.become_user(0, 0, &[]);
    let gone = AccessArgs { object: scene.gone.clone(), access: READ };
    assert_eq!(scene.client.access(&gone)?.status(), Status::Stale);
    Ok(())
}

fn data(scene: &mut Scene) -> Result {
    let file = scene.file.clone();
    let read = scene.client.read_at(&file, 2, 4)?;
    assert_eq!((&read.data[..], read.count, read.end_of_file), (&b"2345"[..], 4, false));
    let read = scene.client.read_at(&file, 8, 100)?;
    assert_eq!((&read.data[..], read.count, read.end_of_file), (&b"89"[..], 2, true));
    for offset in [10, 1 << 40, u64::MAX] {
        let read = scene.client.read_at(&file, offset, 100)?;
        assert_eq!((read.count, read.end_of_file), (0, true), "at {offset}");
    }
    let objects = [
        (scene.directory.clone(), Status::IsDir),
        (scene.link.clone(), Status::Inval),
        (scene.gone.clone(), Status::Stale),
        (scene.forged.clone(), Status::BadHandle),
    ];
    for (object, expected) in objects {
        let args = ReadArgs { file: object.clone(), offset: 0, count: 1 };
        assert_eq!(scene.client.read(&args)?.status(), expected);
        let written = scene.client.write_at(&object, 0, b"x", StableHow::Unstable)?;
        assert_eq!(written.status(), expected);
        let args = CommitArgs { file: object, offset: 0, count: 0 };
        assert_eq!(scene.client.commit(&args)?.status(), expected);
    }
    writes(scene, &file)
}

fn writes(scene: &mut Scene, file: &FileHandle) -> Result {
    let mut verifiers = Vec::new();
    for stable in [StableHow::Unstable, StableHow::DataSync, StableHow::FileSync] {
        let wrote = scene.client.write_at(file, 10, b"abc", stable)?.ok()?;
        assert_eq!(wrote.count, 3);
        assert!(wrote.committed as u32 >= stable as u32);
        let after = wrote.file.after.ok_or("WRITE gave no attributes")?;
        assert_eq!(after.size, 13);
        verifiers.push(wrote.verifier);
    }
    let args = CommitArgs { file: file.clone(), offset: 0, count: 0 };
    verifiers.push(scene.client.commit(&args)?.ok()?.verifier);
    verifiers.dedup();
    assert_eq!(verifiers.len(), 1, "one verifier while the server lives");
    for offset in [i64::MAX as u64, u64::MAX - 1, u64::MAX] {
        let status = scene.client.write_at(file, offset, b"abc", StableHow::FileSync)?.status();
        assert!(matches!(status, Status::FBig | Status::Inval), "{status:?} at {offset}");
    }
    // The count says more than there is.
    let lie = WriteArgs {
        file: file.clone(),
        offset: 0,
        count: 4,
        stable: StableHow::Unstable,
        data: Opaque::copy_from_slice(b"abc"),
    };
    assert_eq!(scene.client.write(&lie)?.status(), Status::Inval);
    assert_eq!(scene.client.write_at(file, 0, b"", StableHow::FileSync)?.ok()?.count, 0);
    assert_eq!(&scene.client.read_at(file, 0, 20)?.data[..], b"0123456789abc");
    Ok(())
}

fn making(scene: &mut Scene) -> Result {
    let (root, file) = (scene.root.clone(), scene.file.clone());
    let guarded = || CreateHow::Guarded(with_mode(0o600));
    let places = [
        (place(&root, "file"), Status::Exist),
        (place(&root, "directory"), Status::Exist),
        (place(&root, "link"), Status::Exist),
        (place(&root, ""), Status::Inval),
        (place(&root, "a/b"), Status::Inval),
        (place(&root, "nul\0nul"), Status::Inval),
        (place(&root, "."), Status::Exist),
        (place(&root, ".."), Status::Exist),
        (place(&root, &long()), Status::NameTooLong),
        (place(&file, "x"), Status::NotDir),
        (place(&scene.link, "x"), Status::NotDir),
        (place(&scene.gone, "x"), Status::Stale),
        (place(&scene.forged, "x"), Status::BadHandle),
    ];
    for (place, expected) in places {
        let client = &mut scene.client;
        let create = CreateArgs { place: place.clone(), how: guarded() };
        let mkdir = MkDirArgs { place: place.clone(), attributes: KEEP };
        let target = Opaque::copy_from_slice(b"target");
        let symlink = SymLinkArgs { place: place.clone(), attributes: KEEP, target };
        let mknod = MkNodArgs { place: place.clone(), what: MkNodData::Fifo(KEEP) };
        let link = LinkArgs { object: file.clone(), link: place.clone() };
        assert_eq!(client.create(&create)?.status(), expected, "CREATE {place:?}");
        assert_eq!(client.mkdir(&mkdir)?.status(), expected, "MKDIR {place:?}");
        assert_eq!(client.symlink(&symlink)?.status(), expected, "SYMLINK {place:?}");
        assert_eq!(client.mknod(&mknod)?.status(), expected, "MKNOD {place:?}");
        assert_eq!(client.link(&link)?.status(), expected, "LINK {place:?}");
    }
    creating(scene, &root)?;
    looking_up(scene, &root)?;
    special_files(scene, &root)
}

fn creating(scene: &mut Scene, root: &FileHandle) -> Result {
    let mut create = |how| scene.client.create(&CreateArgs { place: place(root, "made"), how });
    let unchecked = || CreateHow::Unchecked(SetAttributes { size: Some(0), ..KEEP });
    let first = create(unchecked())?.ok()?;
    assert_eq!(first.attributes.ok_or("CREATE gave no attributes")?.size, 0);
    assert_eq!(create(unchecked())?.ok()?.object, first.object);
    // An exclusive creation succeeds again with its own verifier only.
    let mut exclusive = |verifier| {
        let how = CreateHow::Exclusive(verifier);
        scene.client.create(&CreateArgs { place: place(root, "exclusive"), how })
    };
    let made = exclusive(*b"verifier")?.ok()?;
    assert_eq!(exclusive(*b"verifier")?.ok()?.object, made.object);
    assert_eq!(exclusive(*b"anything")?.status(), Status::Exist);
    let name = "n".repeat(255);
    scene.client.make_file(root, &name)?;
    Ok(())
}

fn looking_up(scene: &mut Scene, root: &FileHandle) -> Result {
    let directory = scene.directory.clone();
    for (within, name, expected) in [
        (root, "none", Status::NoEnt),
        (root, &*long(), Status::NameTooLong),
        (&scene.file, "x", Status::NotDir),
        (&scene.link, "x", Status::NotDir),
        (&scene.gone, "x", Status::Stale),
    ] {
        let found = scene.client.lookup(&place(within, name))?.status();
        assert_eq!(found, expected, "LOOKUP {name}");
    }
    assert_eq!(scene.client.find(&directory, ".")?, directory);
    assert_eq!(&scene.client.find(&directory, "..")?, root);
    // The parent of an export's root is itself.
    assert_eq!(&scene.client.find(root, "..")?, root);
    assert_eq!(&scene.client.read_link(&scene.link)?.ok()?.target[..], b"../any/where");
    assert_eq!(scene.client.read_link(&scene.file)?.status(), Status::Inval);
    assert_eq!(scene.client.read_link(root)?.status(), Status::Inval);
    Ok(())
}

fn special_files(scene: &mut Scene, root: &FileHandle) -> Result {
    let device =
        || DeviceData { attributes: with_mode(0o600), device: SpecData { major: 1, minor: 3 } };
    let kinds = [
        ("fifo", MkNodData::Fifo(with_mode(0o600)), FileType::Fifo),
        ("socket", MkNodData::Socket(with_mode(0o600)), FileType::Sock),
        ("character", MkNodData::CharacterDevice(device()), FileType::Chr),
        ("block", MkNodData::BlockDevice(device()), FileType::Blk),
    ];
    for (name, what, kind) in kinds {
        let is_device = matches!(kind, FileType::Chr | FileType::Blk);
        let made = scene.client.mknod(&MkNodArgs { place: place(root, name), what })?.ok()?;
        let attributes = made.attributes.ok_or("MKNOD gave no attributes")?;
        assert_eq!((attributes.kind, attributes.mode), (kind, 0o600), "{name}");
        if is_device {
            assert_eq!(attributes.device, SpecData { major: 1, minor: 3 });
        }
        let object = made.object.ok_or("MKNOD gave no handle")?;
        let status = scene.client.read(&ReadArgs { file: object, offset: 0, count: 1 })?.status();
        assert_eq!(status, Status::Inval, "READ of {name}");
    }
    for what in [MkNodData::Regular, MkNodData::Directory, MkNodData::Symlink] {
        let args = MkNodArgs { place: place(root, "bad"), what };
        assert_eq!(scene.client.mknod(&args)?.status(), Status::BadType);
    }
    Ok(())
}

fn taking(scene: &mut Scene) -> Result {
    let root = scene.root.clone();
    let removed = |scene: &mut Scene, name: &str| -> Result<Status> {
        Ok(scene.client.remove(&place(&root, name))?.status())
    };
    let removed_dir = |scene: &mut Scene, name: &str| -> Result<Status> {
        Ok(scene.client.rmdir(&place(&root, name))?.status())
    };
    assert_eq!(removed(scene, "none")?, Status::NoEnt);
    assert_eq!(removed(scene, "directory")?, Status::IsDir);
    assert_eq!(removed(scene, &long())?, Status::NameTooLong);
    assert_eq!(removed_dir(scene, "none")?, Status::NoEnt);
    assert_eq!(removed_dir(scene, "file")?, Status::NotDir);
    assert_eq!(removed_dir(scene, "link")?, Status::NotDir);
    assert_eq!(removed_dir(scene, "directory")?, Status::NotEmpty);
    assert_eq!(removed_dir(scene, ".")?, Status::Inval);
    assert_eq!(removed_dir(scene, "..")?, Status::Exist);
    let directory = scene.directory.clone();
    scene.client.remove(&place(&directory, "inside"))?.ok()?;
    assert_eq!(removed_dir(scene, "directory")?, Status::Ok);
    // What is gone is stale, and nothing can be made in it.
    assert_eq!(scene.client.get_attr(&directory)?.status(), Status::Stale);
    let args = MkDirArgs { place: place(&directory, "x"), attributes: KEEP };
    assert_eq!(scene.client.mkdir(&args)?.status(), Status::Stale);
    assert_eq!(removed(scene, "file")?, Status::Ok);
    assert_eq!(scene.client.get_attr(&scene.file)?.status(), Status::Stale);
    assert_eq!(removed(scene, "link")?, Status::Ok);
    Ok(())
}

fn renaming(scene: &mut Scene) -> Result {
    let (root, other) = (scene.root.clone(), scene.other.clone());
    let (file, directory) = (scene.file.clone(), scene.directory.clone());
    scene.client.make_file(&root, "second")?;
    scene.client.make_dir(&root, "empty")?;
    let cases = [
        ((&root, "none"), (&root, "x"), Status::NoEnt),
        ((&root, "file"), (&other, "x"), Status::XDev),
        ((&root, "file"), (&root, "directory"), Status::IsDir),
        ((&root, "empty"), (&root, "file"), Status::NotDir),
        ((&root, "empty"), (&root, "directory"), Status::NotEmpty),
        ((&root, "directory"), (&directory, "self"), Status::Inval),
        ((&root, "."), (&root, "x"), Status::Inval),
        ((&root, "file"), (&root, ".."), Status::Inval),
        ((&root, "file"), (&root, &*long()), Status::NameTooLong),
        ((&root, "file"), (&file, "x"), Status::NotDir),
        ((&root, "file"), (&scene.gone, "x"), Status::Stale),
        ((&root, "file"), (&scene.forged, "x"), Status::BadHandle),
        ((&root, "file"), (&root, "file"), Status::Ok),
        ((&root, "file"), (&root, "second"), Status::Ok),
        ((&root, "second"), (&directory, "moved"), Status::Ok),
    ];
    for ((from, from_name), (to, to_name), expected) in cases {
        let args = RenameArgs { from: place(from, from_name), to: place(to, to_name) };
        let status = scene.client.rename(&args)?.status();
        assert_eq!(status, expected, "RENAME {from_name} to {to_name}");
    }
    // The handle goes with the file.
    assert_eq!(scene.client.find(&directory, "moved")?, file);
    assert_eq!(&scene.client.read_at(&file, 0, 20)?.data[..], b"0123456789");

    for (object, to, expected) in [
        (&file, place(&root, "hard"), Status::Ok),
        (&file, place(&root, "hard"), Status::Exist),
        (&file, place(&other, "hard"), Status::XDev),
        (&scene.gone, place(&root, "new"), Status::Stale),
        (&scene.forged, place(&root, "new"), Status::BadHandle),
    ] {
        let args = LinkArgs { object: object.clone(), link: to };
        assert_eq!(scene.client.link(&args)?.status(), expected);
    }
    let args = LinkArgs { object: directory, link: place(&root, "new") };
    assert!(matches!(scene.client.link(&args)?.status(), Status::IsDir | Status::Perm));
    assert_eq!(scene.client.get_attr(&file)?.ok()?.links, 2);
    assert_eq!(scene.client.find(&root, "hard")?, file);
    Ok(())
}

fn listing(scene: &mut Scene) -> Result {
    let (directory, count) = (scene.client.make_dir(&scene.root, "many")?, 300);
    let name = |index: usize| format!("name-{index:04}");
    for index in 0..count {
        scene.client.make_file(&directory, &name(index))?;
    }
    let args = |cookie, count| ReadDirArgs {
        directory: directory.clone(),
        cookie,
        verifier: [0; 8],
        count,
    };
    let mut names = Vec::new();
    let (mut cookie, mut end) = (0, false);
    while !end {
        let page = scene.client.read_dir(&args(cookie, 1024))?.ok()?;
        assert!(!page.entries.0.is_empty() && names.len() <= count + 2);
        for entry in page.entries.0 {
            cookie = entry.cookie;
            names.push(String::from_utf8(entry.name.to_vec())?);
        }
        end = page.end;
    }
    names.sort();
    let expected: Vec<String> =
        [".".into(), "..".into()].into_iter().chain((0..count).map(name)).collect();
    assert_eq!(names, expected);

    for tiny in [0, 1, 100] {
        assert_eq!(scene.client.read_dir(&args(0, tiny))?.status(), Status::TooSmall);
        let plus = ReadDirPlusArgs {
            directory: directory.clone(),
            cookie: 0,
            verifier: [0; 8],
            dir_count: tiny,
            max_count: tiny,
        };
        assert_eq!(scene.client.read_dir_plus(&plus)?.status(), Status::TooSmall);
    }
    let of_file = ReadDirArgs { directory: scene.file.clone(), ..args(0, 4096) };
    assert_eq!(scene.client.read_dir(&of_file)?.status(), Status::NotDir);
    listing_with_handles(scene, &directory, count)
}

fn listing_with_handles(scene: &mut Scene, directory: &FileHandle, count: usize) -> Result {
    let plus = ReadDirPlusArgs {
        directory: directory.clone(),
        cookie: 0,
        verifier: [0; 8],
        dir_count: 1 << 20,
        max_count: 1 << 20,
    };
    let all = scene.client.read_dir_plus(&plus)?.ok()?;
    assert!(all.end);
    assert_eq!(all.entries.0.len(), count + 2);
    for entry in all.entries.0.iter().filter(|entry| entry.name.starts_with(b"name")) {
        let handle = entry.handle.clone().ok_or("READDIRPLUS gave no handle")?;
        let attributes = entry.attributes.clone().ok_or("READDIRPLUS gave no attributes")?;
        assert_eq!(scene.client.get_attr(&handle)?.ok()?, attributes);
    }
    Ok(())
}

fn filesystem(scene: &mut Scene) -> Result {
    let root = scene.root.clone();
    let info = scene.client.fs_info(&root)?.ok()?;
    assert_eq!((info.read_max, info.write_max), (1 << 20, 1 << 20));
    assert!(info.readdir_preferred > 0 && info.max_file_size >= 1 << 40);
    const LINK_SYMLINK_HOMOGENEOUS_SET_TIME: u32 = 0x1b;
    assert_eq!(info.properties, LINK_SYMLINK_HOMOGENEOUS_SET_TIME);
    let conf = scene.client.path_conf(&root)?.ok()?;
    assert_eq!((conf.max_name, conf.no_truncation), (255, true));
    assert!(conf.max_links > 1 && conf.chown_restricted);
    assert!(!conf.case_insensitive && conf.case_preserving);
    let stat = scene.client.fs_stat(&root)?.ok()?;
    assert!(stat.available_bytes <= stat.free_bytes && stat.free_bytes <= stat.total_bytes);
    assert!(stat.free_files <= stat.total_files && stat.total_files > 0);
    for (handle, expected) in
        [(scene.gone.clone(), Status::Stale), (scene.forged.clone(), Status::BadHandle)]
    {
        assert_eq!(scene.client.fs_info(&handle)?.status(), expected);
        assert_eq!(scene.client.path_conf(&handle)?.status(), expected);
        assert_eq!(scene.client.fs_stat(&handle)?.status(), expected);
    }
    Ok(())
}

/// The same request again, on the same connection and on a new one, gets the same reply; with a
/// new transaction id it runs, and fails.
fn retransmissions(lab: &Lab) -> Result {
    let server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host = lab.host("client")?;
    let (mut client, root) = Nfs3::mount(&host, server.v4(), "/export")?;
    let mut again = |xid: u32, procedure, arguments: &dyn Fn(u32) -> Bytes| -> Result {
        let first = client.wire.exchange(xid, &arguments(xid))?;
        let status: Outcome<(), ()> = results(&first)?;
        assert_eq!(status, Outcome::Ok(()), "{procedure:?}");
        assert_eq!(client.wire.exchange(xid, &arguments(xid))?, first, "{procedure:?}");
        let mut reconnected = Wire::tcp(&host, server.v4(), standfast_tests::server::PORT)?;
        assert_eq!(reconnected.exchange(xid, &arguments(xid))?, first, "{procedure:?}");
        let new = client.wire.exchange(xid + 1, &arguments(xid + 1))?;
        let status: Outcome<(), ()> = results(&new)?;
        assert!(status.failed(), "{procedure:?} ran twice and succeeded");
        Ok(())
    };
    let root_user = user(0, 0, &[]);
    let create = CreateArgs { place: place(&root, "f"), how: CreateHow::Guarded(KEEP) };
    let mkdir = MkDirArgs { place: place(&root, "d"), attributes: KEEP };
    let rename = RenameArgs { from: place(&root, "f"), to: place(&root, "g") };
    let remove = place(&root, "g");
    let rmdir = place(&root, "d");
    again(0x100, Procedure::Create, &|xid| {
        message(xid, numbers(Procedure::Create), &root_user, &create)
    })?;
    again(0x200, Procedure::MkDir, &|xid| {
        message(xid, numbers(Procedure::MkDir), &root_user, &mkdir)
    })?;
    again(0x300, Procedure::Rename, &|xid| {
        message(xid, numbers(Procedure::Rename), &root_user, &rename)
    })?;
    again(0x400, Procedure::Remove, &|xid| {
        message(xid, numbers(Procedure::Remove), &root_user, &remove)
    })?;
    again(0x500, Procedure::RmDir, &|xid| {
        message(xid, numbers(Procedure::RmDir), &root_user, &rmdir)
    })?;
    Ok(())
}

fn refusals(scene: &mut Scene) -> Result {
    let refused = |scene: &mut Scene, procedure| -> Result<String> {
        match scene.client.wire.call::<_, ()>(procedure, &()) {
            Ok(()) => Err(format!("{procedure:?} ran").into()),
            Err(error) => Ok(error.to_string()),
        }
    };
    for (procedure, expected) in [
        ((100_003, 3, 22), "ProcedureUnavailable"),
        ((100_003, 3, u32::MAX), "ProcedureUnavailable"),
        ((100_003, 2, 0), "ProgramMismatch { low: 3, high: 4 }"),
        ((100_005, 9, 0), "ProgramMismatch { low: 1, high: 3 }"),
        ((42, 1, 0), "ProgramUnavailable"),
        ((100_003, 3, 1), "GarbageArguments"),
        ((100_003, 3, 7), "GarbageArguments"),
    ] {
        let said = refused(scene, procedure)?;
        assert!(said.ends_with(expected), "{procedure:?}: {said}");
    }
    for procedure in [(100_003, 3, 0), (100_003, 4, 0), (100_005, 1, 0), (100_005, 3, 0)] {
        scene.client.wire.call::<_, ()>(procedure, &())?;
    }
    Ok(())
}
