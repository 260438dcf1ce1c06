//! The stories: what Standfast does for real clients, each told once, from end to end.

mod access;
mod cluster;
mod crashes;
mod failover;
mod files;
mod hostile;
mod killed;
mod listing;
mod locks;
mod nlm;
mod procedures;
mod programs;
mod reload;
mod restart;
mod storage;
mod userspace;
mod v4;

use std::process::ExitCode;

fn main() -> ExitCode {
    let stories = [
        access::stories(),
        cluster::stories(),
        crashes::stories(),
        failover::stories(),
        files::stories(),
        hostile::stories(),
        killed::stories(),
        listing::stories(),
        locks::stories(),
        nlm::stories(),
        procedures::stories(),
        programs::stories(),
        reload::stories(),
        restart::stories(),
        storage::stories(),
        userspace::stories(),
        v4::stories(),
    ];
    standfast_lab::trial::run(stories.into_iter().flatten().collect())
}
