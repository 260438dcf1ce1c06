//! `vrrp_script` and notify scripts.

use super::accounts::Accounts;
use super::global::seconds;
use super::tree::Node;
use super::words::command;
use crate::settings::{InitialState, NotifySettings, ScriptSettings, Settings};

/// Finds programs that are named without a path.
const ENV: &str = "/usr/bin/env";

/// A command whose program has a path.
fn placed(mut command: Vec<String>) -> (Vec<String>, bool) {
    let bare = command.first().is_some_and(|program| !program.starts_with('/'));
    if bare {
        command.insert(0, ENV.into());
    }
    (command, bare)
}

/// A weight and whether it is reversed, as the words after a keyword say.
pub(super) fn weight(words: &[String]) -> Option<(i32, bool)> {
    let value = words.first()?.parse().ok()?;
    Some((value, words.get(1).is_some_and(|word| word == "reverse")))
}

pub(super) fn map(block: &Node, settings: &mut Settings, accounts: &mut Accounts) {
    let Some(name) = block.argument() else {
        return accounts.refuse_all(block, "it has no name");
    };
    accounts.mapped(block, "[[vrrp.script]]");
    let mut script = ScriptSettings {
        name: name.into(),
        command: Vec::new(),
        interval: std::time::Duration::from_secs(1),
        timeout: None,
        rise: 1,
        fall: 1,
        weight: 0,
        reverse: false,
        initial: InitialState::Wait,
        user: None,
        group: None,
    };
    for node in &block.children {
        map_line(node, &mut script, accounts);
    }
    if script.command.is_empty() {
        accounts.refused(block, "it names no script to run");
    } else {
        settings.scripts.push(script);
    }
}

fn map_line(node: &Node, script: &mut ScriptSettings, accounts: &mut Accounts) {
    match node.keyword() {
        "script" => {
            let (command, bare) = placed(command(node.arguments()));
            script.command = command;
            if bare {
                accounts.approximated(node, "the program is found through /usr/bin/env");
            } else {
                accounts.mapped(node, "command");
            }
        }
        "interval" => {
            if let Some(time) = seconds(node, accounts) {
                script.interval = time;
                accounts.mapped(node, "interval");
            }
        }
        "timeout" => {
            if let Some(time) = seconds(node, accounts) {
                script.timeout = (!time.is_zero()).then_some(time);
                accounts.mapped(node, "timeout");
            }
        }
        "rise" | "fall" => {
            if let Some(count) = accounts.value(node, "a number") {
                let counter =
                    if node.keyword() == "rise" { &mut script.rise } else { &mut script.fall };
                *counter = count;
                accounts.mapped(node, node.keyword());
            }
        }
        "weight" => match weight(node.arguments()) {
            Some((value, reverse)) => {
                (script.weight, script.reverse) = (value, reverse);
                accounts.mapped(node, "weight");
            }
            None => accounts.refused(node, "it does not name a weight"),
        },
        "user" => {
            script.user = node.argument().map(str::to_owned);
            script.group = node.words.get(2).cloned();
            accounts.mapped(node, "user");
        }
        "init_fail" => {
            script.initial = InitialState::Down;
            accounts.mapped(node, "initial = \"down\"");
        }
        _ => accounts.refuse_all(node, "scripts have no such setting here"),
    }
}

/// Takes a `notify...` line; says whether it was one.
pub(super) fn map_notify(
    node: &Node,
    notify: &mut Vec<NotifySettings>,
    accounts: &mut Accounts,
) -> bool {
    let state = match node.keyword() {
        "notify" => None,
        "notify_master" => Some("master"),
        "notify_backup" => Some("backup"),
        "notify_fault" => Some("fault"),
        "notify_stop" => Some("stop"),
        "notify_master_rx_lower_pri" | "notify_deleted" => {
            accounts.refused(node, "only the FIFO is told of it");
            return true;
        }
        _ => return false,
    };
    // A script with arguments is one quoted word; user and group follow.
    let own = node.arguments().get(..1).unwrap_or_default();
    let (command, bare) = placed(command(own));
    if command.is_empty() {
        accounts.refused(node, "it names no script to run");
        return true;
    }
    notify.push(NotifySettings {
        command,
        on: state.map(str::to_owned).into_iter().collect(),
        arguments: state.is_none(),
        user: node.words.get(2).cloned(),
        group: node.words.get(3).cloned(),
        timeout: std::time::Duration::from_secs(60),
    });
    if bare {
        accounts.approximated(node, "the program is found through /usr/bin/env");
    } else {
        accounts.mapped(node, "notify");
    }
    true
}
