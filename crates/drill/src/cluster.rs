//! Three nodes of Standfast on machines made of namespaces, with a directory of this machine as the
//! storage that all of them reach.

use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use standfast_lab::{Addresses, Daemon, Direction, Host, Lab, wait_for};

use crate::error::Error;
use crate::fault::Fault;
use crate::round::{Step, Subject};

/// The port of NFS.
const NFS: u16 = 2049;
/// The one service.
const SERVICE: &str = "demo";
/// Its export, as clients know it.
const EXPORT: &str = "/demo";
/// A node that was not heard for this long, in milliseconds, is not there.
const HEARD_MS: u64 = 1500;
/// How long a node may take to come up, or a cluster to agree.
const PATIENCE: Duration = Duration::from_secs(240);

/// A node.
#[derive(Debug)]
struct Node {
    name: String,
    host: Host,
    config: PathBuf,
    state: PathBuf,
    daemon: Option<Daemon>,
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    client: Arc<Host>,
    floating: Addresses,
    program: PathBuf,
    struck: Option<usize>,
}

impl Cluster {
    /// Brings up `count` nodes that run `program`, one service and a machine for clients.
    /// `settings` are the cluster's besides those, as in a file; nothing for the defaults.
    ///
    /// # Errors
    /// What does not come up, with what it said.
    pub fn start(
        lab: &Lab,
        program: &Path,
        count: usize,
        settings: &str,
        mut progress: impl FnMut(&str),
    ) -> Result<Self, Error> {
        let shared = lab.dir().join("storage");
        let data = shared.join("data");
        fs::create_dir_all(&data).map_err(Error::system(format!("make {}", data.display())))?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o1777))
            .map_err(Error::system(format!("open {} to all", data.display())))?;
        let nodes = (1..=count).map(|number| Node::prepare(lab, &format!("node{number}")));
        let mut cluster = Self {
            nodes: nodes.collect::<Result<_, _>>()?,
            client: Arc::new(lab.host("client")?),
            floating: lab.floating_addresses()?,
            program: program.into(),
            struck: None,
        };
        cluster.found(&mut progress)?;
        progress("the service is made and taken up");
        cluster.make_service(settings, &shared, &data)?;
        cluster.wait_healthy()?;
        Ok(cluster)
    }

    /// The machine for clients.
    pub fn client(&self) -> &Arc<Host> {
        &self.client
    }

    /// The address of the service.
    pub fn address(&self) -> IpAddr {
        self.floating.v4.into()
    }

    /// The nodes: name, address, and process of the daemon, if it runs.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, IpAddr, Option<u32>)> {
        self.nodes.iter().map(|node| {
            let daemon = node.daemon.as_ref().filter(|daemon| daemon.is_running());
            (node.name.as_str(), node.host.addresses().v4.into(), daemon.map(Daemon::pid))
        })
    }

    fn found(&mut self, progress: &mut dyn FnMut(&str)) -> Result<(), Error> {
        let first = self.nodes[0].home();
        progress("node1 founds the cluster");
        self.run(0, &[&["init"], &words(&first)[..]].concat())?;
        self.nodes[0].start(&self.program)?;
        self.status_within(0, "a leader", |status| status["leader"].is_string())?;
        for number in 1..self.nodes.len() {
            progress(&format!("{} joins", self.nodes[number].name));
            let token = self.run(0, &["token", "create", "--quiet"])?;
            let (home, member) = (self.nodes[number].home(), self.nodes[0].address());
            let join = ["join", &member, "--token", token.trim()];
            self.run(number, &[&join[..], &words(&home)[..]].concat())?;
            self.nodes[number].start(&self.program)?;
        }
        let count = self.nodes.len();
        self.status_within(0, "all nodes to be members", |status| is_complete(status, count))?;
        Ok(())
    }

    fn make_service(&mut self, more: &str, shared: &Path, data: &Path) -> Result<(), Error> {
        let settings = self.nodes[0].state.with_extension("cluster.toml");
        let text = format!(
            "{more}\n[[pool]]\nname = \"shared\"\nengine = \"directory\"\npath = {shared:?}\n\n\
             [[service]]\nname = \"{SERVICE}\"\npool = \"shared\"\n\
             addresses = [\"{}/24\"]\n\n[[service.export]]\npath = {data:?}\nas = \"{EXPORT}\"\n\
             allow = [\"*:rw,no_root_squash,insecure\"]\n",
            self.floating.v4
        );
        write(&settings, &text)?;
        self.run(0, &["apply", &settings.to_string_lossy()])?;
        Ok(())
    }

    /// Runs the program on a node, to its end.
    fn run<A: AsRef<OsStr>>(&self, node: usize, arguments: &[A]) -> Result<String, Error> {
        let words =
            std::iter::once(self.program.as_os_str()).chain(arguments.iter().map(AsRef::as_ref));
        Ok(self.nodes[node].host.run_within(PATIENCE, words)?.ok()?)
    }

    fn status(&self, node: usize) -> Result<Value, Error> {
        json("the status", &self.run(node, &["status", "--json"])?)
    }

    fn status_within(
        &self,
        node: usize,
        what: &str,
        is_met: impl Fn(&Value) -> bool,
    ) -> Result<Value, Error> {
        let mut last = String::new();
        let met = wait_for(PATIENCE, what, || {
            match self.status(node).map(cluster_part) {
                Ok(status) if is_met(&status) => return Ok(Some(status)),
                Ok(status) => last = status.to_string(),
                Err(error) => last = error.to_string(),
            }
            Ok(None)
        });
        met.map_err(|_| Error::Late {
            what: what.into(),
            limit: PATIENCE,
            last: format!("; seen last: {last}; {}", self.logs()),
        })
    }

    /// The ends of the nodes' logs.
    fn logs(&self) -> String {
        let log = |node: &Node| {
            let log = node.daemon.as_ref().map(Daemon::log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().rev().take(8).collect();
            let lines: Vec<&str> = lines.into_iter().rev().collect();
            format!("{} says:\n{}\n", node.name, lines.join("\n"))
        };
        self.nodes.iter().map(log).collect()
    }

    /// A node that can be asked.
    fn witness(&self) -> usize {
        let reachable = |number: &usize| Some(*number) != self.struck;
        (0..self.nodes.len()).find(reachable).unwrap_or(0)
    }

    fn holder(&self) -> Result<usize, Error> {
        let status = self.status_within(self.witness(), "a holder of the service", |status| {
            holder(status).is_some()
        })?;
        let name = holder(&status).unwrap_or_default();
        let found = self.nodes.iter().position(|node| node.name == name);
        found.ok_or_else(|| Error::Answer {
            what: "the holder of the service".into(),
            why: format!("there is no node `{name}`"),
        })
    }
}

