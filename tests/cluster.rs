//! A cluster as a person sees it: made, grown, changed, shrunk, without a quorum, and what it says to
//! those who do something wrong.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use libtest_mimic::Trial;
use serde_json::Value;
use standfast_lab::trial::trial;
use standfast_lab::{Daemon, Host, Lab, Output, wait_for};
use standfast_tests::program::standfast;
use standfast_tests::{Result, SOON};

pub(crate) fn stories() -> Vec<Trial> {
    vec![
        trial("a_cluster_grows_and_shrinks", &[], grows),
        trial("the_settings_of_a_cluster_are_the_same_everywhere", &[], settings),
        trial("without_a_quorum_a_cluster_can_be_read", &[], without_quorum),
        trial("who_does_not_belong_to_a_cluster_is_told_why", &[], strangers),
        trial("another_clusters_disk_is_not_used", &[], foreign_disk),
        trial("a_full_disk_under_the_log_loses_nothing", &[], full_disk),
    ]
}

/// Times for machines that do many other things: none is late by that much.
const CALM: &str = "[timing]\nheartbeat_interval = \"100ms\"\nfailure_timeout = \"3s\"\n\
    lease_time = \"4s\"\nconsensus_heartbeat = \"100ms\"\nelection_timeout = \"3s\"\n";

/// A machine that is, or will be, a node.
struct Node {
    host: Host,
    program: PathBuf,
    directory: PathBuf,
    daemon: Option<Daemon>,
}

impl Node {
    fn new(lab: &Lab, name: &str) -> Result<Self> {
        let directory = lab.dir().join(format!("{name}.node"));
        fs::create_dir(&directory)?;
        let node = Self { host: lab.host(name)?, program: standfast()?, directory, daemon: None };
        let settings = format!("[server]\nstate_dir = {:?}\nrpcbind = \"off\"\n", node.state());
        fs::write(node.file("standfast.toml"), settings)?;
        Ok(node)
    }

    fn state(&self) -> PathBuf {
        self.file("state")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn address(&self) -> String {
        self.host.addresses().v4.to_string()
    }

    /// Starts the daemon, anew if it runs, and waits until it can be asked.
    fn start(&mut self) -> Result {
        self.daemon = None;
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.file("standfast.toml"));
        let daemon = self.daemon.insert(self.host.start("standfast", command)?);
        let log = || daemon.log();
        let asked = wait_for(SOON, "the daemon to answer", || {
            let answers = self.host.run([&*self.program.to_string_lossy(), "status"])?.success();
            Ok((answers || !daemon.is_running()).then_some(answers))
        });
        match asked {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("the daemon ended: {}", log()).into()),
            Err(error) => Err(format!("{error}: {}", log()).into()),
        }
    }

    fn kill(&self) -> Result {
        Ok(self.daemon.as_ref().ok_or("it was not started")?.kill()?)
    }

    /// Runs the program.
    fn try_to(&self, arguments: &[&str]) -> Result<Output> {
        let program = self.program.to_string_lossy();
        Ok(self.host.run([&[program.as_ref()], arguments].concat())?)
    }

    /// Runs the program, which must do it.
    fn run(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.try_to(arguments)?.ok()?)
    }

    /// Runs the program, which must fail, with exit code 1 and all of these on standard error.
    fn refused(&self, arguments: &[&str], reasons: &[&str]) -> Result {
        let output = self.try_to(arguments)?;
        // Long lines are broken where a person reads them.
        let said = output.stderr.split_whitespace().filter(|word| *word != "│");
        let said = said.collect::<Vec<_>>().join(" ");
        let missing: Vec<_> = reasons.iter().filter(|reason| !said.contains(**reason)).collect();
        if output.status == 1 && missing.is_empty() {
            return Ok(());
        }
        Err(format!("it should be refused, and say {missing:?}: {output}").into())
    }

    fn json(&self, arguments: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.run(&[arguments, &["--json"]].concat())?)?)
    }

    /// The arguments that say who this node is.
    fn home<'a>(&self, state: &'a str, address: &'a str) -> [&'a str; 4] {
        ["--state-dir", state, "--address", address]
    }

    fn init(&self, more: &[&str]) -> Result<Output> {
        let (state, address) = (self.state(), self.address());
        let home = self.home(state.to_str().unwrap_or_default(), &address);
        self.try_to(&[&["init"], &home[..], more].concat())
    }

    fn join(&self, token: &str, more: &[&str]) -> Result<Output> {
        let file = self.file("token");
        fs::write(&file, token)?;
        let (state, address) = (self.state(), self.address());
        let home = self.home(state.to_str().unwrap_or_default(), &address);
        let join = ["join", "--token-file", file.to_str().unwrap_or_default()];
        self.try_to(&[&join[..], &home[..], more].concat())
    }

    fn join_refused(&self, token: &str, more: &[&str], reason: &str) -> Result {
        let output = self.join(token, more)?;
        let said = output.stderr.split_whitespace().filter(|word| *word != "│");
        let said = said.collect::<Vec<_>>().join(" ");
        match output.status == 1 && said.contains(reason) {
            true => Ok(()),
            false => Err(format!("it should be refused, and say `{reason}`: {output}").into()),
        }
    }

    fn token(&self, more: &[&str]) -> Result<String> {
        self.run(&[&["token", "create", "--quiet"], more].concat())
    }

    /// What it says of its cluster.
    fn cluster(&self) -> Result<Value> {
        Ok(self.json(&["status"])?["cluster"].take())
    }

    /// Waits until what it says of its cluster is so.
    fn until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        let mut last = String::new();
        let met = wait_for(SOON, what, || {
            match self.cluster() {
                Ok(cluster) if is_so(&cluster) => return Ok(Some(cluster)),
                Ok(cluster) => last = cluster.to_string(),
                Err(error) => last = error.to_string(),
            }
            Ok(None)
        });
        let log = || self.daemon.as_ref().map(Daemon::log).unwrap_or_default();
        met.map_err(|error| {
            format!("{}: {error}; seen last: {last}; its log: {}", self.host.name(), log()).into()
        })
    }

    /// Has its cluster, which is of one, take times that others are never late by.
    fn calm_down(&self) -> Result {
        let file = self.file("calm.toml");
        fs::write(&file, CALM)?;
        self.run(&["apply", file.to_str().unwrap_or_default()]).map(drop)
    }

    fn until_reason(&self, part: &str) -> Result<Value> {
        self.until(&format!("a reason with `{part}`"), |cluster| reasons(cluster).contains(part))
    }
}

