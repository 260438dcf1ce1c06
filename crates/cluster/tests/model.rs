//! The replicated state: whatever is asked of it in whatever order, what it promises holds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use standfast_cluster::model::{
    ChangeReason, ClusterId, Command, Epoch, EventKind, InitialState, Keys, MAX_EVENTS, Member,
    Membership, NodeId, Outcome, Refusal, Role, Secret, Stamped, State, Token, TokenHash, TokenId,
};
use standfast_settings::{ClusterSettings, ServiceSettings};

const SERVICES: [&str; 3] = ["a", "b", "c"];

fn member(id: u64) -> Member {
    Member {
        id: NodeId(id),
        name: format!("n{id}"),
        addresses: vec![([127, 0, 0, 1], 1).into()],
        role: Role::Full,
        activity: Default::default(),
        membership: Membership::Voting,
        key_fingerprint: format!("key{id}"),
        certificate: id,
        least_certificate: 0,
        certificate_ends_ms: 1000,
        since_ms: 0,
        format: 1,
        version: "1".into(),
    }
}

fn initial() -> InitialState {
    let keys = Keys { authority_key: Secret::new("hidden-key"), ..Keys::default() };
    let mut settings = ClusterSettings::default();
    for name in SERVICES {
        settings.services.insert(name.into(), ServiceSettings::default());
    }
    InitialState { cluster: ClusterId(7), keys, member: member(1), settings }
}

fn founded() -> State {
    let mut state = State::default();
    let found = Command::Found(Box::new(initial()));
    assert_eq!(state.apply(&Stamped { at_ms: 1, command: found }), Outcome::Done);
    state
}

fn admit(key: u64, name: u64, token: u64, replace: bool) -> Command {
    Command::Admit {
        token: TokenHash(format!("hash{token}")),
        name: format!("n{name}"),
        addresses: vec![([127, 0, 0, 1], 2).into()],
        role: Role::Full,
        key_fingerprint: format!("newkey{key}"),
        format: 1,
        version: "1".into(),
        replace,
        certificate_ends_ms: 5000,
    }
}

fn node() -> impl Strategy<Value = NodeId> {
    (0u64..6).prop_map(NodeId)
}

fn service() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        4 => (0u64..6, 0u64..6, 0u64..3, any::<bool>())
            .prop_map(|(key, name, token, replace)| admit(key, name, token, replace)),
        2 => (0u64..3, 0u64..200, prop::option::of(0u32..3)).prop_map(|(id, ends_ms, uses_left)| {
            let token = Token { hash: TokenHash(format!("hash{id}")), ends_ms, uses_left };
            Command::CreateToken { id: TokenId(id.to_string()), token }
        }),
        1 => (0u64..3).prop_map(|id| Command::RevokeToken { id: TokenId(id.to_string()) }),
        2 => node().prop_map(|node| Command::MarkVoting { node }),
        2 => (node(), any::<bool>()).prop_map(|(node, force)| Command::Remove { node, force }),
        2 => node().prop_map(|node| Command::Forget { node }),
        1 => node().prop_map(|node| Command::Drain { node }),
        1 => node().prop_map(|node| Command::Resume { node }),
        1 => (node(), 0u64..9).prop_map(|(node, expected)| Command::RenewCertificate {
            node, expected, key_fingerprint: "renewed".into(), ends_ms: 9000,
        }),
        8 => (service(), 0u64..12, prop::option::of(node())).prop_map(|(service, expected, holder)| {
            let reason = ChangeReason::Move;
            Command::ChangeHolder { service, expected: Epoch(expected), holder, incarnation: 1, reason }
        }),
        1 => service().prop_map(|name| Command::DeleteService { name }),
        1 => (service(), any::<bool>()).prop_map(|(name, create)| {
            Command::PutService { name, service: Box::default(), create }
        }),
        1 => (service(), node()).prop_map(|(name, target)| Command::MoveService { name, target }),
        1 => (0u64..6).prop_map(|expected| {
            let settings = Box::new(initial().settings);
            Command::ApplySettings { expected, settings }
        }),
    ]
}

/// What must hold after each command.
fn check_step(before: &State, after: &State, command: &Command, outcome: &Outcome) {
    for (service, lease) in &before.leases {
        let now = &after.leases[service];
        assert!(
            now.epoch == lease.epoch && now.holder == lease.holder
                || now.epoch == lease.epoch.next(),
            "an epoch begins at each change of holder, and only then: {lease:?} {now:?}"
        );
    }
    assert!(before.next_node <= after.next_node);
    assert!(before.next_certificate <= after.next_certificate);
    assert!(before.settings_version <= after.settings_version);
    for id in after.members.keys().filter(|id| !before.members.contains_key(id)) {
        assert!(id.0 >= before.next_node, "a number is used again");
    }
    let mut names = BTreeMap::new();
    for member in after.members.values() {
        assert_eq!(names.insert(&member.name, member.id), None, "two members of one name");
        assert!(member.id.0 < after.next_node);
        assert!(member.certificate < after.next_certificate);
    }
    assert!(after.members.values().any(|m| m.membership == Membership::Voting), "nobody votes");
    assert!(after.settings.check().is_ok());
    assert!(after.events.len() <= MAX_EVENTS);
    if let Outcome::Refused(_) = outcome {
        assert_eq!(before, after, "a refused command changed something: {command:?}");
    }
}