impl Subject for Cluster {
    fn name(&self) -> &str {
        "standfast"
    }

    fn service(&self) -> (SocketAddr, String) {
        ((self.floating.v4, NFS).into(), EXPORT.into())
    }

    fn inject(&mut self, fault: Fault) -> Result<String, Error> {
        let holder = self.holder()?;
        if fault == Fault::Move {
            let target = (holder + 1) % self.nodes.len();
            self.run(holder, &["service", "move", SERVICE, &self.nodes[target].name])?;
            return Ok(self.nodes[holder].name.clone());
        }
        self.struck = Some(holder);
        let node = &mut self.nodes[holder];
        match (fault, &node.daemon) {
            (Fault::Kill, Some(daemon)) => daemon.kill()?,
            (Fault::Freeze, Some(daemon)) => daemon.freeze()?,
            (Fault::PowerOff, _) => node.host.kill()?,
            (Fault::CutLink, _) => node.host.cut_link(Direction::Both)?,
            (Fault::CutSending, _) => node.host.cut_link(Direction::Out)?,
            (Fault::CutHearing, _) => node.host.cut_link(Direction::In)?,
            _ => {}
        }
        Ok(node.name.clone())
    }

    fn end(&mut self, fault: Fault) -> Result<(), Error> {
        let Some(struck) = self.struck.take() else { return Ok(()) };
        let node = &mut self.nodes[struck];
        match (fault, &node.daemon) {
            (Fault::Freeze, Some(daemon)) => Ok(daemon.thaw()?),
            (Fault::Kill, _) => node.start(&self.program),
            (Fault::PowerOff, _) => {
                node.daemon = None;
                node.host.restart()?;
                node.start(&self.program)
            }
            _ => Ok(node.host.mend_link()?),
        }
    }

    fn wait_healthy(&mut self) -> Result<(), Error> {
        let count = self.nodes.len();
        for node in 0..count {
            self.status_within(node, "a healthy cluster", |status| {
                status["health"] != "HEALTH_ERR"
                    && is_complete(status, count)
                    && holder(status).is_some()
            })?;
        }
        Ok(())
    }