fn reasons(cluster: &Value) -> String {
    let reasons = cluster["reasons"].as_array().into_iter().flatten();
    reasons.filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}

fn states(cluster: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = cluster["nodes"].as_array().into_iter().flatten();
    nodes.map(|node| (text(&node["name"]), text(&node["state"]))).collect()
}

fn all_vote(cluster: &Value, count: usize) -> bool {
    let states = states(cluster);
    states.len() == count && states.iter().all(|(_, state)| state == "active")
}

fn is_well(cluster: &Value, count: usize) -> bool {
    cluster["health"] == "HEALTH_OK" && all_vote(cluster, count)
}

/// The first node of a cluster, that runs.
fn first(lab: &Lab, name: &str) -> Result<Node> {
    let mut node = Node::new(lab, name)?;
    node.init(&[])?.ok()?;
    node.start()?;
    node.until("a cluster of one that is well", |cluster| is_well(cluster, 1))?;
    node.calm_down()?;
    Ok(node)
}

/// Another node, that runs.
fn another(lab: &Lab, member: &Node, name: &str, more: &[&str]) -> Result<Node> {
    let mut node = Node::new(lab, name)?;
    node.join(&member.token(&[])?, more)?.ok()?;
    node.start()?;
    Ok(node)
}

/// Two nodes and a witness, which know each other.
fn three(lab: &Lab) -> Result<[Node; 3]> {
    let nas1 = first(lab, "nas1")?;
    let nas2 = another(lab, &nas1, "nas2", &[])?;
    let arbiter = another(lab, &nas1, "arbiter", &["--witness"])?;
    let nodes = [nas1, nas2, arbiter];
    for node in &nodes {
        node.until("a cluster of three that is well", |cluster| is_well(cluster, 3))?;
    }
    Ok(nodes)
}

