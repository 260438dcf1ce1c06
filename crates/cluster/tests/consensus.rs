//! Members agree, whatever happens to some of them.

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use standfast_cluster::consensus::ProposeError;
use standfast_cluster::model::{Command, NodeId, Outcome};
use support::{Cluster, PATIENCE, agree, agree_on_state, put, settings, until};
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_node_is_a_cluster_and_remembers_it() {
    let mut cluster = Cluster::found().await;
    cluster.write("one").await;
    let before = agree_on_state(&cluster.any()).await;
    cluster.stop("a").await;
    let member = cluster.start("a").await.expect("it starts again");
    let after = agree_on_state(&member).await;
    assert!(after.settings.services.contains_key("one"));
    assert_eq!(after.cluster, before.cluster);
    cluster.write("two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_death_of_the_leader_loses_nothing() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("before").await;
    let leader = cluster.leader().await;
    cluster.stop(&leader).await;
    cluster.write("after").await;
    assert_ne!(cluster.leader().await, leader);
    cluster.start(&leader).await.expect("it starts again");
    cluster.until_same().await;
    for member in cluster.members.values() {
        let state = member.state();
        assert!(state.settings.services.contains_key("before"));
        assert!(state.settings.services.contains_key("after"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_decides_nothing_and_disturbs_nobody_when_it_comes_back() {
    let cluster = Cluster::of(3).await;
    let old = cluster.leader().await;
    let others: Vec<&str> = cluster.names().into_iter().filter(|name| *name != old).collect();
    let ids: Vec<NodeId> = others.iter().map(|name| cluster.id(name)).collect();
    cluster.links.part(&[cluster.id(&old)], &ids);
    let new = cluster.leader_of(&others).await;
    agree(&cluster.members[&new], put("majority")).await;
    let alone = &cluster.members[&old];
    let refused = alone.propose(put("minority")).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable(_))), "{refused:?}");
    assert!(alone.read().await.is_err());
    // What was known before can still be read here.
    assert!(alone.state().is_founded());
    let new = cluster.calm_down(&others).await;
    let term = cluster.members[&new].leadership().term;
    cluster.links.heal();
    cluster.until_same().await;
    let now = cluster.members[&new].leadership();
    assert!(now.is_me, "the leader was disturbed");
    assert_eq!(now.term, term);
    assert!(alone.state().settings.services.contains_key("majority"));
    assert!(!alone.state().settings.services.contains_key("minority"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_that_was_cut_off_does_not_end_the_term() {
    let cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let names = cluster.names();
    let follower = names.iter().copied().find(|name| *name != leader).expect("a follower");
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != follower).collect();
    let ids: Vec<NodeId> = others.iter().map(|name| cluster.id(name)).collect();
    cluster.links.part(&[cluster.id(follower)], &ids);
    // Meanwhile it asks for votes again and again.
    let timeout = settings().timing.election_timeout;
    let age = || cluster.members[follower].data_age().unwrap_or_default();
    until("it has missed the leader for long", async || age() > timeout * 5).await;
    let leader = cluster.calm_down(&others).await;
    let term = cluster.members[&leader].leadership().term;
    agree(&cluster.members[&leader], put("meanwhile")).await;
    cluster.links.heal();
    cluster.until_same().await;
    assert_eq!(cluster.members[&leader].leadership().term, term);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_whole_cluster_that_lost_power_goes_on() {
    let mut cluster = Cluster::of(3).await;
    cluster.write("kept").await;
    for name in ["a", "b", "c"] {
        cluster.stop(name).await;
    }
    for name in ["a", "b", "c"] {
        cluster.start(name).await.expect("it starts again");
    }
    cluster.write("new").await;
    cluster.until_same().await;
    assert!(cluster.any().state().settings.services.contains_key("kept"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_bear_the_loss_of_two_and_read_on_after_three() {
    let mut cluster = Cluster::of(5).await;
    cluster.write("five").await;
    let leader = cluster.leader().await;
    cluster.stop(&leader).await;
    let next = cluster.leader().await;
    cluster.stop(&next).await;
    cluster.write("three").await;
    cluster.until_same().await;
    let third = cluster.leader().await;
    cluster.stop(&third).await;
    for member in cluster.members.values() {
        assert!(member.state().settings.services.contains_key("three"));
    }
    let refused = cluster.any().propose(put("two")).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable(_))), "{refused:?}");
    cluster.start(&third).await.expect("it starts again");
    cluster.write("three-again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_late_gets_the_whole_state() {
    let mut cluster = Cluster::found_with(settings(), 10).await;
    for number in 0..60 {
        cluster.write(&format!("s{number}")).await;
    }
    cluster.add("b").await;
    cluster.until_same().await;
    assert_eq!(cluster.members["b"].state().settings.services.len(), 60);
    // And after a restart it has it from its own disk.
    cluster.stop("a").await;
    cluster.stop("b").await;
    let late = cluster.start("b").await.expect("it starts again");
    until("the state is there without a quorum", async || {
        late.state().settings.services.len() == 60
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_come_and_go_while_others_write() {
    let mut cluster = Cluster::of(3).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = Arc::clone(&cluster.members["a"]);
    let writing = tokio::spawn(async move {
        let mut written = Vec::new();
        while written.is_empty() || (!*stopped.borrow() && written.len() < 400) {
            let name = format!("s{}", written.len());
            if writer.propose(put(&name)).await.is_ok() {
                written.push(name);
            }
        }
        written
    });
    cluster.add("d").await;
    let gone = cluster.id("b");
    cluster.agree(Command::Remove { node: gone, force: false }).await;
    let any = cluster.any();
    until("the node is forgotten", async || !any.state().members.contains_key(&gone)).await;
    cluster.stop("b").await;
    cluster.add("e").await;
    stop.send_replace(true);
    let written = timeout(PATIENCE, writing).await.expect("something is written in time");
    let written = written.expect("the writer ends");
    cluster.until_same().await;
    let state = agree_on_state(&cluster.any()).await;
    for name in written {
        assert!(state.settings.services.contains_key(&name), "{name} was lost");
    }
    assert_eq!(state.members.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_itself_can_be_removed() {
    let mut cluster = Cluster::of(3).await;
    let leader = cluster.leader().await;
    let id = cluster.id(&leader);
    cluster.agree(Command::Remove { node: id, force: false }).await;
    let other = cluster.names().into_iter().find(|name| *name != leader).map(str::to_owned);
    let other = Arc::clone(&cluster.members[&other.expect("another")]);
    until("the node is forgotten", async || !other.state().members.contains_key(&id)).await;
    cluster.stop(&leader).await;
    cluster.write("on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leadership_can_be_handed_over() {
    let cluster = Cluster::of(3).await;
    let target = cluster.names()[0];
    let id = cluster.id(target);
    until("the wanted one leads", async || {
        let leader = cluster.leader().await;
        cluster.members[&leader].hand_over_leadership(id).await;
        cluster.members[target].leadership().is_me
    })
    .await;
    cluster.write("on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proposals_from_all_members_at_once_are_all_agreed_on_once() {
    let cluster = Cluster::of(3).await;
    cluster.write("s").await;
    let term = || cluster.members.values().map(|member| member.leadership().term).max();
    let term_before = term();
    let mut asked = tokio::task::JoinSet::new();
    for name in cluster.names() {
        let member = Arc::clone(&cluster.members[name]);
        let node = cluster.id(name);
        asked.spawn(async move {
            let (mut won, mut unanswered) = (BTreeSet::new(), 0);
            for _ in 0..15 {
                let epoch = member.state().leases.get("s").map(|lease| lease.epoch);
                let command = Command::ChangeHolder {
                    service: "s".into(),
                    expected: epoch.unwrap_or_default(),
                    holder: Some(node),
                    incarnation: 1,
                    reason: standfast_cluster::model::ChangeReason::Move,
                };
                match member.decide(command).await {
                    Ok(Outcome::Holder { epoch }) => drop(won.insert(epoch)),
                    Ok(_) => {}
                    Err(_) => unanswered += 1,
                }
            }
            (won, unanswered)
        });
    }
    let (mut won, mut unanswered) = (BTreeSet::new(), 0);
    while let Some(of_one) = asked.join_next().await {
        let (epochs, without_answer) = of_one.expect("it ends");
        for epoch in epochs {
            assert!(won.insert(epoch), "{epoch:?} was won by two");
        }
        unanswered += without_answer;
    }
    let state = agree_on_state(&cluster.any()).await;
    let last = state.leases.get("s").map_or(0, |lease| lease.epoch.0);
    assert!(won.iter().all(|epoch| (1..=last).contains(&epoch.0)), "{won:?} of {last}");
    // What was agreed on and not answered, for want of a leader, is won all the same.
    if unanswered == 0 && term() == term_before {
        assert_eq!(won.len() as u64, last, "{won:?} of {last}");
        assert!(last > 0);
    }
}