    fn timeline(&mut self) -> Vec<Step> {
        let arguments = ["failover", "show", SERVICE, "--json"];
        let events = self.run(self.witness(), &arguments);
        let events = events.and_then(|text| json("the timeline", &text));
        events.ok().and_then(|events| last_steps(&events)).unwrap_or_default()
    }
}

impl Node {
    fn prepare(lab: &Lab, name: &str) -> Result<Self, Error> {
        let host = lab.host(name)?;
        let place = lab.dir().join("nodes");
        let state = place.join(name);
        fs::create_dir_all(&state).map_err(Error::system(format!("make {}", state.display())))?;
        let config = place.join(format!("{name}.toml"));
        write(&config, &format!("[server]\nstate_dir = {state:?}\nrpcbind = \"off\"\n"))?;
        Ok(Self { name: name.into(), host, config, state, daemon: None })
    }

    fn address(&self) -> String {
        self.host.addresses().v4.to_string()
    }

    /// The arguments that say who this node is.
    fn home(&self) -> Vec<String> {
        let state = self.state.to_string_lossy().into_owned();
        let name = self.name.clone();
        ["--name", &name, "--state-dir", &state, "--address", &self.address()]
            .map(str::to_owned)
            .to_vec()
    }

    fn start(&mut self, program: &Path) -> Result<(), Error> {
        self.daemon = None;
        let mut command = Command::new(program);
        command.arg("run").arg("--config").arg(&self.config);
        self.daemon = Some(self.host.start("standfast", command)?);
        Ok(())
    }
}

fn words(texts: &[String]) -> Vec<&str> {
    texts.iter().map(String::as_str).collect()
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::system(format!("write {}", path.display())))
}

fn json(what: &str, text: &str) -> Result<Value, Error> {
    let unreadable = |error: serde_json::Error| Error::Answer {
        what: what.into(),
        why: format!("{error} in {text:?}"),
    };
    serde_json::from_str(text).map_err(unreadable)
}

/// What a status says of the cluster: some commands wrap it.
fn cluster_part(status: Value) -> Value {
    match status.get("cluster") {
        Some(part @ Value::Object(_)) => part.clone(),
        _ => status,
    }
}

/// Whether all nodes are members that were heard lately.
fn is_complete(status: &Value, count: usize) -> bool {
    let is_there = |node: &Value| {
        node["state"] == "active" && node["heard_ms"].as_u64().is_none_or(|ago| ago < HEARD_MS)
    };
    let nodes = status["nodes"].as_array();
    nodes.is_some_and(|nodes| nodes.iter().filter(|node| is_there(node)).count() == count)
}

fn holder(status: &Value) -> Option<String> {
    let services = status["services"].as_array()?;
    let service = services.iter().find(|service| service["name"] == SERVICE)?;
    service["holder"].as_str().map(str::to_owned)
}

/// The steps of the last event that has some.
fn last_steps(events: &Value) -> Option<Vec<Step>> {
    let with_steps =
        |event: &&Value| event["steps"].as_array().is_some_and(|steps| !steps.is_empty());
    let last = events.as_array()?.iter().rev().find(with_steps)?;
    let step = |step: &Value| {
        Some(Step { name: step.get(0)?.as_str()?.to_owned(), at_ms: step.get(1)?.as_u64()? })
    };
    last["steps"].as_array()?.iter().map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_steps_are_read() {
        let events = serde_json::json!([
            { "sequence": 1, "steps": [["detect", 1]] },
            { "sequence": 2, "steps": [["detect", 210], ["listen", 260]] },
            { "sequence": 3, "steps": [] },
        ]);
        let step = |name: &str, at_ms| Step { name: name.into(), at_ms };
        assert_eq!(last_steps(&events), Some(vec![step("detect", 210), step("listen", 260)]));
        assert_eq!(last_steps(&Value::Null), None);
    }

    #[test]
    fn a_cluster_is_complete_when_all_its_nodes_are_heard() {
        let status = |ago: u64| {
            serde_json::json!({ "nodes": [
                { "state": "active", "heard_ms": null }, { "state": "active", "heard_ms": ago },
            ] })
        };
        assert!(is_complete(&status(20), 2));
        assert!(!is_complete(&status(20), 3));
        assert!(!is_complete(&status(90_000), 2));
    }

    #[test]
    fn the_holder_is_read() {
        let status = serde_json::json!({ "cluster": "c1", "services": [
            { "name": "other", "holder": "node1" }, { "name": SERVICE, "holder": "node2" },
        ] });
        assert_eq!(holder(&cluster_part(status)).as_deref(), Some("node2"));
        assert_eq!(holder(&Value::Null), None);
    }
}
