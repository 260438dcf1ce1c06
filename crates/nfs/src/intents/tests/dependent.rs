//! Requests that meet others on the same names.

use std::sync::Arc;
use std::time::Duration;

use standfast_rpc::xdr::to_bytes;

use super::stories::{Ask, at, mode, name, open};
use super::world::{Client, Death, Disk, Remains, Server, Version};
use super::{exists, is_root};
use crate::intents::{NameIn, Wish};
use crate::locks::FileKey;
use crate::v3::protocol::{self as v3, Procedure};
use crate::v4::protocol::{CreateArgs, CreateHow, CreateType, CreateVerifier, OpenHow, Operation};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

fn directory(text: &str) -> Operation {
    let (kind, attributes) = (CreateType::Directory, mode(0o700));
    Operation::Create(CreateArgs { kind, name: name(text), attributes })
}

/// The name `text` in the root of the export, to be locked.
fn place(server: &Server, text: &str) -> Wish {
    let export = &server.service().exports()[0];
    let directory = FileKey { export: export.id().0, handle: export.file_system().root() };
    Wish::Make(NameIn { directory, name: name(text) })
}

/// A directory is made, and taken away by somebody else, and the server dies before the reply to
/// the first is written down. It is told that it was done, and it is not done again.
#[tokio::test]
async fn what_others_changed_since_does_not_hide_what_was_done() {
    if !is_root() {
        return;
    }
    let make = Ask::V3(|root, _| {
        let attributes = super::stories::attributes();
        (Procedure::MkDir, to_bytes(&v3::MkDirArgs { place: at(root, "new"), attributes }))
    });
    let make_two = Ask::V4(|| vec![directory("new"), Operation::RestoreHandle, directory("other")]);
    let take = Ask::V3(|root, _| (Procedure::RmDir, to_bytes(&at(root, "new"))));
    for (version, ask) in [(Version::V3, make), (Version::V40, make_two), (Version::V42, make_two)]
    {
        let disk = Disk::new();
        let at = disk.path();
        let first = Arc::new(Server::start(&disk, Remains::default(), Death::Never).unwrap());
        let client = first.introduce(version).await;
        let making = first.request(ask, version, client);
        let taking = first.request(take, Version::V3, Client::Plain(0)).with_xid(78);
        let mut under_way = None;
        if version == Version::V3 {
            first.run(&making).await.expect("a reply");
        } else {
            // It has made the first of two directories and waits for the name of the other.
            let (server, making, noted) = (Arc::clone(&first), making.clone(), first.steps() + 2);
            let locked = Arc::clone(&first);
            let (held, holds) = tokio::sync::oneshot::channel();
            let holder = tokio::spawn(async move {
                let other = place(&locked, "other");
                let _locked = other.lock(locked.service().name_locks()).await;
                held.send(()).unwrap();
                std::future::pending::<()>().await;
            });
            holds.await.unwrap();
            let call = tokio::spawn(async move { server.run(&making).await });
            let made = async {
                while first.steps() < noted {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, made).await.expect("its step is noted");
            under_way = Some((holder, call));
        }
        assert!(exists(at, "new"), "{version:?}");
        first.run(&taking).await.expect("a reply");
        assert!(!exists(at, "new"), "{version:?}");
        let remains = first.remains();
        if let Some((holder, call)) = under_way {
            call.abort();
            holder.abort();
        }
        let second = Server::start(&disk, remains, Death::Never).unwrap();
        for request in [&taking, &making, &taking] {
            let answer = second.send(request).await.expect("an answer");
            assert!(answer.is_ok(), "{version:?}: {answer:?}");
            assert!(!exists(at, "new"), "{version:?}: made again");
        }
        assert_eq!(second.unfinished(), 0);
    }
}

/// Whoever is about to make a name has it for itself: else the server could die before it has, and
/// find what another made.
#[tokio::test]
async fn a_name_is_made_by_one_at_a_time() {
    if !is_root() {
        return;
    }
    let exclusive = Ask::V4(|| vec![open("new", OpenHow::Create(CreateHow::Exclusive([7; 8])))]);
    let with_attributes = Ask::V4(|| {
        let how = CreateVerifier { verifier: [7; 8], attributes: mode(0o600) };
        vec![open("new", OpenHow::Create(CreateHow::ExclusiveWith(how)))]
    });
    let create = Ask::V3(|root, _| {
        let how = v3::CreateHow::Exclusive([7; 8]);
        (Procedure::Create, to_bytes(&v3::CreateArgs { place: at(root, "new"), how }))
    });
    for (version, ask) in [
        (Version::V3, create),
        (Version::V40, exclusive),
        (Version::V42, exclusive),
        (Version::V42, with_attributes),
    ] {
        let disk = Disk::new();
        let server = Arc::new(Server::start(&disk, Remains::default(), Death::Never).unwrap());
        let client = server.introduce(version).await;
        let request = server.request(ask, version, client);
        let wish = place(&server, "new");
        let locked = wish.lock(server.service().name_locks()).await;
        let caller = Arc::clone(&server);
        let call = tokio::spawn(async move { caller.send(&request).await });
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        assert!(!exists(disk.path(), "new"), "{version:?}");
        drop(locked);
        assert!(call.await.unwrap().expect("an answer").is_ok(), "{version:?}");
        assert!(exists(disk.path(), "new"), "{version:?}");
    }
}

/// A delegation of minor version 0 is given back once, wherever the server dies.
#[tokio::test]
async fn a_delegation_is_given_back_once() {
    if !is_root() {
        return;
    }
    let place = Disk::new();
    for death in [Death::Never].into_iter().chain(super::deaths(4)) {
        std::fs::write(place.path().join("old"), b"").unwrap();
        let first = Server::start(&place, Remains::default(), Death::Never).unwrap();
        let client = first.introduce(Version::V40).await;
        let (returning, held) = first.delegation(client).await;
        let mortal = Server::start(&place, first.remains(), death).unwrap();
        assert!(mortal.has(&held));
        let told = mortal.send(&returning).await;
        let last = Server::start(&place, mortal.remains(), Death::Never).unwrap();
        let answer = last.send(&returning).await.expect("an answer");
        assert!(answer.is_ok(), "{death:?}: {answer:?}");
        if let Some(told) = told {
            assert_eq!(told.bytes, answer.bytes, "{death:?}");
        }
        assert!(!last.has(&held));
        // One that was never there is not.
        let again = last.send(&returning.with_xid(99)).await.expect("an answer");
        assert!(!again.is_ok());
        assert_eq!(last.unfinished(), 0);
    }
}
