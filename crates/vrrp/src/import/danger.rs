//! What is dangerous in a configuration, here as there.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;

use super::Import;
use super::accounts::Accounts;
use super::read::Line;
use super::tree::Node;
use super::words::command;
use crate::settings::Settings;

/// Octets of a script that are looked at.
const MOST_OCTETS: u64 = 64 << 10;
/// Octets of a password that are sent.
const PASSWORD_LENGTH: usize = 8;
const ROOT: &str = "root";

/// A way of checking that says little.
struct Weakness {
    /// Words that follow each other in a command.
    words: &'static [&'static str],
    why: &'static str,
}

impl Weakness {
    fn told(&self) -> String {
        format!("`{}` as a health check: {}", self.words.join(" "), self.why)
    }
}

const PING: &str = "a check that pings depends on another machine, whose absence makes a healthy \
                    master give up, and both nodes at once when the network fails";
const PRESENCE: &str = "it sees that there is a process, also one that hangs; ask the service itself, or \
                        track the process without a script";
const SYSTEMD: &str = "it tells what systemd believes, not whether the service answers, and waits while \
                       systemd is busy; ask the service itself";

const WEAKNESSES: [Weakness; 8] = [
    Weakness { words: &["ping"], why: PING },
    Weakness { words: &["fping"], why: PING },
    Weakness { words: &["arping"], why: PING },
    Weakness { words: &["killall", "-0"], why: PRESENCE },
    Weakness { words: &["pidof"], why: PRESENCE },
    Weakness { words: &["pgrep"], why: PRESENCE },
    Weakness { words: &["systemctl", "status"], why: SYSTEMD },
    Weakness { words: &["systemctl", "is-active"], why: SYSTEMD },
];

/// Looks at a whole configuration.
pub(super) fn look(nodes: &[Node], settings: &Settings, accounts: &mut Accounts) {
    let mut told_default = false;
    for node in nodes {
        match node.keyword() {
            "vrrp_script" => {
                look_at_check(node, accounts);
                look_at_user(node, settings, accounts, &mut told_default);
            }
            "vrrp_instance" => {
                look_at_instance(node, accounts);
                look_at_notify(node, settings, accounts, &mut told_default);
            }
            "vrrp_sync_group" => look_at_notify(node, settings, accounts, &mut told_default),
            _ => {}
        }
    }
    look_at_identifiers(nodes, settings, accounts);
}

fn look_at_instance(block: &Node, accounts: &mut Accounts) {
    let state = block.child("state");
    let master = state.filter(|state| state.argument() == Some("MASTER"));
    if let (Some(state), Some(_)) = (master, block.child("nopreempt")) {
        accounts.warn(
            state,
            "nopreempt beside state MASTER: Keepalived ignores the nopreempt then, so a node that comes \
             back takes over although it was told not to; here nopreempt holds, which is most \
             likely what was meant",
        );
    }
    let password = block.child("authentication").and_then(|block| block.child("auth_pass"));
    if let Some(node) = password
        && node.argument().is_some_and(|password| password.len() > PASSWORD_LENGTH)
    {
        accounts
            .warn(node, "only the first eight octets of the password are ever sent or compared");
    }
    if block.child("priority").is_none() {
        accounts.warn(
            block,
            "no priority: it is 100, and so is that of any other node that names none; with equal \
             priorities the greater address wins",
        );
    }
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn weakness_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Option<&'static Weakness> {
    let words: Vec<&str> = words.into_iter().map(file_name).collect();
    WEAKNESSES
        .iter()
        .find(|weakness| words.windows(weakness.words.len()).any(|window| window == weakness.words))
}

