//! The stories: what Standfast does for real clients, each told once, from end to end.

mod access;
mod files;
mod hostile;
mod listing;
mod nfs42;
mod nlm;
mod procedures;
mod programs;
mod reload;
mod restart;
mod storage;
mod userspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let stories = [
        access::stories(),
        files::stories(),
        hostile::stories(),
        listing::stories(),
        nfs42::stories(),
        nlm::stories(),
        procedures::stories(),
        programs::stories(),
        reload::stories(),
        restart::stories(),
        storage::stories(),
        userspace::stories(),
    ];
    standfast_lab::trial::run(stories.into_iter().flatten().collect())
}
