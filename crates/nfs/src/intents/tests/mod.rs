//! Every operation that must not run twice, in every version, over a real directory, with the end
//! of the server between any two of its steps, and a second one at any moment after it.

mod dependent;
mod stories;
mod world;

use std::path::Path;

use stories::{Ask, Story};
use world::{Answer, Death, Disk, Remains, Server, Version};

/// What a story shows with these ends of the server: steps that the first and the second server
/// took, and what was there at the end.
struct Told {
    first: usize,
    second: usize,
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("skipped: this needs root");
    }
    is_root
}

/// Runs a story on a server that dies, restarts it, and sends the request again; that one dies too,
/// at its start or later; and again, twice.
async fn tell(
    disk: &Disk,
    (story, version): (&Story, Version),
    deaths: [Death; 2],
    interfere: bool,
) -> Told {
    disk.clear();
    let directory = disk.path();
    (story.before)(directory);
    let first = Server::start(disk, Remains::default(), Death::Never).unwrap();
    let client = first.introduce(version).await;
    let request = first.request(story.ask, version, client);
    let remains = first.remains();

    let context = format!("{} over {version:?}, {deaths:?}", story.name);
    let mut answers: Vec<Answer> = Vec::new();
    let mut remains = Some(remains);
    let mut taken = [0; 2];
    let mut interfered = false;
    for (death, taken) in deaths.into_iter().zip(&mut taken) {
        let Ok(server) = Server::start(disk, remains.take().unwrap(), death) else {
            panic!("{context}: a start fails only by its death");
        };
        if let Some(server) = server.alive() {
            if interfere && !interfered && death == deaths[1] && (story.is_done)(directory) {
                (story.meanwhile)(directory);
                interfered = true;
            }
            answers.extend(server.send(&request).await);
        }
        *taken = server.steps();
        remains = Some(server.remains());
    }
    let last = Server::start(disk, remains.take().unwrap(), Death::Never).unwrap();
    let answer = last.send(&request).await.expect("an answer");
    assert!(answer.is_ok(), "{context}: {answer:?}");
    for earlier in &answers {
        assert_eq!(earlier.bytes, answer.bytes, "{context}");
    }
    if interfered {
        assert!((story.is_left_alone)(directory), "{context}");
    } else {
        assert!((story.is_done)(directory), "{context}");
    }
    assert_eq!(last.send(&request).await.map(|it| it.bytes), Some(answer.bytes), "{context}");
    assert_eq!(last.unfinished(), 0, "{context}");
    let [first, second] = taken;
    Told { first, second }
}

async fn tell_all(version: Version, stories: Vec<Story>) {
    let disk = Disk::new();
    for story in &stories {
        for interfere in [false, true] {
            let whole = tell(&disk, (story, version), [Death::Never; 2], false).await;
            assert!(whole.first >= 3, "{} over {version:?} notes no step", story.name);
            for death in deaths(whole.first) {
                let told = tell(&disk, (story, version), [death, Death::Never], interfere).await;
                let second = if interfere { 0 } else { told.second };
                for second in deaths(second) {
                    tell(&disk, (story, version), [death, second], false).await;
                }
            }
        }
    }
}

fn deaths(steps: usize) -> impl Iterator<Item = Death> {
    (0..steps).flat_map(|step| [Death::Before(step), Death::After(step)])
}

#[tokio::test]
async fn over_version_3_what_must_not_run_twice_runs_once() {
    if is_root() {
        tell_all(Version::V3, stories::stories_v3()).await;
    }
}

#[tokio::test]
async fn over_version_4_0_what_must_not_run_twice_runs_once() {
    if is_root() {
        let mut stories = stories::stories_v4();
        stories.retain(|story| matches!(story.ask, Ask::V4(_)));
        tell_all(Version::V40, stories).await;
    }
}

#[tokio::test]
async fn in_sessions_what_must_not_run_twice_runs_once() {
    if is_root() {
        tell_all(Version::V42, stories::stories_v4()).await;
    }
}

/// The file `name` of a directory.
fn exists(directory: &Path, name: &str) -> bool {
    directory.join(name).symlink_metadata().is_ok()
}
