//! Side by side with Debian's keepalived, on hosts of the lab: who is master, as the hosts'
//! addresses and the neighbours' caches tell it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at what it did not expect")]

mod pair;
mod router;
mod stories;

use std::process::ExitCode;

use standfast_lab::Requirement;
use standfast_lab::trial::{run, trial};

use pair::Variant;

const KEEPALIVED: &[Requirement] = &[Requirement::Program("keepalived")];
const GUESTS: &[Requirement] = &[Requirement::Program("keepalived"), Requirement::Guests];

fn main() -> ExitCode {
    // The stories start this very program as the router.
    if let Some(settings) = std::env::var_os(router::SETTINGS) {
        return router::serve(settings.as_ref());
    }
    let variants = [
        Variant { name: "version_2", version: 2, ..Variant::default() },
        Variant { name: "version_2_password", version: 2, password: true, ..Variant::default() },
        Variant { name: "version_2_unicast", version: 2, unicast: true, ..Variant::default() },
        Variant { name: "version_3", ..Variant::default() },
        Variant { name: "version_3_ipv6", v6: true, ..Variant::default() },
        Variant { name: "version_3_unicast", unicast: true, ..Variant::default() },
        Variant { name: "version_3_ipv6_unicast", v6: true, unicast: true, ..Variant::default() },
        Variant { name: "version_3_virtual_mac", virtual_mac: true, ..Variant::default() },
        Variant {
            name: "version_3_ipv6_virtual_mac",
            v6: true,
            virtual_mac: true,
            ..Variant::default()
        },
    ];
    let mut trials: Vec<_> = variants
        .into_iter()
        .map(|variant| {
            trial(variant.name, KEEPALIVED, move |lab| stories::take_turns(lab, variant))
        })
        .collect();
    trials.extend([
        trial("tracking_moves_the_priority", KEEPALIVED, stories::tracking),
        trial("the_owner_is_master_at_once", KEEPALIVED, stories::owner),
        trial("checks_that_fail_are_a_fault", &[], stories::checks),
        trial("migration_from_keepalived", KEEPALIVED, stories::migration),
        trial("groups_move_as_one", KEEPALIVED, stories::groups),
        trial("scripts_and_the_fifo_are_told", &[], stories::notify),
        trial("not_accepted_is_announced_only", &[], stories::no_accept),
        trial("interfaces_that_go_and_come", &[], stories::interfaces),
        trial("the_cache_of_a_guest_follows", GUESTS, stories::guest),
    ]);
    run(trials)
}