fn grows(lab: &Lab) -> Result {
    let mut nas1 = Node::new(lab, "nas1")?;
    nas1.refused(&["node", "list"], &["no daemon answers", "standfast run"])?;
    nas1.start()?;
    nas1.refused(&["node", "list"], &["belongs to no cluster", "standfast init"])?;
    assert!(nas1.cluster()?.is_null(), "one that is alone says nothing of a cluster");
    // The daemon runs already, and takes part at once.
    nas1.init(&[])?.ok()?;
    nas1.until("a cluster of one that is well", |cluster| is_well(cluster, 1))?;
    nas1.calm_down()?;
    let again = nas1.init(&[])?;
    assert!(again.status == 1 && again.stderr.contains("already"), "{again}");

    let nas2 = another(lab, &nas1, "nas2", &[])?;
    let two = nas1.until("two that vote", |cluster| all_vote(cluster, 2))?;
    assert_eq!(two["health"], "HEALTH_WARN", "{two}");
    assert!(reasons(&two).contains("--witness"), "{two}");
    let arbiter = another(lab, &nas1, "arbiter", &["--witness"])?;
    for node in [&nas1, &nas2, &arbiter] {
        let cluster = node.until("three that are well", |cluster| is_well(cluster, 3))?;
        assert_eq!(cluster["node"], node.host.name());
        assert!(cluster["data_age_ms"].is_u64() && cluster["leader"].is_string(), "{cluster}");
    }
    let parts = ["HEALTH_OK", "NODES", "(leader)", "witness", "arbiter", "SERVICES"];
    wait_for(SOON, "a table with all of it", || {
        let table = nas2.run(&["status"]).unwrap_or_default();
        Ok(parts.iter().all(|part| table.contains(part)).then_some(()))
    })?;

    nas2.run(&["node", "drain", "nas1"])?;
    arbiter.until_reason("standfast node resume nas1")?;
    nas1.run(&["node", "resume", "nas1"])?;
    arbiter.until("all to be as before", |cluster| is_well(cluster, 3))?;
    nas1.refused(&["node", "drain", "nas9"], &["there is no node `nas9`", "nas2"])?;

    // It is dead, and the others go on without it.
    arbiter.kill()?;
    nas1.until_reason("1/3 voters down: arbiter")?;
    nas1.run(&["node", "remove", "arbiter", "--force"])?;
    nas2.until("it to be gone", |cluster| all_vote(cluster, 2))?;
    let events = nas2.run(&["events"])?;
    for part in ["cluster founded by nas1", "nas2 joined as node 2", "arbiter is being forced out"]
    {
        assert!(events.contains(part), "{part} is not in {events}");
    }
    Ok(())
}

fn settings(lab: &Lab) -> Result {
    let nodes = three(lab)?;
    let [nas1, nas2, arbiter] = &nodes;
    let file = nas1.file("cluster.toml");
    let path = file.to_str().unwrap_or_default();
    let write = |text: &str| fs::write(&file, text);
    write("[timing]\nlease_tme = \"1s\"\n")?;
    nas1.refused(
        &["plan", path],
        &["cluster.toml:2:1", "lease_tme", "did you mean `lease_time`?"],
    )?;
    write("[timing]\nlease_time = \"100ms\"\n")?;
    nas1.refused(&["apply", path], &["`lease_time` (100ms) must be at least 3 times"])?;
    write("[[service]]\nname = \"vmstore\"\nprefer = [\"nas7\"]\n")?;
    nas1.refused(&["plan", path], &["`nas7`, which is not in the cluster"])?;
    write("[[service]]\nname = \"vmstore\"\nonly = [\"arbiter\"]\n")?;
    nas1.refused(&["plan", path], &["`arbiter`, a witness"])?;

    let failure_timeout = |time: &str| {
        let [old, new] = ["3s", time].map(|time| format!("failure_timeout = \"{time}\""));
        write(&CALM.replace(&old, &new))
    };
    failure_timeout("4s")?;
    let plan = nas2.run(&["plan", path])?;
    let expected = "timing\n  - failure_timeout = \"3s\"\n  + failure_timeout = \"4s\"\n";
    assert!(plan.starts_with(expected) && plan.contains("version 2"), "{plan}");
    let is_changed = |node: &Node| -> Result<bool> {
        Ok(node.run(&["show"])?.contains("failure_timeout = \"4s\""))
    };
    assert!(!is_changed(nas1)?, "a plan changes nothing");
    // The witness is as good as any to ask.
    arbiter.run(&["apply", path, "--expect", "2"])?;
    failure_timeout("5s")?;
    nas2.refused(&["apply", path, "--expect", "2"], &["changed meanwhile", "version 3, not 2"])?;
    for node in &nodes {
        node.until("the settings to be there", |cluster| cluster["settings_version"] == 3)?;
        assert!(is_changed(node)?);
    }
    // What it shows is what it takes.
    fs::write(&file, nas2.run(&["show"])?)?;
    assert!(nas1.run(&["apply", path])?.starts_with("nothing changed"));

    nas2.run(&["service", "create", "vmstore", "--prefer", "nas2"])?;
    nas1.refused(&["service", "create", "vmstore"], &["there is a service `vmstore` already"])?;
    nas1.refused(&["service", "move", "vmstor", "nas2"], &["no service `vmstor`", "vmstore"])?;
    nas1.refused(&["service", "move", "vmstore", "arbiter"], &["is a witness"])?;
    nas1.refused(
        &["service", "create", "home", "--export", "/srv/home"],
        &["`home` has exports but no `pool`"],
    )?;
    let services = arbiter
        .until("the service to be known", |cluster| cluster["services"][0]["name"] == "vmstore")?;
    assert_eq!(services["services"].as_array().map(Vec::len), Some(1));
    assert!(arbiter.run(&["service", "list"])?.contains("vmstore"));
    nas1.run(&["service", "delete", "vmstore"])?;
    arbiter.until("the service to be gone", |cluster| {
        cluster["services"].as_array().is_some_and(Vec::is_empty)
    })?;
    Ok(())
}

