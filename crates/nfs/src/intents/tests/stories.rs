//! What is done once.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use bytes::Bytes;
use standfast_rpc::xdr::{Opaque, to_bytes};

use crate::v3::protocol::{self as v3, FileHandle, Procedure};
use crate::v4::protocol::{
    CreateArgs, CreateHow, CreateType, CreateVerifier, Fattr, NameArgs, OpenArgs, OpenClaim,
    OpenHow, Operation, RenameArgs, SetXattrArgs, SetXattrHow, StateOwner, Value,
};

pub(super) fn name<const MAX: usize>(name: &str) -> Opaque<MAX> {
    Opaque::copy_from_slice(name.as_bytes())
}

pub(super) fn named(text: &str) -> NameArgs {
    NameArgs { name: name(text) }
}

pub(super) fn open(text: &str, how: OpenHow) -> Operation {
    Operation::Open(OpenArgs {
        seqid: 0,
        access: 3,
        deny: 0,
        owner: StateOwner { client: 0, name: name("owner") },
        how,
        claim: OpenClaim::Null(name(text)),
    })
}

pub(super) fn mode(mode: u32) -> Fattr {
    Fattr::new([Value::Mode(mode)])
}

/// A thing to do once.
pub(super) struct Story {
    pub(super) name: &'static str,
    /// What is there before.
    pub(super) before: fn(&Path),
    /// What is asked for.
    pub(super) ask: Ask,
    /// Whether it was done, once.
    pub(super) is_done: fn(&Path) -> bool,
    /// What somebody else does after the restart, before the request comes again.
    pub(super) meanwhile: fn(&Path),
    /// Whether what somebody else did is still there, after it came again.
    pub(super) is_left_alone: fn(&Path) -> bool,
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

fn reads(path: &Path, text: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|found| found == text)
}

fn xattr(path: &Path) -> bool {
    let mut value = [0; 16];
    rustix::fs::getxattr(path, "user.key", &mut value).is_ok()
}

/// What a story asks for.
#[derive(Clone, Copy)]
pub(super) enum Ask {
    /// Of NFSv4, in any minor version: with the export's root as the current and the saved object.
    V4(fn() -> Vec<Operation>),
    /// Of minor versions with sessions.
    V41(fn() -> Vec<Operation>),
    /// Of NFSv3: with the handles of the export's root and of the file `old` in it.
    V3(fn(FileHandle, FileHandle) -> (Procedure, Bytes)),
}

