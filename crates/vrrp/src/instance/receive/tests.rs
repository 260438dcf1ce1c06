//! Each check and its counter.

use std::time::Duration;

use super::*;
use crate::instance::{Announcements, Config};
use crate::packet::{Password, TTL};
use crate::statistics::Statistics;

fn config(version: Version) -> Config {
    Config {
        version,
        router_id: 7,
        priority: 100,
        interval: Duration::from_secs(1),
        addresses: vec!["192.0.2.10".parse().unwrap()],
        authentication: Authentication::None,
        peers: Vec::new(),
        peer_min_ttl: TTL,
        check_addresses: true,
        preempt: true,
        preempt_delay: Duration::ZERO,
        startup_delay: Duration::ZERO,
        announcements: Announcements { again_after: Duration::ZERO, refresh: None },
        grouped: false,
    }
}

fn envelope(source: &str, destination: &str) -> Envelope {
    let [source, destination] = [source, destination].map(|text| text.parse().unwrap());
    Envelope { source, destination, ttl: TTL }
}

fn multicast() -> Envelope {
    envelope("192.0.2.2", "224.0.0.18")
}

/// Gives a running router a packet; returns whether it was believed, and the counters.
fn receive(
    config: Config,
    packet: Result<Advertisement, DecodeError>,
    envelope: &Envelope,
) -> (bool, Statistics) {
    let now = Instant::now();
    let mut instance = Instance::new(config, now);
    instance.handle(Event::PrimaryAddress(Some("192.0.2.1".parse().unwrap())), now);
    instance.handle(Event::Startup, now);
    let before = instance.deadline();
    instance.receive(packet, envelope, now + Duration::from_millis(500));
    (instance.deadline() != before, instance.statistics().clone())
}

fn heard(config: Config, change: impl FnOnce(&mut Advertisement)) -> (bool, Statistics) {
    let mut advertisement = config.advertisement(200);
    change(&mut advertisement);
    receive(config, Ok(advertisement), &multicast())
}

#[test]
fn a_right_advertisement_is_believed() {
    let (believed, counters) = heard(config(Version::V3), |_| {});
    assert!(believed);
    assert_eq!(counters, Statistics { rcvd_advertisements: 1, ..Statistics::default() });
    let (_, counters) = heard(config(Version::V3), |it| it.priority = 0);
    assert_eq!(counters.rcvd_pri_zero_packets, 1);
}

#[test]
fn passwords_must_be_the_same() {
    let with = |password: &str| Authentication::Password(Password::new(password));
    let ours = || Config { authentication: with("secret"), ..config(Version::V2) };
    assert!(heard(ours(), |_| {}).0);
    let (believed, counters) = heard(ours(), |it| it.authentication = with("Secret"));
    assert_eq!((believed, counters.auth_failures), (false, 1));
    let (believed, counters) = heard(ours(), |it| it.authentication = Authentication::None);
    assert_eq!((believed, counters.auth_type_mismatch), (false, 1));
    let (believed, counters) = heard(config(Version::V2), |it| it.authentication = with("x"));
    assert_eq!((believed, counters.auth_type_mismatch), (false, 1));
}

#[test]
fn only_version_2_insists_on_the_interval() {
    let two = Duration::from_secs(2);
    let (believed, counters) = heard(config(Version::V2), |it| it.interval = two);
    assert_eq!((believed, counters.adv_interval_errors), (false, 1));
    let (believed, counters) = heard(config(Version::V3), |it| it.interval = two);
    assert_eq!((believed, counters.adv_interval_errors), (true, 1));
}

#[test]
fn addresses_are_compared_as_a_set() {
    let other = || vec!["192.0.2.11".parse().unwrap()];
    let (believed, counters) = heard(config(Version::V3), |it| it.addresses = other());
    assert_eq!((believed, counters.address_list_errors), (false, 1));
    let lax = Config { check_addresses: false, ..config(Version::V3) };
    let (believed, counters) = heard(lax, |it| it.addresses = other());
    assert_eq!((believed, counters.address_list_errors), (true, 1));
    let owner = |it: &mut Advertisement| {
        it.addresses = other();
        it.priority = PRIORITY_OWNER;
    };
    assert!(heard(config(Version::V3), owner).0, "the owner knows what it owns");
}

#[test]
fn the_other_version_and_our_own_packets_are_dropped() {
    let (believed, counters) = heard(config(Version::V3), |it| it.version = Version::V2);
    assert_eq!((believed, counters.proto_err_reason), (false, ProtoErrReason::VersionError));
    let own = config(Version::V3).advertisement(200);
    let (believed, counters) =
        receive(config(Version::V3), Ok(own), &envelope("192.0.2.1", "224.0.0.18"));
    assert_eq!((believed, counters), (false, Statistics::default()));
}

#[test]
fn an_owner_does_not_listen() {
    let now = Instant::now();
    let owner = Config { priority: PRIORITY_OWNER, ..config(Version::V3) };
    let other = owner.advertisement(PRIORITY_OWNER);
    let mut instance = Instance::new(owner, now);
    instance.handle(Event::PrimaryAddress(Some("192.0.2.1".parse().unwrap())), now);
    instance.handle(Event::Startup, now);
    assert_eq!(instance.receive(Ok(other), &multicast(), now), []);
    assert_eq!(instance.state(), State::Master);
}

#[test]
fn packets_that_do_not_decode_are_counted() {
    let counters = |error| receive(config(Version::V3), Err(error), &multicast()).1;
    assert_eq!(counters(DecodeError::Ttl(1)).ip_ttl_errors, 1);
    assert_eq!(counters(DecodeError::Type(2)).rcvd_invalid_type_packets, 1);
    let length = DecodeError::Length { actual: 8, expected: 12 };
    assert_eq!(counters(length).packet_length_errors, 1);
    assert_eq!(counters(DecodeError::AuthenticationType(9)).invalid_auth_type, 1);
    assert_eq!(counters(DecodeError::NoAddress).address_list_errors, 1);
    let reason = counters(DecodeError::Checksum).proto_err_reason;
    assert_eq!(reason, ProtoErrReason::ChecksumError);
}

#[test]
fn packets_come_by_the_way_of_the_settings() {
    let now = Instant::now();
    let by_group = Instance::new(config(Version::V3), now);
    let peers = vec!["192.0.2.2".parse().unwrap()];
    let by_peers = Instance::new(Config { peers, ..config(Version::V3) }, now);
    let unicast = envelope("192.0.2.2", "192.0.2.1");
    let stranger = envelope("192.0.2.3", "192.0.2.1");
    let v6 = envelope("fe80::2", "ff02::12");
    assert!(by_group.accepts(7, &multicast()) && !by_group.accepts(8, &multicast()));
    assert!(!by_group.accepts(7, &unicast) && !by_group.accepts(7, &v6));
    assert!(by_peers.accepts(7, &unicast) && !by_peers.accepts(7, &stranger));
    assert!(!by_peers.accepts(7, &multicast()));
}

#[test]
fn a_peer_may_be_as_far_as_the_settings_say() {
    let near = Config { peers: vec!["192.0.2.2".parse().unwrap()], ..config(Version::V3) };
    let far = Config { peer_min_ttl: 64, ..near.clone() };
    let packet = Envelope { ttl: 64, ..envelope("192.0.2.2", "192.0.2.1") };
    let advertisement = near.advertisement(200);
    let (believed, counters) = receive(near, Ok(advertisement.clone()), &packet);
    assert_eq!((believed, counters.ip_ttl_errors), (false, 1));
    assert!(receive(far, Ok(advertisement), &packet).0);
}