proptest! {
    #[test]
    fn what_is_promised_holds(commands in prop::collection::vec(command(), 1..120)) {
        let mut state = founded();
        let mut twin = founded();
        for (at, command) in commands.into_iter().enumerate() {
            let before = state.clone();
            let stamped = Stamped { at_ms: at as u64, command };
            let outcome = state.apply(&stamped);
            check_step(&before, &state, &stamped.command, &outcome);
            prop_assert_eq!(twin.apply(&stamped), outcome, "two nodes came to differ");
            prop_assert_eq!(&twin, &state);
        }
        let json = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
    }

    #[test]
    fn a_retry_is_answered_as_the_first_time(commands in prop::collection::vec(command(), 1..60)) {
        let mut state = founded();
        for (at, command) in commands.into_iter().enumerate() {
            let deletes = matches!(command, Command::DeleteService { .. } | Command::RevokeToken { .. });
            let creates = matches!(command, Command::PutService { create: true, .. });
            let stamped = Stamped { at_ms: at as u64, command };
            let outcome = state.apply(&stamped);
            let after = state.clone();
            if !matches!(outcome, Outcome::Refused(_)) && !deletes && !creates {
                prop_assert_eq!(state.apply(&stamped), outcome);
                prop_assert_eq!(&state, &after, "a retry changed something");
            }
        }
    }
}

#[test]
fn only_one_of_two_proposals_for_an_epoch_wins() {
    let mut state = founded();
    state.apply(&Stamped {
        at_ms: 1,
        command: Command::CreateToken {
            id: TokenId("t".into()),
            token: Token { hash: TokenHash("hash0".into()), ends_ms: 99, uses_left: None },
        },
    });
    state.apply(&Stamped { at_ms: 1, command: admit(2, 2, 0, false) });
    let take = |node| Command::ChangeHolder {
        service: "a".into(),
        expected: Epoch(0),
        holder: Some(NodeId(node)),
        incarnation: 1,
        reason: ChangeReason::Start,
    };
    let first = state.apply(&Stamped { at_ms: 2, command: take(1) });
    assert_eq!(first, Outcome::Holder { epoch: Epoch(1) });
    let second = state.apply(&Stamped { at_ms: 2, command: take(2) });
    assert!(matches!(second, Outcome::Refused(Refusal::EpochMoved { current: Epoch(1), .. })));
    assert_eq!(state.leases["a"].holder, Some(NodeId(1)));
}

#[test]
fn a_service_made_again_goes_on_with_the_next_epoch() {
    let mut state = founded();
    let mut ask = |command| state.apply(&Stamped { at_ms: 1, command });
    let take = |expected| Command::ChangeHolder {
        service: "a".into(),
        expected: Epoch(expected),
        holder: Some(NodeId(1)),
        incarnation: 1,
        reason: ChangeReason::Start,
    };
    assert_eq!(ask(take(0)), Outcome::Holder { epoch: Epoch(1) });
    ask(Command::DeleteService { name: "a".into() });
    ask(Command::PutService { name: "a".into(), service: Box::default(), create: true });
    assert!(matches!(ask(take(0)), Outcome::Refused(Refusal::EpochMoved { .. })));
    assert_eq!(ask(take(2)), Outcome::Holder { epoch: Epoch(3) });
}

#[test]
fn secrets_do_not_show() {
    let state = founded();
    let command = Command::Found(Box::new(initial()));
    for shown in [format!("{state:?}"), format!("{command:?}")] {
        assert!(!shown.contains("hidden-key"), "{shown}");
    }
}

#[test]
fn events_say_who_held_what_and_why() {
    let mut state = founded();
    let command = Command::ChangeHolder {
        service: "a".into(),
        expected: Epoch(0),
        holder: Some(NodeId(1)),
        incarnation: 1,
        reason: ChangeReason::Failure { detail: "no heartbeat for 210 ms".into() },
    };
    state.apply(&Stamped { at_ms: 5, command });
    let last = state.events.back().unwrap();
    assert!(matches!(last.kind, EventKind::Holder { .. }));
    assert_eq!(
        last.kind.to_string(),
        "a: nobody -> n1 (epoch 1): its holder failed: no heartbeat for 210 ms"
    );
}