/// Stories of NFSv4.
pub(super) fn stories_v4() -> Vec<Story> {
    vec![
        Story {
            name: "make a directory",
            before: |_| {},
            ask: Ask::V4(|| {
                vec![Operation::Create(CreateArgs {
                    kind: CreateType::Directory,
                    name: name("new"),
                    attributes: mode(0o700),
                })]
            }),
            is_done: |at| at.join("new").is_dir(),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists() && at.join("moved").is_dir(),
        },
        Story {
            name: "make a file",
            before: |_| {},
            ask: Ask::V4(|| vec![open("new", OpenHow::Create(CreateHow::Guarded(mode(0o444))))]),
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| write(&at.join("new"), "by another"),
            is_left_alone: |at| reads(&at.join("new"), "by another"),
        },
        Story {
            name: "make a file or take what is there",
            before: |_| {},
            ask: Ask::V4(|| vec![open("new", OpenHow::Create(CreateHow::Unchecked(mode(0o444))))]),
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| write(&at.join("new"), "by another"),
            is_left_alone: |at| reads(&at.join("new"), "by another"),
        },
        Story {
            name: "make a file with a verifier",
            before: |_| {},
            ask: Ask::V4(|| vec![open("new", OpenHow::Create(CreateHow::Exclusive([7; 8])))]),
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists() && at.join("moved").is_file(),
        },
        Story {
            name: "make a file with a verifier and attributes",
            before: |_| {},
            ask: Ask::V41(|| {
                let how = CreateVerifier { verifier: [7; 8], attributes: mode(0o600) };
                vec![open("new", OpenHow::Create(CreateHow::ExclusiveWith(how)))]
            }),
            is_done: |at| at.join("new").is_file(),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| {
                let mode = at.join("moved").metadata().map(|it| it.mode() & 0o777);
                !at.join("new").exists() && mode.is_ok_and(|mode| mode == 0o600)
            },
        },
        Story {
            name: "remove a file",
            before: |at| write(&at.join("old"), "old"),
            ask: Ask::V4(|| vec![Operation::Remove(named("old"))]),
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| reads(&at.join("old"), "by another"),
        },
        Story {
            name: "remove a directory",
            before: |at| std::fs::create_dir(at.join("old")).unwrap(),
            ask: Ask::V4(|| vec![Operation::Remove(named("old"))]),
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| std::fs::create_dir(at.join("old")).unwrap(),
            is_left_alone: |at| at.join("old").is_dir(),
        },
        Story {
            name: "rename over another file",
            before: |at| {
                write(&at.join("old"), "old");
                write(&at.join("new"), "new");
            },
            ask: Ask::V4(|| {
                vec![Operation::Rename(RenameArgs { from: name("old"), to: name("new") })]
            }),
            is_done: |at| !at.join("old").exists() && reads(&at.join("new"), "old"),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| {
                reads(&at.join("old"), "by another") && reads(&at.join("new"), "old")
            },
        },
        Story {
            name: "make a link",
            before: |at| write(&at.join("old"), "old"),
            ask: Ask::V4(|| {
                vec![
                    Operation::Lookup(named("old")),
                    Operation::SaveHandle,
                    Operation::PutRootHandle,
                    Operation::Lookup(named("export")),
                    Operation::Link(named("new")),
                ]
            }),
            is_done: |at| at.join("old").metadata().is_ok_and(|it| it.nlink() == 2),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists(),
        },
        Story {
            name: "make two directories, one after the other",
            before: |_| {},
            ask: Ask::V4(|| {
                let directory = |text| {
                    Operation::Create(CreateArgs {
                        kind: CreateType::Directory,
                        name: name(text),
                        attributes: mode(0o700),
                    })
                };
                vec![directory("new"), directory("below")]
            }),
            is_done: |at| at.join("new/below").is_dir(),
            meanwhile: |at| std::fs::rename(at.join("new/below"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new/below").exists(),
        },
        Story {
            name: "make an extended attribute",
            before: |at| write(&at.join("file"), ""),
            ask: Ask::V41(|| {
                let set = SetXattrArgs {
                    how: SetXattrHow::Create,
                    name: name("key"),
                    value: name("value"),
                };
                vec![Operation::Lookup(named("file")), Operation::SetXattr(set)]
            }),
            is_done: |at| xattr(&at.join("file")),
            meanwhile: |at| rustix::fs::removexattr(at.join("file"), "user.key").unwrap(),
            is_left_alone: |at| !xattr(&at.join("file")),
        },
        Story {
            name: "take an extended attribute away",
            before: |at| {
                write(&at.join("file"), "");
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(at.join("file"), "user.key", b"value", flags).unwrap();
            },
            ask: Ask::V41(|| {
                vec![Operation::Lookup(named("file")), Operation::RemoveXattr(name("key"))]
            }),
            is_done: |at| !xattr(&at.join("file")),
            meanwhile: |at| {
                let flags = rustix::fs::XattrFlags::empty();
                rustix::fs::setxattr(at.join("file"), "user.key", b"again", flags).unwrap();
            },
            is_left_alone: |at| xattr(&at.join("file")),
        },
    ]
}

/// Stories of NFSv3.
pub(super) fn stories_v3() -> Vec<Story> {
    let make = |name, ask, is_done| Story {
        name,
        before: |_| {},
        ask: Ask::V3(ask),
        is_done,
        meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
        is_left_alone: |at| {
            at.join("new").symlink_metadata().is_err()
                && at.join("moved").symlink_metadata().is_ok()
        },
    };
    vec![
        make(
            "MKDIR",
            |root, _| {
                let (place, attributes) = (at(root, "new"), attributes());
                (Procedure::MkDir, to_bytes(&v3::MkDirArgs { place, attributes }))
            },
            |at| at.join("new").is_dir(),
        ),
        make(
            "CREATE GUARDED",
            |root, _| create(root, v3::CreateHow::Guarded(attributes())),
            |at| {
                at.join("new")
                    .metadata()
                    .is_ok_and(|it| it.uid() == 7 && it.mode() & 0o777 == 0o640)
            },
        ),
        make(
            "CREATE UNCHECKED",
            |root, _| create(root, v3::CreateHow::Unchecked(attributes())),
            |at| at.join("new").is_file(),
        ),
        make(
            "CREATE EXCLUSIVE",
            |root, _| create(root, v3::CreateHow::Exclusive([7; 8])),
            |at| at.join("new").is_file(),
        ),
        make(
            "SYMLINK",
            |root, _| {
                let (place, target) = (at(root, "new"), name("target"));
                let args = v3::SymLinkArgs { place, attributes: attributes(), target };
                (Procedure::SymLink, to_bytes(&args))
            },
            |at| at.join("new").is_symlink(),
        ),
        make(
            "MKNOD",
            |root, _| {
                let what = v3::MkNodData::Fifo(attributes());
                (Procedure::MkNod, to_bytes(&v3::MkNodArgs { place: at(root, "new"), what }))
            },
            |at| at.join("new").metadata().is_ok_and(|it| it.file_type().is_fifo()),
        ),
        Story {
            name: "REMOVE",
            before: |at| write(&at.join("old"), "old"),
            ask: Ask::V3(|root, _| (Procedure::Remove, to_bytes(&at(root, "old")))),
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| reads(&at.join("old"), "by another"),
        },
        Story {
            name: "RMDIR",
            before: |at| std::fs::create_dir(at.join("old")).unwrap(),
            ask: Ask::V3(|root, _| (Procedure::RmDir, to_bytes(&at(root, "old")))),
            is_done: |at| !at.join("old").exists(),
            meanwhile: |at| std::fs::create_dir(at.join("old")).unwrap(),
            is_left_alone: |at| at.join("old").is_dir(),
        },
        Story {
            name: "RENAME",
            before: |at| {
                write(&at.join("old"), "old");
                write(&at.join("new"), "new");
            },
            ask: Ask::V3(|root, _| {
                let (from, to) = (at(root.clone(), "old"), at(root, "new"));
                (Procedure::Rename, to_bytes(&v3::RenameArgs { from, to }))
            }),
            is_done: |at| !at.join("old").exists() && reads(&at.join("new"), "old"),
            meanwhile: |at| write(&at.join("old"), "by another"),
            is_left_alone: |at| {
                reads(&at.join("old"), "by another") && reads(&at.join("new"), "old")
            },
        },
        Story {
            name: "LINK",
            before: |at| write(&at.join("old"), "old"),
            ask: Ask::V3(|root, object| {
                (Procedure::Link, to_bytes(&v3::LinkArgs { object, link: at(root, "new") }))
            }),
            is_done: |at| at.join("old").metadata().is_ok_and(|it| it.nlink() == 2),
            meanwhile: |at| std::fs::rename(at.join("new"), at.join("moved")).unwrap(),
            is_left_alone: |at| !at.join("new").exists(),
        },
    ]
}

fn create(root: FileHandle, how: v3::CreateHow) -> (Procedure, Bytes) {
    (Procedure::Create, to_bytes(&v3::CreateArgs { place: at(root, "new"), how }))
}

pub(super) fn at(directory: FileHandle, text: &str) -> v3::DirOpArgs {
    v3::DirOpArgs { directory, name: name(text) }
}

/// Some come with the creation, some after it.
pub(super) fn attributes() -> v3::SetAttributes {
    let (atime, mtime) = (v3::SetTime::Keep, v3::SetTime::Keep);
    v3::SetAttributes { mode: Some(0o640), uid: Some(7), gid: None, size: None, atime, mtime }
}
