use std::time::Duration;

use super::*;
use crate::instance::{Announcements, Config};
use crate::packet::{Authentication, Version};

fn config(router_id: u8, grouped: bool) -> Config {
    Config {
        version: Version::V3,
        router_id,
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: vec!["192.0.2.10".parse().unwrap()],
        authentication: Authentication::None,
        peers: Vec::new(),
        peer_min_ttl: 255,
        check_addresses: false,
        preempt: true,
        preempt_delay: Duration::ZERO,
        startup_delay: Duration::ZERO,
        announcements: Announcements { again_after: Duration::ZERO, refresh: None },
        grouped,
    }
}

fn member(router_id: u8, grouped: bool, tracks: Vec<(TrackId, Weight)>, now: Instant) -> Member {
    Member { instance: Instance::new(config(router_id, grouped), now), tracks, usable: true }
}

fn pair(now: Instant) -> Routers {
    let fault = vec![(TrackId(0), Weight::default())];
    let members = vec![member(1, true, fault, now), member(2, true, Vec::new(), now)];
    let mut routers = Routers::new(members, vec![vec![0, 1]], vec![Status::Up]);
    routers.start(now);
    routers
}

fn envelope() -> Envelope {
    Envelope {
        source: "192.0.2.2".parse().unwrap(),
        destination: crate::packet::GROUP_V4.into(),
        ttl: 255,
    }
}

fn states(routers: &Routers) -> Vec<State> {
    routers.instances().map(Instance::state).collect()
}

#[test]
fn a_group_becomes_master_as_one() {
    let begin = Instant::now();
    let mut routers = pair(begin);
    let effects = routers.on_timer(begin + Duration::from_secs(4));
    assert_eq!(states(&routers), [State::Master; 2]);
    assert_eq!(effects.last(), Some(&Effect::Group(0, State::Master)));
}

#[test]
fn a_group_waits_for_a_member_that_hears_a_master() {
    let begin = Instant::now();
    let mut routers = pair(begin);
    let advertisement = config(2, true).advertisement(150);
    let at = |seconds| begin + Duration::from_secs(seconds);
    routers.on_packet(1, Ok(advertisement), &envelope(), at(1));
    routers.on_timer(at(4));
    assert_eq!(states(&routers), [State::Backup; 2]);
    routers.on_timer(at(8));
    assert_eq!(states(&routers), [State::Master; 2]);
}

#[test]
fn a_member_that_is_outranked_takes_the_group_along() {
    let begin = Instant::now();
    let mut routers = pair(begin);
    let at = |seconds| begin + Duration::from_secs(seconds);
    routers.on_timer(at(4));
    let effects = routers.on_packet(0, Ok(config(1, true).advertisement(150)), &envelope(), at(5));
    assert_eq!(states(&routers), [State::Backup; 2]);
    let farewell = Effect::Router(1, Action::Advertise { priority: 0 });
    assert!(effects.contains(&farewell), "{effects:?}");
}

#[test]
fn a_fault_of_one_member_is_a_fault_of_all() {
    let begin = Instant::now();
    let mut routers = pair(begin);
    let at = |seconds| begin + Duration::from_secs(seconds);
    routers.on_timer(at(4));
    let effects = routers.on_track(TrackId(0), Status::Down, at(5));
    assert_eq!(states(&routers), [State::Fault; 2]);
    let farewells = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Router(_, Action::Advertise { priority: 0 })));
    assert_eq!(farewells.count(), 2);
    let effects = routers.on_track(TrackId(0), Status::Up, at(6));
    assert_eq!(states(&routers), [State::Backup; 2]);
    assert_eq!(effects.last(), Some(&Effect::Group(0, State::Backup)));
}

#[test]
fn a_command_moves_the_whole_group() {
    let begin = Instant::now();
    let mut routers = pair(begin);
    let at = |seconds| begin + Duration::from_secs(seconds);
    routers.on_command(0, Some(Command::TakeOver), at(1));
    assert_eq!(states(&routers), [State::Master; 2]);
    routers.on_command(1, Some(Command::HandBack), at(2));
    assert_eq!(states(&routers), [State::Backup; 2]);
}

#[test]
fn a_router_waits_for_the_first_result_of_what_it_tracks() {
    let begin = Instant::now();
    let members = vec![member(1, false, vec![(TrackId(0), Weight::default())], begin)];
    let mut routers = Routers::new(members, Vec::new(), vec![Status::Unknown]);
    assert_eq!(routers.start(begin), []);
    assert_eq!(states(&routers), [State::Stopped]);
    routers.on_track(TrackId(0), Status::Up, begin);
    assert_eq!(states(&routers), [State::Backup]);
    assert_eq!(routers.on_track(TrackId(0), Status::Up, begin), []);
}

#[test]
fn an_interface_that_cannot_be_used_is_a_fault() {
    let begin = Instant::now();
    let mut routers =
        Routers::new(vec![member(1, false, Vec::new(), begin)], Vec::new(), Vec::new());
    routers.start(begin);
    routers.on_interface(0, false, None, begin);
    assert_eq!(states(&routers), [State::Fault]);
    routers.on_interface(0, true, None, begin);
    assert_eq!(states(&routers), [State::Backup]);
    routers.shutdown(begin);
    assert_eq!(states(&routers), [State::Stopped]);
    assert_eq!(routers.on_interface(0, true, None, begin), []);
}