fn without_quorum(lab: &Lab) -> Result {
    let mut nodes = three(lab)?;
    nodes[0].kill()?;
    nodes[2].kill()?;
    let left = &nodes[1];
    let cluster = left.until_reason("no quorum")?;
    assert_eq!(cluster["health"], "HEALTH_ERR");
    assert_eq!(cluster["nodes"].as_array().map(Vec::len), Some(3), "{cluster}");
    assert!(left.run(&["show"])?.contains("lease_time"));
    assert!(left.run(&["events"])?.contains("arbiter joined"));
    left.run(&["node", "list"])?;
    left.run(&["token", "list"])?;
    left.run(&["failover", "show"])?;
    left.refused(&["service", "create", "vmstore"], &["nothing can be changed until"])?;
    left.refused(&["token", "create"], &["nothing can be changed until"])?;
    nodes[0].start()?;
    nodes[2].start()?;
    for node in &nodes {
        node.until("all to be as before", |cluster| is_well(cluster, 3))?;
    }
    nodes[1].run(&["service", "create", "vmstore"])?;
    Ok(())
}

fn strangers(lab: &Lab) -> Result {
    let nas1 = first(lab, "nas1")?;
    let other = first(lab, "other1")?;
    let nas2 = Node::new(lab, "nas2")?;
    nas2.refused(&["join"], &["a token is needed", "standfast token create"])?;
    nas2.join_refused("standfast1_nonsense", &[], "this is not a token")?;
    // Of another cluster than the member that is asked; the one that made it is not there.
    let foreign = other.token(&[])?;
    other.kill()?;
    nas2.join_refused(&foreign, &[&nas1.address()], "another cluster than the token")?;
    let short = nas1.token(&["--lifetime", "1s"])?;
    let ends = |list: &Value| list[0]["ends"].as_u64().unwrap_or(u64::MAX);
    let ends = ends(&nas1.json(&["token", "list"])?);
    wait_for(SOON, "a token to end", || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Ok((now.as_secs() > ends + 1).then_some(()))
    })?;
    nas2.join_refused(&short, &[], "the token has expired")?;
    let revoked = nas1.token(&["--uses", "3"])?;
    let tokens = nas1.json(&["token", "list"])?;
    let id = tokens.as_array().into_iter().flatten().find(|token| token["uses_left"] == 3);
    let id = id.and_then(|token| token["id"].as_str()).ok_or("the token is not listed")?;
    nas1.run(&["token", "revoke", id])?;
    nas1.refused(&["token", "revoke", id], &["there is no token", "token list"])?;
    nas2.join_refused(&revoked, &[], "the token is not known")?;

    let once = nas1.token(&[])?;
    nas2.join_refused(&once, &["--name", "nas1"], "there is a node `nas1` already")?;
    nas2.join(&once, &[])?.ok()?;
    let late = Node::new(lab, "nas3")?;
    late.join_refused(&once, &[], "used already")?;
    // A member of one cluster is not let into another, and the token is not used up.
    let token = nas1.token(&[])?;
    other.join_refused(&token, &[], "is node 1 of cluster")?;
    late.join(&token, &[])?.ok()?;
    secrets(&nas1, &[&once, &token])
}

