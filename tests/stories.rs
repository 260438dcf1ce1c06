//! The stories: what Standfast does for real clients, each told once, from end to end.

mod access;
mod crashes;
mod files;
mod hostile;
mod listing;
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
        crashes::stories(),
        files::stories(),
        hostile::stories(),
        listing::stories(),
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
