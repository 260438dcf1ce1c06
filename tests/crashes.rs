//! The server is killed again and again while clients write, create, rename and lock.

use std::env;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use libtest_mimic::Trial;
use standfast_drill::history::Finding;
use standfast_lab::trial::trial;
use standfast_lab::{Direction, Lab};
use standfast_tests::Result;
use standfast_tests::load::Clients;
use standfast_tests::server::Server;

/// Another sequence of operations and times, or one again.
const SEED: &str = "STANDFAST_SEED";
/// How often the server is killed.
const CRASHES: u64 = 6;

/// What is told each time; the first two once went wrong.
const SEEDS: [u64; 3] = [312, 202, 1];

pub(crate) fn stories() -> Vec<Trial> {
    let seed = env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seeds = seed.map_or_else(|| SEEDS.to_vec(), |seed| vec![seed]);
    let story = |seed| {
        let name = format!("what_was_acknowledged_outlives_crashes_{seed}");
        trial(&name, &[], move |lab| crashes(lab, seed))
    };
    seeds.into_iter().map(story).collect()
}

/// Each acknowledged byte, name and lock is there after any number of crashes, nothing ran twice,
/// and no client lost its session or had to wait for a grace period.
fn crashes(lab: &Lab, seed: u64) -> Result {
    crash_often(lab, seed).map_err(|error| format!("{error}\nagain with {SEED}={seed}").into())
}

fn crash_often(lab: &Lab, seed: u64) -> Result {
    let mut server = Server::start(lab, "rw,no_root_squash,insecure")?;
    let host = Arc::new(lab.host("client")?);
    let clients = Clients::start(&host, server.v4(), seed)?;
    for crash in 0..CRASHES {
        // Not synchronisation: the time at which the crash falls into the work.
        sleep(Duration::from_millis(seed.wrapping_mul(31).wrapping_add(crash * 67) % 200));
        // The clients learn from the kernel of the server's machine that their connections are
        // gone. They meet a closed port then, and wait for three seconds; or nobody answers, and
        // they come again by themselves.
        let is_deaf = !seed.wrapping_add(crash).is_multiple_of(3);
        if is_deaf {
            server.host.cut_link(Direction::In)?;
        }
        server.kill()?;
        server.restart()?;
        if is_deaf {
            server.host.mend_link()?;
        }
        clients.go_on()?;
    }
    let history = clients.finish(|finding| *finding == Finding::Refused)?;
    assert!(history.connections.len() as u64 > CRASHES, "the crashes reached no client");
    Ok(())
}
