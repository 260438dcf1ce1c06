//! `track_...` blocks, and the definitions of tracked files and processes.

use std::time::Duration;

use super::accounts::Accounts;
use super::global::seconds;
use super::script::weight;
use super::tree::Node;
use crate::settings::{FileSettings, ParameterMatch, ProcessSettings, Settings, TrackSettings};

/// Takes a `track_...` block; says whether it was one.
pub(super) fn map(block: &Node, tracks: &mut Vec<TrackSettings>, accounts: &mut Accounts) -> bool {
    match block.keyword() {
        "track_interface" | "track_script" | "track_file" | "track_process" => {}
        "track_bfd" => {
            accounts.refuse_all(block, "BFD is not spoken here; short intervals are as quick");
            return true;
        }
        _ => return false,
    }
    accounts.mapped(block, "track");
    for node in &block.children {
        let name = Some(node.keyword().to_owned());
        let mut track = match block.keyword() {
            "track_interface" => TrackSettings { interface: name, ..TrackSettings::default() },
            "track_script" => TrackSettings { script: name, ..TrackSettings::default() },
            "track_file" => TrackSettings { file: name, ..TrackSettings::default() },
            _ => TrackSettings { process: name, ..TrackSettings::default() },
        };
        match node.words.iter().position(|word| word == "weight") {
            None if node.words.len() == 1 => accounts.mapped(node, ""),
            None => accounts.refused(node, "only a weight can stand beside the name"),
            Some(at) => match weight(node.words.get(at + 1..).unwrap_or_default()) {
                Some((value, reverse)) => {
                    track.weight = Some(value);
                    track.reverse = reverse.then_some(true);
                    accounts.mapped(node, "");
                }
                None => accounts.refused(node, "it does not name a weight"),
            },
        }
        tracks.push(track);
    }
    true
}

pub(super) fn map_file(block: &Node, settings: &mut Settings, accounts: &mut Accounts) {
    let (Some(name), Some(path)) = (block.argument(), block.child("file").and_then(Node::argument))
    else {
        return accounts.refuse_all(block, "it has no name or names no file");
    };
    accounts.mapped(block, "[[vrrp.file]]");
    let mut file = FileSettings { name: name.into(), path: path.into(), weight: 1, reverse: false };
    for node in &block.children {
        match (node.keyword(), weight(node.arguments())) {
            ("file", _) => accounts.mapped(node, "path"),
            ("weight", Some((value, reverse))) => {
                (file.weight, file.reverse) = (value, reverse);
                accounts.mapped(node, "weight");
            }
            ("init_file", _) => accounts.approximated(node, "a missing file counts as zero"),
            _ => accounts.refused(node, "files have no such setting here"),
        }
    }
    settings.files.push(file);
}

pub(super) fn map_process(block: &Node, settings: &mut Settings, accounts: &mut Accounts) {
    let (Some(name), Some(words)) = (block.argument(), block.child("process").map(Node::arguments))
    else {
        return accounts.refuse_all(block, "it has no name or names no process");
    };
    let Some((program, parameters)) = words.split_first() else {
        return accounts.refuse_all(block, "it names no process");
    };
    accounts.mapped(block, "[[vrrp.process]]");
    let mut process = ProcessSettings {
        name: name.into(),
        process: program.clone(),
        parameters: (!parameters.is_empty()).then(|| parameters.to_vec()),
        parameter_match: ParameterMatch::Exact,
        full_command: false,
        quorum: 1,
        quorum_max: None,
        up_delay: Duration::ZERO,
        down_delay: Duration::ZERO,
        interval: Duration::from_secs(1),
        weight: 1,
        reverse: false,
    };
    for node in &block.children {
        map_process_line(node, &mut process, accounts);
    }
    settings.processes.push(process);
}

fn map_process_line(node: &Node, process: &mut ProcessSettings, accounts: &mut Accounts) {
    match node.keyword() {
        "process" => accounts.mapped(node, "process"),
        "param_match" => {
            process.parameters.get_or_insert_default();
            process.parameter_match = match node.argument() {
                Some("initial") => ParameterMatch::Initial,
                Some("partial") => ParameterMatch::Partial,
                _ => ParameterMatch::Exact,
            };
            accounts.mapped(node, "parameter_match");
        }
        "weight" => match weight(node.arguments()) {
            Some((value, reverse)) => {
                (process.weight, process.reverse) = (value, reverse);
                accounts.mapped(node, "weight");
            }
            None => accounts.refused(node, "it does not name a weight"),
        },
        "quorum" => {
            if let Some(quorum) = accounts.value(node, "a number") {
                process.quorum = quorum;
                accounts.mapped(node, "quorum");
            }
        }
        "quorum_max" => {
            process.quorum_max = accounts.value(node, "a number");
            if process.quorum_max.is_some() {
                accounts.mapped(node, "quorum_max");
            }
        }
        "fork_delay" | "terminate_delay" | "delay" => {
            if let Some(time) = seconds(node, accounts) {
                if node.keyword() != "terminate_delay" {
                    process.up_delay = time;
                }
                if node.keyword() != "fork_delay" {
                    process.down_delay = time;
                }
                accounts.mapped(node, "up_delay, down_delay");
            }
        }
        "full_command" => {
            process.full_command = true;
            accounts.mapped(node, "full_command");
        }
        _ => accounts.refused(node, "processes have no such setting here"),
    }
}
