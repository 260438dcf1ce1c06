use proptest::prelude::*;

use super::*;

fn node(id: u64) -> NodeId {
    NodeId(id)
}

fn view(nodes: u64, services: u64) -> Placement {
    let alive = NodeView { alive: true, witness: false, drained: false };
    Placement {
        nodes: (1..=nodes).map(|id| (NodeId(id), alive)).collect(),
        services: (1..=services).map(|id| (ServiceId(id), ServiceView::default())).collect(),
        balance: false,
    }
}

fn service(view: &mut Placement, id: u64) -> &mut ServiceView {
    view.services.get_mut(&ServiceId(id)).unwrap()
}

fn at(view: &Placement, id: u64) -> (u64, Why) {
    let target = plan(view).remove(&ServiceId(id)).unwrap().unwrap();
    (target.node.0, target.why)
}

#[test]
fn new_services_spread() {
    let view = view(3, 6);
    let mut load = BTreeMap::<u64, usize>::new();
    for target in plan(&view).into_values() {
        *load.entry(target.unwrap().node.0).or_default() += 1;
    }
    assert_eq!(load, BTreeMap::from([(1, 2), (2, 2), (3, 2)]));
}

#[test]
fn the_share_of_a_lost_node_spreads_over_the_others() {
    let mut view = view(3, 30);
    for id in 1..=30 {
        service(&mut view, id).holder = Some(node(1 + id % 3));
    }
    view.nodes.get_mut(&node(1)).unwrap().alive = false;
    let mut load = BTreeMap::<u64, usize>::new();
    for target in plan(&view).into_values() {
        let target = target.unwrap();
        assert!(matches!(target.why, Why::Stays | Why::HolderLost));
        *load.entry(target.node.0).or_default() += 1;
    }
    assert_eq!(load, BTreeMap::from([(2, 15), (3, 15)]));
}

#[test]
fn failback_is_a_policy() {
    let mut view = view(3, 1);
    let known = service(&mut view, 1);
    known.holder = Some(node(2));
    known.policy.preferred = vec![node(3), node(1)];
    assert_eq!(at(&view, 1), (2, Why::Stays));
    service(&mut view, 1).policy.failback = Failback::WhenIdle;
    assert_eq!(at(&view, 1), (2, Why::Stays));
    service(&mut view, 1).idle = true;
    assert_eq!(at(&view, 1), (3, Why::Failback));
    service(&mut view, 1).idle = false;
    service(&mut view, 1).policy.failback = Failback::Now;
    assert_eq!(at(&view, 1), (3, Why::Failback));
    view.nodes.get_mut(&node(3)).unwrap().alive = false;
    assert_eq!(at(&view, 1), (1, Why::Failback));
}

#[test]
fn apart_and_together() {
    let mut view = view(2, 3);
    service(&mut view, 1).policy.apart_from.insert(ServiceId(2));
    service(&mut view, 3).policy.together_with.insert(ServiceId(2));
    let (first, second, third) = (at(&view, 1).0, at(&view, 2).0, at(&view, 3).0);
    assert!(first != second && second == third);
    // With one node left they share it: to serve comes first.
    view.nodes.get_mut(&node(first)).unwrap().alive = false;
    assert_eq!(at(&view, 1).0, second);
}

#[test]
fn together_follows_one_that_serves() {
    let mut view = view(3, 2);
    service(&mut view, 1).policy.together_with.insert(ServiceId(2));
    service(&mut view, 2).holder = Some(node(3));
    assert_eq!(at(&view, 1), (3, Why::Company));
}

#[test]
fn people_are_obeyed_where_it_can_be() {
    let mut view = view(3, 1);
    service(&mut view, 1).holder = Some(node(1));
    service(&mut view, 1).policy.wish = Some(node(2));
    assert_eq!(at(&view, 1), (2, Why::Wish));
    view.nodes.get_mut(&node(2)).unwrap().alive = false;
    assert_eq!(at(&view, 1), (1, Why::Stays));
    view.nodes.get_mut(&node(1)).unwrap().drained = true;
    assert_eq!(at(&view, 1), (3, Why::Drain));
    service(&mut view, 1).unable.insert(node(3));
    let refused = plan(&view).remove(&ServiceId(1)).unwrap().unwrap_err();
    assert!(refused.to_string().contains("node 3 cannot"), "{refused}");
}