fn look_at_check(block: &Node, accounts: &mut Accounts) {
    let Some(node) = block.child("script") else { return };
    let words = command(node.arguments());
    if let Some(weakness) = weakness_of(words.iter().map(String::as_str)) {
        accounts.warn(node, &weakness.told());
    }
    let syntax = ["|", "||", "&&", ";", ">", "<", "&"];
    if words.iter().any(|word| syntax.contains(&word.as_str()) || word.starts_with("$(")) {
        accounts.warn(node, "no shell is between: what looks like its syntax is an argument");
    }
    let Some(program) = words.first() else { return };
    let mut text = String::new();
    // A script that is not here, or no text, says nothing.
    let read =
        File::open(program).and_then(|file| file.take(MOST_OCTETS).read_to_string(&mut text));
    if read.is_err() || !text.starts_with("#!") {
        return;
    }
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let words = line.split(|c: char| c.is_whitespace() || ";|&()`".contains(c));
        if let Some(weakness) = weakness_of(words.filter(|word| !word.is_empty())) {
            accounts.warn(node, &format!("in that script: {}", weakness.told()));
            return;
        }
    }
}

/// A script that runs as root, or that Keepalived would run as root.
fn warn_of_user(
    node: &Node,
    user: Option<&str>,
    settings: &Settings,
    accounts: &mut Accounts,
    told_default: &mut bool,
) {
    match user.or(settings.script_user.as_deref()) {
        Some(ROOT) => accounts.warn(
            node,
            "it runs as root: whoever can change the script, or what it calls, is root too; give it \
             a user of its own",
        ),
        Some(_) => {}
        None if *told_default => {}
        None => {
            *told_default = true;
            accounts.warn(
                node,
                "no script_user: Keepalived runs its scripts as keepalived_script, or as root if \
                 there is no such user; here it is nobody, so name a user that may do what the \
                 scripts do",
            );
        }
    }
}

fn look_at_user(
    block: &Node,
    settings: &Settings,
    accounts: &mut Accounts,
    told_default: &mut bool,
) {
    let user = block.child("user");
    let node = user.or(block.child("script")).unwrap_or(block);
    warn_of_user(node, user.and_then(Node::argument), settings, accounts, told_default);
}

fn look_at_notify(
    block: &Node,
    settings: &Settings,
    accounts: &mut Accounts,
    told_default: &mut bool,
) {
    let scripts = ["notify", "notify_master", "notify_backup", "notify_fault", "notify_stop"];
    for node in block.children.iter().filter(|node| scripts.contains(&node.keyword())) {
        let user = node.words.get(2).map(String::as_str);
        warn_of_user(node, user, settings, accounts, told_default);
    }
}

fn look_at_identifiers(nodes: &[Node], settings: &Settings, accounts: &mut Accounts) {
    let blocks =
        nodes.iter().filter(|node| node.keyword() == "vrrp_instance" && node.argument().is_some());
    let mut seen = BTreeSet::new();
    for (block, instance) in blocks.zip(&settings.instances) {
        let is_ipv4 = instance.addresses.first().is_some_and(|a| a.address.addr().is_ipv4());
        let multicast = instance.peers.is_empty();
        if multicast && !seen.insert((instance.interface.clone(), instance.router_id, is_ipv4)) {
            accounts.warn(block, "another instance has this virtual_router_id on this interface");
        }
    }
}

/// Equal priorities, where one file tells those of all nodes.
pub(super) fn compare_ids(
    lines: &[Line],
    ids: &BTreeSet<String>,
    own: Option<&str>,
    import: &mut Import,
) {
    let mut equal = Vec::new();
    for id in ids.iter().filter(|id| Some(id.as_str()) != own) {
        let other = super::of_lines(lines, Some(id)).settings;
        for instance in &import.settings.instances {
            let same = |theirs: &&crate::settings::InstanceSettings| {
                theirs.name == instance.name && theirs.priority == instance.priority
            };
            if other.instances.iter().any(|theirs| same(&theirs)) {
                equal.push((instance.name.clone(), id.clone(), instance.priority));
            }
        }
    }
    for (name, id, priority) in equal {
        let about = |finding: &&super::Finding| {
            finding.line.split_whitespace().eq(["vrrp_instance", name.as_str()])
        };
        let Some(place) = import.findings.iter().find(about).map(|it| it.place.clone()) else {
            continue;
        };
        import.findings.push(super::Finding {
            place,
            verdict: super::Verdict::Warning,
            line: format!("vrrp_instance {name}"),
            note: format!(
                "the node `{id}` has the same priority {priority}: whose address is greater wins, and \
                 that is not what anybody chose"
            ),
        });
    }
}
