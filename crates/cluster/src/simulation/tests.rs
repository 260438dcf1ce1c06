use std::time::Duration;

use super::*;

const SCALE: Scale = Scale { faults: 12 };
/// Set to the seed of a run that failed, it runs that one alone.
const SEED: &str = "STANDFAST_SEED";
/// How many seeds.
const SEEDS: &str = "STANDFAST_SEEDS";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn tell(seed: u64, outcome: &Outcome) -> String {
    let violation = outcome.violation.as_ref().map(ToString::to_string).unwrap_or_default();
    format!(
        "{violation}\n{}\nrun it again with: {SEED}={seed} cargo test -p standfast-cluster --lib \
         simulation",
        outcome.story.join("\n")
    )
}

/// Runs seeds on all processors; returns the pauses that they measured.
fn sweep(from: u64, seeds: u64) -> Vec<Duration> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    let work = |thread: u64| {
        let mut pauses = Vec::new();
        for seed in (from + thread..from + seeds).step_by(threads as usize) {
            let outcome = run(seed, SCALE);
            assert!(outcome.violation.is_none(), "{}", tell(seed, &outcome));
            pauses.extend(outcome.pause);
        }
        pauses
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|n| scope.spawn(move || work(n))).collect();
        let result = |thread: std::thread::ScopedJoinHandle<'_, Vec<Duration>>| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        threads.into_iter().flat_map(result).collect()
    })
}

#[test]
fn the_laws_hold_whatever_happens() {
    if let Some(seed) = number(SEED) {
        let outcome = run(seed, SCALE);
        assert!(outcome.violation.is_none(), "{}", tell(seed, &outcome));
        return;
    }
    let mut pauses = sweep(0, number(SEEDS).unwrap_or(1000));
    pauses.sort_unstable();
    let median = pauses[pauses.len() / 2];
    println!(
        "{} crashes of a holder, median pause {median:?}, longest {:?}",
        pauses.len(),
        pauses.last()
    );
    // Simulated time: the same on every machine.
    assert!(median < Duration::from_millis(550), "{median:?}");
}

/// Looks for the seed at which a planted fault shows.
fn is_found(fault: Fault) -> Option<u64> {
    plant(Some(fault));
    let found = (0..3000).find(|seed| run(*seed, SCALE).violation.is_some());
    plant(None);
    found
}

macro_rules! planted_faults_are_found {
    ($($name:ident: $fault:ident,)*) => {$(
        #[test]
        fn $name() {
            let found = is_found(Fault::$fault);
            println!("{:?} shows at seed {found:?}", Fault::$fault);
            assert!(found.is_some());
        }
    )*};
}

planted_faults_are_found! {
    finds_a_lease_that_counts_from_arrival: LeaseFromArrival,
    finds_a_leader_that_does_not_wait: NoWait,
    finds_a_new_leader_that_does_not_wait: NewLeaderNoWait,
    finds_a_leader_that_renews_without_a_quorum: RenewWithoutQuorum,
    finds_a_renewal_for_what_was_given_later: IgnoreBasis,
    finds_waits_that_ignore_drift: IgnoreDrift,
    finds_replies_without_a_lease: ReplyWithoutLease,
    finds_an_address_before_the_server: AddressBeforeListen,
}