#[test]
fn who_cannot_serve_gets_nothing() {
    let mut view = view(2, 1);
    for known in view.nodes.values_mut() {
        known.witness = true;
    }
    assert_eq!(plan(&view)[&ServiceId(1)], Err(NoPlace::NobodyAlive));
    for known in view.nodes.values_mut() {
        (known.witness, known.drained) = (false, true);
    }
    assert_eq!(plan(&view)[&ServiceId(1)], Err(NoPlace::AllDrained));
}

#[test]
fn balance_moves_one_idle_service_at_a_time() {
    let mut view = view(2, 4);
    for id in 1..=4 {
        service(&mut view, id).holder = Some(node(1));
        service(&mut view, id).idle = id != 1;
    }
    let moved = |view: &Placement| {
        plan(view).values().filter(|t| t.as_ref().unwrap().why == Why::Balance).count()
    };
    assert_eq!(moved(&view), 0);
    view.balance = true;
    assert_eq!(moved(&view), 1);
    assert_eq!(at(&view, 1), (1, Why::Stays));
    service(&mut view, 2).holder = Some(node(2));
    service(&mut view, 3).holder = Some(node(2));
    assert_eq!(moved(&view), 0);
}

prop_compose! {
    fn any_service()(
        holder in proptest::option::of(1_u64..5),
        preferred in proptest::collection::vec(1_u64..5, 0..3),
        apart in proptest::collection::btree_set(1_u64..8, 0..3),
        together in proptest::collection::btree_set(1_u64..8, 0..2),
        failback in prop_oneof![Just(Failback::Stay), Just(Failback::WhenIdle), Just(Failback::Now)],
        wish in proptest::option::weighted(0.1, 1_u64..5),
        unable in proptest::collection::btree_set(1_u64..5, 0..2),
        idle: bool,
    ) -> ServiceView {
        ServiceView {
            policy: PlacementPolicy {
                preferred: preferred.into_iter().map(NodeId).collect(),
                apart_from: apart.into_iter().map(ServiceId).collect(),
                together_with: together.into_iter().map(ServiceId).collect(),
                failback,
                wish: wish.map(NodeId),
            },
            holder: holder.map(NodeId),
            unable: unable.into_iter().map(NodeId).collect(),
            idle,
        }
    }
}

prop_compose! {
    fn any_view()(
        nodes in proptest::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 1..5),
        services in proptest::collection::vec(any_service(), 1..8),
        balance: bool,
    ) -> Placement {
        let node = |(alive, witness, drained): (bool, bool, bool)| {
            NodeView { alive, witness: witness && drained, drained: drained && alive && !witness }
        };
        Placement {
            nodes: (1..).map(NodeId).zip(nodes.into_iter().map(node)).collect(),
            services: (1..).map(ServiceId).zip(services).collect(),
            balance,
        }
    }
}

proptest! {
    /// Nothing is put where it may not be, and once everything is where the plan says, the plan
    /// says that all stay: services do not wander for ever.
    #[test]
    fn plans_are_sound_and_settle(mut view in any_view()) {
        for _ in 0..40 {
            let plan = plan(&view);
            let mut moves = 0;
            for (id, target) in plan {
                let service = view.services.get_mut(&id).unwrap();
                let Ok(target) = target else { continue };
                let node = view.nodes[&target.node];
                prop_assert!(node.alive && !node.witness && !node.drained);
                prop_assert!(!service.unable.contains(&target.node));
                moves += usize::from(service.holder != Some(target.node));
                service.holder = Some(target.node);
            }
            if moves == 0 {
                return Ok(());
            }
        }
        prop_assert!(false, "it does not settle: {view:?}");
    }
}
