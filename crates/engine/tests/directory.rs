//! The engine `directory` on a real directory.

#![allow(clippy::unwrap_used, reason = "a test stops at what it did not expect")]

use std::fs;
use std::path::Path;

use standfast_engine::{Claim, Directory, DirectorySettings, Engine, Fenced, Health, TwoHolders};

fn pool(path: &Path, node: &str, fence: &[&str]) -> Directory {
    let fence = fence.iter().map(|word| (*word).to_owned()).collect();
    Directory::new(&DirectorySettings { path: path.into(), fence }, node).unwrap()
}

fn claim() -> Claim {
    Claim { service: "vmstore".into(), epoch: 2, node: "n2".into() }
}

#[test]
fn all_nodes_see_the_same_marker() {
    let directory = tempfile::tempdir().unwrap();
    let seen: Vec<_> = std::thread::scope(|scope| {
        let check = |n: usize| {
            let pool = pool(directory.path(), &format!("n{n}"), &[]);
            scope.spawn(move || pool.check().unwrap())
        };
        let threads: Vec<_> = (0..8).map(check).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for identity in &seen {
        seen[0].same_as(identity, "other").unwrap();
    }
    let names: Vec<_> = fs::read_dir(directory.path().join(".standfast"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["pool"], "nothing else is left");
}

#[test]
fn another_directory_is_told_apart() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let one = pool(one.path(), "n1", &[]).check().unwrap();
    let other = pool(other.path(), "n2", &[]).check().unwrap();
    let error = one.same_as(&other, "n2").unwrap_err();
    assert!(error.to_string().contains("mounted on both?"), "{error}");
}

#[test]
fn what_is_not_mounted_is_not_promoted() {
    let directory = tempfile::tempdir().unwrap();
    let pool = pool(directory.path(), "n1", &[]);
    assert!(matches!(pool.health(), Health::Failed(_)));
    assert!(pool.promote(&claim()).unwrap_err().to_string().contains("mounted"));
    pool.check().unwrap();
    for _ in 0..2 {
        assert_eq!(pool.promote(&claim()).unwrap(), directory.path());
    }
    for _ in 0..2 {
        pool.demote(&claim()).unwrap();
    }
    assert_eq!(pool.two_holders(), TwoHolders::Harm);
    fs::write(directory.path().join(".standfast/pool"), "short").unwrap();
    assert!(pool.promote(&claim()).unwrap_err().to_string().contains("damaged"));
}

#[test]
fn the_fence_command_is_run_for_another_node_only() {
    let directory = tempfile::tempdir().unwrap();
    let mark = directory.path().join("fenced-");
    let touch = ["/bin/sh", "-c", "touch \"$0$1\"", mark.to_str().unwrap()];
    let fenced = pool(directory.path(), "n2", &touch);
    assert_eq!(fenced.fence(&claim(), "n2").unwrap(), Fenced::Nothing);
    assert_eq!(fenced.fence(&claim(), "n1").unwrap(), Fenced::Storage);
    assert!(directory.path().join("fenced-n1").exists());
    let broken = pool(directory.path(), "n2", &["/bin/sh", "-c", "echo switch is off; exit 1"]);
    let error = broken.fence(&claim(), "n1").unwrap_err().to_string();
    assert!(error.contains("node n1") && error.contains("switch is off"), "{error}");
    let none = pool(directory.path(), "n2", &[]);
    assert_eq!(none.fence(&claim(), "n1").unwrap(), Fenced::Nothing);
}
