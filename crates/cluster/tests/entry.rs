//! The ways into a cluster and out of it, and what happens to those who have no business there.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use standfast_cluster::consensus::{
    EntryError, Member, MemberOptions, ProposeError, StartError, found, join,
};
use standfast_cluster::model::{Command, Membership, Role};
use standfast_cluster::pki::{Authority, Request};
use support::{Cluster, agree_on_state, let_in, now_ms, put, settings, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn refusal(result: Result<(), EntryError>) -> String {
    let error = result.expect_err("it should be refused");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_in_as_often_as_it_says_and_as_long() {
    let mut cluster = Cluster::found().await;
    let once = cluster.token(Some(1)).await;
    cluster.join_with("b", &once).await.expect("the first use");
    // The answer was lost, and the same node asks again with the same key.
    std::fs::remove_file(cluster.path("b").join("identity.json")).expect("the file");
    cluster.join_with("b", &once).await.expect("the same use again");
    let why = refusal(cluster.join_with("c", &once).await);
    assert!(why.contains("was used already"), "{why}");
    let over = cluster.token_until(None, now_ms() - 1).await;
    let why = refusal(cluster.join_with("c", &over).await);
    assert!(why.contains("expired"), "{why}");
    let revoked = cluster.token(None).await;
    cluster.agree(Command::RevokeToken { id: revoked.id() }).await;
    let why = refusal(cluster.join_with("c", &revoked).await);
    assert!(why.contains("not known"), "{why}");
    let many = cluster.token(None).await;
    let entrant = cluster.entrant("a");
    let why = refusal(let_in(&cluster.files("z"), &entrant, &many, &[]).await);
    assert!(why.contains("already"), "{why}");
    cluster.join_with("c", &many).await.expect("a good token");
    assert_eq!(agree_on_state(&cluster.any()).await.members.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_its_own_cluster_only() {
    let mut cluster = Cluster::found().await;
    let other = Cluster::found().await;
    let token = other.token(None).await;
    let entrant = cluster.entrant("b");
    let here = vec![cluster.addresses["a"].to_string()];
    let mut only_here = token.clone();
    only_here.addresses.clear();
    let refused = join(&cluster.files("b"), &entrant, &only_here, &here).await;
    let why = refusal(refused.map(|_| ()));
    assert!(why.contains("belongs to another cluster than the token"), "{why}");
    assert!(!cluster.files("b").exist());
    // A member of one is not let into the other, which hears nothing of it.
    let refused = join(&cluster.files("a"), &entrant, &token, &[]).await;
    let why = refusal(refused.map(|_| ()));
    assert!(why.contains("is node 1 of cluster"), "{why}");
    assert_eq!(other.any().state().members.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_for_their_owner_only() {
    let cluster = Cluster::found().await;
    let directory = cluster.path("a");
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).expect("the file").permissions().mode() & 0o777
    };
    assert_eq!(mode(&directory), 0o700);
    for file in std::fs::read_dir(&directory).expect("the directory") {
        let file = file.expect("a file").path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
    assert!(!directory.join("founding.json").exists(), "the authority's key stays in the log");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_node_is_not_spoken_to_and_learns_why() {
    let mut cluster = Cluster::of(3).await;
    let id = cluster.id("c");
    cluster.stop("c").await;
    cluster.agree(Command::Remove { node: id, force: true }).await;
    let any = cluster.any();
    until("the node is forgotten", async || !any.state().members.contains_key(&id)).await;
    // It comes back with its old log, in which it is a member.
    let back = cluster.start("c").await.expect("it starts");
    until("it learns that it was removed", async || {
        back.refused().is_some_and(|why| why.contains("was removed"))
    })
    .await;
    let error = back.propose(put("nothing")).await.expect_err("nothing can be done");
    assert!(error.to_string().contains("was removed"), "{error}");
    cluster.write("undisturbed").await;
    // Its old identity is not the way back in, and uses no token up.
    let token = cluster.token(Some(1)).await;
    let why = refusal(cluster.join_with("c", &token).await);
    assert!(why.contains("was removed from this cluster"), "{why}");
    // With an empty directory it comes in again, under the name that it had, as another node.
    cluster.stop("c").await;
    std::fs::remove_dir_all(cluster.path("c")).expect("the directory");
    cluster.add("c").await;
    assert_ne!(cluster.id("c"), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_takes_the_place_of_a_dead_one() {
    let mut cluster = Cluster::of(3).await;
    let old = cluster.id("c");
    let stolen = cluster.path("stolen");
    cluster.stop("c").await;
    std::fs::rename(cluster.path("c"), &stolen).expect("the disk is elsewhere");
    let token = cluster.token(Some(1)).await;
    let mut entrant = cluster.entrant("c");
    let hints = vec![cluster.addresses["a"].to_string()];
    let refused = let_in(&cluster.files("c"), &entrant, &token, &hints).await;
    assert!(refusal(refused).contains("--replace"));
    entrant.replace = true;
    let_in(&cluster.files("c"), &entrant, &token, &hints).await.expect("it takes the place");
    cluster.start("c").await.expect("it starts");
    cluster.until_votes("c").await;
    let any = cluster.any();
    until("the old one is forgotten", async || !any.state().members.contains_key(&old)).await;
    // The old disk is of no use any more.
    cluster.stop("c").await;
    let files = standfast_cluster::pki::IdentityFiles::new(&stolen);
    let back = Member::start(files, MemberOptions::default()).await.expect("it starts");
    until("it learns that it was replaced", async || {
        back.refused().is_some_and(|why| why.contains("was re"))
    })
    .await;
    back.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_of_another_cluster_is_told_by_name() {
    let mut cluster = Cluster::of(2).await;
    let other = Cluster::found().await;
    // Its log alone.
    cluster.stop("b").await;
    let log = |directory: std::path::PathBuf| directory.join("cluster.redb");
    let own = std::fs::read(log(cluster.path("b"))).expect("the log");
    std::fs::copy(log(other.path("a")), log(cluster.path("b"))).expect("the wrong disk");
    let Err(StartError::Store(error)) = cluster.start("b").await else {
        unreachable!("the log of another node was taken");
    };
    let why = error.to_string();
    assert!(why.contains("belongs to node 1 of cluster"), "{why}");
    // Nothing was changed; with its own disk it goes on.
    std::fs::write(log(cluster.path("b")), own).expect("the right disk");
    cluster.start("b").await.expect("it starts");
    cluster.write("on").await;
    // All of its directory: a node of another cluster at an address of this one.
    cluster.stop("b").await;
    std::fs::rename(cluster.path("b"), cluster.path("aside")).expect("aside");
    let mut entrant = cluster.entrant("b");
    entrant.name = "x".into();
    found(&cluster.files("b"), &entrant, settings()).expect("another cluster");
    cluster.start("b").await.expect("it starts");
    let refused = cluster.members["a"].propose(put("alone")).await;
    assert!(matches!(refused, Err(ProposeError::Unavailable(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_of_one_cluster_only() {
    let mut cluster = Cluster::of(2).await;
    let entrant = cluster.entrant("a");
    let again = found(&cluster.files("a"), &entrant, settings()).map(|_| ());
    assert!(refusal(again).contains("already"));
    let mut other = Cluster::found().await;
    let token = other.token(None).await;
    let entrant = other.entrant("z");
    let again = let_in(&cluster.files("b"), &entrant, &token, &[]).await;
    assert!(refusal(again).contains("already"));
    cluster.write("undisturbed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_is_told_and_renewed_with_a_token() {
    let mut cluster = Cluster::of(3).await;
    let state = agree_on_state(&cluster.any()).await;
    cluster.stop("c").await;
    let files = cluster.files("c");
    let authority = Authority::open(
        state.cluster,
        &state.keys.authority_certificate,
        &state.keys.authority_key,
    )
    .expect("the authority");
    let key = files.key().expect("the key");
    let request = Request::from_pem(&key.request().expect("a request")).expect("a request");
    let now = SystemTime::now();
    let ended = now - Duration::from_secs(3600);
    let number = state.members[&cluster.id("c")].certificate;
    let expired = authority
        .certify(&request, cluster.id("c"), number, now - Duration::from_secs(7200), ended)
        .expect("a certificate");
    files.write_certificates(&expired, authority.certificate()).expect("written");
    let back = cluster.start("c").await.expect("it starts");
    until("it learns that its certificate has expired", async || {
        back.refused().is_some_and(|why| why.contains("expired"))
    })
    .await;
    assert!(back.state().is_founded(), "what it knew can be read");
    cluster.stop("c").await;
    cluster.join("c").await.expect("the same node gets a new certificate");
    cluster.start("c").await.expect("it starts");
    cluster.write("on").await;
    cluster.until_same().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_before_they_end() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let mut settings = settings();
    settings.timing.certificate_lifetime = hours(1);
    let mut cluster = Cluster::found_with(settings, 500).await;
    cluster.add("b").await;
    let first = cluster.any().state().members.values().map(|m| m.certificate).max();
    let member = cluster.any();
    // Less than a third of a longer lifetime is left to both.
    until("both certificates were renewed", async || {
        if let Ok(state) = member.read().await {
            let mut settings = Box::new(state.settings.clone());
            settings.timing.certificate_lifetime = hours(24);
            let expected = state.settings_version;
            let _tried = member.propose(Command::ApplySettings { expected, settings }).await;
        }
        member.state().members.values().all(|m| Some(m.certificate) > first)
    })
    .await;
    let ends = |name: &str| cluster.files(name).certificate_ends().expect("a certificate");
    until("both are in use", async || {
        ["a", "b"].iter().all(|name| ends(name) > SystemTime::now() + hours(20))
    })
    .await;
    cluster.write("on").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_witness_votes_and_may_not_serve() {
    let mut cluster = Cluster::of(2).await;
    let token = cluster.token(Some(1)).await;
    let mut entrant = cluster.entrant("w");
    entrant.role = Role::Witness;
    let hints = vec![cluster.addresses["a"].to_string()];
    let_in(&cluster.files("w"), &entrant, &token, &hints).await.expect("it may join");
    cluster.start("w").await.expect("it starts");
    cluster.until_votes("w").await;
    cluster.write("s").await;
    let witness = cluster.id("w");
    let refused = cluster.members["a"]
        .propose(Command::MoveService { name: "s".into(), target: witness })
        .await;
    assert!(matches!(refused, Err(ProposeError::Refused(_))), "{refused:?}");
    cluster.stop("b").await;
    cluster.write("with the witness".split(' ').next_back().unwrap_or("s")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_get_nothing() {
    let cluster = Cluster::found().await;
    let address = cluster.addresses["a"];
    // Bytes that are no TLS.
    for junk in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 4096], &[0xff; 70_000]] {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
        let _sent = stream.write_all(junk).await;
        let mut answer = Vec::new();
        let _ended = tokio::time::timeout(support::PATIENCE, stream.read_to_end(&mut answer)).await;
        assert!(answer.len() < 100);
    }
    cluster.write("undisturbed").await;
    let state = agree_on_state(&cluster.any()).await;
    assert!(state.members.values().all(|m| m.membership == Membership::Voting));
}