/// Who may read what a node keeps, and what it says of secrets.
fn secrets(node: &Node, tokens: &[&str]) -> Result {
    use std::os::unix::fs::PermissionsExt;
    let directory = node.state().join("cluster");
    assert_eq!(fs::metadata(&directory)?.permissions().mode() & 0o077, 0);
    for file in fs::read_dir(&directory)? {
        let file = file?;
        assert_eq!(file.metadata()?.permissions().mode() & 0o077, 0, "{:?}", file.path());
    }
    let said = node.daemon.as_ref().map(Daemon::log).unwrap_or_default()
        + &node.run(&["status", "--json"])?
        + &node.run(&["events", "--json"])?
        + &node.run(&["token", "list", "--json"])?
        + &node.run(&["show", "--json"])?;
    for secret in tokens.iter().map(|token| token.trim()).chain(["PRIVATE KEY"]) {
        assert!(!said.contains(secret), "a secret is told");
    }
    Ok(())
}

fn foreign_disk(lab: &Lab) -> Result {
    let mut nas1 = first(lab, "nas1")?;
    let mut other = first(lab, "other1")?;
    nas1.kill()?;
    other.kill()?;
    let log = |node: &Node| node.state().join("cluster/cluster.redb");
    fs::rename(log(&nas1), nas1.file("kept.redb"))?;
    fs::copy(log(&other), log(&nas1))?;
    // It may answer for a moment before it ends.
    let _started = nas1.start();
    let daemon = nas1.daemon.as_ref().ok_or("it was not started")?;
    assert!(!daemon.wait(SOON)?.success(), "it should not start");
    let ended = daemon.log();
    for part in ["cluster.redb belongs to node 1 of cluster", "this node is node 1 of"] {
        let said = ended.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(said.contains(part), "`{part}` is not in {said}");
    }
    // With its own, nothing is lost.
    fs::rename(nas1.file("kept.redb"), log(&nas1))?;
    nas1.start()?;
    other.start()?;
    nas1.until("it to be as before", |cluster| is_well(cluster, 1))?;
    Ok(())
}

fn full_disk(lab: &Lab) -> Result {
    let mut node = Node::new(lab, "nas1")?;
    let state = node.state();
    fs::create_dir(&state)?;
    let place = state.to_str().unwrap_or_default();
    node.host.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=700", "none", place])?.ok()?;
    node.init(&[])?.ok()?;
    node.start()?;
    node.until("a cluster of one that is well", |cluster| is_well(cluster, 1))?;
    // It ends with an error, when the disk is full.
    let fill = format!("cat /dev/zero >{place}/filler");
    assert!(!node.host.run(["sh", "-c", &fill])?.success());
    let file = node.file("cluster.toml");
    let apply = |number: u64| -> Result<Output> {
        let settings = format!("[timing]\nfailure_timeout = \"{}ms\"\n", 300 + number % 500);
        fs::write(&file, settings)?;
        node.try_to(&["apply", file.to_str().unwrap_or_default()])
    };
    let mut taken = 0_u64;
    let refused = loop {
        let output = apply(taken + 1)?;
        if !output.success() {
            break output;
        }
        taken += 1;
        assert!(taken < 2000, "a full disk takes everything");
    };
    assert!(refused.stderr.contains("cluster.redb"), "{refused}");
    let cluster = node.until_reason("cluster.redb")?;
    assert_eq!(cluster["health"], "HEALTH_ERR");
    // The first version is that of the beginning, and what was refused may have come to be.
    let is_kept = |cluster: &Value, taken: u64| {
        cluster["settings_version"].as_u64().is_some_and(|found| found > taken)
    };
    assert!(is_kept(&cluster, taken), "{taken} were taken: {cluster}");

    node.host.run(["rm", &format!("{place}/filler")])?.ok()?;
    let is_well_again = |cluster: &Value| is_well(cluster, 1);
    node.until("the disk to be used again", is_well_again)?;
    apply(taken + 2)?.ok()?;
    node.kill()?;
    node.start()?;
    let cluster = node.until("it to be as before", is_well_again)?;
    assert!(is_kept(&cluster, taken + 1), "{taken} and one more were taken: {cluster}");
    Ok(())
}
